"""Roots of storage locations: their normal form, and which of them covers a path."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.parse import parse_qsl, unquote

from upath import UPath

from lamart_core import errors
from lamart_core.storage.names.keys import RESERVED, is_reserved

MARKER = f"{RESERVED}/storage_uid.txt"
PROTOCOLS = ("file", "s3", "gs", "az", "abfs", "http", "https", "hf", "memory")
_EMBEDDED = f"/{RESERVED}/storage"  # the storage of an embedded registry lies beside its database
_OPTION = "?endpoint_url="
_ALIASES = {"s3a": "s3", "gcs": "gs", "local": "file"}


@runtime_checkable
class _Addressed(Protocol):
    """A path object that says itself which URL stands for it."""

    @property
    def address(self) -> str: ...


def normalise_root(root: str) -> str:
    """Return the normal form of a root: absolute, `~` expanded, no trailing slash, `?endpoint_url=` kept.

    Raises:
        InvalidArgument: The protocol is not supported, the root names no place, or it lies in a reserved folder.

    Examples:
        >>> normalise_root("s3://bucket/lab/?endpoint_url=http://localhost:9000/")
        's3://bucket/lab?endpoint_url=http://localhost:9000'
    """
    if "\0" in root or not root:
        raise errors.InvalidArgument(f"{root!r} is no root of a storage location")
    protocol, separator, rest = root.partition("://")
    protocol = _ALIASES.get(protocol.lower(), protocol.lower())
    if not separator or protocol == "file":
        normal = normalise_source(root)
        return _check_root(normal, normal.removesuffix(_EMBEDDED))
    if protocol not in PROTOCOLS:
        raise errors.InvalidArgument(
            f"the protocol {protocol!r} of {root!r} is not supported; use a local path or one of {', '.join(PROTOCOLS)}"
        )
    base, _, query = rest.partition("?")
    base = base.rstrip("/")
    host = base.split("/")[0]
    if not host and protocol != "memory":
        raise errors.InvalidArgument(f"{root!r} names no bucket or host")
    endpoint = _endpoint(root, protocol, query)
    if ":" in host.rpartition("@")[0] or "@" in endpoint or ("@" in host and protocol not in ("az", "abfs", "hf")):
        raise errors.InvalidArgument(
            f"a root on {host.rpartition('@')[2]!r} has credentials in it, and roots are stored in the database; "
            "pass them as connect(…, storage_options={…}) or in the environment"
        )
    if any(segment in (".", "..") for segment in base.split("/")):
        raise errors.InvalidArgument(f"{root!r} has '.' or '..' in it, which object stores take for names")
    _check_root(root, base)
    return f"{protocol}://{base}" + (f"?endpoint_url={endpoint}" if endpoint else "")


def _check_root(root: str, path: str) -> str:
    if is_reserved(path):
        raise errors.InvalidArgument(f"the root {root!r} lies in a reserved folder {RESERVED}/; choose another folder")
    return root


def _endpoint(root: str, protocol: str, query: str) -> str:
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = [name for name in options if name != "endpoint_url" or protocol != "s3"]
    if unknown:
        raise errors.InvalidArgument(
            f"{root!r} has the option {unknown[0]!r}; a root takes 'endpoint_url', and only for s3"
        )
    return options.get("endpoint_url", "").rstrip("/")


def normalise_source(path: str) -> str:
    """Return the absolute form of a local path or `file://` URL, `~` expanded, links kept as they are."""
    for prefix in ("file://", "local://"):
        if path.lower().startswith(prefix):
            path = "/" + path[len(prefix) :].lstrip("/")
    return os.path.abspath(os.path.expanduser(path))


def storage_type(root: str) -> str:
    """Return `local`, or the protocol of a remote root."""
    return "local" if "://" not in root else root.partition("://")[0]


def address_of(path: str | os.PathLike[str] | UPath) -> str:
    """Return a path as `match_root` and `relative_to` compare it: with the `endpoint_url` of an S3 path object.

    Examples:
        >>> address_of(UPath("s3://bucket/a.csv", endpoint_url="http://localhost:9000"))
        's3://bucket/a.csv?endpoint_url=http://localhost:9000'
    """
    if isinstance(path, str | Path):  # nearly all; to ask for a protocol takes longer than all else here
        return str(path)
    if isinstance(path, _Addressed):
        return path.address
    text = str(path)
    if not isinstance(path, UPath) or not text.startswith("s3://"):
        return text
    options = dict(path.storage_options)
    endpoint = options.get("endpoint_url") or dict(options.get("client_kwargs") or {}).get("endpoint_url")
    if not endpoint or endpoint == os.environ.get("AWS_ENDPOINT_URL"):
        return f"{text}{_OPTION}" if _OPTION in text else text  # of a name, as long as an option follows
    return f"{text}?endpoint_url={str(endpoint).rstrip('/')}"


def match_root(path: str, roots: Iterable[str]) -> str | None:
    """Return the longest root that covers a path, on whole segments, or None.

    Remote paths match only roots with the same `endpoint_url`.

    Examples:
        >>> match_root("/data/lab/a.csv", ["/data", "/data/lab", "/data/la"])
        '/data/lab'
    """
    matching = (root for root in roots if _covers(root, path))
    return max(matching, key=lambda root: len(_bare(root)), default=None)


def seen_from_root(path: Path, roots: Iterable[str]) -> Path:
    """Return a local path as the root that covers it has it, where a symbolic link leads there.

    A link to a file is a name of its own, and stays what it is.
    """
    local = [root for root in roots if "://" not in root]
    if match_root(str(path), local) is not None:
        return path
    real = os.path.realpath(path) if path.is_dir() else os.path.join(os.path.realpath(path.parent), path.name)
    by_place = {os.path.realpath(root): root for root in local}
    place = match_root(real, by_place)
    return path if place is None else Path(by_place[place], relative_to(real, place))


def relative_to(path: str, root: str) -> str:
    """Return the part of a path below a root that covers it; "" for the root itself.

    Raises:
        InvalidArgument: The root does not cover the path.
    """
    if not _covers(root, path):
        raise errors.InvalidArgument(f"{path!r} does not lie in the storage location {root!r}")
    below = _bare(path)[len(_bare(root)) :]
    return below.lstrip("/") if path.startswith("memory://") else below.removeprefix("/")


def path_below(root: str, relpath: str) -> str:
    """Return the path, as `match_root` compares it, of what has a path relative to a root.

    Examples:
        >>> path_below("s3://bucket/lab?endpoint_url=http://localhost:9000", "a.csv")
        's3://bucket/lab/a.csv?endpoint_url=http://localhost:9000'
    """
    base, option, endpoint = _split(root)
    return f"{base.rstrip('/')}/{relpath}{option}{endpoint}"


def bucket_of(url: str) -> str:
    """Return the widest root of a remote path: bucket or host."""
    base, option, endpoint = _split(url)
    protocol, _, rest = base.partition("://")
    return f"{protocol}://{rest.split('/')[0]}" + (f"{option}{endpoint}" if endpoint else "")


def _bare(path: str) -> str:
    return _split(path)[0].rstrip("/") if "://" in path else path.rstrip("/")


def _split(url: str) -> tuple[str, str, str]:
    """Split the endpoint off a URL of S3; any other question mark is part of a name."""
    base, option, endpoint = url.rpartition(_OPTION) if url.startswith("s3://") else ("", "", "")
    return (base, option, endpoint) if option else (url, "", "")


def _server(path: str) -> str:
    """Return the endpoint that an S3 path is reached at; "" for the public one."""
    if not path.startswith("s3://"):
        return ""
    return (unquote(_split(path)[2]) or os.environ.get("AWS_ENDPOINT_URL", "")).rstrip("/")


def _covers(root: str, path: str) -> bool:
    if ("://" in root) != ("://" in path) or _server(root) != _server(path):
        return False
    return _bare(path) == _bare(root) or _bare(path).startswith(_bare(root) + "/")
