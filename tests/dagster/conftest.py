from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lamart_core.connect import connect
from lamart_core.db import Registry
from lamart_dagster import LamartIOManager, LamartRegistry


@dataclass
class Lab:
    """A registry, a Dagster instance, and runs with both."""

    folder: Path
    instance: dg.DagsterInstance

    @property
    def resource(self) -> LamartRegistry:
        return LamartRegistry(url=f"sqlite:///{self.folder}/lab.db", storage=str(self.folder / "storage"))

    @property
    def registry(self) -> Registry:
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


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """What most tests need: Dagster's records in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Lab(tmp_path, instance)


@pytest.fixture
def lab_on_disk(tmp_path: Path) -> Iterator[Lab]:
    """For runs of several processes."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}}) as instance:
        yield Lab(tmp_path, instance)
