"""Removing bytes that no record refers to."""

from __future__ import annotations

from lamart_core.logging import logger
from lamart_core.records import Storage


def remove_bytes(storage: Storage, relpath: str, *, is_folder: bool) -> None:
    """Remove bytes that no record refers to; what fails here is removed by a later garbage collection."""
    try:
        storage.backend.delete(relpath, is_folder=is_folder)
    except OSError as error:
        logger.warning("%s/%s could not be removed and is left to garbage collection: %s", storage.root, relpath, error)
