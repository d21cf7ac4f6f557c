"""Loading what an input asks for, in the version that its run sees."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from lamart_core.db import Registry
from lamart_core.errors import InvalidArgument
from lamart_core.lineage import find_run
from lamart_dagster.errors import MissingMaterialization, NoValue, SeveralPartitions
from lamart_dagster.loading import LoadRequest, Shape, fetch
from lamart_dagster.metadata import InputUse
from lamart_dagster.nothing import is_none, returned_none
from lamart_dagster.snapshot import View, names_below, pinned, resolve
from lamart_dagster.storing import PICKLE_SUFFIX
from lamart_dagster.targets import Target

if TYPE_CHECKING:
    pass

VERSION = "lamart/version"
Pin = str | Mapping[str, str]


@dataclass(frozen=True)
class Found:
    """What an input is loaded from.

    Attributes:
        uses: The artifact of each target that has one; that of a None tells when it was made.
        none: Targets that were None when they were made last.
        missing: Targets that were never made.
    """

    uses: Mapping[Target, InputUse]
    none: tuple[Target, ...] = ()
    missing: tuple[Target, ...] = ()


def pin_of(config: Any, metadata: Mapping[str, Any] | None, pins: Mapping[str, str], asset: str | None) -> Pin | None:
    """Return the version that was chosen by hand, or None.

    Args:
        config: Configuration of the input, `{"version": …}`.
        metadata: Metadata of the input; `lamart/version` is a version, or a mapping of partitions to versions.
        pins: Versions by asset, from the configuration of the IO manager.
        asset: The asset.

    Raises:
        InvalidArgument: It is neither text nor a mapping.
    """
    pin: Any = config.get("version") if isinstance(config, Mapping) else None
    pin = pin or (metadata or {}).get(VERSION) or (pins.get(asset) if asset is not None else None)
    if isinstance(pin, dg.MetadataValue):
        pin = pin.value
    if pin is not None and not isinstance(pin, str | Mapping):
        raise InvalidArgument(
            f"the version {pin!r} of {asset} must be text (version, uid or hash) or a mapping of partitions to it"
        )
    return pin


def find(
    registry: Registry, targets: Sequence[Target], view: View, *, upstream: str | None = None, pin: Pin | None = None
) -> Found:
    """Find the artifact of each target.

    Args:
        registry: Registry to look in.
        targets: What is wanted.
        view: What the run sees of what its upstream step did not make.
        upstream: External id of the upstream step; what it made comes first.
        pin: A version that was chosen by hand, for all targets or by partition.

    Raises:
        ObjectDoesNotExist: There is no such version.
    """
    chosen = {target: _pinned(registry, target, pin) for target in targets} if pin is not None else {}
    left = [target for target in targets if chosen.get(target) is None]
    seen = resolve(registry, [target.name for target in left], view, step=upstream) if left else {}
    uses: dict[Target, InputUse] = {}
    for target in targets:
        by_hand = chosen.get(target)
        artifact = by_hand or seen.get(target.name)
        if artifact is not None:
            target.check_owner(artifact.extra_data, artifact.key)
            uses[target] = InputUse(target.label, artifact, target.partition, by_hand is not None, target.asset)
    none = [target for target, use in uses.items() if is_none(use.artifact)]
    missing = [target for target in targets if target not in uses]
    if missing and upstream is not None:
        # Where there never was a value, nothing but the run of the step knows of the None.
        run = find_run(registry, upstream)
        none += [target for target in missing if run is not None and returned_none(run, target)]
        missing = [target for target in missing if target not in none]
    return Found(uses, tuple(none), tuple(missing))


def none_error(target: Target) -> NoValue:
    """Return the error for a None where a value is wanted."""
    way_out = (
        "annotate the upstream with -> None and name it in deps=[…]"
        if target.asset is not None
        else "make the input dg.In(dg.Nothing)"
    )
    return NoValue(
        f"{target.label} returned None, so there is nothing to load. Where no value is meant to be passed, {way_out}; "
        "where it may be missing, annotate the input T | None"
    )


def missing_error(registry: Registry, found: Found, branch: str) -> MissingMaterialization:
    """Return the error for targets that cannot be loaded: what was looked for, where, and what exists.

    Args:
        registry: Registry that was looked in.
        found: What is missing.
        branch: Name of the branch.
    """
    missing = found.missing
    target = missing[0]
    more = f" (and {len(missing) - 1} more partitions)" if len(missing) > 1 else ""
    key = target.name.key or f"{target.name.stem}.*"
    family = target.name.stem.rpartition("/")[0] if target.partition is not None else ""
    known = names_below(registry, family or target.name.stem)
    exists = f"there are: {', '.join(known)}" if known else "nothing is there yet: materialize it first"
    return MissingMaterialization(
        f"there is no artifact for {target.label}{more} under the key {key!r} on branch {branch!r} of {registry!r}; "
        f"{exists}"
    )


def is_collection(request: LoadRequest, n_targets: int, *, can_be_several: Callable[[], bool]) -> bool:
    """Return whether an input wants a dict of partitions rather than one object.

    It follows from the annotation and the definition of the mapping, and not from how many partitions there are today.
    `dict[str, T]` with a T that no document holds is a dict of partitions; any other dict, and a parameter without an
    annotation, is one where the mapping can give several, else the object, which may be a JSON object.

    Args:
        request: What the input asks for.
        n_targets: Number of upstream partitions.
        can_be_several: Whether the mapping, or the runs of the asset, can give several upstream partitions.

    Raises:
        SeveralPartitions: The annotation wants one object, and there are several partitions.
    """
    if request.as_type is None or request.is_mapping:
        has_parts = request.values is not None and not request.values.is_plain
        return n_targets > 1 or has_parts or can_be_several()
    if n_targets > 1:
        raise SeveralPartitions(
            f"the input has {n_targets} partitions, but is annotated {request.annotation!r}, which is one object: "
            "annotate it dict[str, …] to get them by partition key, or choose a partition mapping that gives one"
        )
    return False


def hand_over(use: InputUse, request: LoadRequest, *, allow_pickle: bool = False) -> Any:
    """Return an artifact in the form that an input asks for.

    Args:
        use: The artifact.
        request: What the input asks for.
        allow_pickle: Whether pickled objects are loaded; never from a source that is not trusted.
    """
    if use.artifact.suffix == PICKLE_SUFFIX and request.shape is Shape.OBJECT:
        if not allow_pickle:
            raise InvalidArgument(
                f"{use.label} is a pickled object: loading it runs code, so it needs LamartIOManager(allow_pickle=True)"
            )
        return pickle.loads(Path(use.artifact.cache(is_run_input=False)).read_bytes())
    return fetch(use.artifact, request)


def _pinned(registry: Registry, target: Target, pin: Pin) -> Any:
    if isinstance(pin, str):
        return pinned(registry, target.name, pin)
    version = pin.get(target.partition) if target.partition is not None else None
    return pinned(registry, target.name, version) if version is not None else None
