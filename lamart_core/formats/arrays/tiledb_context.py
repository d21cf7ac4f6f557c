"""What TileDB has to know of a path: its name, and the credentials that the registry has for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lamart_core.errors import InvalidArgument
from lamart_core.formats.format import ReadablePath

_AZURE = ("az", "abfs", "abfss")


def store_uri(path: ReadablePath) -> str:
    """What TileDB calls a path."""
    if isinstance(path, Path):
        return str(path.resolve())
    return f"azure://{path.path}" if path.protocol in _AZURE else str(path)


def tiledb_config(path: ReadablePath) -> Mapping[str, str | float]:
    """TileDB's settings for a path object: what fsspec's options say, as far as TileDB has settings for it.

    Raises:
        InvalidArgument: TileDB cannot read this kind of storage.
    """
    if isinstance(path, Path):
        return {}
    if path.protocol in ("s3", "s3a"):
        return _s3_config(path.storage_options)
    if path.protocol in _AZURE:
        return _azure_config(path.fs)
    if path.protocol in ("gs", "gcs"):
        endpoint = path.storage_options.get("endpoint_url") or os.environ.get("STORAGE_EMULATOR_HOST")
        return {"vfs.gcs.endpoint": str(endpoint)} if endpoint else {}  # with the credentials of the environment
    raise InvalidArgument(f"TileDB cannot open {path.protocol}:// paths in place: use .cache()")


def _azure_config(filesystem: Any) -> Mapping[str, str | float]:
    """What adlfs knows of an account, from its options and from the environment."""
    said = dict(
        part.split("=", 1) for part in str(filesystem.connection_string or "").split(";") if "=" in part
    )  # values end in "=" themselves
    found: dict[str, Any] = {
        "vfs.azure.storage_account_name": said.get("AccountName") or filesystem.account_name,
        "vfs.azure.storage_account_key": said.get("AccountKey") or filesystem.account_key,
        "vfs.azure.storage_sas_token": said.get("SharedAccessSignature") or filesystem.sas_token,
        "vfs.azure.blob_endpoint": said.get("BlobEndpoint"),
    }
    return {name: str(value) for name, value in found.items() if value}


def _s3_config(options: Mapping[str, Any]) -> Mapping[str, str | float]:
    client = dict(options.get("client_kwargs") or {})
    endpoint = options.get("endpoint_url") or client.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL")
    region = client.get("region_name") or os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    found: dict[str, Any] = {
        "vfs.s3.aws_access_key_id": options.get("key") or client.get("aws_access_key_id"),
        "vfs.s3.aws_secret_access_key": options.get("secret") or client.get("aws_secret_access_key"),
        "vfs.s3.aws_session_token": options.get("token") or client.get("aws_session_token"),
        "vfs.s3.no_sign_request": "true" if options.get("anon") else None,
        "vfs.s3.region": region,
    }
    if endpoint:
        scheme, _, host = str(endpoint).rpartition("://")
        found["vfs.s3.endpoint_override"] = host.rstrip("/")
        found["vfs.s3.scheme"] = scheme or "https"
        # Servers other than Amazon's have no host name for each bucket.
        found["vfs.s3.use_virtual_addressing"] = "false"
    return {name: str(value) for name, value in found.items() if value}
