"""One file out of an object store: whole, and begun again when that fails in a way that may pass."""

from __future__ import annotations

import errno
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lamart_core.errors import AccessDenied, PathNotFound, ReadOnlyStorage, StorageError, StorageFull
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.objectstore.client import Client
from lamart_core.storage.progress import Bar, BarCallback

# A download that breaks off is begun again, but not by somebody whose server is gone: that took its time already.
_ATTEMPTS = 3
_PATIENCE = 30.0


def download(client: Client, relpath: str, place: Path, size: int | None, bar: Bar) -> None:
    """Download one file; again, when that fails in a way that may pass.

    Args:
        client: How the store is asked.
        relpath: Path of the file.
        place: Where it goes: in a folder that is there.
        size: How many bytes must arrive, where that is known.
        bar: Progress that the transfer is part of.

    Raises:
        PathNotFound: It is not there.
        StorageFull: The disk on this side is full.
        StorageError: The storage failed or refused, or too few bytes arrived.
    """
    begun = time.monotonic()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _download(client, relpath, place, size, bar)
            return
        except (PathNotFound, StorageFull, AccessDenied, ReadOnlyStorage):
            raise
        except StorageError:
            if attempt == _ATTEMPTS or time.monotonic() - begun > _PATIENCE:
                raise


def _download(client: Client, relpath: str, place: Path, size: int | None, bar: Bar) -> None:
    """Download one file, and check that as many bytes arrived as it has."""
    with reading(client.remote.root, relpath), _writing_locally(place):
        said = client.download(relpath, place, size=size, callback=BarCallback(bar))
        arrived = place.stat().st_size if said is None else said
    if size is not None and arrived != size:
        raise StorageError(errno.EIO, f"only {arrived:,} of {size:,} bytes of {relpath!r} arrived; try again")


@contextmanager
def _writing_locally(target: Path) -> Generator[None, None, None]:
    """Tell a full disk on this side from a failure of the store."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS):
            with writing(str(target.parent)):
                raise
        raise
