"""The IO manager with its storage on Azure: what assets return and load, and a server that stops in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import dagster as dg
import numpy as np
import pandas as pd
import pytest

from lamart_core.connect import connect
from lamart_core.db import Registry
from lamart_core.errors import StorageError
from lamart_core.storage.objectstore import limits
from lamart_dagster import LamartIOManager, LamartRegistry
from tests.databases import fresh_database
from tests.registries import create_tables
from tests.storage.clouds import CloudServer, azurite
from tests.storage.proxy import Proxy, proxied

__all__ = ["azurite"]

TABLE = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


@pytest.fixture
def proxy(azurite: CloudServer) -> Iterator[Proxy]:
    with proxied(azurite.endpoint_url) as running:
        yield running


@pytest.fixture
def registry(azurite: CloudServer, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry whose credentials are in no variable, only in its options."""
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setattr(limits, "ATTEMPTS", 1)
    options = {"az": azurite.options(proxy.endpoint_url)}
    with fresh_database("sqlite", tmp_path, prepare=create_tables) as url:
        registry = connect(
            url, storage=azurite.new_root(), cache_dir=tmp_path / "cache", storage_options=options, make_default=False
        )
        yield registry
        registry.close()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(registry: Registry, instance: dg.DagsterInstance, *assets: Any, **options: Any) -> dg.ExecuteInProcessResult:
    class Opened(LamartRegistry):
        """The registry of the test, with the options that it was opened with."""

        def open(self) -> Registry:
            return registry

    io_manager = LamartIOManager(registry=Opened())
    return dg.materialize(list(assets), instance=instance, resources={"io_manager": io_manager}, **options)


@dg.asset
def table() -> pd.DataFrame:
    return TABLE


@dg.asset
def cells(table: pd.DataFrame) -> ad.AnnData:
    return ad.AnnData(
        np.ones((len(table), 2), np.float32), obs=pd.DataFrame({"b": list(table["b"])}, index=list("123"))
    )


@dg.asset
def summary(cells: ad.AnnData, table: pd.DataFrame) -> dict[str, int]:
    return {"cells": cells.n_obs, "rows": len(table)}


@pytest.mark.req("R276")
def test_assets_are_stored_and_loaded_and_equal_content_is_a_re_creation(
    registry: Registry, instance: dg.DagsterInstance, azurite: CloudServer
) -> None:
    assets = (table, cells, summary)
    assert run(registry, instance, *assets).success
    found = {item.key: item for item in registry.Artifact.filter().to_list()}
    assert all(str(item.path).startswith("az://") for item in found.values())
    assert registry.Artifact.get(key="summary.json").load() == {"cells": 3, "rows": 3}
    (matrix,) = [item for key, item in found.items() if key.startswith("cells")]
    assert matrix.run.input_artifacts.to_list() == [found["table.parquet"]]
    assert found["table.parquet"].load().equals(TABLE)
    before = sorted(azurite.keys(matrix.storage.root.split("/")[2]))
    assert run(registry, instance, *assets).success
    assert sorted(azurite.keys(matrix.storage.root.split("/")[2])) == before
    assert registry.Artifact.filter().count() == 3
    assert all(item.verify() for item in found.values())


def test_a_server_that_stops_in_the_middle_fails_the_step_and_leaves_nothing(
    registry: Registry, instance: dg.DagsterInstance, azurite: CloudServer, proxy: Proxy
) -> None:
    assert run(registry, instance, table).success
    container = registry.Storage.get(registry.storage_id).root.split("/")[2]
    before = azurite.keys(container)

    proxy.fault("drop", "PUT")
    with pytest.raises(StorageError, match="az://"):
        run(registry, instance, table, cells, selection=[cells])
    assert azurite.keys(container) == before
    assert registry.Artifact.filter().to_list("key") == ["table.parquet"]
    proxy.heal()
    assert run(registry, instance, table, cells, selection=[cells]).success
    assert registry.Artifact.filter().count() == 2
