"""A zarr store that hands out no metadata which name the pickle codec. Imports zarr."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from zarr.storage import WrapperStore

from lamart_core.formats.arrays.zarr import METADATA, names_pickle
from lamart_core.formats.guards import UnreadableContent


class WatchedStore(WrapperStore[Any]):
    """Looks at metadata when they are read, whatever way leads to them, and at nothing else."""

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """The bytes of a key."""
        found = await super().get(key, prototype, byte_range)
        return self._checked(key, found)

    async def _get_many(self, requests: Any) -> AsyncGenerator[tuple[str, Any], None]:
        async for key, found in super()._get_many(requests):
            yield key, self._checked(key, found)

    def _checked(self, key: str, found: Any) -> Any:
        if found is not None and key.rpartition("/")[2] in METADATA and names_pickle(json.loads(found.to_bytes())):
            raise UnreadableContent(f"{self._store}/{key} names the pickle codec: pickled values are never loaded")
        return found
