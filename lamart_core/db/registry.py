"""The registry: one database with its engine, settings and run context."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.orm import Session

from lamart_core import errors
from lamart_core.db import base
from lamart_core.db.engines import WRITE, check_not_failed, database_url, make_engine, shown_url
from lamart_core.db.retry import retrying
from lamart_core.settings import Settings
from lamart_core.storage import OptionsSource, StorageOptions

T = TypeVar("T")

MAIN_BRANCH_ID = 1
ARCHIVE_BRANCH_ID = 0
TRASH_BRANCH_ID = -1
DEFAULT_SPACE_ID = 1
ANONYMOUS_USER_ID = 1


class Registry:
    """An open registry: a database of records, with a default storage and settings.

    Made by `connect`; opening one costs nothing until its first statement. Safe to use from many threads and tasks,
    after `fork`, and picklable (the copy connects anew). As a context manager it is the current registry of this
    thread or task:

        with ln.connect("sqlite:///lab.db", storage="./lab"):
            ln.Artifact.filter(key__startswith="raw/")

    Attributes:
        url: Normalised database URL.
        engine: The SQLAlchemy engine; it connects when it is first used.
        settings: Settings of this registry.
        uid: Universal id of the registry, written into the markers of the storage locations that it manages.
        hash_algorithm: Algorithm for the digests of new content.
        storage_id: Id of the default storage location.
        local_storage_id: Id of the location that artifacts are kept in until they are uploaded; 0 if there is none.
        branch_id: Id of the branch that new records go to.
        space_id: Id of the space that new records go to.
        user_id: Id of the user that new records are created by.
        storage_options: Options of the file systems, for example credentials, by protocol or root; see `connect`.
        is_read_only: Whether nothing may be written to it; artifacts of such a registry are saved into the current one.
        copy_of: What is known of the original of a database that is, or may be, a copy; None for an original. A copy
            writes to none of its storage locations: they are those of the original too.
    """

    def __init__(self, url: str | os.PathLike[str] | URL, *, settings: Settings) -> None:
        self.url = database_url(url)
        self.settings = settings
        self.uid = ""
        self.hash_algorithm = "blake3"
        self.storage_id = 0
        self.local_storage_id = 0
        self.branch_id = MAIN_BRANCH_ID
        self.space_id = DEFAULT_SPACE_ID
        self.user_id = ANONYMOUS_USER_ID
        self.is_read_only = False
        self.copy_of: str | None = None
        self.options: dict[str, Any] = {}
        self.storage_options = StorageOptions()
        self.global_run: Any = None
        self.engine: Engine = make_engine(self.url, busy_timeout=settings.busy_timeout)
        self._memo: dict[Any, Any] = {}
        self._file: tuple[int, int] | None = None
        _engines.add(self.engine)

    def __repr__(self) -> str:
        return f"Registry({shown_url(self.url)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.url, dict(self.options), self.settings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registry) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __getattr__(self, name: str) -> Any:
        """Return the record class `name`, bound to this registry."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            model = base.model_class(name)
        except KeyError:
            raise AttributeError(
                f"a registry has no attribute {name!r}; its record classes are: {', '.join(base.model_names())}"
            ) from None
        return BoundModel(self, model)

    def __enter__(self) -> Registry:
        _stack.set((*_stack.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _stack.set(_stack.get()[:-1])

    @property
    def branch(self) -> Any:
        """The current branch: new records go there, and queries see it beside main.

        Assigning a branch or its name switches all that use this registry object, in all threads. For two branches
        side by side, open the registry twice: `ln.connect(url, branch=…, make_default=False)`.
        """
        return self.Branch.get(self.branch_id)

    @branch.setter
    def branch(self, value: Any) -> None:
        record = self._chosen("Branch", value)
        if record.id in (TRASH_BRANCH_ID, ARCHIVE_BRANCH_ID):
            raise errors.InvalidArgument(f"the {record.name} cannot be the current branch")
        self.branch_id = record.id
        self.options["branch"] = record.name

    @property
    def space(self) -> Any:
        """The current space: new records go there, unless their storage location belongs to another one.

        Assigning a space or its name switches all that use this registry object, in all threads.
        """
        return self.Space.get(self.space_id)

    @space.setter
    def space(self, value: Any) -> None:
        record = self._chosen("Space", value)
        self.space_id = record.id
        self.options["space"] = record.name

    def _chosen(self, class_name: str, value: Any) -> Any:
        model: Any = base.model_class(class_name)
        if isinstance(value, str):
            return model.named(self, value)
        if not isinstance(value, model) or not value.is_saved or value.registry != self:
            raise errors.InvalidArgument(
                f"the current {class_name.lower()} is a saved {class_name} of this registry or the name of one, "
                f"got {value!r}"
            )
        return value

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Generator[Session, None, None]:
        """Give a session for one read; what it loads is detached and stays readable afterwards."""
        with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
            yield session
            session.expunge_all()

    def unit_of_work(self, work: Callable[[Connection], T]) -> T:
        """Run `work(connection)` in one write transaction, and again when another writer got in between.

        Args:
            work: Reads what it decides on, and writes. It may run several times, so it must not change anything
                but the database. It raises `errors.Conflict` to roll back and run again.

        Returns:
            What `work` returned in the transaction that was committed.

        Raises:
            DatabaseBusy: Other writers won for `settings.busy_timeout` seconds.
            DatabaseError: A statement had failed and `work` went on: nothing was written. Or this is called by the
                `work` of another one, whose end it would wait for.
            DatabaseReplaced: The file of the database is another one by now, or gone.
            ReadOnlyRegistry: The registry was opened for reading only.
        """
        self.require_writable()
        if self in _writing.get():
            raise errors.DatabaseError(
                f"{self!r} is being written to at this moment: what runs within a transaction, a rider for example, "
                "writes over the connection that it was given, and saves no records; another transaction would wait "
                "for the end of this one"
            )

        def attempt() -> T:
            self.check_file()
            under_way = _writing.set((*_writing.get(), self))
            try:
                with self.engine.connect().execution_options(**{WRITE: True}) as connection, connection.begin():
                    done = work(connection)
                    check_not_failed(connection)
                    return done
            finally:
                _writing.reset(under_way)

        return retrying(attempt, timeout=self.settings.busy_timeout)

    def check_file(self) -> None:
        """Refuse to write into a file that nobody will find again: connections keep the one that they have opened."""
        if not self.is_sqlite:
            return
        path = str(self.url.database)
        try:
            status = os.stat(path)
            now = (status.st_dev, status.st_ino)
        except FileNotFoundError:
            now = None
        if self._file is None:
            self._file = now  # the first to write makes it
        elif now != self._file:
            what = "was deleted or moved away" if now is None else "was replaced by another one"
            raise errors.DatabaseReplaced(
                f"the database {path} {what} while this process had it open: nothing can be written to it any more, "
                "and nothing was. Put the right file there and connect again"
            )

    def require_writable(self) -> None:
        """Refuse to go on, before anything outside of the database is written, where nothing may be written.

        Raises:
            ReadOnlyRegistry: The registry was opened for reading only.
        """
        if self.is_read_only:
            raise errors.ReadOnlyRegistry(f"{self!r} was opened for reading only; open it with connect() to write")

    def require_original(self) -> None:
        """Refuse to write to, and to collect in, storage locations that are those of another database too.

        Raises:
            DatabaseCopied: The database is a copy, or may be one.
        """
        if self.copy_of is not None:
            raise errors.DatabaseCopied(f"{self!r} {self.copy_of}")

    def memo(self, key: Any, make: Callable[[], T]) -> T:
        """Return what `make()` gave for `key` in this process; for rows that never change."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    def forget(self, key: Any) -> None:
        """Drop a memoised value."""
        self._memo.pop(key, None)

    def set_storage_options(self, name: str, options: OptionsSource | None) -> None:
        """Set the options, for example new credentials, for a protocol or root; what is read next uses them.

        Args:
            name: A protocol (`"s3"`) or root (`"s3://bucket"`).
            options: Keywords of the fsspec file system, or a function that returns them; None drops what was set.

        Raises:
            InvalidArgument: The name is neither a protocol nor a URL, or the options are neither a dictionary nor a
                function.
        """
        self.storage_options.set(name, options)

    def close(self) -> None:
        """Close all connections. The registry opens new ones when it is used again."""
        self.engine.dispose()
        self._file = None


class BoundModel:
    """A record class whose queries and new records belong to one registry.

    `registry.Artifact.filter(…)` queries this registry, `registry.Artifact(path, key=…)` makes a record of it,
    whichever registry is current.
    """

    def __init__(self, registry: Registry, model: type[Any]) -> None:
        self.registry = registry
        self.model = model

    def __repr__(self) -> str:
        return f"<{self.model.__name__} of {self.registry!r}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make a record of this registry; the arguments are those of the class."""
        with self.registry:
            return self.model(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.model, name)
        if not callable(attribute):
            return attribute

        def bound(*args: Any, **kwargs: Any) -> Any:
            with self.registry:
                return attribute(*args, **kwargs)

        return bound


# The registries entered by this thread or task, innermost last; tuples, because tasks share what they inherit.
_stack: ContextVar[tuple[Registry, ...]] = ContextVar("lamart_registries", default=())
# The registries that this thread or task has a write transaction of.
_writing: ContextVar[tuple[Registry, ...]] = ContextVar("lamart_writing", default=())
_default: Registry | None = None
# Not the registries: those of one database are equal, and a set would hold the connections of one of them only.
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_connect: Callable[..., Registry] | None = None
_hosts: list[Callable[[], Registry | None]] = []


def current_registry() -> Registry:
    """Return the registry of the innermost `with registry:`, of what hosts the code, else the default of the process.

    The first call without any connects as `connect()` does.
    """
    stack = _stack.get()
    if stack:
        return stack[-1]
    for host in reversed(_hosts):
        registry = host()
        if registry is not None:
            return registry
    if _default is not None:
        return _default
    if _connect is None:
        raise errors.DatabaseError("no registry is open; call lamart_core.connect() first")
    return _connect()


def add_host(host: Callable[[], Registry | None]) -> None:
    """Let something that executes code of users, such as an orchestrator, say which registry is the current one."""
    _hosts.append(host)


def remove_host(host: Callable[[], Registry | None]) -> None:
    """Take back `add_host`."""
    if host in _hosts:
        _hosts.remove(host)


def set_default_registry(registry: Registry | None) -> None:
    """Make a registry the default of this process."""
    global _default
    _default = registry


def set_connector(connect: Callable[..., Registry]) -> None:
    """Say how a registry is opened when none is: `connect` lives above this room."""
    global _connect
    _connect = connect


def _reopen(url: URL, options: dict[str, Any], settings: Settings) -> Registry:
    if _connect is None:
        import_module("lamart_core.connect")  # registers itself; a fresh process unpickles before it imports
    assert _connect is not None
    registry = _connect(url, make_default=False, **options)
    registry.settings = settings
    return registry


def _forget_connections_after_fork() -> None:
    # Parent and child must not talk over one socket; the parent's connections are left alone.
    for engine in list(_engines):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections_after_fork)
