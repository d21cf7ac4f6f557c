"""Starting the processes of the storm, killing them, and starting others in their place."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.logging import logger
from lamart_core.testing.storm import check
from lamart_core.testing.storm.log import Log, read_calls
from lamart_core.testing.storm.worker import BRANCH, CARE, VERBS, Worker, risk_steps

_SAVERS = [name for name in VERBS if name not in CARE]


@dataclass(frozen=True)
class Outcome:
    """What came of a storm.

    Attributes:
        faults: What does not hold, in sentences.
        kills: How many processes were killed.
        done: How many calls of each verb returned.
        lost: How many calls of each verb were told that others came first.
        killed: How many calls of each verb were killed.
    """

    faults: tuple[str, ...]
    kills: int
    done: Mapping[str, int]
    lost: Mapping[str, int]
    killed: Mapping[str, int]

    def __str__(self) -> str:
        total = sum(self.done.values()) + sum(self.lost.values())
        lines = [f"{total:,} calls, {self.kills:,} kills, {len(self.faults):,} faults"]
        for name in VERBS:
            counts = self.done.get(name, 0), self.lost.get(name, 0), self.killed.get(name, 0)
            lines.append("  {:28}{:7,} done {:7,} refused {:7,} killed".format(name, *counts))
        return "\n".join([*lines, *self.faults])


@dataclass
class Storm:
    """A storm on an empty database and empty storages.

    Attributes:
        url: URL of the database.
        storage: Root of the default storage location.
        second: Root of a second one.
        folder: An empty folder for sources, caches and logs.
        seed: Decides which verbs are drawn and when who is killed; not how the processes meet.
        savers: How many processes save, change and delete.
        carers: How many collect garbage and repair.
        risk: How likely a process is killed before each step at which it changes a file or a row.
    """

    url: str
    storage: str
    second: str
    folder: Path
    seed: int
    savers: int = 4
    carers: int = 1
    risk: float = 0.002
    _running: dict[int, int] = field(default_factory=dict[int, int])
    _begun: int = 0

    def run(self, seconds: float, *, rest: float = 0.4) -> Outcome:
        """Let it blow, then check what is left.

        Args:
            seconds: For how long.
            rest: Mean time between two kills in seconds.
        """
        self._logs.mkdir(parents=True)
        chance, faults, kills = random.Random(self.seed), list[str](), 0
        self._in_child(self._prepare)
        deadline = time.monotonic() + seconds
        try:
            for place in range(self.savers + self.carers):
                self._start(place)
            while time.monotonic() < deadline and not faults:
                kills += self._replace_dead(chance.uniform(0, 2 * rest), faults)
                victim = chance.choice(sorted(self._running, key=self._running.__getitem__))
                os.kill(victim, signal.SIGKILL)
                kills += self._reap(victim, faults)
                self._start(self._running.pop(victim))
        finally:
            for victim in self._running:
                os.kill(victim, signal.SIGKILL)
                self._reap(victim, faults)
        return self._outcome(faults, kills)

    @property
    def _logs(self) -> Path:
        return self.folder / "logs"

    def _prepare(self) -> None:
        registry = self._open()
        registry.Storage(root=self.second).save()
        registry.Branch(name=BRANCH).save()

    def _open(self) -> Registry:
        registry = ln.connect(self.url, storage=self.storage, cache_dir=self.folder / "cache", user="storm")
        registry.settings.progress = False
        return registry

    # ------------------------------------------------------------------ processes

    def _start(self, place: int) -> None:
        """Start the next process of a place."""
        self._begun += 1
        name = f"{self._begun}-{place}"
        pid = os.fork()
        if pid == 0:
            self._become(lambda: self._work(name, place), name)
        self._running[pid] = place

    def _work(self, name: str, place: int) -> None:
        log = Log(self._logs / f"{name}.jsonl")
        seed = f"{self.seed}-{name}"
        worker = Worker(self._open(), self.folder / "sources", name, seed, log)
        risk_steps(self.risk, seed)
        worker.run(_SAVERS if place < self.savers else CARE)

    def _become(self, work: Any, name: str) -> NoReturn:
        """In a child: work, and end without what the parent would do at its end."""
        code = 1
        try:
            logger.setLevel("ERROR")
            work()
            code = 0
        except BaseException:
            (self.folder / f"{name}.error").write_text(traceback.format_exc())
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _in_child(self, work: Any) -> None:
        """Work in a process of its own: this one never opens a connection, which its children would inherit."""
        pid = os.fork()
        if pid == 0:
            self._become(work, "prepare")
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise RuntimeError((self.folder / "prepare.error").read_text())

    def _replace_dead(self, seconds: float, faults: list[str]) -> int:
        """Start others in the place of processes that were killed at a step, for some seconds; return how many."""
        kills, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for pid in list(self._running):
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                    kills += self._reap(pid, faults)
                    self._start(self._running.pop(pid))
            time.sleep(0.01)
        return kills

    def _reap(self, pid: int, faults: list[str]) -> bool:
        """Wait until a process has ended; return whether it was killed. One that ended by itself is a fault."""
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != -signal.SIGKILL:
            told = [path.read_text() for path in sorted(self.folder.glob("*.error"))]
            faults.append("\n".join(["a process ended by itself:", *told]))
        return code == -signal.SIGKILL

    # ------------------------------------------------------------------ afterwards

    def _outcome(self, faults: list[str], kills: int) -> Outcome:
        calls = list(read_calls(self._logs))
        registry = self._open()
        try:
            logger.setLevel("ERROR")
            found = list(check.check(registry, calls, self.folder))
        finally:
            registry.close()
        return Outcome(
            (*faults, *dict.fromkeys(found)),
            kills,
            done=Counter(call.verb for call in calls if call.end is not None and not call.error),
            lost=Counter(call.verb for call in calls if call.error),
            killed=Counter(call.verb for call in calls if call.end is None),
        )
