from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lamart_core.connect import connect
from lamart_core.db import Registry
from lamart_dagster import LamartIOManager, LamartRegistry
from tests.databases import fresh_database
from tests.registries import create_tables


@dataclass
class Lab:
    """A registry, a Dagster instance, and runs with both."""

    folder: Path
    instance: dg.DagsterInstance
    url: str

    @property
    def resource(self) -> LamartRegistry:
        return LamartRegistry(url=self.url, storage=str(self.folder / "storage"))

    @cached_property
    def registry(self) -> Registry:
        """A connection of its own, as another process has one."""
        return connect(self.resource.url, storage=self.resource.storage, make_default=False)

    def io(self, **options: Any) -> LamartIOManager:
        return LamartIOManager(registry=self.resource, **options)

    def run(self, *assets: Any, only: Any = None, partition: str | None = None, **options: Any) -> Any:
        """Materialize assets; `only` selects those that are executed."""
        io_options = options.pop("io", {})
        return dg.materialize(
            list(assets),
            selection=[only] if isinstance(only, str) else only,
            instance=self.instance,
            resources={"io_manager": self.io(**io_options)},
            partition_key=partition,
            **options,
        )

    def latest(self, key: str) -> Any:
        return self.registry.Artifact.get(key=key)

    def versions(self, key: str) -> list[Any]:
        """All versions under a key, oldest first."""
        return self.registry.Artifact.filter(key=key).order_by("uid").to_list()

    def step_run(self, result: Any, step: str) -> Any:
        return self.registry.Run.get(external_id=f"{result.run_id}/{step}")

    def materialization(self, asset: str) -> Any:
        event = self.instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event is not None
        return event.asset_materialization

    def data_version(self, asset: str) -> str:
        return self.materialization(asset).tags["dagster/data_version"]

    def metadata(self, asset: str) -> dict[str, Any]:
        return {name: value.value for name, value in self.materialization(asset).metadata.items()}


@contextmanager
def a_lab(backend: str, folder: Path, *, on_disk: bool = False) -> Iterator[Lab]:
    """A registry on a database, and Dagster's records in memory or, for runs of several processes, on disk."""
    home = folder / "dagster"
    home.mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(backend, folder, prepare=create_tables))
        if on_disk:
            settings = {"telemetry": {"enabled": False}}
            instance = stack.enter_context(dg.DagsterInstance.local_temp(str(home), overrides=settings))
        else:
            instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        lab = Lab(folder, instance, url)
        yield lab
        lab.registry.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with a_lab("sqlite", tmp_path) as lab:
        yield lab
