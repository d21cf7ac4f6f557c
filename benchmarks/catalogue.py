"""Everything that `python -m benchmarks` measures, in the order of the table."""

from __future__ import annotations

from benchmarks.model import Measurement, Metric

_FOLDER = "{folder_files} files of 4 KiB, {folder_changes} changed each time"

MEASUREMENTS = (
    Measurement(
        "small-file",
        "small_file",
        (Metric("save", "save one small file"),),
        samples=20,
    ),
    Measurement(
        "large-file",
        "large_file",
        (
            Metric("save", "save a file of {file_mib} MiB, every byte hashed; floor: cp"),
            Metric("durable", "the same; floor: cp, then fsync"),
        ),
        sides=("ours", "floor"),
        samples=1,
    ),
    Measurement(
        "folder-versions",
        "folder_versions",
        tuple(
            metric
            for number in (1, 10, 100, 1000)
            for metric in (
                Metric(f"seconds_{number}", f"save {number:,} versions of a folder of {_FOLDER}; floor: cp -al"),
                Metric(f"megabytes_{number}", f"disk space of {number:,} versions of it, database included", "MB"),
            )
        ),
        rounds=1,
        samples=1,
    ),
    Measurement(
        "queries",
        "queries",
        (
            Metric("get_key", "get(key=) at {artifacts} artifacts"),
            Metric("get_uid", "get(uid) at {artifacts} artifacts"),
            Metric("to_dataframe", "to_dataframe() of {frame_rows} rows at {artifacts} artifacts"),
        ),
        samples=100,
    ),
    Measurement(
        "table",
        "table",
        (
            Metric("save", "save a table of {rows} × 10; floor: bare parquet"),
            Metric("durable", "the same; floor: then fsync"),
            Metric("load", "load a table of {rows} × 10; floor: bare parquet"),
        ),
        samples=2,
    ),
    Measurement(
        "anndata-sparse",
        "anndata_sparse",
        (
            Metric("save", "save AnnData of {cells} × {genes}, sparse; floor: bare h5ad"),
            Metric("durable", "the same; floor: then fsync"),
            Metric("load", "load AnnData of {cells} × {genes}, sparse; floor: bare h5ad"),
        ),
        samples=2,
    ),
    Measurement(
        "anndata-dense",
        "anndata_dense",
        (
            Metric("save", "save AnnData of {cells} × {genes}, dense; floor: bare h5ad"),
            Metric("durable", "the same; floor: then fsync"),
            Metric("load", "load AnnData of {cells} × {genes}, dense; floor: bare h5ad"),
        ),
        samples=2,
    ),
    Measurement(
        "statements",
        "statements",
        (
            Metric("constructor", "SQL statements of the constructor", "statements"),
            Metric("save", "SQL statements of save()", "statements"),
            Metric("new_version", "SQL statements of a new version, constructor and save()", "statements"),
        ),
        sides=("ours", "peer"),
        rounds=1,
        samples=3,
    ),
    Measurement(
        "start",
        "start",
        (
            Metric("seconds", "start Python, import, first get(key=)"),
            Metric("memory", "peak memory of that process", "MB"),
        ),
        samples=3,
    ),
    Measurement(
        "writers-sqlite",
        "writers",
        (Metric("rate", "{writers} processes save distinct keys, SQLite", "1/s"),),
        samples=1,
    ),
    Measurement(
        "writers-postgres",
        "writers",
        (Metric("rate", "{writers} processes save distinct keys, Postgres", "1/s"),),
        samples=1,
        needs_postgres=True,
    ),
    Measurement(
        "dagster-step",
        "dagster_step",
        (Metric("cpu", "CPU of a Dagster step; floor: the filesystem IO manager", as_difference=True),),
        sides=("ours", "floor"),
        samples=1,
    ),
)
