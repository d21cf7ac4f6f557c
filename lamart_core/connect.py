"""Open a registry."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, Connection, insert, select, text

from lamart_core import errors, uids
from lamart_core.db import Registry, now, set_connector, set_default_registry
from lamart_core.db.checks import check_values
from lamart_core.db.engines import opening
from lamart_core.db.place import place_of
from lamart_core.db.registration import registration_table
from lamart_core.db.schema import ensure_schema, schema_version
from lamart_core.logging import logger
from lamart_core.models import Branch, Storage, User  # all record classes, so that a registry knows them
from lamart_core.records import ownership
from lamart_core.records.identity import settle
from lamart_core.settings import Settings, default_cache_dir
from lamart_core.storage import OptionsSource, StorageOptions, normalise_root, storage_type
from lamart_core.storage.failures import writing

EMBEDDED = Path(".lamart")
_USER = User.__table__


def connect(
    url: str | os.PathLike[str] | URL | None = None,
    *,
    storage: str | os.PathLike[str] | None = None,
    local_storage: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    branch: str | None = None,
    space: str | None = None,
    user: str | None = None,
    hash_algorithm: str | None = None,
    storage_options: Mapping[str, OptionsSource] | None = None,
    make_default: bool = True,
    read_only: bool = False,
) -> Registry:
    """Open a registry, creating it on first use.

    Without arguments: `LAMART_DB_URL` and `LAMART_STORAGE`, else an embedded SQLite database and a local storage in
    `./.lamart/`.

    Args:
        url: Database URL, `sqlite:///path` or `postgresql://…`, or the path of an SQLite file, taken as it is.
        storage: Root of the default storage location: a folder or the URL of an object store. Needed when a
            database outside `./.lamart/` is opened for the first time; later it selects another registered location.
        local_storage: Folder that new artifacts are kept in first, until `save(upload=True)` moves them to the default
            storage location. Default: `LAMART_LOCAL_STORAGE`, else none, and artifacts are stored there at once.
        cache_dir: Folder for copies of remote objects. Default: `LAMART_CACHE_DIR`, else the user's cache folder.
        branch: Name of the branch that new records go to. Default: `main`. A new name makes a branch.
        space: Name of the space that new records go to. Default: `all`. The space must exist.
        user: Handle of the user that new records are created by. Default: `LAMART_USER`, else the login name.
        hash_algorithm: `blake3` (default) or `md5`; chosen once, when the registry is created.
        storage_options: Options for fsspec file systems, for example credentials, by protocol or root:
            `{"s3://bucket": {"key": …, "secret": …, "endpoint_url": …}, "s3://public": {"anon": True}}`. A function
            in place of the dictionary is asked at every use. Kept in this process (and in a pickled registry), never
            in the database. Default: what each protocol finds in the environment.
        make_default: Whether the registry becomes the default of this process.
        read_only: Whether the registry is opened for reading only: it must exist, and no user, branch or storage
            location is made in it.

    Returns:
        The open registry. As a context manager it is current for one thread or task.

    Raises:
        InvalidArgument: The URL names no supported database, another hash algorithm is in use, or `local_storage` is
            not a local folder of its own.
        ObjectDoesNotExist: There is no space of this name.
        DatabaseTooNew: A newer version of this library wrote the database.
        DatabaseTooOld: The database must be upgraded first.
        MissingExtra: The driver of this database is not installed.
        WrongStorage: Another store lies at the root of a location that the registry knows, or none: its disk is not
            mounted, or this is another machine.
        PathNotFound: There is no such SQLite file, and it is opened for reading only.
        DatabaseError: The database cannot be opened: the file is none, or the server cannot be reached.

    Examples:
        >>> import lamart_core as ln
        >>> registry = ln.connect("sqlite:///lab.db", storage="./lab")
        >>> registry.Artifact.filter().count()
        0
    """
    url = url or os.environ.get("LAMART_DB_URL")
    storage = storage or os.environ.get("LAMART_STORAGE")
    local_storage = local_storage or os.environ.get("LAMART_LOCAL_STORAGE")
    embedded = url is None
    if url is None:
        EMBEDDED.mkdir(exist_ok=True)
        url = (EMBEDDED / "lamart.db").absolute()
        storage = storage or (EMBEDDED / "storage").absolute()
    options = StorageOptions(storage_options)
    cache = Path(cache_dir).expanduser().absolute() if cache_dir else default_cache_dir()
    registry = Registry(url, settings=Settings(cache_dir=cache))
    registry.storage_options = options
    if read_only:
        registry.options = {"cache_dir": str(cache), "read_only": True, "storage_options": options}
        with opening(registry.url):
            _open_existing(registry)
        if make_default:
            set_default_registry(registry)
        return registry
    if registry.is_sqlite:
        _make_folder(Path(str(registry.url.database)).parent)
    with opening(registry.url):
        created = ensure_schema(registry)
        _identify(registry, hash_algorithm)
        registry.check_file()
    handle = _choose_user(registry, user or os.environ.get("LAMART_USER") or None)
    default = _choose_storage(registry, storage)
    local = _choose_local_storage(registry, local_storage) if local_storage is not None else None
    if branch is not None:
        _choose_branch(registry, branch)
    if space is not None:
        registry.space = space
    # What a copy is opened with, in a process that may begin in another folder and environment.
    registry.options = {
        "storage": default.root if storage else None,
        "local_storage": local.root if local is not None else None,
        "cache_dir": str(cache),
        "branch": branch,
        "space": space,
        "user": handle,
        "storage_options": options,
    }
    if make_default:
        set_default_registry(registry)
    if created and embedded:
        logger.warning("created a registry in %s", EMBEDDED.absolute())
    return registry


def DB(url: str | os.PathLike[str] | URL, *, cache_dir: str | os.PathLike[str] | None = None) -> Registry:
    """Open another registry beside the current one, for reading only.

    Its artifacts can be queried and read. Saving one, `ln.DB(url).Artifact.get(…).save()`, transfers its record into
    the current registry: same uid, the bytes stay where they are.

    Args:
        url: Database URL, or the path of an SQLite file.
        cache_dir: Folder for copies of remote objects.

    Raises:
        PathNotFound: There is no such SQLite file.
        DatabaseError: The database holds no registry, or one of another version.

    Examples:
        >>> import lamart_core as ln
        >>> _ = ln.connect("other.db", storage="./other", make_default=False)
        >>> ln.DB("other.db").Artifact.filter().count()
        0
    """
    return connect(url, cache_dir=cache_dir, make_default=False, read_only=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.DatabaseError(
            f"there is no folder {folder} for a database, and none can be made: {error}"
        ) from error


def _make_root(folder: Path) -> None:
    if folder.is_file():
        raise errors.NotAFolder(f"the root {folder} is a file; a storage location is a folder")
    with writing(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)


def _open_existing(registry: Registry) -> None:
    if registry.is_sqlite and not Path(str(registry.url.database)).is_file():
        raise errors.PathNotFound(f"there is no database {registry.url.database}; connect() makes one")
    with registry.engine.connect() as connection:
        if schema_version(connection) is None:
            raise errors.DatabaseError(f"{registry!r} is a database without a registry; connect() makes one in it")
    ensure_schema(registry)
    registry.is_read_only = True
    _identify(registry, None)
    registry.storage_id = _oldest_location(registry)


def _oldest_location(registry: Registry) -> int:
    query = select(Storage.id).where(Storage.instance_uid == registry.uid).order_by(Storage.id).limit(1)
    with registry.read() as session:
        return session.scalar(query) or 0


def open_for_care(registry: Registry) -> None:
    """Open a registry for its caretakers, whatever lies at the roots of its storage locations; none is made.

    Raises:
        DatabaseTooNew, DatabaseTooOld: The database is of another version.
    """
    ensure_schema(registry)
    _identify(registry, None)
    registry.check_file()
    _choose_user(registry, os.environ.get("LAMART_USER"))
    registry.storage_id = _oldest_location(registry)
    set_default_registry(registry)


def _identify(registry: Registry, hash_algorithm: str | None) -> None:
    """Read the registry's own row, or write it in a new registry."""

    def write(connection: Connection) -> None:
        if connection.execute(select(registration_table)).first() is None:
            row = {
                "id": 1,
                "uid": uids.base62(12),
                "hash_algorithm": hash_algorithm or "blake3",
                "created_at": now(),
                "place": str(place_of(registry, connection)),
            }
            connection.execute(insert(registration_table).values(row))

    with registry.engine.connect() as connection:
        row = connection.execute(select(registration_table)).first()
    if row is None:
        registry.unit_of_work(write)
        with registry.engine.connect() as connection:
            row = connection.execute(select(registration_table)).one()
    if hash_algorithm is not None and row.hash_algorithm != hash_algorithm:
        raise errors.InvalidArgument(
            f"{registry!r} uses the hash algorithm {row.hash_algorithm!r}, chosen when it was created; "
            f"it cannot be opened with {hash_algorithm!r}"
        )
    registry.uid = row.uid
    registry.hash_algorithm = row.hash_algorithm
    settle(registry, row.place)


def _choose_user(registry: Registry, handle: str | None) -> str:
    if handle is None:
        handle = _login_name()[:30]
    check_values(User, {"handle": handle})
    with registry.read() as session:
        user_id = session.scalar(select(User.id).where(User.handle == handle))
    if user_id is None:
        user_id = registry.unit_of_work(lambda connection: _insert_user(connection, handle))
    registry.user_id = user_id
    return handle


def _insert_user(connection: Connection, handle: str) -> int:
    existing = connection.execute(select(User.id).where(User.handle == handle)).scalar_one_or_none()
    if existing is not None:
        return existing
    row = {"uid": uids.base62(8), "handle": handle, "created_at": now(), "updated_at": now()}
    return int(connection.execute(insert(_USER).values(row).returning(text("id"))).scalar_one())


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user id has no name
        return "anonymous"


def _choose_storage(registry: Registry, root: str | os.PathLike[str] | None) -> Storage:
    """Set and return the default storage location: the one that was asked for, else the oldest managed one."""
    if root is None or registry.copy_of is not None:  # a copy registers none: the original may not have it
        query = select(Storage).where(Storage.instance_uid == registry.uid).order_by(Storage.id).limit(1)
        with registry.read() as session:
            record = session.scalars(query).one_or_none()
        if record is None:
            raise errors.UnknownStorageLocation(
                f"{registry!r} has no storage location yet; pass connect(…, storage=<folder or URL>)"
            )
        _warn_away(registry, record)
    else:
        record = _location(registry, root)
    registry.storage_id = record.id
    return record


def _warn_away(registry: Registry, record: Storage) -> None:
    """Say that the default location is not there; records can be read all the same."""
    record._registry = registry
    if record.type == "local" and registry.copy_of is None:
        try:
            ownership.check(record)
        except errors.LamartError as error:
            logger.warning("%s", error)


def _location(registry: Registry, root: str | os.PathLike[str]) -> Storage:
    """Return a location, registering a new one; a folder where a known one should be is never made again.

    Raises:
        WrongStorage: Another store lies at the root of a known location, or none.
    """
    is_local = storage_type(normalise_root(str(root))) == "local"
    with registry:
        record = Storage(root)
        if record.is_saved and is_local:
            # Elsewhere the first write asks: opening a registry needs no network.
            found = ownership.look(record)
            if found is not None:
                found.check()
            _warn_away(registry, record)
        elif is_local:
            _make_root(Path(record.root))
        return record.save()


def _choose_local_storage(registry: Registry, root: str | os.PathLike[str]) -> Storage:
    """Set and return the location that artifacts are kept in until they are uploaded."""
    if storage_type(normalise_root(str(root))) != "local":
        raise errors.InvalidArgument(f"local_storage={str(root)!r} is no local folder; pass it as storage=…")
    record = _location(registry, root)
    if record.id == registry.storage_id:
        raise errors.InvalidArgument(f"local_storage={str(root)!r} is the default storage location; choose another one")
    registry.local_storage_id = record.id
    return record


def _choose_branch(registry: Registry, name: str) -> None:
    """Make a branch current; a new name makes a branch."""
    try:
        registry.branch = name
    except errors.ObjectDoesNotExist:
        with registry, suppress(errors.NameTaken):  # another process made it in between
            Branch(name=name).save()
        registry.branch = name


set_connector(connect)
