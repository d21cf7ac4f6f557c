"""Storage options in Dagster's configuration: values from the environment, and no credentials in plain text.

Dagster copies the configuration of resources into the snapshots of jobs, which it keeps and shows. What it copies of an
`EnvVar` is the name of the variable. So a credential is given by one, and is looked up when the registry is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, cast

import dagster as dg

from lamart_core import errors
from lamart_core.lineage.redact import is_secret_name

_IntEnvVar = type(dg.EnvVar.int("ANY"))
# What gcsfs calls ways to find a token; none of them is one.
_NO_TOKENS = {"anon", "browser", "cache", "cloud", "google_default"}


def check_options(given: Mapping[str, Any]) -> None:
    """Check that no credential is written out.

    Args:
        given: Options by protocol or root.

    Raises:
        InvalidArgument: A value whose name says that it is a credential is plain text, or one is an `EnvVar.int`, of
            which Dagster would keep only that it is a variable; or the options of a protocol or root are no dictionary.
    """
    for name, options in given.items():
        if not isinstance(options, Mapping) or _variable(options) is not None:
            raise errors.InvalidArgument(f"the storage options of {name!r} are no dictionary")
    for path, value in _leaves(given, ()):
        where = " → ".join(map(repr, path))
        if isinstance(value, _IntEnvVar):
            raise errors.InvalidArgument(f"the storage option {where} is an EnvVar.int; options take EnvVar, as text")
        is_plain = isinstance(value, str) and not isinstance(value, dg.EnvVar) and value not in _NO_TOKENS
        # The first part of the path is the protocol or root, and names nothing.
        if is_plain and value and any(_is_credential(name) for name in path[1:]):
            raise errors.InvalidArgument(
                f"the storage option {where} is a credential in plain text, which Dagster would keep with each job and "
                "show; pass it as dg.EnvVar, with the name of an environment variable that holds it"
            )


def resolve_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with the values of the environment in place of their names.

    Args:
        given: Options by protocol or root. A value from the environment is an `EnvVar` or, as Dagster's configuration
            has it, `{"env": "NAME"}`, at any depth.

    Raises:
        InvalidArgument: A variable is not set.
    """
    return {name: _resolved(value, (name,)) for name, value in given.items()}


def _resolved(value: Any, path: tuple[str, ...]) -> Any:
    variable = _variable(value)
    if variable is not None:
        if variable not in os.environ:
            raise errors.InvalidArgument(
                f"the storage option {' → '.join(map(repr, path))} is that of the environment variable {variable}, "
                "which is not set in this process"
            )
        return os.environ[variable]
    if isinstance(value, Mapping):
        return {name: _resolved(item, (*path, name)) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [_resolved(item, path) for item in cast("list[Any]", value)]
    return value


def _variable(value: Any) -> str | None:
    if isinstance(value, dg.EnvVar):
        return value.env_var_name
    if isinstance(value, Mapping) and set(cast("Mapping[str, Any]", value)) == {"env"}:
        return str(cast("Mapping[str, Any]", value)["env"])
    return None


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if _variable(value) is not None:
        return
    if isinstance(value, Mapping):
        for name, item in cast("Mapping[str, Any]", value).items():
            yield from _leaves(item, (*path, str(name)))
    elif isinstance(value, list | tuple):
        for item in cast("list[Any]", value):
            yield from _leaves(item, path)
    else:
        yield path, value


def _is_credential(name: str) -> bool:
    """Whether an option of this name is a credential; file systems call some `key`, `account_key` and the like."""
    name = name.lower()
    return name.endswith("key") or (is_secret_name(name) and not name.endswith("_version"))  # signature_version is none
