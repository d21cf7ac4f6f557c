"""One artifact for each file of a folder: listed, hashed and looked up together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from upath import UPath

from lamart_core import errors, formats, hashing, uids
from lamart_core.db import Registry
from lamart_core.formats import Format
from lamart_core.logging import logger
from lamart_core.objects.plan import Dedup, Pending, Plan, Staged
from lamart_core.records import ArtifactRecord, Run, Storage, storage_locations
from lamart_core.saving import construct, hybrid, resolve, stage, targets
from lamart_core.saving.arguments import Request, checked
from lamart_core.saving.lists import SQLRecordList
from lamart_core.saving.targets import check_managed
from lamart_core.storage import (
    RESERVED,
    address_of,
    backend_at,
    bucket_of,
    check_path,
    clean_key,
    given_options,
    is_reserved,
    match_root,
    relative_to,
    seen_from_root,
    state_at_rest,
    suffix_of,
)

T = TypeVar("T", bound=ArtifactRecord)
_THREADS = 8
_SHOWN = 5


@dataclass(frozen=True)
class _Part:
    """A part of the folder that lies in one storage location, or outside of all.

    Attributes:
        inside: Its path relative to the folder, with a slash at the end; "" for the folder itself.
        root: Root of the location; None outside.
        base: Path of the part relative to the root, with a slash at the end; "" for the root itself.
        prefix: What the keys of its files begin with, before their path relative to the folder; None where their path
            in the location is the key.
    """

    inside: str
    root: str | None
    base: str
    prefix: str | None

    def in_place(self, relative: str) -> str | None:
        """Return the path relative to the root of a file with this path relative to the folder."""
        return None if self.root is None else self.base + relative.removeprefix(self.inside)


@dataclass(frozen=True)
class _File:
    """A file of the folder: its path relative to it, which part it lies in, and what it holds."""

    relative: str
    part: _Part
    staged: Staged


def from_dir(
    model: type[T], registry: Registry, path: Any, *, key: str | None, run: Run | bool | None
) -> SQLRecordList[T]:
    """Return an unsaved artifact for each file of a folder, or the one that exists already; see `Artifact.from_dir`."""
    request = checked(registry, Request(key=key, run=run, dedup=Dedup.HEAD))
    source = stage.resolve_source(path, registry.storage_options)
    if isinstance(source, Path) and not source.is_dir():
        raise _no_folder(source)
    locations = storage_locations(registry)
    if isinstance(source, Path):
        source = seen_from_root(source, [item.root for item in locations])
    parts = _parts(address_of(source), [item.root for item in locations], request.key)
    if isinstance(source, Path):
        if parts[-1].root is None:
            check_managed(targets.choose(registry, request, locations))
        files = _stage_local(source, parts, registry.hash_algorithm)
    else:
        files = _stage_remote(registry, source, parts[-1])
    if not files:
        logger.warning("%s holds no files", source)
        return SQLRecordList()
    plans = _plans(registry, files, request, locations)
    records = _records(model, registry, [Pending(file.staged, plan) for file, plan in plans])
    if not all(record.is_saved for record in records):
        construct.warn_without_run(registry, request, plans[0][1], source)
    return SQLRecordList(records)


def _no_folder(source: Path | UPath) -> errors.NotAFolder:
    return errors.NotAFolder(f"{source} is a file; from_dir() takes a folder, Artifact() takes a file")


# ---------------------------------------------------------------------- where


def _parts(text: str, roots: Sequence[str], key: str | None) -> list[_Part]:
    """Return the parts of a folder, those deepest inside first, the folder itself last."""
    root = match_root(text, roots)
    relpath = relative_to(text, root) if root is not None else ""
    if is_reserved(relpath if root is not None else text):
        raise errors.InvalidArgument(f"{text} lies in the reserved folder {RESERVED}/")
    prefix = key
    if root is None and "://" in text:
        # As for a single remote path: its bucket becomes a location, so that the next time gives the same keys.
        root = bucket_of(text)
        relpath = relative_to(text, root)
    elif root is None and key is None:
        prefix = clean_key(Path(text).name) if Path(text).name else None
    nested = [
        _Part(relative_to(other, text) + "/", other, "", key)
        for other in roots
        if other != root and match_root(other, [text]) is not None
    ]
    nested.sort(key=lambda part: len(part.inside), reverse=True)
    return [*nested, _Part("", root, f"{relpath}/" if relpath else "", prefix)]


def _part_of(relative: str, parts: Sequence[_Part]) -> _Part:
    return next(part for part in parts if relative.startswith(part.inside))


# ---------------------------------------------------------------------- what


def _stage_local(folder: Path, parts: Sequence[_Part], algorithm: str) -> list[_File]:
    # The version store of a location, or an embedded registry, is no data of the folder.
    found = hashing.list_files(folder, without=RESERVED)
    where = [_part_of(file.path, parts) for file in found]
    paths = [folder / file.path for file in found]
    names = [part.in_place(file.path) for file, part in zip(found, where, strict=True)]
    for name in names:
        if name is not None:
            check_path(name)
    # What lies in a storage location is not copied, and so not hashed again: its state tells whether it changed.
    lying = [path for path, name in zip(paths, names, strict=True) if name is not None]
    states = dict(zip(lying, state_at_rest(lying), strict=True)) if lying else {}
    entries = hashing.hash_files(folder, found, algorithm)
    suffixes = [suffix_of(path.name) for path in paths]
    kinds = _formats(paths, suffixes)
    counts = _counts(paths, suffixes, kinds)
    return [
        _File(
            entry.path,
            part,
            Staged(
                source=path,
                suffix=suffix,
                is_folder=False,
                size=entry.size,
                n_files=None,
                digest=hashing.Digest(algorithm, entry.value),
                state={"": states[path]} if name is not None else None,
                otype=kind.otype,
                n_observations=count,
                in_place=name,
                root=part.root,
            ),
        )
        for entry, part, path, name, suffix, kind, count in zip(
            entries, where, paths, names, suffixes, kinds, counts, strict=True
        )
    ]


def _formats(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Format]:
    """Return the format of each file; a file is looked at only where its suffix does not tell."""
    shared = {suffix for item in formats.all_formats() for suffix in item.shared_suffixes}
    told: dict[str, Format] = {}
    found: list[Format] = []
    for path, suffix in zip(paths, suffixes, strict=True):
        kind = told.get(suffix)
        if kind is None:
            kind = formats.for_path(path, suffix)
            if suffix not in shared:
                told[suffix] = kind
        found.append(kind)
    return found


def _counts(paths: Sequence[Path], suffixes: Sequence[str], kinds: Sequence[Format]) -> list[int | None]:
    counts: list[int | None] = [None] * len(paths)
    datasets = [index for index, kind in enumerate(kinds) if kind.otype is not None]
    if not datasets:
        return counts

    def count(index: int) -> None:
        counts[index] = stage.count(kinds[index], paths[index], suffixes[index])

    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        list(pool.map(count, datasets))
    return counts


def _stage_remote(registry: Registry, source: UPath, part: _Part) -> list[_File]:
    assert part.root is not None
    given = given_options(part.root, source.storage_options)
    backend = backend_at(part.root, registry.storage_options.for_root(part.root) | given)
    found = backend.list_files(part.base.rstrip("/"))
    if not found and not stage.look(source, [part.root], registry.storage_options).stat.is_folder:
        raise _no_folder(source)
    construct.remember_options(registry, part.root, given)
    files: list[_File] = []
    left_out: list[str] = []
    for relative, stat in found.items():
        if is_reserved(relative):
            continue
        name = part.base + relative
        try:
            backend.check_path(name)
            _named(part, relative, name)
        except errors.InvalidArgument:  # whoever reads a bucket can seldom rename what lies there
            left_out.append(name)
            continue
        suffix = suffix_of(relative)
        kind = formats.for_suffix(suffix)
        staged = Staged(
            source=source / relative,
            suffix=suffix,
            is_folder=False,
            size=stat.size,
            n_files=None,
            digest=stat.digest,
            otype=kind.otype if kind is not None and not kind.is_folder else None,
            in_place=name,
            root=part.root,
        )
        files.append(_File(relative, part, staged))
    if left_out:
        shown = ", ".join(map(repr, left_out[:_SHOWN]))
        logger.warning(
            "%s objects of %s have names that make no key, and are left out: %s%s",
            f"{len(left_out):,}",
            source,
            shown,
            ", …" if len(left_out) > _SHOWN else "",
        )
    return files


# ---------------------------------------------------------------------- under which keys


def _plans(
    registry: Registry, files: Sequence[_File], request: Request, locations: Sequence[Storage]
) -> list[tuple[_File, Plan]]:
    """Return a plan for each file: all of one part differ in what follows from the file alone."""
    first: dict[tuple[_Part, bool], Plan] = {}
    uploaded = hybrid.uploaded(registry, [_key(file) for file in files])
    plans: list[tuple[_File, Plan]] = []
    taken: dict[tuple[str | None, str], str] = {}
    for file in files:
        part, staged = file.part, file.staged
        key = _key(file)
        other = taken.setdefault((part.root, key), file.relative)
        if other is not file.relative:
            raise errors.InvalidKey(
                f"{other!r} and {file.relative!r} look the same and would have one key, {key!r}; rename one of them"
            )
        base = first.get((part, key in uploaded))
        if base is None:
            named = replace(request, key=key)
            target = _target(registry, part, named, locations)
            base = first[part, key in uploaded] = construct.plan_of(registry, staged, named, target)
        if staged.in_place is not None:
            name = construct.name_in_place(staged.in_place, key)
            plan = replace(base, key=key, key_is_virtual=name.is_virtual, real_key=name.real_key, otype=staged.otype)
        else:
            plan = replace(base, key=key, otype=staged.otype)
            if not plan.key_is_virtual:
                plan.storage.backend.check_path(key)
        plans.append((file, plan))
    return plans


def _key(file: _File) -> str:
    try:
        return _named(file.part, file.relative, file.staged.in_place)
    except errors.InvalidKey as error:
        raise errors.InvalidKey(f"{file.relative!r} cannot be named: {error}. Rename the file") from error


def _named(part: _Part, relative: str, in_place: str | None) -> str:
    return clean_key(f"{part.prefix}/{relative}" if part.prefix else relative if in_place is None else in_place)


def _target(registry: Registry, part: _Part, request: Request, locations: Sequence[Storage]) -> Storage:
    if part.root is None:
        return targets.choose(registry, request, locations)
    found = next((item for item in locations if item.root == part.root), None)
    return found if found is not None else registry.Storage.reference(part.root)


# ---------------------------------------------------------------------- as records


def _records(model: type[T], registry: Registry, pending: Sequence[Pending]) -> list[T]:
    table = model.__table__
    matches = resolve.look_up(registry, table, [(item.staged, item.plan) for item in pending])
    records: list[T] = []
    for item, found in zip(pending, matches, strict=True):
        record = model._blank()
        record._registry = registry
        resolution = resolve.decide(found, item.plan, stem=uids.new_stem())
        if resolution.existing is not None:
            construct.become_existing(record, resolution.existing, item)
        else:
            construct.become_new(record, item, resolution)
        records.append(record)
    return records
