"""Save a folder of many small files, one artifact for each: from_dir() and save()."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measurements.small_file import copy_durably
from benchmarks.model import Job, Samples
from benchmarks.registries import floor_database, make_floor, make_peer, open_ours, open_peer
from benchmarks.timing import seconds, settle

_SIZE = 1024
_FOLDERS = 20
_THREADS = 32

prepare_floor = make_floor
prepare_peer = make_peer


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    ln, _ = open_ours(job)
    return _samples(job, lambda folder: ln.Artifact.from_dir(folder).save())


def peer(job: Job) -> Samples:
    ln = open_peer()
    return _samples(job, lambda folder: ln.Artifact.from_dir(folder).save())


def floor(job: Job) -> Samples:
    """Copy and fsync each file, several at a time, and insert all rows in one transaction."""
    database = floor_database(job)

    def save(folder: Path) -> None:
        target = job.folder / f"stored-{folder.name}"
        target.mkdir()
        paths = [path for path in folder.rglob("*") if path.is_file()]
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            list(pool.map(lambda path: copy_durably(path, target / path.name), paths))
        descriptor = os.open(target, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        rows = [(f"{folder.name}/{path.name}", str(target / path.name), _SIZE) for path in paths]
        database.execute("BEGIN")
        database.executemany("INSERT INTO artifact (key, path, size) VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")

    return _samples(job, save)


def _samples(job: Job, save: Callable[[Path], Any]) -> Samples:
    save(_folder(job, 2))  # imports what is needed
    rates: list[float] = []
    for _ in range(job.samples):
        folder = _folder(job, job.sizes.files)
        settle()
        rates.append(job.sizes.files / seconds(lambda folder=folder: save(folder))[0])
    return {"rate": rates}


def _folder(job: Job, count: int) -> Path:
    """Write a folder of files whose names and contents are new."""
    top = job.folder / f"sources-{uuid.uuid4().hex}"
    for number in range(count):
        path = top / f"part-{number % _FOLDERS}" / f"{uuid.uuid4().hex}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(_SIZE))
    return top
