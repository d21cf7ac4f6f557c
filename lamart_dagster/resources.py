"""The registry as a Dagster resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster import InitResourceContext
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from lamart_core.connect import connect
from lamart_core.db import Registry, add_host, remove_host
from lamart_core.lineage import enter_run, leave_runs
from lamart_core.logging import logger
from lamart_dagster.dagster_internals import current_step_context
from lamart_dagster.options import check_options, resolve_options
from lamart_dagster.steps import StepRuns, step_runs_of


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
    _steps: StepRuns | None = PrivateAttr(default=None)

    @field_validator("storage_options")
    @classmethod
    def _without_credentials(cls, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        check_options(given or {})
        return given

    def connect(self) -> Registry:
        """Return the open registry; in the body of a step with the run of the step as the current one.

        What the step saves, loads and tracks from then on are outputs and inputs of that run.

        Raises:
            DatabaseError: The database cannot be used.
            InvalidArgument: An environment variable of `storage_options` is not set.
            ObjectDoesNotExist: There is no space of this name.
        """
        registry = self.open()
        step = current_step_context()
        if step is not None:
            opened = self.steps.open(registry, step)
            opened.is_entered = True
            enter_run(opened.run)
        return registry

    def open(self) -> Registry:
        """Return the open registry, whichever run is the current one."""
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
    def steps(self) -> StepRuns:
        """The steps that this process opened with the registry."""
        if self._steps is None:
            self._steps = step_runs_of(self.open())
        return self._steps

    @property
    def is_connected(self) -> bool:
        """Whether the registry was used."""
        return self._registry is not None

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Let `ln.…` in the bodies of assets mean this registry."""
        if context.run is not None:
            add_host(self._host)

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Record how the steps ended, and close the connections that the execution opened."""
        remove_host(self._host)
        if self._registry is not None:
            self.record_ends(context)
            leave_runs(self._registry)
            self._registry.close()

    def record_ends(self, context: InitResourceContext) -> None:
        """Record how the steps of the run that ends here ended; the first of several resources does it for all."""
        if context.instance is None or context.run is None or self._registry is None:
            return
        try:
            self.steps.record_ends(self._registry, context.instance, context.run.run_id)
        except Exception as error:  # what was computed and stored must not fail because its end could not be noted
            logger.warning("the end of a run could not be recorded; a later run will do it: %s", error)

    def _host(self) -> Registry | None:
        return self.connect() if current_step_context() is not None else None
