"""A job for runs in other processes, which import it."""

import os
from pathlib import Path

import dagster as dg
import pandas as pd

import lamart_core as ln
from lamart_dagster import LamartIOManager, LamartRegistry

# A process for each step, made from one that has loaded what they need; `in_buckets` starts each of them anew.
FORKED = {
    "max_concurrent": 2,
    "start_method": {"forkserver": {"preload_modules": ["pandas", "lamart_core.models", "tests.dagster.project"]}},
}


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


@dg.asset
def public(lamart: LamartRegistry) -> int:
    """Registers a file that anybody may read where it lies, and reads it."""
    with lamart.connect():
        return len(ln.Artifact(os.environ["PUBLIC_FILE"]).save().load())


@dg.asset
def doubled(public: int) -> int:
    return 2 * public


def in_buckets() -> dg.JobDefinition:
    """A job whose storage options come from the environment, under names that no library knows."""
    endpoint = {"endpoint_url": dg.EnvVar("LAB_ENDPOINT")}
    region = {"client_kwargs": {"region_name": dg.EnvVar("LAB_REGION")}}
    registry = LamartRegistry(
        url=dg.EnvVar("LAB_URL"),
        storage=dg.EnvVar("LAB_STORAGE"),
        storage_options={
            "s3": {**endpoint, **region, "key": dg.EnvVar("LAB_KEY"), "secret": dg.EnvVar("LAB_SECRET")},
            "s3://public-data": {
                "endpoint_url": dg.EnvVar("PUBLIC_ENDPOINT"),
                "anon": True,
                "key": None,
                "secret": None,
            },
        },
    )
    defs = dg.Definitions(
        assets=[public, doubled],
        jobs=[dg.define_asset_job("in_buckets", executor_def=dg.multiprocess_executor)],
        resources={"io_manager": LamartIOManager(registry=registry), "lamart": registry},
    )
    return defs.resolve_job_def("in_buckets")


@dg.asset
def early(outside: int) -> int:
    return outside


@dg.asset(deps=[early])
def late(outside: int) -> int:
    if not Path(os.environ["LAB_FOLDER"], "repaired").exists():
        raise ValueError("not yet")
    return outside


def reads_outside() -> dg.JobDefinition:
    """Two steps that load what the job does not make; the second one fails at first."""
    registry = LamartRegistry(url=dg.EnvVar("LAB_URL"), storage=dg.EnvVar("LAB_STORAGE"))
    defs = dg.Definitions(
        assets=[dg.AssetSpec("outside"), early, late],
        jobs=[dg.define_asset_job("reads_outside", ["early", "late"], executor_def=dg.in_process_executor)],
        resources={"io_manager": LamartIOManager(registry=registry)},
    )
    return defs.resolve_job_def("reads_outside")


def everything() -> dg.JobDefinition:
    registry = LamartRegistry(url=dg.EnvVar("LAB_URL"), storage=dg.EnvVar("LAB_STORAGE"))
    defs = dg.Definitions(
        assets=[start, flaky, table, fails, end],
        jobs=[dg.define_asset_job("everything", executor_def=dg.multiprocess_executor.configured(FORKED))],
        resources={"io_manager": LamartIOManager(registry=registry)},
    )
    return defs.resolve_job_def("everything")
