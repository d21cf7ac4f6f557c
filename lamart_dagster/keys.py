"""Which artifact key belongs to which asset and partition: text only, knows neither Dagster nor the registry.

An asset is one version family per partition: `{prefix}/{asset path}/{dimension=value…}{suffix}`. The part before the
suffix is the *stem*. It has no dot in its last segment, so a key tells where its stem ends, whatever format an asset
is stored in.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lamart_core.errors import InvalidArgument
from lamart_core.storage import normal_form

RUN_OUTPUTS = "__runs__"
MAX_KEY = 1024
NONE_SUFFIX = ".none"

# What would change the structure of a key: separators, what ends a stem, and the escape character itself.
_SPECIAL = frozenset("%/\\|.")
_IN_NAMES = _SPECIAL | {"="}


@dataclass(frozen=True)
class AssetPartition:
    """An asset, or one partition of it.

    Attributes:
        asset: Parts of the asset key.
        partition: Values by name of the dimension, sorted by name; empty for an asset without partitions.
    """

    asset: tuple[str, ...]
    partition: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, asset: Sequence[str], dimensions: Mapping[str, str] | None = None) -> AssetPartition:
        """Make one from the parts of an asset key and values by dimension.

        Example:
            >>> AssetPartition.of(["sc", "cells"], {"date": "2024-01-01"}).partition
            (('date', '2024-01-01'),)
        """
        return cls(tuple(asset), tuple(sorted((dimensions or {}).items())))

    @property
    def label(self) -> str:
        """Name for messages, as Dagster writes it.

        Example:
            >>> AssetPartition.of(["sc", "cells"], {"date": "2024-01-01"}).label
            'sc/cells[date=2024-01-01]'
        """
        partition = ", ".join(f"{name}={value}" for name, value in self.partition)
        return "/".join(self.asset) + (f"[{partition}]" if partition else "")


@dataclass(frozen=True)
class ArtifactName:
    """The key of an artifact, with or without its suffix.

    Attributes:
        stem: The key up to the suffix.
        suffix: The suffix, when a template fixes it; None when the stored object decides.
    """

    stem: str
    suffix: str | None = None

    @property
    def key(self) -> str | None:
        """The whole key; None as long as the suffix is open."""
        return None if self.suffix is None else self.stem + self.suffix

    @property
    def none_key(self) -> str:
        """The key under which it is noted that None was made after a value."""
        return (self.key or self.stem) + NONE_SUFFIX

    def key_for(self, suffix: str) -> str:
        """Return the key of an object that is stored with this suffix.

        Raises:
            InvalidArgument: The template asks for another suffix.
        """
        if self.suffix is not None and self.suffix != suffix:
            raise InvalidArgument(
                f"the key {self.key!r} asks for the suffix {self.suffix!r}, but the object has {suffix!r}"
            )
        return self.stem + suffix

    def matches(self, key: str) -> bool:
        """Return whether `key` is this name, with whatever suffix where it is open."""
        if self.suffix is not None:
            return key in (self.key, self.none_key)
        rest = key.removeprefix(self.stem)
        return key == self.stem or (rest != key and rest.startswith(".") and "/" not in rest)


def asset_name(target: AssetPartition, *, prefix: str = "", template: str | None = None) -> ArtifactName:
    """Return the name of the artifact that holds an asset or one partition of it.

    Distinct assets and partitions never share a name, except where templates, or prefixes that are parts of asset keys,
    make them (see `ownership`), or where names differ by their Unicode normal form only: a key is in NFC.

    Args:
        target: The asset and partition.
        prefix: Folder that all keys lie in; templates are used as they are, without it.
        template: Key of the asset's choice, from the metadata `lamart/key`. Fields: `{asset}` (path of the asset),
            `{name}` (its last part), `{partition}` (all dimensions as `name=value` segments) and one field for each
            dimension. A suffix in its last segment also chooses the format.

    Raises:
        InvalidArgument: The template has an unknown field, or would give all partitions one key.

    Examples:
        >>> asset_name(AssetPartition.of(["cells"], {"date": "2024-01-01"}), prefix="lab").stem
        'lab/cells/date=2024-01-01'
        >>> asset_name(AssetPartition.of(["cells"], {"batch": "a"}), template="sc/{batch}/{name}.csv").key
        'sc/a/cells.csv'
    """
    if template is not None:
        return _from_template(template, target)
    segments = [*_prefix_segments(prefix), *_asset_segments(target.asset), *_dimension_segments(target.partition)]
    return _checked(ArtifactName(normal_form("/".join(segments))), target.label)


def run_output_name(
    job: str, run_id: str, step_key: str, output: str, mapping_key: str | None = None, *, prefix: str = ""
) -> ArtifactName:
    """Return the name of an output that belongs to one run and no asset: that of an op.

    Args:
        job: Name of the job.
        run_id: Id of the Dagster run that made the output.
        step_key: Key of the step.
        output: Name of the output.
        mapping_key: Mapping key of a dynamic output.
        prefix: Folder that all keys lie in.

    Example:
        >>> run_output_name("job", "1f2e", "fan[a.b]", "result").stem
        '__runs__/job/1f2e/fan[a%2Eb]/result'
    """
    parts = [job, run_id, step_key, output, *([mapping_key] if mapping_key is not None else [])]
    segments = [*_prefix_segments(prefix), RUN_OUTPUTS, *(escape(part) for part in parts)]
    return ArtifactName(normal_form("/".join(segments)))


def escape(value: str) -> str:
    """Return a value as a part of a key segment: separators, dots and control characters percent-encoded.

    Injective: different values stay different.

    Example:
        >>> escape("T cell | CD4/CD8 0.5")
        'T cell %7C CD4%2FCD8 0%2E5'
    """
    return _escape(value, _SPECIAL)


def _escape(value: str, special: Iterable[str]) -> str:
    return "".join(_percent(c) if c in special or not c.isprintable() else c for c in value)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", errors="surrogatepass"))


def _prefix_segments(prefix: str) -> list[str]:
    return [segment for segment in prefix.split("/") if segment]


def _asset_segments(asset: Sequence[str]) -> list[str]:
    segments = [_escape(part, _IN_NAMES) for part in asset]
    if segments and segments[0] == RUN_OUTPUTS:
        segments[0] = _percent("_") + segments[0][1:]  # an asset of that name is no output of a run
    return segments


def _dimension_segments(partition: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{_escape(name, _IN_NAMES)}={escape(value)}" for name, value in partition]


def _from_template(template: str, target: AssetPartition) -> ArtifactName:
    dimensions = {name: escape(value) for name, value in target.partition}
    # A dimension wins over the general field of the same name: `name=…` is a likely dimension.
    fields = {
        "asset": "/".join(_asset_segments(target.asset)),
        "name": _asset_segments(target.asset)[-1],
        "partition": "/".join(_dimension_segments(target.partition)),
        **dimensions,
    }
    pieces = _parse(template)
    used = {field for _, field in pieces if field is not None}
    unknown = sorted(used - set(fields))
    if unknown:
        hint = "" if dimensions else "; if the asset has partitions, name one: partition_key=…"
        raise InvalidArgument(
            f"the key template {template!r} of {target.label} has unknown fields {unknown}; "
            f"it can have: {', '.join(sorted(fields))}{hint}"
        )
    missing = sorted(set(dimensions) - used)
    if missing and ("partition" not in used or "partition" in dimensions):
        raise InvalidArgument(
            f"the key template {template!r} of {target.label} would put several partitions under one key: "
            f"add {', '.join('{' + name + '}' for name in missing)} or {{partition}}"
        )
    # A suffix is what the template itself spells: values have no dots.
    literal_end = pieces[-1][0] if pieces and pieces[-1][1] is None else ""
    start = literal_end.find(".", literal_end.rfind("/") + 1)
    suffix = literal_end[start:] if start >= 0 else None
    text = "".join(literal + ("" if field is None else fields[field]) for literal, field in pieces)
    return _checked(ArtifactName(normal_form(text.removesuffix(suffix or "")), suffix), target.label)


def _checked(name: ArtifactName, label: str) -> ArtifactName:
    length = len(name.none_key)
    if length > MAX_KEY:
        raise InvalidArgument(
            f"the key of {label} has {length} characters, and can have {MAX_KEY}: shorten the partition key or give it "
            f"a shorter template, lamart/key; it is {name.stem[:60]!r}…"
        )
    return name


def _parse(template: str) -> list[tuple[str, str | None]]:
    if not template.strip() or template.endswith("/"):
        raise InvalidArgument(f"the key template {template!r} does not name a file: end it in a name, such as {{name}}")
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InvalidArgument(f"the key template {template!r} is not a format string: {error}") from error
    for _, field, specification, conversion in parsed:
        if field is not None and (specification or conversion or not field):
            raise InvalidArgument(f"the key template {template!r} can only have plain fields such as {{name}}")
    return [(literal, field) for literal, field, _, _ in parsed]
