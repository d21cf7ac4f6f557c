"""Copies of stored objects: made and verified first, recorded by the transaction that then refers to them."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from sqlalchemy import ColumnElement, Connection, Table, and_, select, update

from lamart_core import errors, hashing, uids
from lamart_core.db import Registry
from lamart_core.hashing import ALGORITHMS, Digest, TreeDigest
from lamart_core.logging import logger
from lamart_core.objects import leases
from lamart_core.objects.folder_contents import PutFile, put_contents
from lamart_core.objects.histories import content_addressed_folder
from lamart_core.objects.plan import Put, Row, Staged
from lamart_core.objects.put_again import NewPlace, held_contents, switch_places
from lamart_core.objects.record import ToRecord, record_objects
from lamart_core.objects.rows import OBJECT, Recording, of_version_store
from lamart_core.objects.tombstones import check_not_collected, none_collected
from lamart_core.objects.unreferenced import remove_bytes
from lamart_core.objects.verify import digest_of, is_damaged, verify, verify_copy
from lamart_core.records import Storage
from lamart_core.records.epochs import new_path
from lamart_core.storage import NO_BAR, Cache, Depth, KnownFile, State


@dataclass(frozen=True)
class Copy:
    """A copy of a stored object in a version store, which no record refers to yet.

    Attributes:
        row: The object that was copied, as the database had it.
        storage: Location of the copy.
        path: Path of the copy, relative to the root.
        digest: Digest of the copy; another one than that of the object where that was inexact.
        tree: Files of a folder, where they are to be known one by one.
        is_content_addressed: Whether its files are objects of their own.
        contents: Those that were put for it and for the copies before it, by hash.
        is_in_use: Whether an object of equal content, whose own bytes were not whole, has these now.
        stamp: What tells whether a file on disk is changed later.
    """

    row: Row
    storage: Storage
    path: str
    digest: Digest | None
    tree: TreeDigest | None = None
    is_content_addressed: bool = False
    contents: Mapping[str, PutFile] = field(default_factory=dict[str, PutFile])
    is_in_use: bool = False
    stamp: str | None = None

    @property
    def is_folder(self) -> bool:
        """Whether the object is a folder."""
        return self.row["n_files"] is not None

    def discard(self) -> None:
        """Remove the copy, which no record refers to, and give its path back."""
        for content in self.contents.values():
            remove_bytes(self.storage, content.relpath, is_folder=False)
        if not self.is_content_addressed and not self.is_in_use:
            remove_bytes(self.storage, self.path, is_folder=self.is_folder)
        leases.give_back(self.storage.registry, self.storage.id, self.path)


def copy_object(
    registry: Registry,
    row: Row,
    source: Storage,
    target: Storage,
    stem: str,
    *,
    before: Sequence[Copy] = (),
    keeps_versions: bool = False,
) -> Copy:
    """Copy a stored object into a version store, and verify the copy.

    Its path is claimed by a lease: a second name of old bytes is as old as they are, so that no grace time tells it
    from what a process left that was killed. Whoever records or discards the copy gives the lease back.

    Args:
        registry: The registry.
        row: The object.
        source: Its location.
        target: Location of the copy.
        stem: Stem of the uid of an artifact that names it.
        before: Copies of other versions, whose files a folder may share.
        keeps_versions: Whether all versions are kept, so that an object store keeps each content of a folder once.

    Raises:
        ContentMissing: There is nothing.
        ContentMismatch: The bytes are not those of the record.
        BytesCollected: Garbage collection has taken the copy.
        StorageError: A storage failed or refused; nothing is left.
    """
    copy = Copy(row, target, new_path(registry, stem, row["suffix"]), digest_of(row))
    leases.take(registry, target, copy.path)
    try:
        with none_collected(registry, target.id, [copy.path]):
            if source.id == target.id:
                copy = _duplicate(copy)
            else:
                copy = _copy_over(registry, copy, source, before, keeps_versions=keeps_versions)
        if not copy.is_folder:
            copy = replace(copy, stamp=of_version_store(target.backend.stamp(copy.path)))
        return _replace_damaged(registry, copy)
    except BaseException:
        copy.discard()
        raise


def _copy_over(
    registry: Registry, copy: Copy, source: Storage, before: Sequence[Copy], *, keeps_versions: bool
) -> Copy:
    """Copy an object from another location."""
    row, target, path, digest = copy.row, copy.storage, copy.path, copy.digest
    is_folder = copy.is_folder
    try:
        local = _fetch(registry, row, source, digest)
    except errors.PathNotFound as error:
        raise errors.ContentMissing(f"the bytes at {source.root}/{row['path']} are missing") from error
    verdict = verify_copy(source, row, local, Depth.DIGEST)
    verdict.check(f"the bytes at {source.root}/{row['path']}")
    algorithm = digest.file_algorithm if digest is not None and digest.file_algorithm in ALGORITHMS else None
    chosen = algorithm or registry.hash_algorithm
    tree = (verdict.tree or hashing.hash_tree(local, chosen)) if is_folder else None
    found = tree.digest if tree is not None else hashing.hash_file(local, chosen)
    copy = copy if digest is not None and digest.is_exact else Copy(row, target, path, found)
    if tree is not None:
        return _put_copied_folder(copy, local, tree, before, is_content_addressed=keeps_versions)
    target.backend.put_file(local, path, digest=found)
    return copy


def _fetch(registry: Registry, row: Row, source: Storage, digest: Digest | None) -> Path:
    cache = Cache(registry.settings.cache_dir)
    size, path = row["size"], row["path"]
    if row["is_content_addressed"]:
        with registry.engine.connect() as connection:
            folder = content_addressed_folder(connection, row["id"], path, source.backend)
        return cache.fetch_content_addressed(folder, size=size, digest=digest)
    verify = digest is not None and not digest.is_exact
    return cache.fetch(
        source.backend, path, size=size, digest=digest, is_folder=row["n_files"] is not None, verify=verify
    )


def _put_copied_folder(
    copy: Copy, local: Path, tree: TreeDigest, before: Sequence[Copy], *, is_content_addressed: bool
) -> Copy:
    backend = copy.storage.backend
    if is_content_addressed and not backend.keeps_links:
        already = {value: put for other in before for value, put in other.contents.items()}
        held = held_contents(local, tree, copy.storage)
        stem = PurePosixPath(copy.path).name[: uids.STEM_LENGTH]
        contents = put_contents(local, tree, copy.storage, stem, held, already, NO_BAR)
        return replace(copy, tree=tree, is_content_addressed=True, contents=contents)
    known = {
        entry.value: KnownFile(f"{other.path}/{entry.path}", other.path)
        for other in before
        for entry in (other.tree.entries if other.tree is not None else ())
    }
    backend.put_folder(local, copy.path, tree=tree, known=known)
    return replace(copy, tree=tree)


def _duplicate(copy: Copy) -> Copy:
    row, storage = copy.row, copy.storage
    name = f"the bytes at {storage.root}/{row['path']}"
    inexact = copy.digest is None or not copy.digest.is_exact
    # What only a server vouches for is asked of it before; the copy may get another word.
    if inexact:
        verify(storage, row, Depth.SIZE).check(name)
    try:
        storage.backend.duplicate(row["path"], copy.path, is_folder=copy.is_folder)
    except errors.PathNotFound as error:
        raise errors.ContentMissing(f"{name} are missing") from error
    if inexact:
        return Copy(row, storage, copy.path, storage.backend.stat(copy.path).digest or copy.digest)
    # The copy is looked at, and not the original: that may change in between.
    verdict = verify(storage, {**row, "path": copy.path, "stamp": None}, Depth.DIGEST)
    if verdict.state is State.MISSING:  # it was there a moment ago
        raise errors.StorageError(errno.ENOENT, f"the second name of {name} is not there: {verdict}")
    verdict.check(name)
    return copy


def _replace_damaged(registry: Registry, copy: Copy) -> Copy:
    """Let an object of equal content have the bytes of the copy if its own are damaged: it is what will be shared.

    Otherwise the last whole bytes would go with what was copied.
    """
    if copy.is_content_addressed or copy.digest is None or not copy.digest.is_exact or not copy.row["size"]:
        return copy
    with registry.engine.connect() as connection:
        found = connection.execute(select(OBJECT).where(_equal_to(copy))).first()
    if found is None or found.is_content_addressed or not is_damaged(copy.storage, found._asdict()):
        return copy
    place = NewPlace(found.id, found.path, copy.path, copy.row["size"], copy.row["n_files"], copy.stamp)
    if not registry.unit_of_work(lambda connection: switch_places(connection, copy.storage, [place])):
        return copy
    logger.warning("the bytes at %s/%s were not whole; they are stored again", copy.storage.root, found.path)
    remove_bytes(copy.storage, found.path, is_folder=copy.is_folder)
    return replace(copy, is_in_use=True)


def _equal_to(copy: Copy) -> ColumnElement[bool]:
    """Return the condition that an object may be shared instead of a copy."""
    columns, digest = OBJECT.c, copy.digest
    return and_(
        columns.storage_id == copy.storage.id,
        columns.hash == (digest.value if digest is not None else None),
        columns.hash_type == (digest.algorithm if digest is not None else None),
        columns.suffix == copy.row["suffix"],
        columns.is_managed,
        columns.is_exact,
    )


def record_copy(
    connection: Connection,
    table: Table,
    copy: Copy,
    *,
    artifact_ids: set[int] | None = None,
    base_id: int | None = None,
) -> Recording:
    """Let artifacts refer to a copy, or to an object of equal content in the same version store.

    Args:
        connection: Connection in a write transaction.
        table: The artifact table.
        copy: The copy.
        artifact_ids: The artifacts; default: all that refer to the object that was copied.
        base_id: Id of the object of the version before, of which a folder has kept files.

    Returns:
        The object that they refer to now.

    Raises:
        BytesCollected: Garbage collection has taken the copy.
        ObjectVanished: Contents of a folder that the storage had are not there any more.
    """
    row, digest, tree = copy.row, copy.digest, copy.tree
    content = Staged(
        copy.storage.backend.path(copy.path), row["suffix"], copy.is_folder, row["size"], row["n_files"], digest, tree
    )
    put = Put(copy.path, True, copy.stamp, is_content_addressed=copy.is_content_addressed, files=copy.contents)
    to_record = ToRecord(content, copy.storage, put, tree is not None, base_id)
    # An object of equal content was looked at when the copy was made.
    (recording,) = record_objects(connection, [to_record], verified=None)
    check_not_collected(connection, copy.storage.id, [recording.path])
    leases.release(connection, copy.storage.id, copy.path)
    changes = {"object_id": recording.object_id, **recording.sizes}
    if digest is not None and digest != digest_of(row):
        changes |= {"hash": digest.value, "_hash_type": digest.algorithm}
    columns = table.c
    refer = columns.object_id == row["id"] if artifact_ids is None else columns.id.in_(artifact_ids)
    connection.execute(update(table).where(refer).values(changes))
    return recording
