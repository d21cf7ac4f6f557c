"""Copies of stored objects: made and verified first, recorded by the transaction that then refers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from sqlalchemy import ColumnElement, Connection, Table, and_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from lamart_core import errors, hashing, uids
from lamart_core.db import Registry, now
from lamart_core.hashing import ALGORITHMS, Digest, TreeDigest
from lamart_core.logging import logger
from lamart_core.objects.contents import held_contents
from lamart_core.objects.digests import local_digest
from lamart_core.objects.folders import NewFolder, scattered_folder
from lamart_core.objects.plan import Row
from lamart_core.objects.remove import remove_bytes
from lamart_core.objects.rows import OBJECT, Recording, insert_files, note_sizes
from lamart_core.objects.scatter import PutFile, put_contents
from lamart_core.objects.tombstones import check_not_collected
from lamart_core.records import Storage
from lamart_core.storage import NO_BAR, Cache, KnownFile, object_path

LOST = "lost"
DOOMED = "doomed"


@dataclass(frozen=True)
class Copy:
    """A copy of a stored object in a version store, which no record refers to yet.

    Attributes:
        row: The object that was copied, as the database had it.
        storage: Location of the copy.
        path: Path of the copy, relative to the root.
        digest: Digest of the copy; another one than that of the object where that was inexact.
        tree: Files of a folder, where they are to be known one by one.
        is_scattered: Whether its files are objects of their own.
        contents: Those that were put for it and for the copies before it, by hash.
        is_lent: Whether an object of equal content, whose own bytes were not whole, has these now.
    """

    row: Row
    storage: Storage
    path: str
    digest: Digest | None
    tree: TreeDigest | None = None
    is_scattered: bool = False
    contents: Mapping[str, PutFile] = field(default_factory=dict[str, PutFile])
    is_lent: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether the object is a folder."""
        return self.row["n_files"] is not None

    def discard(self) -> None:
        """Remove the copy, which no record refers to."""
        for content in self.contents.values():
            remove_bytes(self.storage, content.relpath, is_folder=False)
        if not self.is_scattered and not self.is_lent:
            remove_bytes(self.storage, self.path, is_folder=self.is_folder)


def digest_of(row: Row) -> Digest | None:
    """Return the digest of a stored object."""
    return Digest(row["hash_type"], row["hash"], row["is_exact"]) if row["hash"] is not None else None


def holds(storage: Storage, path: str, *rows: Row) -> bool:
    """Return whether the bytes at a path are those that one of the rows describes; they are hashed if need be.

    Args:
        storage: Location to look into.
        path: Path relative to the root.
        rows: Stored objects.

    Raises:
        StorageError: The storage failed or refused.
    """
    backend = storage.backend
    try:
        found = backend.stat(path)
        alike = [
            row for row in rows if found.is_folder == (row["n_files"] is not None) and row["size"] in (None, found.size)
        ]
        digests = {(digest_of(row), row["suffix"]) for row in alike}
        if any(digest is None or (not digest.is_exact and digest == found.digest) for digest, _ in digests):
            return True
        exact = [(digest, suffix) for digest, suffix in digests if digest is not None and digest.is_exact]
        if not exact:
            return False
        if backend.is_local:
            return _is_one_of(backend.local(path), exact)
        with TemporaryDirectory() as folder:
            local = Path(folder, "object")
            backend.get(path, local, is_folder=found.is_folder)
            return _is_one_of(local, exact)
    except errors.PathNotFound:
        return False


def is_whole(storage: Storage, row: Row) -> bool:
    """Return whether a stored object is there with its size, by one look. What cannot be seen is taken for whole."""
    try:
        found = storage.backend.stat(row["path"])
    except errors.PathNotFound:
        return False
    except (errors.StorageError, errors.InvalidArgument) as error:
        logger.warning("cannot see whether %s/%s is whole: %s", storage.root, row["path"], error)
        return True
    return row["size"] is None or found.size == row["size"]


def _is_one_of(path: Path, digests: list[tuple[Digest, str]]) -> bool:
    made: dict[tuple[str, str], str] = {}
    for digest, suffix in digests:
        kind = (digest.algorithm, suffix)
        if kind not in made:
            made[kind] = _hash(path, suffix, digest)
        if made[kind] == digest.value:
            return True
    return False


def _hash(path: Path, suffix: str, digest: Digest) -> str:
    return local_digest(path, suffix, digest, is_folder=path.is_dir()).value


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

    Args:
        registry: The registry.
        row: The object.
        source: Its location.
        target: Location of the copy.
        stem: Stem of the uid of an artifact that names it.
        before: Copies of other versions, whose files a folder may share.
        keeps_versions: Whether all versions are kept, so that an object store keeps each content of a folder once.

    Raises:
        ContentMismatch: The bytes are missing or are not those of the record.
        StorageError: A storage failed or refused; nothing is left.
    """
    copy = Copy(row, target, object_path(stem, row["suffix"]), digest_of(row))
    if source.id == target.id:
        return _lend(registry, _duplicate(copy))
    return _lend(registry, _copy_over(registry, copy, source, before, keeps_versions=keeps_versions))


def _copy_over(
    registry: Registry, copy: Copy, source: Storage, before: Sequence[Copy], *, keeps_versions: bool
) -> Copy:
    """Copy an object from another location."""
    row, target, path, digest = copy.row, copy.storage, copy.path, copy.digest
    is_folder = copy.is_folder
    try:
        local = _fetch(registry, row, source, digest)
    except errors.PathNotFound as error:
        raise errors.ContentMismatch(f"the bytes at {source.root}/{row['path']} are missing") from error
    algorithm = digest.file_algorithm if digest is not None and digest.file_algorithm in ALGORITHMS else None
    chosen = algorithm or registry.hash_algorithm
    tree = hashing.hash_tree(local, chosen) if is_folder else None
    found = tree.digest if tree is not None else hashing.hash_file(local, chosen)
    if digest is not None and digest.is_exact and _hash(local, row["suffix"], digest) != digest.value:
        raise errors.ContentMismatch(f"the bytes at {source.root}/{row['path']} were altered: they are not copied")
    copy = copy if digest is not None and digest.is_exact else Copy(row, target, path, found)
    if tree is not None:
        return _put_copied_folder(copy, local, tree, before, is_scattered=keeps_versions)
    target.backend.put_file(local, path, digest=found)
    return copy


def _fetch(registry: Registry, row: Row, source: Storage, digest: Digest | None) -> Path:
    cache = Cache(registry.settings.cache_dir)
    size, path = row["size"], row["path"]
    if row["is_scattered"]:
        with registry.engine.connect() as connection:
            folder = scattered_folder(connection, row["id"], path, source.backend)
        return cache.fetch_scattered(folder, size=size, digest=digest)
    verify = digest is not None and not digest.is_exact
    return cache.fetch(
        source.backend, path, size=size, digest=digest, is_folder=row["n_files"] is not None, verify=verify
    )


def _put_copied_folder(
    copy: Copy, local: Path, tree: TreeDigest, before: Sequence[Copy], *, is_scattered: bool
) -> Copy:
    backend = copy.storage.backend
    if is_scattered and not backend.is_local:
        already = {value: put for other in before for value, put in other.contents.items()}
        held = held_contents(local, tree, copy.storage)
        stem = PurePosixPath(copy.path).name[: uids.STEM_LENGTH]
        contents = put_contents(local, tree, copy.storage, stem, held, already, NO_BAR)
        return replace(copy, tree=tree, is_scattered=True, contents=contents)
    known = {
        entry.value: KnownFile(f"{other.path}/{entry.path}", other.path)
        for other in before
        for entry in (other.tree.entries if other.tree is not None else ())
    }
    backend.put_folder(local, copy.path, tree=tree, known=known)
    return replace(copy, tree=tree)


def _duplicate(copy: Copy) -> Copy:
    row, storage = copy.row, copy.storage
    backend = storage.backend
    inexact = copy.digest is None or not copy.digest.is_exact
    # What only a server vouches for is asked of it before; the copy may get another word.
    if inexact and not holds(storage, row["path"], row):
        raise errors.ContentMismatch(f"the bytes at {storage.root}/{row['path']} were altered")
    try:
        backend.duplicate(row["path"], copy.path, is_folder=copy.is_folder)
    except errors.PathNotFound as error:
        raise errors.ContentMismatch(f"the bytes at {storage.root}/{row['path']} are missing") from error
    if inexact:
        return Copy(row, storage, copy.path, backend.stat(copy.path).digest or copy.digest)
    # The copy is looked at, and not the original: that may change in between.
    if not holds(storage, copy.path, row):
        copy.discard()
        raise errors.ContentMismatch(f"the bytes at {storage.root}/{row['path']} were altered")
    return copy


def _lend(registry: Registry, copy: Copy) -> Copy:
    """Let an object of equal content have the bytes of the copy if its own are not whole: it is what will be shared.

    Otherwise the last whole bytes would go with what was copied.
    """
    if copy.is_scattered or copy.digest is None or not copy.digest.is_exact or not copy.row["size"]:
        return copy
    with registry.engine.connect() as connection:
        found = connection.execute(select(OBJECT).where(_equal_to(copy))).first()
    if found is None or found.is_scattered or is_whole(copy.storage, found._asdict()):
        return copy

    def work(connection: Connection) -> bool:
        same = (OBJECT.c.id == found.id, OBJECT.c.path == found.path)
        is_done = connection.execute(update(OBJECT).where(*same).values(path=copy.path)).rowcount == 1
        if is_done:
            note_sizes(connection, found.id, copy.row["size"], copy.row["n_files"])
        check_not_collected(connection, copy.storage.id, [copy.path])
        return is_done

    try:
        if not registry.unit_of_work(work):
            return copy
    except errors.LamartError:
        copy.discard()
        raise
    logger.warning("the bytes at %s/%s were not whole; they are stored again", copy.storage.root, found.path)
    remove_bytes(copy.storage, found.path, is_folder=copy.is_folder)
    return replace(copy, is_lent=True)


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
    row, digest = copy.row, copy.digest
    values = {name: row[name] for name in ("suffix", "size", "n_files")} | {
        "storage_id": copy.storage.id,
        "path": copy.path,
        "hash": digest.value if digest is not None else None,
        "hash_type": digest.algorithm if digest is not None else None,
        "is_exact": digest is not None and digest.is_exact,
        "is_managed": True,
        "created_at": now(),
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    inserted = dialect.insert(OBJECT).values(values).on_conflict_do_nothing().returning(OBJECT.c.id)
    object_id = connection.execute(inserted).scalar_one_or_none()
    path = copy.path
    sizes: Row = {}
    if object_id is None:
        columns = (OBJECT.c.id, OBJECT.c.path, OBJECT.c.size, OBJECT.c.n_files)
        query = select(*columns).where(_equal_to(copy))
        shared = connection.execute(query.with_for_update()).first()
        if shared is None:
            raise errors.Conflict("an object of equal content was deleted in this moment")
        object_id, path = shared.id, shared.path
        # Equal contents of some formats differ in their bytes.
        sizes = {"size": shared.size, "n_files": shared.n_files}
    elif copy.tree is not None:
        folder = NewFolder(object_id, copy.storage.id, copy.tree, copy.is_scattered)
        insert_files(connection, folder, copy.contents, base_id)
    check_not_collected(connection, copy.storage.id, [path])
    changes = {"object_id": object_id, **sizes}
    if digest is not None and digest != digest_of(row):
        changes |= {"hash": digest.value, "_hash_type": digest.algorithm}
    columns = table.c
    refer = columns.object_id == row["id"] if artifact_ids is None else columns.id.in_(artifact_ids)
    connection.execute(update(table).where(refer).values(changes))
    return Recording(object_id, path)
