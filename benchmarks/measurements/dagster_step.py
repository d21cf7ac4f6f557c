"""CPU time of a Dagster step that loads one small table and returns another, in one process."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.model import Job, Samples
from benchmarks.registries import DATABASE


def ours(job: Job) -> Samples:
    from lamart_dagster import LamartIOManager, LamartRegistry

    registry = LamartRegistry(url=f"sqlite:///{job.folder / DATABASE}", storage=str(job.folder / "storage"))
    return _samples(job, LamartIOManager(registry=registry))


def floor(job: Job) -> Samples:
    import dagster as dg

    return _samples(job, dg.FilesystemIOManager(base_dir=str(job.folder / "storage")))


def _samples(job: Job, io_manager: Any) -> Samples:
    import dagster as dg

    assets = _chain(job.sizes.steps)
    times: list[float] = []
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(job.samples + 1):  # the first one imports what is needed
            start = time.process_time()
            dg.materialize(assets, instance=instance, resources={"io_manager": io_manager})
            times.append((time.process_time() - start) / job.sizes.steps)
    return {"cpu": times[1:]}


def _chain(steps: int) -> list[Any]:
    """Return assets of which each takes the table of the one before and returns a new one."""
    import dagster as dg
    import numpy as np
    import pandas as pd

    def first() -> pd.DataFrame:
        return pd.DataFrame({"value": np.random.default_rng().normal(size=100)})

    def following(table: pd.DataFrame) -> pd.DataFrame:
        return table + 1

    # Dagster reads the annotations; postponed ones would be looked up in this module, which imports no pandas.
    first.__annotations__ = {"return": pd.DataFrame}
    following.__annotations__ = {"table": pd.DataFrame, "return": pd.DataFrame}
    assets: list[Any] = [dg.asset(name="step_0")(first)]
    for number in range(1, steps):
        previous = dg.AssetIn(key=f"step_{number - 1}")
        assets.append(dg.asset(name=f"step_{number}", ins={"table": previous})(following))
    return assets
