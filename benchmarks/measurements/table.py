"""Save and load a table beside bare parquet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.data import table
from benchmarks.measurements.containers import of_folder, save_and_load
from benchmarks.model import Job, Samples
from benchmarks.registries import make_peer, open_ours, open_peer

prepare_peer = make_peer


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    ln, _ = open_ours(job)
    return _with_registry(job, ln)


def peer(job: Job) -> Samples:
    return _with_registry(job, open_peer())


def floor(job: Job) -> Samples:
    import pandas as pd

    def save(df: Any, key: str) -> Any:
        path = of_folder(job, key, ".parquet")
        df.to_parquet(path)
        return path

    return save_and_load(job, _changing(job), save, pd.read_parquet, is_durable=False)


def _with_registry(job: Job, ln: Any) -> Samples:
    return save_and_load(
        job,
        _changing(job),
        lambda df, key: ln.Artifact.from_dataframe(df, key=f"{key}.parquet").save(),
        lambda artifact: artifact.load(),
        lambda artifact: ln.Artifact.get(artifact.uid),
    )


def _changing(job: Job) -> Callable[[float], Any]:
    df = table(job.sizes.rows)

    def change(value: float) -> Any:
        df.loc[0, "float_0"] = value
        return df

    return change
