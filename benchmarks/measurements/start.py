"""From the start of Python to the first artifact, in a fresh process: wall clock and peak memory."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measurements import small_file
from benchmarks.model import Job, Samples
from benchmarks.registries import DATABASE, floor_database, make_peer, open_ours, open_peer
from benchmarks.timing import seconds

_KEY = "first.txt"
_MEMORY = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
_OURS = f"""
import lamart_core as ln
ln.connect("sqlite:///{DATABASE}", storage="storage")
assert ln.Artifact.get(key="{_KEY}").key == "{_KEY}"
"""
_PEER = f"""
import lamindb as ln
assert ln.Artifact.get(key="{_KEY}").key == "{_KEY}"
"""
_FLOOR = f"""
import sqlite3
row = sqlite3.connect("{DATABASE}").execute("SELECT key FROM artifact WHERE key = ?", ("{_KEY}",)).fetchone()
assert row == ("{_KEY}",)
"""


def prepare_ours(job: Job) -> None:
    ln, _ = open_ours(job)
    _save_first(job, ln)


def prepare_peer(job: Job) -> None:
    make_peer(job)
    _save_first(job, open_peer())


def prepare_floor(job: Job) -> None:
    small_file.prepare_floor(job)
    floor_database(job).execute("INSERT INTO artifact (key) VALUES (?)", (_KEY,))


def ours(job: Job) -> Samples:
    return _samples(job, _OURS)


def peer(job: Job) -> Samples:
    return _samples(job, _PEER)


def floor(job: Job) -> Samples:
    return _samples(job, _FLOOR)


def _save_first(job: Job, ln: object) -> None:
    path = job.folder / _KEY
    path.write_text("first")
    ln.Artifact(path, key=_KEY).save()  # type: ignore[attr-defined]


def _samples(job: Job, code: str) -> Samples:
    samples: Samples = {"seconds": [], "memory": []}
    for _ in range(job.samples + 1):  # the first one compiles modules and reads them from disk
        taken, process = seconds(
            lambda: subprocess.run(
                [sys.executable, "-c", code + _MEMORY], cwd=job.folder, check=True, capture_output=True, text=True
            )
        )
        samples["seconds"].append(taken)
        samples["memory"].append(int(process.stdout.split()[-1]) / 1024)  # Linux counts in KiB
    return {name: values[1:] for name, values in samples.items()}
