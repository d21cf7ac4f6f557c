"""A short storm; `make storm` lets it blow for longer, on each database and each storage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.testing.storm.check import check
from lamart_core.testing.storm.log import Call, fingerprint, fingerprint_of
from lamart_core.testing.storm.worker import CALLS
from tests.faults.test_verbs import KILLED, public_verbs
from tests.registries import write
from tests.tools import SEED

# Verbs that the storm leaves out, and why.
SPARED = {
    "Artifact.open": "ends in `Artifact.save`, as `Artifact.replace` does",
    "ArtifactBlock.save": "a row that nothing else refers to",
    "Storage.save": "is done before: the places of a storm stay",
    "ln.finish": "a run that nothing else refers to",
    "ln.flow": "the same",
    "ln.track": "the same",
}


@pytest.mark.req("R267", "R311", "R312")
@pytest.mark.parametrize("pair", ["sqlite-local", "postgres-s3"])
def test_a_short_storm(pair: str, tmp_path: Path) -> None:
    # In a process of its own: its children are forked, and pytest has threads.
    command = [sys.executable, "-m", "tests.storm", "--on", pair, "--seconds", "4", "--seed", str(SEED)]
    ended = subprocess.run([*command, "--savers", "3"], capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 kills" not in ended.stdout


def test_the_storm_has_all_verbs() -> None:
    called = {verb for verbs in CALLS.values() for verb in verbs}
    assert called <= set(public_verbs())
    assert KILLED.keys() - called == SPARED.keys()


def test_the_storm_finds_what_is_lost(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact(write(tmp_path / "a.txt", "saved"), key="a.txt", run=False).save()
    content = fingerprint_of(tmp_path / "a.txt")
    told = {"uid": artifact.uid, "hash": artifact.hash, "content": content}
    calls = [Call("save_file", 1.0, 2.0, told=(told,))]
    assert list(check(sqlite_registry, calls, write(tmp_path / "1/x", "").parent)) == []
    other = {"uid": artifact.uid, "hash": artifact.hash, "content": fingerprint({"": b"other"})}
    (found,) = set(
        check(sqlite_registry, [Call("save_file", 1.0, 2.0, told=(other,))], write(tmp_path / "2/x", "").parent)
    )
    assert "other bytes" in found
    artifact.delete(permanent=True)
    (found,) = set(check(sqlite_registry, calls, write(tmp_path / "3/x", "").parent))
    assert "nobody deleted it" in found
    calls.append(Call("delete", 3.0, 4.0, {"deletes": [artifact.uid]}))
    assert list(check(sqlite_registry, calls, write(tmp_path / "4/x", "").parent)) == []
