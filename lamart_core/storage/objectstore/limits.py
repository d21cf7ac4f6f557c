"""How long a server may let us wait: clients of Azure and Google would try for minutes, and take no option for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PART = 16 * 2**20  # bytes; what is held in memory for one file is this times the parts at once
BY_INSTANCE = ("az", "abfs", "gs")  # protocols whose limits are those of an instance, and not of its options

_CONNECT, _READ = 5, 15  # seconds; with three attempts, a server that is silent is an error within a minute
ATTEMPTS = 3


def limit(protocol: str, filesystem: Any, options: Mapping[str, Any]) -> None:
    """Give a file system that was made just now our limits, where its options cannot say them.

    Args:
        protocol: Protocol of its location.
        filesystem: The file system.
        options: Options that it was made with.
    """
    if protocol == "s3":
        # Path objects have instances of their own, which the library keeps: those made before now may carry
        # credentials that have been replaced.
        type(filesystem).clear_instance_cache()
        filesystem.retries = 1  # on top of those of botocore, which would multiply
    elif protocol in ("az", "abfs"):
        filesystem.service_client = _azure_client(filesystem, options)
    elif protocol == "gs":
        _limit_google(filesystem)


def _azure_client(filesystem: Any, options: Mapping[str, Any]) -> Any:
    """Return a client for the same account, with the same credentials."""
    from azure.storage.blob.aio import BlobServiceClient

    made = filesystem.service_client
    return BlobServiceClient(
        made.url,
        credential=made.credential,
        user_agent="lamart",
        _location_mode=filesystem.location_mode,
        retry_total=ATTEMPTS - 1,
        initial_backoff=1,
        increment_base=1,
        random_jitter_range=1,
        connection_timeout=options.get("connection_timeout") or _CONNECT,
        read_timeout=options.get("read_timeout") or _READ,
        max_single_put_size=PART,
        max_block_size=PART,
        max_single_get_size=PART,
        max_chunk_get_size=PART,
    )


def _limit_google(filesystem: Any) -> None:
    from types import MethodType

    from aiohttp import ClientTimeout
    from gcsfs.retry import retry_request

    if filesystem.requests_timeout is None:
        filesystem.requests_timeout = ClientTimeout(sock_connect=_CONNECT, sock_read=_READ)
    # The number of attempts is decided where the class is made.
    attempts: Any = retry_request
    once = type(filesystem)._request.__wrapped__
    filesystem._request = MethodType(attempts(retries=ATTEMPTS)(once), filesystem)
