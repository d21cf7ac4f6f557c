"""A process that runs scenarios in children, which are killed or fail at a given step.

Everything is imported before the children are made, so that each of them begins at once.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pyarrow.parquet  # noqa: F401
import s3fs  # noqa: F401
import zarr  # noqa: F401

import lamart_core as ln
from lamart_core.db import set_default_registry
from tests.botocore_models import load_models, share_loaded_models
from tests.faults.flushes import Flushes
from tests.faults.followers import follow
from tests.faults.points import Points
from tests.faults.record_scenarios import SCENARIOS
from tests.faults.scenarios import REPAIRING, Lab
from tests.statements import share_compiled_statements


def run(task: dict[str, Any]) -> None:
    """Run one part of a scenario in this process; write what was seen of it to a file."""
    points = Points(Path(task["folder"]), stop_at=task["stop_at"], action=task["action"])
    points.install()
    registry = ln.connect(task["url"], storage=task["storage"], cache_dir=task["cache_dir"], user="tester")
    lab = Lab(registry, Path(task["sources"]), task["second"])
    scenario = (SCENARIOS | REPAIRING)[task["scenario"]]
    if task["part"] == "prepare":
        scenario.prepare(lab)
        return
    if task["part"] == "follow":
        follow(lab, task["follower"])
        return
    flushes = Flushes([Path(task["storage"]), Path(task["second"])])
    if task["action"] == "flushes":
        flushes.install()
    act = scenario.start(lab)
    points.armed = True
    try:
        act()
    finally:
        points.armed = False
        seen = {"steps": points.names, "recorded": sorted(flushes.recorded), "missing": sorted(flushes.missing)}
        Path(task["sources"], "seen.json").write_text(json.dumps(seen))


def warm_up() -> None:
    """Do once what every child would do for the first time: loading modules and compiling statements takes a moment."""
    with tempfile.TemporaryDirectory() as folder:
        registry = ln.connect(f"sqlite:///{folder}/lab.db", storage=f"{folder}/storage", cache_dir=f"{folder}/cache")
        source = Path(folder, "a.txt")
        for content in "ab":
            source.write_text(content)
            artifact = ln.Artifact(source, key="a.txt").save()
        assert artifact.verify()
        artifact.delete()
        ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="a.parquet").save()
        assert ad.AnnData(obs=pd.DataFrame({"a": [1]}, index=["x"])).copy().n_obs == 1
        registry.close()
        set_default_registry(None)


def main() -> None:
    """For every line, a task: fork a child that runs it; tell its exit code when it has ended."""
    share_compiled_statements()
    share_loaded_models()
    load_models()
    warm_up()
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run(json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
