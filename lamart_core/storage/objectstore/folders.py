"""A folder into an object store: file by file, by the store's own copies where it has the content already."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lamart_core.errors import StorageError
from lamart_core.hashing import FileEntry, FileState, TreeDigest, hash_tree
from lamart_core.storage.copying import changed, check_entries, check_state, content_state
from lamart_core.storage.failures import writing
from lamart_core.storage.objectstore.client import THREADS, Client
from lamart_core.storage.objectstore.uploads import remove_quietly, upload_unchanged
from lamart_core.storage.progress import NO_BAR
from lamart_core.storage.threads import run_all
from lamart_core.storage.values import KnownFile

_Sizes = Callable[[], Mapping[str, int | None]]


@dataclass(frozen=True)
class FolderPut:
    """A folder that is being stored.

    Attributes:
        client: How the store is asked.
        source: The folder.
        relpath: Path of the new object.
        tree: What the folder was when it was staged.
        known: Stored files by the values of their digests.
        threads: How many files are moved at a time.
    """

    client: Client
    source: Path
    relpath: str
    tree: TreeDigest
    known: Mapping[str, KnownFile]
    threads: int

    def run(self, stored_sizes: _Sizes) -> None:
        """Store the files, and check that all are there; who calls removes what is there after an error.

        Args:
            stored_sizes: Asks for the sizes of what is stored, by path in the folder.

        Raises:
            SourceChanged: The folder is not what it was when it was staged.
            StorageError: The storage failed, or did not store all.
        """
        source, tree, root = self.source, self.tree, self.client.remote.root
        check_entries(source, tree)
        before = content_state(source)
        if hash_tree(source, tree.digest.file_algorithm).digest != tree.digest:
            raise changed(source)
        run_all([partial(self._put, entry, before.get(entry.path)) for entry in tree.entries], self.threads)
        stored = self._sizes(stored_sizes)
        # What the store copied may have been cut off before. What was uploaded and is not whole fails below.
        torn = [item for item in tree.entries if item.value in self.known and stored.get(item.path) != item.size]
        if torn:
            run_all([partial(self._put_over, entry, before.get(entry.path)) for entry in torn], THREADS)
            stored = self._sizes(stored_sizes)
        check_entries(source, tree)
        check_state(source, before)
        if stored != {entry.path: entry.size for entry in tree.entries}:
            raise StorageError(errno.EIO, f"{root} did not store all of the folder {self.relpath!r}; try again")

    def remove_source(self) -> None:
        """Remove the folder that was stored."""
        shutil.rmtree(self.source)

    def _sizes(self, stored_sizes: _Sizes) -> Mapping[str, int | None]:
        with writing(self.client.remote.root):
            return stored_sizes()

    def _put(self, entry: FileEntry, before: FileState | None) -> None:
        """Let the store copy a file where it has the content, else upload it."""
        file = self.known.get(entry.value) if entry.size else None
        if file is not None:
            try:
                with writing(self.client.remote.root):
                    self.client.copy(file.relpath, f"{self.relpath}/{entry.path}")
                return
            except (OSError, NotImplementedError):  # gone in between, or a store that cannot: the upload will tell
                pass
        self._upload(entry, before)

    def _put_over(self, entry: FileEntry, before: FileState | None) -> None:
        """Upload a file in the place of one that is not whole."""
        remove_quietly(self.client, f"{self.relpath}/{entry.path}")
        self._upload(entry, before)

    def _upload(self, entry: FileEntry, before: FileState | None) -> None:
        path = f"{self.relpath}/{entry.path}"
        upload_unchanged(self.source / entry.path, self.client, path, NO_BAR, before=before, checked=False)
