"""Killed with SIGKILL at random moments of a save: what queries show is whole, and the rest can be removed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.care import collect_garbage
from lamart_core.db import Registry
from tests.faults.zygote import content, prepare, save
from tests.registries import contents

KILLS = 20


class Saver:
    """Lets a child of the zygote save, and kills it."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        arguments = {
            "url": registry.url.render_as_string(hide_password=False),
            "storage": registry.options["storage"],
            "cache_dir": registry.options["cache_dir"],
            "folder": str(folder),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote", json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def run(self, kind: str, number: int, *, kill_after: float | None) -> int:
        """Save in a child, killing it after some seconds; return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind} {number}\n")
        self.process.stdin.flush()
        child = int(self._answer())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return int(self._answer())

    def close(self) -> None:
        """End the zygote."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def saver(registry: Registry, tmp_path: Path) -> Generator[Saver, None, None]:
    saver = Saver(registry, tmp_path)
    yield saver
    saver.close()


def check_all_whole() -> None:
    for artifact in ln.Artifact.filter(branch=None, _overwrite_versions=False):
        assert artifact.verify()
    for artifact in ln.Artifact.filter(is_latest=True):
        assert artifact.verify()


def check_content(artifact: ln.Artifact, kind: str, number: int) -> None:
    expected = content(kind, number)
    if kind == "table":
        assert artifact.load().equals(expected)
    elif kind == "file":
        assert artifact.cache().read_bytes() == expected
    else:
        found = {path.relative_to(artifact.path).as_posix(): path.read_bytes() for path in artifact.path.rglob("*.bin")}
        assert found == expected


@pytest.mark.req("R267", "R47", "R93")
@pytest.mark.parametrize("kind", ["file", "folder", "table"])
def test_killed_saves(kind: str, registry: Registry, saver: Saver, tmp_path: Path) -> None:
    durations: list[float] = []
    for number in (1000, 1001, 1002):
        begin = time.monotonic()
        assert saver.run(kind, number, kill_after=None) == 0
        durations.append(time.monotonic() - begin)
    whole = min(durations)
    moments = random.Random(kind)
    killed: list[int] = []
    for number in range(10 * KILLS):
        if len(killed) == KILLS:
            break
        # Stratified over the whole time that a save takes, as far as it is known: the machine may be busy or not.
        begin = time.monotonic()
        code = saver.run(kind, number, kill_after=whole * (len(killed) + moments.random()) / KILLS)
        if code == -signal.SIGKILL:
            killed.append(number)
        else:
            assert code == 0
            whole = min(whole, time.monotonic() - begin)
        heads = ln.Artifact.filter(key__startswith=f"{kind}/", is_latest=True).to_list()
        assert len({item.key for item in heads}) == len(heads)
        if number % 5 == 4:
            check_all_whole()
    assert len(killed) == KILLS
    check_all_whole()

    # Saving again works, whatever the killed one left.
    for number in killed[-4:]:
        artifact = save(kind, number, prepare(kind, number, tmp_path))
        check_content(ln.Artifact.get(artifact.uid), kind, number)

    # Garbage collection removes what no record refers to, and nothing else.
    collect_garbage(registry, grace=timedelta(0), dry_run=False)
    check_all_whole()
    referred = {item.object.path for item in ln.Artifact.filter(branch=None)}
    stored = {"/".join(name.split("/")[:2]) for name in contents(registry).files}
    assert stored == referred
    assert collect_garbage(registry, grace=timedelta(0)) == []
