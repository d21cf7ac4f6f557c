"""Save one small file under a new key: constructor and save()."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.model import Job, Samples
from benchmarks.registries import floor_database, make_floor, make_peer, open_ours, open_peer
from benchmarks.timing import seconds, settle

prepare_floor = make_floor
prepare_peer = make_peer


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    ln, _ = open_ours(job)
    return _samples(job, lambda path, key: ln.Artifact(path, key=key).save())


def peer(job: Job) -> Samples:
    ln = open_peer()
    return _samples(job, lambda path, key: ln.Artifact(path, key=key).save())


def floor(job: Job) -> Samples:
    """Copy, fsync and insert one row."""
    database = floor_database(job)

    def save(path: Path, key: str) -> None:
        target = job.folder / f"{uuid.uuid4().hex}.txt"
        copy_durably(path, target)
        database.execute("INSERT INTO artifact (key, path, size) VALUES (?, ?, ?)", (key, str(target), 32))

    return _samples(job, save)


def copy_durably(source: Path, target: Path) -> None:
    """Copy a file so that it survives a power failure."""
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written)
        written.flush()
        os.fsync(written.fileno())


def _samples(job: Job, save: Callable[[Path, str], Any]) -> Samples:
    sources = job.folder / f"sources-{uuid.uuid4().hex}"
    sources.mkdir()
    paths = [sources / f"{number}.txt" for number in range(job.samples + 1)]
    for path in paths:
        path.write_text(uuid.uuid4().hex)
    settle()
    times = [seconds(lambda path=path: save(path, f"{sources.name}/{path.name}"))[0] for path in paths]
    return {"save": times[1:]}  # the first one imports what is needed
