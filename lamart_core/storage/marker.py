"""The marker of a storage: which registry manages it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable

from lamart_core.errors import ObjectExists, PathNotFound, StorageError
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.names.roots import MARKER
from lamart_core.storage.readable import Readable
from lamart_core.storage.values import Marker


class Marked(Readable, ABC):
    """A storage that says whose it is: the part of `Backend` that knows the marker."""

    def read_marker(self) -> Marker | None:
        """Return the marker, or None when nobody manages the storage or it cannot be seen.

        Raises:
            StorageError: The storage failed.
        """
        try:
            return self.find_marker()
        except StorageError as error:
            # Object stores answer "forbidden" for what is not there when listing is not allowed.
            if isinstance(error.__cause__, PermissionError):
                return None
            raise

    def find_marker(self) -> Marker | None:
        """Return the marker, or None when there is none.

        Raises:
            StorageError: The storage failed, or does not allow to see it.
        """
        try:
            with reading(self.root, MARKER):
                return Marker.parse(self._read(MARKER).decode())
        except PathNotFound:
            return None

    def marker_stamp(self) -> Hashable | None:
        """Return what changes whenever the marker does, where that costs no request; None elsewhere.

        Raises:
            PathNotFound: There is no marker.
            StorageError: The storage failed.
        """
        return None

    def highest(self) -> int:
        """Return the largest number that `note_highest` was told; 0 where that is not kept.

        Kept by file systems with extended attributes; elsewhere it would cost a request with each save.
        """
        return 0

    def note_highest(self, number: int) -> None:
        """Keep a number beside the marker if it is the largest so far; without flushing it, and without an error."""
        return

    def write_marker(self, marker: Marker) -> None:
        """Mark the storage as managed; a local folder is made when it is not there.

        Raises:
            ObjectExists: Another registry has marked it in the meantime.
            ReadOnlyStorage: Nothing may be written here.
            StorageError: The storage failed.
        """
        self.check_not_read_only()
        with writing(self.root):
            self._create_marker(str(marker))
        found = self.read_marker()
        if found is not None and not found.names_same(marker):
            raise ObjectExists(f"{self.root} is managed by another registry ({found.registry_uid}) already")

    def replace_marker(self, marker: Marker) -> None:
        """Write the marker over the one that is there, in one step.

        Raises:
            ReadOnlyStorage: Nothing may be written here.
            StorageError: The storage failed.
        """
        self.check_not_read_only()
        with writing(self.root):
            self._replace_marker(str(marker))

    def remove_marker(self, storage_uid: str) -> None:
        """Remove the marker, if it is (still) that of this storage.

        Raises:
            ReadOnlyStorage: Nothing may be removed here.
            StorageError: The storage failed.
        """
        self.check_not_read_only()
        found = self.read_marker()
        if found is not None and found.storage_uid == storage_uid:
            with writing(self.root):
                self._remove_marker()

    @abstractmethod
    def _create_marker(self, text: str) -> None:
        """Write the marker whole or not at all, and only where there is none yet."""

    @abstractmethod
    def _replace_marker(self, text: str) -> None:
        """Write the marker whole or not at all, over what is there."""

    @abstractmethod
    def _remove_marker(self) -> None: ...
