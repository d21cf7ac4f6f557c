"""Which client speaks which protocol."""

from __future__ import annotations

from lamart_core.storage.objectstore.azure import AzureClient
from lamart_core.storage.objectstore.client import Client
from lamart_core.storage.objectstore.filesystem import Remote
from lamart_core.storage.objectstore.google import GoogleClient
from lamart_core.storage.objectstore.s3 import S3Client

CLIENTS: dict[str, type[Client]] = {"s3": S3Client, "gs": GoogleClient, "az": AzureClient, "abfs": AzureClient}


def client_of(remote: Remote) -> Client:
    """Return how to ask the store of a remote location; what has no client of its own is asked by fsspec's verbs."""
    return CLIENTS.get(remote.protocol, Client)(remote)
