"""Bytes into a storage before any record refers to them, and out of it again when none came to."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lamart_core import errors, uids
from lamart_core.db import Registry
from lamart_core.hashing import TreeDigest
from lamart_core.objects import folders
from lamart_core.objects.plan import Plan, Put, Staged
from lamart_core.objects.put_again import held_contents
from lamart_core.objects.remove import remove_bytes
from lamart_core.objects.scatter import put_contents
from lamart_core.objects.tombstones import check_not_collected
from lamart_core.records import ArtifactRecord, Storage
from lamart_core.saving import resolve
from lamart_core.saving.stage import discard_path
from lamart_core.storage import Backend, Bar, FilePut, KnownFile, check_state, object_path, progress

_THREADS = 16


def put_bytes(
    record: ArtifactRecord,
    staged: Staged,
    plan: Plan,
    *,
    before: Put | None = None,
    show_progress: bool | None = None,
) -> Put:
    """Put the bytes under a name that no other save can choose; nothing refers to them yet.

    The source stays, where that does not cost a copy, until a record refers to the bytes.

    Args:
        record: The artifact.
        staged: Its content.
        plan: What the caller wants.
        before: What was put before, when parts of a folder that were going to be shared have vanished since.
        show_progress: Whether the transfer draws a bar.

    Raises:
        BytesCollected: Garbage collection took them while they were put.
    """
    if staged.in_place is not None:
        if staged.state is not None and isinstance(staged.source, Path):
            check_state(staged.source, staged.state)
        return Put(staged.in_place, is_managed=False)
    if staged.stored is not None:
        if staged.state is not None and isinstance(staged.source, Path):
            check_state(staged.source, staged.state)
        return Put(staged.stored, is_managed=True)
    if not isinstance(staged.source, Path) or not staged.source.exists():
        raise errors.PathNotFound(f"the source {staged.source} vanished since the artifact was constructed")
    check_managed(plan.storage)
    backend = plan.storage.backend
    # A real key too gets its bytes from the version store, once a record refers to them there (see `real_keys`).
    relpath = object_path(uids.stem_of(record.uid), staged.suffix)
    label = f"saving {record.key or staged.source.name}"
    with (
        progress(label, total=staged.size, enabled=show_progress) as bar,
        _none_collected(record.registry, plan.storage.id, [relpath]),
    ):
        if staged.tree is not None and _is_scattered(plan):
            relpath = before.relpath if before is not None else relpath
            already = before.files if before is not None else {}
            held = held_contents(staged.source, staged.tree, plan.storage)
            files = put_contents(staged.source, staged.tree, plan.storage, uids.stem_of(record.uid), held, already, bar)
            return Put(relpath, is_managed=True, is_scattered=True, files=files)
        if staged.tree is not None:
            move = staged.is_owned and backend.is_local
            known = _known_files(record, staged, plan, staged.tree)
            backend.put_folder(staged.source, relpath, tree=staged.tree, move=move, known=known)
        elif staged.is_owned and backend.is_local:
            _put_staged(staged.source, staged, backend, relpath, bar)
        else:
            backend.put_file(staged.source, relpath, digest=staged.digest, bar=bar)
    return Put(relpath, is_managed=True)


def check_managed(storage: Storage) -> None:
    """Raise InvalidArgument for a location that this registry does not manage."""
    if not storage.is_managed:
        raise errors.InvalidArgument(
            f"the storage location {storage.root} is not managed by this registry; nothing can be written there"
        )


def _is_scattered(plan: Plan) -> bool:
    """Whether the files of a folder are stored as objects of their own: where versions are kept and links are not."""
    return plan.key_is_virtual and not plan.overwrite_versions and not plan.storage.backend.is_local


def _known_files(
    record: ArtifactRecord, staged: Staged, plan: Plan, tree: TreeDigest
) -> Mapping[str, KnownFile] | None:
    """Return stored files that a new folder may share; None where others may write to it."""
    if not plan.key_is_virtual:
        return None
    table = record.__table__
    with record.registry.engine.connect() as connection:
        found = resolve.find(connection, table, staged, plan)
        base = found.tip.base
        if base is None or base["storage_id"] != plan.storage.id:
            return {}
        return folders.known_files(connection, base["object_id"], tree)


def _put_staged(source: Path, staged: Staged, backend: Backend, relpath: str, bar: Bar) -> None:
    """Move a staging file into the storage under a second name of it, so that the first one outlives the commit."""
    link = _second_name(source, backend, staged.suffix)
    if link is None:
        backend.put_file(source, relpath, digest=staged.digest, move=True, bar=bar)
        return
    try:
        backend.put_file(link, relpath, digest=staged.digest, move=True, bar=bar)
    finally:
        discard_path(link)


def _second_name(source: Path, backend: Backend, suffix: str) -> Path | None:
    """Return a second name of a staging file; None where there are no hard links."""
    link = backend.staging().new_path(suffix)
    try:
        os.link(source, link)
    except OSError:
        return None
    return link


@dataclass(frozen=True)
class ToPut:
    """A file that one of many artifacts is made of."""

    record: ArtifactRecord
    staged: Staged
    plan: Plan


def put_files(registry: Registry, wanted: Sequence[ToPut], bar: Bar) -> list[Put]:
    """Do what `put_bytes` does for many files, several at a time: all of them, or none.

    Args:
        registry: The registry.
        wanted: Files that lie where they are registered, or go to the version store.
        bar: Progress that they are part of.

    Raises:
        BytesCollected: Garbage collection took some of them while they were put.
    """
    puts: list[Put | None] = [None] * len(wanted)
    by_storage: defaultdict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(wanted):
        staged = item.staged
        if staged.in_place is None:
            by_storage[item.plan.storage.id].append(index)
            continue
        if staged.state is not None and isinstance(staged.source, Path):
            check_state(staged.source, staged.state)
        puts[index] = Put(staged.in_place, is_managed=False)
    try:
        for indices in by_storage.values():
            stored = _put_together(registry, [wanted[index] for index in indices], bar)
            for index, put in zip(indices, stored, strict=True):
                puts[index] = put
    except BaseException:
        take_back_all(list(wanted), puts)
        raise
    return [put for put in puts if put is not None]


def _put_together(registry: Registry, wanted: Sequence[ToPut], bar: Bar) -> list[Put]:
    storage = wanted[0].plan.storage
    check_managed(storage)
    backend = storage.backend
    links: list[Path] = []
    puts: list[FilePut] = []
    try:
        for item in wanted:
            source, staged = item.staged.source, item.staged
            if not isinstance(source, Path) or not source.exists():
                raise errors.PathNotFound(f"the source {source} vanished since the artifact was constructed")
            link = _second_name(source, backend, staged.suffix) if staged.is_owned and backend.is_local else None
            if link is not None:
                links.append(link)
            relpath = object_path(uids.stem_of(item.record.uid), staged.suffix)
            puts.append(FilePut(link or source, relpath, staged.digest, link is not None, staged.size))
        with _none_collected(registry, storage.id, [put.relpath for put in puts]):
            backend.put_files(puts, bar=bar)
    finally:
        for link in links:
            discard_path(link)
    return [Put(put.relpath, is_managed=True) for put in puts]


@contextmanager
def _none_collected(registry: Registry, storage_id: int, relpaths: Sequence[str]) -> Generator[None, None, None]:
    """Tell a storage that failed from bytes that garbage collection took while they were put."""
    try:
        yield
    except (errors.StorageError, errors.PathNotFound):
        with registry.engine.connect() as connection:
            check_not_collected(connection, storage_id, relpaths)
        raise


def check_source(staged: Staged) -> None:
    """Check that bytes which garbage collection took can be put again.

    Raises:
        IntegrityError: They were moved into the storage, and are gone.
    """
    if isinstance(staged.source, Path) and not staged.source.exists():
        raise errors.IntegrityError(
            "garbage collection with a grace time shorter than this save removed its bytes; nothing is registered. "
            "Save the object again, as a new artifact"
        )


def take_back(plan: Plan, staged: Staged, put: Put | None) -> None:
    """Remove bytes that no record came to refer to; what was moved from a staging file goes back to it."""
    if put is None or staged.in_place is not None or staged.stored is not None:
        return
    if put.is_scattered:
        take_back_parts(plan, put)
        return
    stored = plan.storage.backend.path(put.relpath)
    if staged.is_owned and isinstance(stored, Path) and isinstance(staged.source, Path) and not staged.source.exists():
        os.rename(stored, staged.source)
    else:
        remove_bytes(plan.storage, put.relpath, is_folder=staged.is_folder)


def take_back_all(wanted: Sequence[ToPut], puts: Sequence[Put | None]) -> None:
    """Remove bytes of many files that no record came to refer to, several at a time."""

    def remove(index: int) -> None:
        take_back(wanted[index].plan, wanted[index].staged, puts[index])

    there = [index for index, put in enumerate(puts) if put is not None]
    if there:
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            list(pool.map(remove, there))


def take_back_parts(plan: Plan, put: Put | None) -> None:
    """Remove the contents of a folder that were put as objects of their own, and that no record came to refer to."""
    for file in put.files.values() if put is not None else ():
        remove_bytes(plan.storage, file.relpath, is_folder=False)
