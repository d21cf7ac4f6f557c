"""Options for file systems, credentials above all: given by the user, kept in the process, never shown or stored."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from lamart_core import errors

Options = Mapping[str, Any]
# A function is asked every time, so that it can give credentials that were renewed.
OptionsSource = Options | Callable[[], Options]

# A server that is gone is an error within a minute: 3 attempts of 15 seconds.
_S3_CONFIG = {"connect_timeout": 5, "read_timeout": 15, "retries": {"mode": "standard", "total_max_attempts": 3}}
# What the clients read when they are made, and never again.
_S3_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION")
_S3_FILES = {"AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials", "AWS_CONFIG_FILE": "~/.aws/config"}
_AZURE_VARIABLES = tuple(
    f"AZURE_{name}"
    for name in (
        "STORAGE_ACCOUNT_NAME", "STORAGE_ACCOUNT_KEY", "STORAGE_CONNECTION_STRING", "STORAGE_SAS_TOKEN",
        "STORAGE_CLIENT_ID", "STORAGE_CLIENT_SECRET", "STORAGE_TENANT_ID", "STORAGE_ANON",
        "CLIENT_ID", "CLIENT_SECRET", "TENANT_ID",
    )
)  # fmt: skip
_CLOUDS = ("s3://", "s3a://", "gs://", "az://", "abfs://")
_GOOGLE_VARIABLES = ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST")


class StorageOptions(dict[str, OptionsSource]):
    """Options by protocol (`"s3"`) or root (`"s3://bucket/lab"`); `repr` shows for what there are any, not which.

    Args:
        given: The options.

    Raises:
        InvalidArgument: A key is neither a protocol nor a URL, or options are neither a mapping nor a function.
    """

    def __init__(self, given: Mapping[str, OptionsSource] | None = None) -> None:
        super().__init__({_checked(name, options): options for name, options in (given or {}).items()})

    def __repr__(self) -> str:
        return f"StorageOptions({', '.join(sorted(self))})"

    def set(self, name: str, options: OptionsSource | None) -> None:
        """Set the options for a protocol or root; None drops them."""
        if options is None:
            self.pop(name.rstrip("/"), None)
        else:
            self[_checked(name, options)] = options

    def for_root(self, root: str) -> dict[str, Any]:
        """Return the options for a root: those of its protocol, overruled by those of the longest root that covers it.

        Raises:
            InvalidArgument: A function gave no mapping.
        """
        if not self or "://" not in root:
            return {}
        chosen = [root.partition("://")[0]]
        covering = [name for name in self if "://" in name and _covers(name, root)]
        chosen.extend(sorted(covering, key=lambda name: len(name.partition("?")[0])))
        found: dict[str, Any] = {}
        for name in chosen:
            options = self.get(name, {})
            found |= _mapping(name, options() if callable(options) else options)
        return found


def _checked(name: str, options: object) -> str:
    if not name or (name.startswith("/") and "://" not in name):
        raise errors.InvalidArgument(f"storage options are given for a protocol or a URL, not for {name!r}")
    if not isinstance(options, Mapping) and not callable(options):
        # What was passed is not named: it may be a secret in the wrong place.
        raise errors.InvalidArgument(f"the storage options of {name!r} are neither a dictionary nor a function")
    return name.rstrip("/").removesuffix("://")


def _mapping(name: str, options: object) -> Options:
    if not isinstance(options, Mapping):
        raise errors.InvalidArgument(f"the function for the storage options of {name!r} gave no dictionary")
    return options


def _covers(name: str, root: str) -> bool:
    base, _, query = name.partition("?")
    bare, _, root_query = root.partition("?")
    if query and dict(parse_qsl(query)) != dict(parse_qsl(root_query)):
        return False
    base = base.rstrip("/")
    return bare == base or bare.startswith(base + "/")


def complete(root: str, options: Options) -> dict[str, Any]:
    """Return the options that a file system is made with: what was given, the endpoint of the root, and our limits."""
    result = dict(options)
    if root.startswith(_CLOUDS):
        # A listing that was kept would hide what other processes wrote since.
        result.setdefault("use_listings_cache", False)
    if root.startswith(("s3://", "s3a://")):
        endpoint = endpoint_of(root)
        if endpoint:
            result.setdefault("endpoint_url", endpoint)
        result["config_kwargs"] = _S3_CONFIG | dict(result.get("config_kwargs") or {})
    elif root.startswith(("az://", "abfs://")) and (account := _account_of(root)):
        result.setdefault("account_name", account)
    return result


def _account_of(root: str) -> str:
    """Return the account that a root on Azure names (`abfs://container@account.dfs.core.windows.net`), or ""."""
    host = root.partition("://")[2].partition("/")[0].partition("@")[2]
    return host.partition(".")[0]


def given_options(root: str, options: Options) -> dict[str, Any]:
    """Return the options of a path object that we have not added ourselves."""
    added = complete(root, {})
    return {name: value for name, value in options.items() if name not in added or value != added[name]}


def endpoint_of(root: str) -> str:
    """Return the endpoint that an S3 root names, else that of the environment; "" is the public one."""
    query = dict(parse_qsl(root.partition("?")[2]))
    return (query.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL", "")).rstrip("/")


def fingerprint(protocol: str, options: Options) -> str:
    """Return a hash of everything that a file system is made from: when it changes, another one is needed."""
    parts = [protocol, repr(sorted(options.items(), key=lambda item: item[0]))]
    if protocol == "s3":
        parts.extend(os.environ.get(name, "") for name in _S3_VARIABLES)
        parts.extend(_modified(os.environ.get(name, path)) for name, path in _S3_FILES.items())
    elif protocol in ("az", "abfs"):
        parts.extend(os.environ.get(name, "") for name in _AZURE_VARIABLES)
    elif protocol == "gs":
        parts.extend(os.environ.get(name, "") for name in _GOOGLE_VARIABLES)
    # Hashed, so that no key of a dictionary holds a secret.
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _modified(path: str) -> str:
    try:
        return str(os.stat(os.path.expanduser(path)).st_mtime_ns)
    except OSError:
        return ""
