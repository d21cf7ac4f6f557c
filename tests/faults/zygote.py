"""A process that saves in children which are killed: they begin at once, because everything is imported already."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet  # noqa: F401  # imported before the children are made

import lamart_core as ln


def content(kind: str, number: int) -> Any:
    """Return the content that a number stands for."""
    generator = np.random.default_rng(number)
    if kind == "file":
        return generator.bytes(2_000_000)
    if kind == "folder":
        return {f"part-{part}/{part}.bin": generator.bytes(50_000) for part in range(12)}
    return pd.DataFrame({name: generator.random(20_000) for name in "abcd"})


def prepare(kind: str, number: int, folder: Path) -> Any:
    """Return what the constructor takes."""
    made = content(kind, number)
    if kind == "file":
        path = folder / f"{number}.bin"
        path.write_bytes(made)
        return path
    if kind == "folder":
        for name, data in made.items():
            (folder / f"{number}" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}" / name).write_bytes(data)
        return folder / f"{number}"
    return made


def save(kind: str, number: int, source: Any) -> ln.Artifact:
    """Save the content under one of two keys, so that some saves are new versions."""
    key = f"{kind}/{number % 2}"
    if kind == "table":
        return ln.Artifact.from_dataframe(source, key=f"{key}.parquet").save()
    if kind == "file":
        return ln.Artifact(source, key=f"{key}.bin").save()
    return ln.Artifact(source, key=key, overwrite_versions=number % 3 == 0).save()


def main() -> None:
    """For every line `kind number`: fork a child that saves; tell its pid and, when it ended, whether it was done."""
    arguments = json.loads(sys.argv[1])
    ln.connect(arguments["url"], storage=arguments["storage"], cache_dir=arguments["cache_dir"])
    folder = Path(arguments["folder"])
    print("ready", flush=True)
    for line in sys.stdin:
        kind, number = line.split()
        source = prepare(kind, int(number), folder)
        child = os.fork()
        if child == 0:
            try:
                save(kind, int(number), source)
                os._exit(0)
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
