"""Where an open experiment lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upath import UPath

from lamart_core.errors import InvalidArgument
from lamart_core.formats.libraries import EXPERIMENT

_OPTIONS = {
    "vfs.s3.aws_access_key_id": "key",
    "vfs.s3.aws_secret_access_key": "secret",
    "vfs.s3.aws_session_token": "token",
}


def experiment_source(experiment: object) -> str | UPath:
    """The path or URL of an experiment that was written, with what its context says of the server.

    Raises:
        InvalidArgument: It is no experiment, or is open for writing, so that not all of it is stored.
    """
    if not EXPERIMENT.matches(experiment):
        raise InvalidArgument(
            "data has to be a tiledbsoma.Experiment, or the path or URI of a .tiledbsoma store, "
            f"got {type(experiment).__name__}"
        )
    opened: Any = experiment
    if opened.mode != "r" and not opened.closed:
        raise InvalidArgument(f"close {opened.uri} before it is saved: it is open for writing")
    uri = str(opened.uri)
    options = _options(dict(opened.context.tiledb_config)) if uri.startswith("s3://") else {}
    return UPath(uri, **options) if options else uri


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: str(config[key]) for key, name in _OPTIONS.items() if config.get(key)}
    if config.get("vfs.s3.endpoint_override"):
        scheme = config.get("vfs.s3.scheme") or "https"
        found["endpoint_url"] = f"{scheme}://{config['vfs.s3.endpoint_override']}"
    return found
