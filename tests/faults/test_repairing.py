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
from tests.tools import SEED

__all__ = ["zygote"]


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
    assert place.run(scenario, "act") == 0
    with place.opened() as registry:
        check_readable()
        collect_garbage(registry, grace=timedelta(0), dry_run=False)
        check_readable()
        assert stored(registry) == referred(registry)


@pytest.mark.req("R93", "R267", on="postgres-s3")
@pytest.mark.parametrize("scenario", REPAIRING)
def test_every_step_of_storing_again(scenario: str, zygote: subprocess.Popen[str], tmp_path: Path) -> None:
    place = Place("postgres", "s3", tmp_path, zygote)
    with place.prepared:
        place.reset(scenario)
        assert place.run(scenario, "act") == 0
        steps = place.seen("steps")
        assert sum(step == "PUT answered" for step in steps) >= 2
        for number in chosen(len(steps), 0, stride=1, most=2):
            try:
                check_after_kill(place, scenario, number)
            except BaseException as error:
                step = f"killed at step {number} of {len(steps)}, {steps[number - 1]!r}"
                error.add_note(f"{scenario}: {step}; LAMART_SEED={SEED}")
                raise
