"""What the records of most registries are: in a branch and a space, and known who made them, when and in which run."""

from __future__ import annotations

from typing import Any

from lamart_core.db import Registry
from lamart_core.records.kinds.base import SQLRecord
from lamart_core.records.kinds.current_run import current_run
from lamart_core.records.kinds.mixins import HasScope, TracksRun, TracksUpdates


class TrackedRecord(HasScope, TracksRun, TracksUpdates, SQLRecord):
    """A record that remembers the run in which it was made; without another one, the current run."""

    __abstract__ = True

    def _default_values(self, registry: Registry) -> dict[str, Any]:
        run = current_run(registry)
        return super()._default_values(registry) | {"run_id": run.id if run is not None else None}
