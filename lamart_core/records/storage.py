"""Storage locations and the objects that lie in them."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, String, Text, false, select, text
from sqlalchemy.orm import Mapped, mapped_column
from upath import UPath

from lamart_core import errors, uids
from lamart_core import storage as bytes_room
from lamart_core.db import UtcDateTime, current_registry, uid_type
from lamart_core.query import ToMany, ToOne
from lamart_core.records.base import HasScope, SQLRecord, TracksRun, TracksUpdates


class Storage(HasScope, TracksRun, TracksUpdates, SQLRecord):
    """A storage location: a local folder or a prefix of an object store.

    Args:
        root: Path or URL of the location. An existing root gives the existing record.
        description: Free text.
        space: Space that the location belongs to.

    Raises:
        InvalidArgument: The root has an unsupported protocol or lies in a reserved folder.

    Examples:
        >>> import lamart_core as ln
        >>> location = ln.Storage(root="./lab").save()
        >>> ln.Storage.get(root=location.root) == location
        True
    """

    __tablename__ = "lamart_storage"
    __frozen__ = SQLRecord.__frozen__ | {"type", "instance_uid"}

    uid: Mapped[str] = mapped_column(uid_type(12), unique=True)
    root: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str | None] = mapped_column(Text)
    type: Mapped[str] = mapped_column(String(30))
    region: Mapped[str | None] = mapped_column(String(64))
    instance_uid: Mapped[str | None] = mapped_column(String(12))

    artifacts = ToMany("Artifact", column="storage_id", fixed="an artifact is where its bytes are")

    _is_reference: bool = False

    def __init__(self, root: str | os.PathLike[str], **fields: Any) -> None:
        normalised = bytes_room.normalise_root(str(root))
        registry = current_registry()
        with registry.read() as session:
            existing = session.scalars(select(Storage).where(Storage.root == normalised)).one_or_none()
        if existing is not None:
            self._registry = registry
            self._adopt_row(vars(existing))
            return
        super().__init__(root=normalised, **fields)
        self.type = bytes_room.storage_type(normalised)

    def save(self) -> Self:
        """Register the location, and mark it as managed by this registry where it can be written.

        A location that another registry has marked, or that cannot be written, is registered as a reference: its
        objects can be read and registered in place, nothing is ever written or deleted there.
        """
        self.registry.require_writable()
        if not self.is_saved:
            uid = uids.base62(12)
            marker = None if self._is_reference else bytes_room.read_marker(self.location)
            if marker is None and not self._is_reference:
                marker = bytes_room.Marker(storage_uid=uid, registry_uid=self.registry.uid)
                try:
                    bytes_room.write_marker(self.location, marker)
                except errors.ObjectExists:  # another process marked it in between
                    marker = bytes_room.read_marker(self.location)
                except errors.StorageError:
                    marker = None
            # Set past the guard: these two follow from the marker, and the record has no row yet.
            self.uid = marker.storage_uid if marker else uid
            self.instance_uid = marker.registry_uid if marker else None
        return super().save()

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
            expressions["root"] = bytes_room.normalise_root(str(expressions["root"]))
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
    def location(self) -> bytes_room.Location:
        """The location that transfers work on."""
        return bytes_room.Location(self.root)

    @property
    def path(self) -> Path | UPath:
        """The root as a path object."""
        return self.location.path("")

    def __fspath__(self) -> str:
        if not self.location.is_local:
            raise TypeError(f"{self.root} is not a folder of this machine")
        return self.root

    def __truediv__(self, part: str) -> Path | UPath:
        return self.path / part


# Empty files have equal hashes and mean nothing by it; inexact digests are a server's word.
_SHARED = text("is_managed AND is_exact AND size > 0")


class StoredObject(SQLRecord):
    """A file or folder in a storage location. Artifacts are names for objects; equal bytes are stored once.

    Attributes:
        path: Path relative to the root of the storage location.
        is_managed: Whether the object lies in the version store, where it never changes and may be shared.
            Objects at real keys and registered in place are not managed in this sense: others may write there.
        history_id: For a folder whose files are known one by one: the history that it is a part of.
        position: Its place in that history.
        is_scattered: Whether the files of the folder are stored objects of their own, so that nothing lies at `path`.
    """

    __tablename__ = "lamart_storedobject"
    __table_args__ = (
        # In place, one path may have held several contents over time; only one of them is still there.
        Index("uq_lamart_storedobject_path", "storage_id", "path", "hash", unique=True),
        Index(
            "uq_lamart_storedobject_content",
            "storage_id",
            "hash",
            "hash_type",
            "suffix",
            unique=True,
            sqlite_where=_SHARED,
            postgresql_where=_SHARED,
        ),
        Index("uq_lamart_storedobject_history", "history_id", "position", unique=True),
    )

    storage_id: Mapped[int] = mapped_column(ForeignKey("lamart_storage.id"))
    path: Mapped[str] = mapped_column(String(1200))
    suffix: Mapped[str] = mapped_column(String(30))
    hash: Mapped[str | None] = mapped_column(uid_type(64))
    hash_type: Mapped[str | None] = mapped_column(String(30))
    is_exact: Mapped[bool] = mapped_column(Boolean)
    size: Mapped[int | None] = mapped_column(BigInteger)
    n_files: Mapped[int | None] = mapped_column(BigInteger)
    is_managed: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    history_id: Mapped[int | None] = mapped_column(ForeignKey("lamart_folderhistory.id"))
    position: Mapped[int | None]
    is_scattered: Mapped[bool] = mapped_column(Boolean, server_default=false())

    storage = ToOne("Storage", "storage_id")
    artifacts = ToMany("Artifact", column="object_id", fixed="an artifact keeps its content")
