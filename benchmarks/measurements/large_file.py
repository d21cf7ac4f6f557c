"""Save a large file, every byte hashed, beside `cp`."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

from benchmarks.data import MIB, write_file
from benchmarks.measurements.containers import sync
from benchmarks.model import Job, Samples
from benchmarks.registries import open_ours
from benchmarks.timing import seconds, settle


def prepare(job: Job) -> None:
    write_file(job.root / "source.bin", job.sizes.file_mib)


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    ln, _ = open_ours(job)
    source = _changed_source(job)
    small = job.folder / "small.bin"
    small.write_bytes(uuid.uuid4().bytes)
    ln.Artifact(small, key="small.bin").save()  # imports what is needed
    settle()
    taken, artifact = seconds(lambda: ln.Artifact(source, key="large.bin").save())
    Path(str(artifact.path)).unlink()
    return {"save": [taken], "durable": [taken]}


def floor(job: Job) -> Samples:
    source = _changed_source(job)
    target = job.folder / "copy.bin"
    copied, _ = seconds(lambda: subprocess.run(["cp", str(source), str(target)], check=True))
    target.unlink()
    settle()
    durable, _ = seconds(lambda: _copy_and_sync(source, target))
    target.unlink()
    return {"save": [copied], "durable": [durable]}


def _copy_and_sync(source: Path, target: Path) -> None:
    subprocess.run(["cp", str(source), str(target)], check=True)
    sync(target)


def _changed_source(job: Job) -> Path:
    """Make the content new by some bytes in the middle, and read it once, so that every turn finds it in memory."""
    source = job.root / "source.bin"
    with source.open("r+b") as file:
        file.seek(job.sizes.file_mib * MIB // 2)
        file.write(uuid.uuid4().bytes)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        while file.read(16 * MIB):
            pass
    settle()
    return source
