"""Storage locations and the objects that lie in them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

from sqlalchemy import ColumnElement, Select, String, Text, bindparam, select
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.orm.attributes import manager_of_class
from upath import UPath

from lamart_core import errors, uids
from lamart_core.db import Registry, UtcDateTime, current_registry, now, uid_type
from lamart_core.query import ToMany
from lamart_core.records import epochs, locations, ownership
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.mixins import HasScope, TracksRun, TracksUpdates
from lamart_core.records.kinds.recognised import Recognised
from lamart_core.storage import Backend, backend_at, normalise_root, storage_type


class Storage(HasScope, TracksRun, TracksUpdates, Recognised):
    """A storage location: a local folder or a prefix of an object store.

    Args:
        root: Path or URL of the location. An existing root gives the existing record.
        description: Free text.
        space: Space that the location belongs to.

    Attributes:
        type: `local`, or the protocol: `s3`, `gs`, `https`, ….
        region: Region of an S3 bucket; for a local folder the name of the machine, see `host`.
        instance_uid: Uid of the registry that manages the location; None when nobody does.

    Locations may lie inside one another; a path belongs to the one with the longest root, and no other has real keys
    there. A new location is refused where another one has artifacts at real keys or in place. When the files have been
    moved elsewhere, `.lamart/` included, assign the new root and save: `storage.root = "/new/place"`.

    Raises:
        InvalidArgument: The root has an unsupported protocol, has credentials in it, or lies in a reserved folder.

    Examples:
        >>> import lamart_core as ln
        >>> location = ln.Storage(root="./lab").save()
        >>> ln.Storage.get(root=location.root) == location
        True
    """

    __tablename__ = "lamart_storage"
    __frozen__ = SQLRecord.__frozen__ | {"type", "instance_uid"}
    __identity__ = frozenset({"root"})
    __kept__ = Recognised.__kept__ | {"region", "space_id", "_generation", "_marked_at"}

    uid: Mapped[str] = mapped_column(uid_type(12), unique=True)
    root: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str | None] = mapped_column(Text)
    type: Mapped[str] = mapped_column(String(30))
    region: Mapped[str | None] = mapped_column(String(64))
    instance_uid: Mapped[str | None] = mapped_column(String(12))
    # How often the marker was written again, and when it was last; see `ownership`.
    _generation: Mapped[int] = mapped_column(server_default="0", default=0)
    _marked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    artifacts = ToMany("Artifact", column="storage_id", fixed="an artifact is where its bytes are")

    _is_reference: bool = False
    _is_asked_for: bool = False

    def __init__(self, root: str | os.PathLike[str], **fields: Any) -> None:
        normalised = locations.known_root(current_registry(), normalise_root(str(root)))
        kind = fields.pop("type", None)
        if kind not in (None, storage_type(normalised)):
            raise errors.InvalidArgument(f"the type of {normalised} is {storage_type(normalised)!r}, and not {kind!r}")
        super().__init__(root=normalised, **fields)
        self._give(type=storage_type(normalised))
        self._recognise()
        self._is_asked_for = self.is_saved

    def save(self) -> Self:
        """Register the location, and mark it as managed by this registry where it can be written.

        A location that another registry has marked, or that cannot be written, is registered as a reference: its
        objects can be read and registered in place, nothing is written or deleted there. So is one that was met as the
        place of a remote object, until it is registered by its root.

        Saved with another `root`, the location is where its files have been moved to. No file is touched, and
        everything in it keeps loading. Stop what writes to the old root before.

        Raises:
            InvalidArgument: The new root is none, or belongs to another record.
            PathNotFound: There is nothing at the new root.
            IntegrityError: The marker at the root is that of another location.
            StorageError: The storage failed.
        """
        self.registry.require_writable()
        if isinstance(self.__dict__["root"], os.PathLike):
            self.root = os.fspath(self.root)
        self._check()  # before a folder or a marker is made
        if not self.is_saved:
            return self._save_new()
        if "root" in self._changes():
            self._save_moved()
        elif self._is_asked_for and not self._is_reference and self.instance_uid is None:
            locations.claim_reference(self)
        return super().save()

    def _save_new(self) -> Self:
        if self._is_reference:
            self._give(uid=uids.base62(12))
        else:
            locations.claim(self)
            self._marked_at = now()
            self.region = self.region or self.backend.region
        return super().save()

    def _is_same(self) -> ColumnElement[bool]:
        return self.__table__.c.root == self.root

    def _not_wished(self) -> frozenset[str]:
        return super()._not_wished() | {"region"}

    def _save_moved(self) -> None:
        registry = self.registry
        history: Any = sa_inspect(self).attrs["root"].history
        old_root = str(history.deleted[0])
        self.root = normalise_root(str(self.root))
        if self.root == old_root:
            return
        locations.check_move(self, old_root)
        # Past the guard: the type follows from the root.
        self._give(type=storage_type(self.root))
        self.region = self.backend.region if self.is_managed else None
        registry.forget(("storage", self.id))
        if registry.options.get("storage") and self.id == registry.storage_id:
            registry.options["storage"] = self.root

    def delete(self, permanent: bool | None = None) -> None:
        """Remove a location that holds nothing from the registry, and its marker.

        Args:
            permanent: Locations have no trash: True and None are the same, False is refused.

        Raises:
            InvalidArgument: `permanent=False`.
            ProtectedError: It is the default location, artifacts are in it (or in the trash), or its version store
                still holds objects.
            StorageError: The storage failed.
        """
        locations.remove(self, permanent)

    @classmethod
    def reference(cls, root: str) -> Storage:
        """Return a location whose objects are only read: saving it writes nothing there, not even a marker."""
        record = Storage(root)
        record._is_reference = True
        return record

    @classmethod
    def get(cls, idlike: int | str | None = None, **expressions: Any) -> Self:
        """Get a storage location by id, uid or fields; `root` is normalised as in the constructor.

        Raises:
            ObjectDoesNotExist: No location matches.
            MultipleObjectsReturned: Several locations match.
        """
        if isinstance(expressions.get("root"), str | os.PathLike):
            root = normalise_root(str(expressions["root"]))
            expressions["root"] = locations.known_root(current_registry(), root)
        return super().get(idlike, **expressions)

    @property
    def has_trash(self) -> bool:
        """Whether deleting moves the record to the trash first: never."""
        return False

    @property
    def is_managed(self) -> bool:
        """Whether this registry may write and delete here."""
        registry = self.registry
        return self.instance_uid is not None and self.instance_uid == registry.uid and not registry.is_read_only

    @property
    def host(self) -> str | None:
        """Name of the machine that a local folder was registered on; None for remote locations."""
        return self.region if self.type == "local" else None

    @property
    def backend(self) -> Backend:
        """What puts bytes there and gets them, with the options that the registry has for it at this moment."""
        return backend_at(
            self.root,
            options=self.registry.storage_options.for_root(self.root),
            read_only=self.is_saved and not self.is_managed,
            guard=ownership.guard_of(self),
        )

    @property
    def path(self) -> Path | UPath:
        """The root as a path object."""
        return self.backend.path("")

    def __fspath__(self) -> str:
        if self.type != "local":
            raise TypeError(f"{self.root} is not a folder of this machine")
        return self.root

    def __truediv__(self, part: str) -> Path | UPath:
        return self.path / part


_TABLE = Storage.__table__
_NEWEST = "newest object"  # rides along; see `epochs`


def storage_locations(registry: Registry, *, managed: bool = False) -> list[Storage]:
    """Return the storage locations of a registry on all branches, in the order of their ids.

    Args:
        registry: The registry.
        managed: Whether only those that belong to it, where it may write and delete.
    """
    # Every constructor of an artifact asks: so without a session, which takes longer than the query.
    query, parameters = _locations(registry.is_sqlite, managed), {"instance_uid": registry.uid} if managed else {}
    with registry.engine.connect() as connection:
        rows = connection.execute(query, parameters).mappings().all()
    if rows:
        epochs.note(registry, rows[0][_NEWEST])
    return [_of_row(registry, row) for row in rows]


@cache
def _locations(is_sqlite: bool, managed: bool) -> Select[Any]:
    query = select(_TABLE, epochs.newest_id(is_sqlite).label(_NEWEST)).order_by(_TABLE.c.id)
    return query.where(_TABLE.c.instance_uid == bindparam("instance_uid")) if managed else query


def _of_row(registry: Registry, row: Mapping[Any, Any]) -> Storage:
    storage: Storage = manager_of_class(Storage).new_instance()
    storage._adopt_row(row)
    storage._registry = registry
    return storage
