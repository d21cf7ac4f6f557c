"""Several processes save distinct keys into one registry at the same time."""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from benchmarks.measurements.small_file import copy_durably
from benchmarks.model import Job, Samples
from benchmarks.offline import forbid_network
from benchmarks.registries import floor_database, make_floor, make_peer, open_ours, open_peer
from benchmarks.timing import settle

Save = Callable[[Path, str], Any]
_PATIENCE = 300.0

prepare_floor = make_floor
prepare_peer = make_peer


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    return _race(job, _saver_ours)


def peer(job: Job) -> Samples:
    return _race(job, _saver_peer)


def floor(job: Job) -> Samples:
    return _race(job, _saver_floor)


def _saver_ours(job: Job) -> Save:
    ln, _ = open_ours(job)
    return lambda path, key: ln.Artifact(path, key=key).save()


def _saver_peer(_: Job) -> Save:
    ln = open_peer()
    return lambda path, key: ln.Artifact(path, key=key).save()


def _saver_floor(job: Job) -> Save:
    """Copy, fsync and insert one row."""
    insert = "INSERT INTO artifact (key, path, size) VALUES ({0}, {0}, {0})"
    database: Any
    if job.database_url is None:
        database, insert = floor_database(job), insert.format("?")
    else:
        import psycopg

        database, insert = psycopg.connect(job.database_url, autocommit=True), insert.format("%s")

    def save(path: Path, key: str) -> None:
        target = job.folder / f"{uuid.uuid4().hex}.txt"
        copy_durably(path, target)
        database.execute(insert, (key, str(target), 32))

    return save


def _race(job: Job, saver: Callable[[Job], Save]) -> Samples:
    context = multiprocessing.get_context("spawn")
    start, end = (context.Barrier(job.sizes.writers + 1, timeout=_PATIENCE) for _ in range(2))
    processes = [context.Process(target=_write, args=(job, saver, start, end)) for _ in range(job.sizes.writers)]
    for process in processes:
        process.start()
    start.wait()
    began = time.perf_counter()
    end.wait()
    taken = time.perf_counter() - began
    for process in processes:
        process.join()
    return {"rate": [job.sizes.writers * job.sizes.saves / taken]}


def _write(job: Job, saver: Callable[[Job], Save], start: Barrier, end: Barrier) -> None:
    forbid_network()
    try:
        save = saver(job)
        name = uuid.uuid4().hex
        sources = job.folder / f"sources-{name}"
        sources.mkdir()
        paths = [sources / f"{number}.txt" for number in range(job.sizes.saves + 1)]
        for path in paths:
            path.write_text(uuid.uuid4().hex)
        save(paths[0], f"{name}/{paths[0].name}")  # imports what is needed
        settle()
        start.wait()
        for path in paths[1:]:
            save(path, f"{name}/{path.name}")
        end.wait()
    except BaseException:
        start.abort()  # the parent stops waiting, and the turn fails
        end.abort()
        raise
