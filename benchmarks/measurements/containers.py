"""Save and load an object in memory, new content every time."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.model import Job, Samples
from benchmarks.timing import seconds, settle


def save_and_load(
    job: Job,
    change: Callable[[float], Any],
    save: Callable[[Any, str], Any],
    load: Callable[[Any], Any],
    find: Callable[[Any], Any] = lambda saved: saved,
    is_durable: bool = True,
) -> Samples:
    """Take samples of saving and loading.

    Args:
        job: The job.
        change: Returns the object with a number written into it, so that its content is new.
        save: Saves the object under a key and returns what was saved.
        load: Loads what was found.
        find: Gets what was saved from the registry, so that nothing is left in memory; no part of the sample.
        is_durable: Whether `save` waits until the bytes are on disk; else what it returns is a path, and the samples
            named "durable" are of saving and then waiting.
    """
    samples: Samples = {"save": [], "durable": [], "load": []}
    for number in range(job.samples + 1):
        data = change(secrets.randbelow(10**9) / 7)
        settle()
        taken, saved = seconds(lambda data=data, number=number: save(data, f"object-{number}"))
        samples["save"].append(taken)
        samples["durable"].append(taken if is_durable else taken + seconds(lambda saved=saved: sync(saved))[0])
        found = find(saved)
        settle()
        taken, loaded = seconds(lambda found=found: load(found))
        samples["load"].append(taken)
        if loaded.shape != data.shape:
            raise ValueError(f"saved {data.shape}, loaded {loaded.shape}")
    return {name: values[1:] for name, values in samples.items()}  # the first one imports what is needed


def sync(path: Path) -> None:
    """Wait until the bytes of a file are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def of_folder(job: Job, key: str, suffix: str) -> Path:
    """Return where the floor writes."""
    return job.folder / f"{key}{suffix}"
