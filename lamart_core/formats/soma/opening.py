"""Opening TileDB-SOMA stores."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from lamart_core.formats.arrays.tiledb_context import store_uri, tiledb_config
from lamart_core.formats.format import ReadablePath
from lamart_core.formats.libraries import require

# Of these many bytes for each column, so that a table of many columns needs no gigabytes.
_BUFFER = 4 * 1024**2


def require_soma(purpose: str) -> None:
    """Raise MissingExtra unless tiledbsoma is installed."""
    require("tiledbsoma", extra="soma", purpose=purpose)


def open_store(path: ReadablePath, mode: str = "r", **options: Any) -> Any:
    """Open the SOMA object at a local path or URL; nothing but its metadata is read.

    Args:
        path: A local path or a ``UPath``.
        mode: ``"r"`` or ``"w"``.
        **options: Passed to ``tiledbsoma.open``; a ``context`` of the caller is used as it is.
    """
    import tiledbsoma

    if "context" not in options:
        # A context of its own: threads of one that is shared would not survive a fork.
        options["context"] = tiledbsoma.SOMATileDBContext(tiledb_config=dict(tiledb_config(path)))
    return tiledbsoma.open(store_uri(path), cast(Any, mode), **options)


def open_for_hashing(path: Path) -> Any:
    """Open a local store for reading it all in small pieces."""
    import tiledbsoma

    config: dict[str, str | float] = {"soma.init_buffer_bytes": _BUFFER}
    return tiledbsoma.open(store_uri(path), "r", context=tiledbsoma.SOMATileDBContext(tiledb_config=config))
