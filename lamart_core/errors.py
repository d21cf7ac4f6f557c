"""All errors of the registry, in one tree.

::

    LamartError
    ├── InvalidArgument (ValueError)            what was passed cannot be right
    │   ├── FieldValidationError                unknown keyword of a constructor
    │   ├── FieldError                          unknown field or lookup in a query
    │   ├── InvalidKey                          a key that is no clean relative path
    │   ├── NotAFolder (NotADirectoryError)     a path that should be a folder is a file
    │   ├── OutdatedVersion                     the files of this version were overwritten
    │   ├── UnknownStorageLocation              no registered storage location covers this path
    │   └── NoStorageLocationForSpace           the space has no storage location to write into
    ├── ValidationError (ValueError)            data does not satisfy a schema
    ├── UnsupportedObject (TypeError)           no format takes this object
    ├── NoLoader (NotImplementedError)          a format that can be cached, but not loaded into memory
    ├── MissingExtra (ImportError)              an optional library is not installed
    ├── DrawingError (RuntimeError)             a lineage could not be drawn as a picture
    ├── MissingRunContext (RuntimeError)        a step without a run around it
    ├── ObjectDoesNotExist (LookupError)        a query that must find one record found none
    ├── MultipleObjectsReturned (LookupError)   a query that must find one record found several
    ├── IntegrityError                          records or bytes contradict each other
    │   ├── ContentMismatch                     stored bytes are not what the record says
    │   │   └── ContentMissing                  they are not there
    │   ├── SourceChanged                       a source was modified between staging and saving
    │   ├── ProtectedError                      another record still refers to what should be deleted
    │   ├── RecordLocked                        the record is locked against changes
    │   ├── NameTaken (InvalidArgument)         another record has this name, another family this key
    │   └── MergeConflict                       two branches have different families under one key
    ├── Overtaken                               others came in between; internal, the step is done again
    ├── BulkSaveError (RuntimeError)            some of many records are saved, the others are not
    ├── BulkDeleteError (RuntimeError)          some of many records are deleted, the others are not
    ├── EditNotSaved (RuntimeError)             what was written to a copy of an artifact could not be saved
    ├── PathNotFound (FileNotFoundError)        a path that should exist does not
    ├── UnreadablePath (PermissionError)        a source that may not be read
    ├── ObjectExists (FileExistsError)          a path that should be free is taken
    ├── StorageError (OSError)                  a storage refused or failed
    │   ├── AccessDenied (PermissionError)      credentials that are missing, expired or not allowed this
    │   ├── ReadOnlyStorage (PermissionError)   no permission to write
    │   ├── StorageFull                         no space, quota or file-size limit left
    │   └── WrongStorage                        a root holds another store than the registry means, or none
    └── DatabaseError                           the database cannot be used
        ├── DatabaseReplaced                    the file was replaced or deleted while it was open
        ├── DatabaseOutdated                    older than what lies in its storage locations
        ├── DatabaseCopied                      a copy, and the original may still be in use
        ├── DatabaseTooNew                      written by a newer version of this library
        ├── DatabaseTooOld                      must be upgraded first
        ├── DatabaseBusy                        locked by others for longer than the time limit
        ├── ReadOnlyRegistry (PermissionError)  opened for reading only
        └── Conflict                            another writer won; internal, the unit of work tries again
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class LamartError(Exception):
    """Root of all errors that this library raises on purpose."""


class InvalidArgument(LamartError, ValueError):
    """An argument cannot be right, whatever the state of the registry."""


class FieldValidationError(InvalidArgument):
    """A constructor got a keyword that it does not know."""


class FieldError(InvalidArgument):
    """A query names a field, relation or lookup that does not exist."""


class InvalidKey(InvalidArgument):
    """A key is not a clean relative path, or lies in the reserved folder."""


class NotAFolder(InvalidArgument, NotADirectoryError):
    """A path that should be a folder is a file."""


class OutdatedVersion(InvalidArgument):
    """The bytes of this version were overwritten by a later one."""


class UnknownStorageLocation(InvalidArgument):
    """No registered storage location covers the path."""


class NoStorageLocationForSpace(InvalidArgument):
    """The space has no managed storage location."""


class ValidationError(LamartError, ValueError):
    """Data or annotations do not satisfy a schema."""


class UnsupportedObject(LamartError, TypeError):
    """No registered format takes an object of this type."""


class NoLoader(LamartError, NotImplementedError):
    """The format can be cached as a file, but not loaded into memory."""


class MissingExtra(LamartError, ImportError):
    """An optional library is not installed; the message names the extra."""

    def __init__(self, library: str, extra: str, purpose: str, distribution: str = "lamart-dagster") -> None:
        self.library = library
        self.extra = extra
        super().__init__(
            f"{purpose} needs the library {library!r}, which is not installed: pip install '{distribution}[{extra}]'"
        )


class DrawingError(LamartError, RuntimeError):
    """A lineage could not be drawn: no program here draws pictures, or it failed."""


class MissingRunContext(LamartError, RuntimeError):
    """A step was called without a run around it."""


class ObjectDoesNotExist(LamartError, LookupError):
    """No record matches a query that must find exactly one."""


DoesNotExist = ObjectDoesNotExist


class MultipleObjectsReturned(LamartError, LookupError):
    """Several records match a query that must find exactly one."""


class IntegrityError(LamartError):
    """Records, or records and bytes, contradict each other."""


class ContentMismatch(IntegrityError):
    """Stored bytes are missing or are not those that the record describes."""


class ContentMissing(ContentMismatch):
    """There is nothing where stored bytes should be; that says nothing of what becomes of them."""


class SourceChanged(IntegrityError):
    """A source was modified between staging and saving."""


class ProtectedError(IntegrityError):
    """A record cannot be deleted because others refer to it."""


class RecordLocked(IntegrityError):
    """A record is locked against changes."""


class NameTaken(IntegrityError, InvalidArgument):
    """Another record has this name, or another family of versions this key."""


class MergeConflict(IntegrityError):
    """Two branches have different families of versions under one key."""


class Overtaken(LamartError):
    """Others came in between what a step had seen, or had put, and its commit.

    Internal: its classes say what happened, and `lamart_core.db.attempting` undoes the step and does it again.
    """


class BulkSaveError(LamartError, RuntimeError):
    """Saving many records failed at one of them; `__cause__` says why.

    Attributes:
        saved: The records that are saved, in their order.
        unsaved: The records that are not; they are as they were, and can be saved again.
    """

    def __init__(self, message: str, *, saved: Sequence[Any] = (), unsaved: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.saved = list(saved)
        self.unsaved = list(unsaved)


class BulkDeleteError(LamartError, RuntimeError):
    """Deleting many records failed at one of them; `__cause__` says why.

    Attributes:
        deleted: The records that are deleted, or in the trash, in their order.
        remaining: The records that are as they were, that one among them.
    """

    def __init__(self, message: str, *, deleted: Sequence[Any] = (), remaining: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.deleted = list(deleted)
        self.remaining = list(remaining)


class EditNotSaved(LamartError, RuntimeError):
    """What was written to a copy of an artifact could not be saved as its next version; `__cause__` says why.

    Attributes:
        copy: Where the copy is kept.
    """

    def __init__(self, message: str, *, copy: Path) -> None:
        super().__init__(message)
        self.copy = copy


class PathNotFound(LamartError, FileNotFoundError):
    """A path that should exist does not."""


class UnreadablePath(LamartError, PermissionError):
    """A source is there, but this process may not read it."""


class ObjectExists(LamartError, FileExistsError):
    """A path that should be free is taken."""


class StorageError(LamartError, OSError):
    """A storage refused or failed an operation."""


class AccessDenied(StorageError, PermissionError):
    """The storage refused the credentials: they are missing, wrong, expired, or not allowed to do this."""


class ReadOnlyStorage(StorageError, PermissionError):
    """The storage location cannot be written to."""


class StorageFull(StorageError):
    """No space, quota or file-size limit left in the storage."""


class WrongStorage(StorageError):
    """What lies at the root of a storage location is not the store that the registry means.

    Its disk is not mounted, the root is another machine's, or another registry's store lies there. Nothing was written,
    collected, or called lost.

    Attributes:
        root: The root.
        found: What is there: `absent`, `nobody`, `other registry` or `other location`.
    """

    def __init__(self, number: int, message: str, root: str = "", found: str = "") -> None:
        super().__init__(number, message)
        self.root = root
        self.found = found

    def __str__(self) -> str:
        return str(self.args[1])


class DatabaseError(LamartError):
    """The database cannot be used."""


class DatabaseTooNew(DatabaseError):
    """The database was written by a newer version of this library."""


class DatabaseTooOld(DatabaseError):
    """The database must be upgraded before this version can use it."""


class DatabaseBusy(DatabaseError):
    """The database stayed locked by other writers for longer than the time limit."""


class DatabaseReplaced(DatabaseError):
    """The database file was replaced, moved or deleted while this process had it open."""


class DatabaseOutdated(DatabaseError):
    """The database is older than what lies in a storage location of it: it was restored from a backup."""


class DatabaseCopied(DatabaseError):
    """The database is a copy of one that may still be in use; both would write to the same storage locations."""


class ReadOnlyRegistry(DatabaseError, PermissionError):
    """The registry was opened for reading only."""


class Conflict(DatabaseError):
    """Another writer changed what this write was based on.

    Raised inside a unit of work, which rolls back and tries again with fresh data.
    """
