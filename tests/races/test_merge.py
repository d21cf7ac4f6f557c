"""A branch that is merged between the look of a save at its family and the writing of its row."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamart_core as ln
from tests.registries import fresh_registry, write
from tests.seams import at_write


@pytest.mark.req("R47", "R287", on="postgres-local")
def test_a_version_that_was_merged_meanwhile_stays_the_latest_there(tmp_path: Path) -> None:
    # On Postgres, where a transaction sees what others commit while it runs; SQLite has one writer at a time.
    with fresh_registry("postgres", tmp_path / "lab") as registry:
        branch = registry.Branch(name="dev").save()
        ln.Artifact(write(tmp_path / "a.txt", "0"), key="a.txt").save()
        ln.Artifact(write(tmp_path / "a.txt", "1"), key="a.txt", branch=branch).save()
        waiting = ln.Artifact(write(tmp_path / "a.txt", "2"), key="a.txt", branch=branch)
        merged: list[int] = []
        with at_write("lamart_artifact", before=lambda: merged.append(branch.merge())):
            waiting.save()
        assert merged == [1]
        places = {item.load(): (item.branch_id, item.is_latest) for item in ln.Artifact.filter(branch=None)}
        assert places == {"0": (1, False), "1": (1, True), "2": (branch.id, True)}
