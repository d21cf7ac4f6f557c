"""Which store speaks which protocol."""

from __future__ import annotations

from lamart_core.storage.filesystem import Location
from lamart_core.storage.store import Store
from lamart_core.storage.store_azure import AzureStore
from lamart_core.storage.store_google import GoogleStore
from lamart_core.storage.store_s3 import S3Store

STORES: dict[str, Store] = {"s3": S3Store(), "gs": GoogleStore(), "az": AzureStore(), "abfs": AzureStore()}
_BY_FSSPEC = Store()


def store_of(location: Location) -> Store:
    """Return how to ask the store of a remote location."""
    return STORES.get(location.protocol, _BY_FSSPEC)
