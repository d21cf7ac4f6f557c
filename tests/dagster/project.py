"""A job for runs in other processes, which import it."""

import os
from pathlib import Path

import dagster as dg
import pandas as pd

from lamart_dagster import LamartIOManager, LamartRegistry


@dg.asset
def start() -> int:
    return 2


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
def flaky(context: dg.AssetExecutionContext, start: int) -> int:
    if context.retry_number == 0:
        raise ValueError("once")
    return start + 1


@dg.asset
def table(start: int) -> pd.DataFrame:
    return pd.DataFrame({"n": range(start)})


@dg.asset
def fails(flaky: int, table: pd.DataFrame) -> int:
    if not Path(os.environ["LAB_FOLDER"], "repaired").exists():
        raise ValueError("not yet")
    return flaky + len(table)


@dg.asset
def end(fails: int, start: int) -> int:
    return fails * start


def everything() -> dg.JobDefinition:
    registry = LamartRegistry(url=dg.EnvVar("LAB_URL"), storage=dg.EnvVar("LAB_STORAGE"))
    defs = dg.Definitions(
        assets=[start, flaky, table, fails, end],
        jobs=[
            dg.define_asset_job("everything", executor_def=dg.multiprocess_executor.configured({"max_concurrent": 2}))
        ],
        resources={"io_manager": LamartIOManager(registry=registry)},
    )
    return defs.resolve_job_def("everything")
