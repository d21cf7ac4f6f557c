"""What a storage holds, whoever knows of it: for garbage collection and checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from lamart_core.errors import InvalidArgument
from lamart_core.storage.location import Location
from lamart_core.storage.names.keys import is_stored_name
from lamart_core.storage.values import ReservedName, StoredName, UnfinishedUpload


class Inventory(Location, ABC):
    """What lies in a storage, with or without a record: the part of `Backend` that caretakers ask."""

    @abstractmethod
    def list_reserved(self) -> Iterator[ReservedName]:
        """Go through the names in the reserved folder, one level deep, in no order.

        A local folder and the buckets of the known clouds are read page by page, so that any number of names needs
        little memory.

        Raises:
            StorageError: The storage failed or refused.
        """

    def list_stored(self) -> list[StoredName]:
        """List the objects in the version store, whether or not a record claims them.

        All of them are in memory; `list_reserved` is for stores of any size.

        Raises:
            StorageError: The storage failed or refused.
        """
        stored = (name for name in self.list_reserved() if is_stored_name(name.relpath))
        measured = (self.measure(name) for name in stored)
        return sorted((found for found in measured if found is not None), key=lambda found: found.relpath)

    @abstractmethod
    def measure(self, name: ReservedName) -> StoredName | None:
        """Return size and age of what lies under a name, files of a folder included; None when it is gone.

        Where a store does not say when something was written, it counts as written now.

        Raises:
            StorageError: The storage failed or refused.
        """

    @abstractmethod
    def mismatched(self, sizes: Mapping[str, int]) -> dict[str, int | None]:
        """Return those of many objects of a version store that are missing or have another size.

        Args:
            sizes: Sizes in bytes that the objects should have, by path in the version store.

        Returns:
            The sizes that they have instead, by path; None for what is missing.

        Raises:
            StorageError: The storage failed or refused.
        """

    def list_uploads(self) -> Iterator[UnfinishedUpload]:
        """Go through the multi-part uploads that were begun below an S3 root and neither finished nor aborted.

        They cost what their parts cost, and no listing of objects shows them.

        Raises:
            StorageError: The storage failed or refused.
        """
        return iter(())

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Abort a multi-part upload; its parts are removed. One that has ended in the meantime is left alone.

        Raises:
            StorageError: The storage failed or refused.
        """
        raise InvalidArgument(f"{self.root} has no multi-part uploads")
