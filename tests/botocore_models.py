"""Models of the services that botocore reads, which all clients of a process and of its children share.

Each client of an object store reads and parses megabytes of JSON anew, and nearly each child process makes one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.session import Session

_load_service_model = Loader.load_service_model
_load_data_with_path = Loader.load_data_with_path


@cache
def _model(service: str, kind: str, version: str | None) -> Any:
    return _load_service_model(Loader(), service, kind, version)


@cache
def _data(name: str) -> Any:
    return _load_data_with_path(Loader(), name)


def share_loaded_models() -> None:
    """From now on, let all clients of this process share."""
    Loader.load_service_model = lambda self, service_name, type_name, api_version=None: _model(
        service_name, type_name, api_version
    )
    Loader.load_data_with_path = lambda self, name: _data(name)


def load_models() -> None:
    """Load what clients of S3 need, for the children of this process; starts no thread and opens no connection."""
    Session().create_client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="a")
