"""Bytes into a storage before any record refers to them, and out of it again when none came to."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lamart_core import errors, uids
from lamart_core.db import Registry
from lamart_core.hashing import TreeDigest, stamp_of, stamp_of_files
from lamart_core.objects import histories
from lamart_core.objects.about import About
from lamart_core.objects.folder_contents import put_contents
from lamart_core.objects.plan import Plan, Put, Staged
from lamart_core.objects.put_again import held_contents
from lamart_core.objects.rows import of_version_store
from lamart_core.objects.tombstones import none_collected
from lamart_core.objects.unreferenced import remove_bytes
from lamart_core.records import artifact_table, ownership
from lamart_core.records.epochs import new_path
from lamart_core.saving import resolve
from lamart_core.saving.commit import Item
from lamart_core.saving.stage import discard_path
from lamart_core.saving.targets import check_managed
from lamart_core.storage import Backend, Bar, FilePut, KnownFile, check_state

_THREADS = 16


def put_bytes(registry: Registry, wanted: Sequence[Item], bar: Bar) -> list[Put]:
    """Put contents under names that no other save can choose: all of them, or none. Nothing refers to them yet.

    The sources stay, where that costs no copy, until records refer to the bytes. Files are put several at a time.

    Args:
        registry: The registry.
        wanted: The contents. What was put of one before, when parts of a folder that were going to be shared have
            vanished since, is used again.
        bar: Progress that they are part of.

    Raises:
        PathNotFound, SourceChanged: A source is not what it was.
        StorageError: The storage refused the bytes.
        BytesCollected: Garbage collection took some of them while they were put.
    """
    for storage in {item.plan.storage.id: item.plan.storage for item in wanted}.values():
        ownership.renew(storage)
    puts: dict[int, Put] = {}
    files: defaultdict[int, list[int]] = defaultdict(list)
    try:
        for index, item in enumerate(wanted):
            staged = item.staged
            lying = staged.in_place or staged.stored
            if lying is not None:
                if staged.state is not None and isinstance(staged.source, Path):
                    check_state(staged.source, staged.state)
                puts[index] = Put(lying, is_managed=staged.in_place is None, stamp=_stamp_of(staged))
            elif staged.tree is None:
                files[item.plan.storage.id].append(index)
            else:
                puts[index] = _put_folder(registry, item, staged.tree, bar)
        for indices in files.values():
            puts.update(zip(indices, _put_files(registry, [wanted[index] for index in indices], bar), strict=True))
    except BaseException:
        take_back(wanted, puts)
        raise
    return [puts[index] for index in range(len(wanted))]


def _stamp_of(staged: Staged) -> str | None:
    """Return the stamp of what was staged where it lies, from before it was hashed."""
    if staged.state is None:
        return None
    if staged.is_folder:
        return stamp_of_files(staged.state) if staged.stored is None else None
    stamp = stamp_of(staged.state[""])
    return stamp if staged.stored is None else of_version_store(stamp)


def _source(item: Item) -> Path:
    check_managed(item.plan.storage)
    source = item.staged.source
    if not isinstance(source, Path) or not source.exists():
        raise errors.PathNotFound(f"the source {source} vanished since the artifact was constructed")
    return source


# ---------------------------------------------------------------------- folders


def _put_folder(registry: Registry, item: Item, tree: TreeDigest, bar: Bar) -> Put:
    source, staged, plan = _source(item), item.staged, item.plan
    backend, stem = plan.storage.backend, uids.stem_of(item.uid)
    # A real key too gets its bytes from the version store, once a record refers to them there (see `real_keys`).
    relpath = new_path(registry, stem, staged.suffix)
    with none_collected(registry, plan.storage.id, [relpath]):
        if _is_content_addressed(plan):
            before = item.put if item.put is not None else Put(relpath, is_managed=True)
            held = held_contents(source, tree, plan.storage)
            files = put_contents(source, tree, plan.storage, stem, held, before.files, bar)
            return Put(before.relpath, is_managed=True, is_content_addressed=True, files=files)
        move = staged.is_owned and backend.takes_staged
        known = _known_files(registry, item, tree)
        backend.put_folder(source, relpath, tree=tree, move=move, known=known, about=_about(item))
    return Put(relpath, is_managed=True)


def _is_content_addressed(plan: Plan) -> bool:
    """Whether the files of a folder are stored as objects of their own: where versions are kept and links are not."""
    return plan.key_is_virtual and not plan.overwrite_versions and not plan.storage.backend.keeps_links


def _known_files(registry: Registry, item: Item, tree: TreeDigest) -> Mapping[str, KnownFile] | None:
    """Return stored files that a new folder may share; None where others may write to it."""
    plan = item.plan
    if not plan.key_is_virtual:
        return None
    with registry.engine.connect() as connection:
        base = resolve.read(connection, artifact_table(), [(item.staged, plan)]).tip(plan).base
        if base is None or base["storage_id"] != plan.storage.id:
            return {}
        return histories.known_files(connection, base["object_id"], tree)


# ---------------------------------------------------------------------- files


def _put_files(registry: Registry, wanted: Sequence[Item], bar: Bar) -> list[Put]:
    """Put files of one location: a single one by itself, as it may then be moved, others side by side."""
    storage = wanted[0].plan.storage
    backend = storage.backend
    links: list[Path] = []
    puts: list[FilePut] = []
    try:
        for item in wanted:
            source, staged = _source(item), item.staged
            is_ours = staged.is_owned and backend.takes_staged
            link = _second_name(source, backend, staged.suffix) if is_ours else None
            if link is not None:
                links.append(link)
            move = link is not None or (is_ours and len(wanted) == 1)
            relpath = new_path(registry, uids.stem_of(item.uid), staged.suffix)
            puts.append(FilePut(link or source, relpath, staged.digest, move, staged.size, _about(item)))
        with none_collected(registry, storage.id, [put.relpath for put in puts]):
            if len(puts) > 1:
                stats = backend.put_files(puts, bar=bar)
            else:
                (put,) = puts
                stats = [
                    backend.put_file(
                        put.source, put.relpath, digest=put.digest, move=put.move, about=put.about, bar=bar
                    )
                ]
    finally:
        for link in links:
            discard_path(link)
    return [
        Put(put.relpath, is_managed=True, stamp=of_version_store(stat.stamp))
        for put, stat in zip(puts, stats, strict=True)
    ]


def _about(item: Item) -> str | None:
    """Return what the bytes say themselves of the artifact that they are put for."""
    staged, values = item.staged, item.values
    key = item.plan.key if item.plan.key is not None else values.get("key")
    return About(
        uid=item.uid,
        key=key,
        suffix=staged.suffix,
        hash=staged.digest.value if staged.digest is not None else None,
        hash_type=staged.digest.algorithm if staged.digest is not None else None,
        kind=item.plan.kind,
        otype=staged.otype or item.plan.otype,
        is_virtual=item.plan.key_is_virtual,
        overwrites=item.plan.overwrite_versions,
    ).written()


def _second_name(source: Path, backend: Backend, suffix: str) -> Path | None:
    """Return a second name of a staging file, so that the first one outlives the commit; None without hard links."""
    link = backend.staging().new_path(suffix)
    try:
        os.link(source, link)
    except OSError:
        return None
    return link


# ---------------------------------------------------------------------- back


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


def take_back(wanted: Sequence[Item], puts: Mapping[int, Put]) -> None:
    """Remove bytes that no record came to refer to, several at a time; what was moved goes back to where it was.

    Args:
        wanted: The contents.
        puts: What was put, by the position of the content.
    """
    if len(puts) == 1:
        for index, put in puts.items():
            _take_back(wanted[index], put)
    elif puts:
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            list(pool.map(_take_back, [wanted[index] for index in puts], puts.values()))


def _take_back(item: Item, put: Put) -> None:
    staged, storage = item.staged, item.plan.storage
    if staged.in_place is not None or staged.stored is not None:
        return
    if put.is_content_addressed:
        for file in put.files.values():
            remove_bytes(storage, file.relpath, is_folder=False)
        return
    stored, source = storage.backend.path(put.relpath), staged.source
    is_local = isinstance(stored, Path) and isinstance(source, Path)
    if staged.is_owned and is_local and stored.exists() and not source.exists():
        os.rename(str(stored), str(source))
    else:
        remove_bytes(storage, put.relpath, is_folder=staged.is_folder)
