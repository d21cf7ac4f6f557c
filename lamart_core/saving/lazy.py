"""Writing straight into a storage: a path first, the artifact when the bytes are complete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from lamart_core import errors, uids
from lamart_core.db import Registry, model_class
from lamart_core.objects import leases
from lamart_core.objects.unreferenced import remove_bytes
from lamart_core.records import ArtifactRecord, Storage
from lamart_core.records.epochs import new_path
from lamart_core.saving import construct, stage
from lamart_core.saving.arguments import Request, checked
from lamart_core.saving.save import save
from lamart_core.storage import suffix_of

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact


class LazyArtifact:
    """An artifact to come: write its content to `path`, then call `save()`.

    Made by `Artifact.from_lazy`. While the process that made it lives, garbage collection leaves the path alone.

    Attributes:
        storage: Location that the path lies in.
        relpath: The path, relative to the root of the location.
    """

    def __init__(self, registry: Registry, storage: Storage, request: Request) -> None:
        assert request.suffix is not None
        self.storage = storage
        self.relpath = new_path(registry, uids.new_stem(), request.suffix)
        self._registry = registry
        self._request = request
        self._artifact: ArtifactRecord | None = None
        self._is_discarded = False
        leases.take(registry, storage, self.relpath)
        storage.backend.make_parent(self.relpath)

    def __repr__(self) -> str:
        state = "saved" if self._artifact is not None else "discarded" if self._is_discarded else "not saved"
        return f"LazyArtifact(path={str(self.path)!r}, key={self._request.key!r}, {state})"

    @property
    def path(self) -> Path | UPath:
        """Where to write: a `Path` on a local disk, a `UPath` elsewhere. Its parent exists, it does not."""
        return self.storage.backend.path(self.relpath)

    def save(self) -> Artifact:
        """Make the artifact of what was written; the bytes stay where they are.

        Call it when nothing is written any more: the content is hashed now, and may not change afterwards. Content
        that the registry knows gives the existing artifact, and what was written is removed. A remote folder is not
        read back: its digest is made of what the server says of its files, and is never equal to other content.

        Returns:
            The artifact; the same one when called again.

        Raises:
            PathNotFound: Nothing was written.
            SourceChanged: It is still being written.
            InvalidArgument: It was discarded, or the folder is empty.
        """
        if self._artifact is None:
            if self._is_discarded:
                raise errors.InvalidArgument(f"{self!r} was discarded; make another one")
            self._artifact = self._save()
        return self._artifact  # pyright: ignore[reportReturnType]

    def _save(self) -> ArtifactRecord:
        registry, storage, request = self._registry, self.storage, self._request
        assert request.suffix is not None
        staged = stage.stage_stored(
            storage.backend, self.relpath, algorithm=registry.hash_algorithm, suffix=request.suffix
        )
        storage.backend.flush(self.relpath)
        model: Any = model_class("Artifact")
        record: ArtifactRecord = model._blank()
        construct.from_stored(record, registry, staged, request, storage)
        save(record)
        if self._is_stored():
            storage.backend.protect(self.relpath)
        else:
            # Equal content is stored already: what was written is not needed.
            remove_bytes(storage, self.relpath, is_folder=staged.is_folder)
        registry.unit_of_work(lambda connection: leases.release(connection, storage.id, self.relpath))
        return record

    def _is_stored(self) -> bool:
        stored = self._registry.StoredObject.filter(storage_id=self.storage.id, path=self.relpath)
        return bool(stored.exists())

    def discard(self) -> None:
        """Remove what was written, and give the path back. Nothing happens once it is saved."""
        if self._artifact is not None or self._is_discarded:
            return
        backend = self.storage.backend
        if backend.exists(self.relpath):
            is_folder = backend.stat(self.relpath).is_folder
            backend.delete(self.relpath, is_folder=is_folder)
        self._registry.unit_of_work(lambda connection: leases.release(connection, self.storage.id, self.relpath))
        self._is_discarded = True


def from_lazy(registry: Registry, request: Request) -> LazyArtifact:
    """Check the arguments of an artifact to come, and give a path for its content; see `Artifact.from_lazy`."""
    request = checked(registry, request)
    suffix = request.suffix
    if suffix is None:
        raise errors.InvalidArgument("from_lazy() needs a suffix, such as '.zarr'; '' for none")
    if request.key is not None:
        possible = [suffix_of(request.key, is_folder=is_folder) for is_folder in (False, True)]
        if suffix not in possible:
            raise errors.InvalidArgument(f"the key {request.key!r} has the suffix {possible[0]!r}, and not {suffix!r}")
    return LazyArtifact(registry, construct.target_of(registry, request), request)
