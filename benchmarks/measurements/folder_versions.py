"""Save a folder again and again, some of its files changed each time, every version kept: time and bytes."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.model import Job, Samples
from benchmarks.registries import DATABASE, make_peer, open_ours, open_peer
from benchmarks.timing import seconds, settle

FILE_BYTES = 4096
FILES_A_FOLDER = 100
COUNTED = (1, 10, 100, 1000)

prepare_peer = make_peer


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    ln, _ = open_ours(job)
    return _samples(job, job.sizes.folder_versions, lambda source, number: _save(ln, source), job.folder / "storage")


def peer(job: Job) -> Samples:
    ln = open_peer()
    versions = min(job.sizes.folder_versions, job.sizes.folder_peer_versions)
    return _samples(job, versions, lambda source, number: _save(ln, source), job.folder / "storage")


def floor(job: Job) -> Samples:
    """Link the version before, and copy the files that changed over it."""
    kept = job.folder / "storage"
    kept.mkdir()

    def save(source: Path, number: int) -> None:
        target = kept / str(number)
        if number == 0:
            subprocess.run(["cp", "-r", str(source), str(target)], check=True)
            return
        subprocess.run(["cp", "-al", str(kept / str(number - 1)), str(target)], check=True)
        for relative in _changed(job, number):
            (target / relative).unlink()
            (target / relative).write_bytes((source / relative).read_bytes())

    return _samples(job, job.sizes.folder_versions, save, kept)


def _save(ln: Any, source: Path) -> None:
    ln.Artifact(source, key="folder", overwrite_versions=False).save()


def _samples(job: Job, versions: int, save: Callable[[Path, int], None], storage: Path) -> Samples:
    source = job.folder / "source"
    for number in range(job.sizes.folder_files):
        path = source / _path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(FILE_BYTES))
    settle()
    total = 0.0
    samples: Samples = {}
    for number in range(versions):
        for relative in _changed(job, number):
            (source / relative).write_bytes(os.urandom(FILE_BYTES))
        total += seconds(lambda number=number: save(source, number))[0]
        if number + 1 in COUNTED:
            samples[f"seconds_{number + 1}"] = [total]
            samples[f"megabytes_{number + 1}"] = [_megabytes(storage)]
    return samples


def _changed(job: Job, number: int) -> list[Path]:
    """Return the files that version `number` changes."""
    chosen = random.Random(number).sample(range(job.sizes.folder_files), job.sizes.folder_changes)
    return [_path(file) for file in chosen]


def _path(number: int) -> Path:
    return Path(f"part-{number // FILES_A_FOLDER}", f"{number}.bin")


def _megabytes(storage: Path) -> float:
    """Return what a storage and the database beside or inside it take on the disk; many names of a file count once."""
    paths = [storage, *storage.parent.glob(f"{DATABASE}*")]
    command = ["du", "-sc", "--block-size=1K", *map(str, paths)]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE)
    return int(done.stdout.split()[-2]) / 1024
