"""The registry as a Dagster resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster import InitResourceContext
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from lamart_core.connect import connect
from lamart_core.db import Registry
from lamart_dagster.options import check_options, resolve_options


class LamartRegistry(dg.ConfigurableResource[Registry]):
    """An artifact registry: one database for the records, one storage for the bytes.

    Without arguments it is the registry of `LAMART_DB_URL` and `LAMART_STORAGE`, else an embedded one in `./.lamart/`.
    It connects when it is first used, in the process that uses it, so that it works with every executor, and a
    database that is away for a moment is met by the retry policy of the step.

    Credentials of object stores are found in the environment by their own names, or given in `storage_options`, by
    protocol or root and as `EnvVar`. In plain text they are refused, because Dagster keeps and shows configuration.

    Examples:
        >>> import dagster as dg
        >>> resource = LamartRegistry(url=dg.EnvVar("REGISTRY_URL"), storage="s3://bucket/lab", branch="staging")
        >>> options = {
        ...     "s3://bucket": {"key": dg.EnvVar("LAB_KEY"), "secret": dg.EnvVar("LAB_SECRET")},
        ...     "s3://public-data": {"anon": True},
        ... }
        >>> resource = LamartRegistry(storage="s3://bucket/lab", storage_options=options)
    """

    # A value that does not fit may be a secret in the wrong place.
    model_config = ConfigDict(hide_input_in_errors=True)

    url: str | None = Field(
        default=None, description="Database: sqlite:///path, postgresql://…; default: LAMART_DB_URL, else ./.lamart/."
    )
    storage: str | None = Field(
        default=None, description="Folder or URL where the bytes are stored; default: LAMART_STORAGE, else ./.lamart/."
    )
    local_storage: str | None = Field(
        default=None,
        description="Folder that artifacts are kept in until they are uploaded; default: they are stored at once.",
    )
    branch: str | None = Field(
        default=None, description="Branch of the registry to write to; reads fall back to main. Default: main."
    )
    space: str | None = Field(default=None, description="Space of the registry to write to; default: the default one.")
    cache_dir: str | None = Field(default=None, description="Folder for copies of remote objects.")
    user: str | None = Field(
        default=None, description="User that records are created by; default: LAMART_USER, else the login name."
    )

    # The options of a protocol are `Any` to Dagster, whose mappings of known types take no None.
    storage_options: dict[str, Any] | None = Field(
        default=None,
        repr=False,
        description="Options of the fsspec file systems by protocol or root, such as endpoint_url, key, secret and "
        "anon; credentials as EnvVar only. Default: what each protocol finds in the environment.",
        json_schema_extra={"dagster__is_secret": True},
    )

    _registry: Registry | None = PrivateAttr(default=None)

    @field_validator("storage_options")
    @classmethod
    def _without_credentials(cls, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        check_options(given or {})
        return given

    def connect(self) -> Registry:
        """Return the open registry.

        Raises:
            DatabaseError: The database cannot be used.
            InvalidArgument: An environment variable of `storage_options` is not set.
            ObjectDoesNotExist: There is no space of this name.
        """
        if self._registry is None:
            self._registry = connect(
                self.url,
                storage=self.storage,
                local_storage=self.local_storage,
                cache_dir=self.cache_dir,
                branch=self.branch,
                space=self.space,
                user=self.user,
                storage_options=resolve_options(self.storage_options or {}),
                make_default=False,
            )
        return self._registry

    @property
    def is_connected(self) -> bool:
        """Whether the registry was used."""
        return self._registry is not None

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Close the connections that the execution opened."""
        if self._registry is not None:
            self._registry.close()
