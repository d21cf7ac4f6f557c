"""The registry as a Dagster resource."""

from __future__ import annotations

import dagster as dg
from dagster import InitResourceContext
from pydantic import Field, PrivateAttr

from lamart_core.connect import connect
from lamart_core.db import Registry


class LamartRegistry(dg.ConfigurableResource[Registry]):
    """An artifact registry: one database for the records, one storage for the bytes.

    Without arguments it is the registry of `LAMART_DB_URL` and `LAMART_STORAGE`, else an embedded one in `./.lamart/`.
    It connects when it is first used, in the process that uses it, so that it works with every executor, and a
    database that is away for a moment is met by the retry policy of the step.

    Examples:
        >>> import dagster as dg
        >>> resource = LamartRegistry(url=dg.EnvVar("REGISTRY_URL"), storage="s3://bucket/lab", branch="staging")
    """

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

    _registry: Registry | None = PrivateAttr(default=None)

    def connect(self) -> Registry:
        """Return the open registry.

        Raises:
            DatabaseError: The database cannot be used.
            ObjectDoesNotExist: There is no space of this name.
        """
        if self._registry is None:
            registry = connect(
                self.url,
                storage=self.storage,
                local_storage=self.local_storage,
                cache_dir=self.cache_dir,
                branch=self.branch,
                user=self.user,
                make_default=False,
            )
            if self.space is not None:
                registry.space_id = registry.Space.get(name=self.space).id
            self._registry = registry
        return self._registry

    @property
    def is_connected(self) -> bool:
        """Whether the registry was used."""
        return self._registry is not None

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Close the connections that the execution opened."""
        if self._registry is not None:
            self._registry.close()
