"""Killed at every step of storing again what is not whole: nothing gets worse, and the next one who tries is done."""

from __future__ import annotations

import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from lamart_core.care import Kind, check_registry, collect_garbage
from lamart_core.models import Artifact
from tests.faults.scenarios import REPAIRING
from tests.faults.test_crash_matrix import Place, check_readable, chosen, referred, stored, zygote
from tests.registries import advance
from tests.tools import SEED

__all__ = ["zygote"]


# What is whole of the folder before it is repaired.
_REST = {"part-0/2.txt": "2: 0", "part-1/3.txt": "3: 0"}
SPARED_FILES = {"save a folder again": _REST, "save the next version of a folder": _REST}


# On local disk a version that follows one that is not whole shares nothing with it, and leaves it as it is. In a bucket
# a folder at a real key is put file by file: what a kill leaves of that is somebody's folder, as far as anybody knows.
REPAIRED = [
    *((scenario, "postgres-s3") for scenario in REPAIRING if "real key" not in scenario),
    *((scenario, "sqlite-local") for scenario in REPAIRING if "next version" not in scenario),
]


def check_after_kill(place: Place, scenario: str, number: int) -> None:
    """Kill the verb at one step, look, and try again."""
    place.reset(scenario)
    assert place.run(scenario, "act", stop_at=number, action="kill") == -signal.SIGKILL
    with place.opened() as registry:
        lost = [found for found in check_registry(registry, verify=True).findings if found.kind is not Kind.ORPHANED]
        assert {found.kind for found in lost} <= {Kind.MISSING, Kind.TRUNCATED}
        assert len(lost) <= 2
        versions = Artifact.filter(key="run").order_by("uid").to_list()
        for version in versions[1:]:
            assert version.verify(), "a new version never shares what is not whole"
        if SPARED_FILES.keys() & {scenario}:
            read = {name: (versions[0].path / name).read_text() for name in SPARED_FILES[scenario]}
            assert read == SPARED_FILES[scenario], "what was whole stays"
    assert place.run(scenario, "act") == 0
    with place.opened() as registry:
        check_readable()
        advance(registry)
        collect_garbage(registry, grace=timedelta(0), dry_run=False)
        check_readable()
        assert stored(registry) == referred(registry)


@pytest.mark.req("R93", "R267")
@pytest.mark.parametrize(("scenario", "pair"), REPAIRED)
def test_every_step_of_storing_again(scenario: str, pair: str, zygote: subprocess.Popen[str], tmp_path: Path) -> None:
    place = Place(*pair.split("-"), tmp_path, zygote)
    with place.prepared:
        place.reset(scenario)
        assert place.run(scenario, "act") == 0
        steps = place.seen("steps")
        for number in chosen(len(steps), 0, stride=1, most=2):
            try:
                check_after_kill(place, scenario, number)
            except BaseException as error:
                step = f"killed at step {number} of {len(steps)}, {steps[number - 1]!r}"
                error.add_note(f"{scenario}: {step}; LAMART_SEED={SEED}")
                raise
