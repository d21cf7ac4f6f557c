"""Running a measurement: each turn in a process of its own, the sides in turn."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.model import Job, Measurement, Result, Samples, Sizes
from benchmarks.postgres import databases

_ROOT = Path(__file__).resolve().parent.parent
_UNWANTED = ("LAMART_DB_URL", "LAMART_STORAGE", "LAMIN_CURRENT_INSTANCE", "LAMIN_API_KEY", "PYTHONDONTWRITEBYTECODE")
_LAST_LINES = 12


class TurnFailed(Exception):
    """A worker ended with an error; the message has the end of what it printed."""


@dataclass(frozen=True)
class Setup:
    """How to run measurements.

    Attributes:
        sizes: How much to measure.
        peer_python: Interpreter of the peer's environment; None leaves the peer out.
        rounds: How often the sides take their turns; None takes what each measurement says.
        work_dir: Folder for data and registries; None takes the folder for temporary files.
    """

    sizes: Sizes
    peer_python: Path | None = None
    rounds: int | None = None
    work_dir: Path | None = None


def run(measurement: Measurement, setup: Setup, progress: Callable[[str], None]) -> Result:
    """Run one measurement. A side that fails is reported, and the others go on.

    Args:
        measurement: What to measure.
        setup: How to.
        progress: Told what is being done.
    """
    sides = [side for side in measurement.sides if side != "peer" or setup.peer_python is not None]
    result = Result(measurement)
    root = Path(tempfile.mkdtemp(prefix=f"bench-{measurement.name}-", dir=setup.work_dir)).resolve()
    try:
        with _urls(measurement, sides) as urls:
            jobs = {side: Job(root, root / side, setup.sizes, measurement.samples, urls.get(side)) for side in sides}
            _prepare(measurement, jobs, setup, result, progress)
            rounds = 1 if measurement.rounds == 1 else setup.rounds or measurement.rounds
            for number in range(rounds):
                for side in [side for side in sides if side not in result.failures]:
                    progress(f"{measurement.name}: {side}, round {number + 1} of {rounds}")
                    _attempt(result, side, lambda side=side: _turn(measurement, side, jobs[side], setup) or {})
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return result


@contextmanager
def _urls(measurement: Measurement, sides: list[str]) -> Generator[dict[str, str]]:
    if not measurement.needs_postgres:
        yield {}
        return
    with databases(sides) as urls:
        yield urls


def _prepare(
    measurement: Measurement, jobs: dict[str, Job], setup: Setup, result: Result, progress: Callable[[str], None]
) -> None:
    for job in jobs.values():
        job.folder.mkdir()
    progress(f"{measurement.name}: preparing")
    _call(measurement, "prepare", jobs["ours"], Path(sys.executable))
    for side, job in jobs.items():
        progress(f"{measurement.name}: preparing {side}")

        def prepare(side: str = side, job: Job = job) -> Samples:
            _call(measurement, f"prepare_{side}", job, _python(side, setup))
            return {}

        _attempt(result, side, prepare)


def _attempt(result: Result, side: str, work: Callable[[], Samples]) -> None:
    try:
        result.add(side, work())
    except TurnFailed as error:
        result.failures[side] = str(error)


def _turn(measurement: Measurement, side: str, job: Job, setup: Setup) -> Samples | None:
    return _call(measurement, side, job, _python(side, setup))


def _python(side: str, setup: Setup) -> Path:
    return setup.peer_python if side == "peer" and setup.peer_python is not None else Path(sys.executable)


def _call(measurement: Measurement, function: str, job: Job, python: Path) -> Samples | None:
    answer = job.root / "answer.json"
    answer.unlink(missing_ok=True)
    command = [str(python), "-m", "benchmarks.worker", measurement.module, function, job.to_json(), str(answer)]
    done = subprocess.run(
        command,
        cwd=job.folder,
        env=_environment(job),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode != 0 or not answer.exists():
        end = "\n".join(done.stdout.splitlines()[-_LAST_LINES:])
        raise TurnFailed(f"{measurement.module}.{function} ended with {done.returncode}:\n{end}")
    return json.loads(answer.read_text())


def _environment(job: Job) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    own = {
        "PYTHONPATH": str(_ROOT),
        "LAMART_CACHE_DIR": str(job.folder / "cache"),
        "LAMIN_CACHE_DIR": str(job.folder / "cache"),
        "LAMIN_SETTINGS_DIR": str(job.folder / "settings"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "DAGSTER_HOME": "",
    }
    return {**kept, **own}
