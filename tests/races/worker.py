"""What each process of the race matrix does: random verbs on a few families, in several threads, with a log."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lamart_core as ln
from lamart_core.db import Registry

KEYS = ("a.txt", "b.txt", "c.txt")
STEADY = "steady.txt"
# What a verb may answer when another writer came first; anything else fails the test.
LOST = (ln.errors.ObjectDoesNotExist, ln.errors.InvalidArgument, ln.errors.IntegrityError)

Log = list[dict[str, Any]]


class Worker:
    """One thread: draws verbs, and writes down what it did, when, and what it was told."""

    def __init__(self, registry: Registry, folder: Path, name: str) -> None:
        self.registry = registry
        self.folder = folder
        self.name = name
        self.random = random.Random(name)
        self.count = 0
        self.log: Log = []
        self.error: BaseException | None = None

    def run(self, rounds: int) -> None:
        """Draw verbs."""
        verbs: list[Callable[[], dict[str, Any]]] = [
            self.save, self.save, self.save, self.save_steady, self.save_steady, self.read_steady, self.read_steady,
            self.replace, self.rename, self.trash, self.restore, self.delete, self.save_on_branch, self.merge,
        ]  # fmt: skip
        try:
            for _ in range(rounds):
                verb = self.random.choice(verbs)
                begin = time.monotonic()
                try:
                    told = verb()
                except LOST as error:
                    told = {"lost": f"{type(error).__name__}: {error}"}
                self.log.append({"verb": verb.__name__, "begin": begin, "end": time.monotonic(), **told})
        except BaseException as error:
            error.add_note(f"{self.name}: {verb.__name__}")
            self.error = error

    def _content(self) -> str:
        self.count += 1
        return f"{self.name} {self.count}"

    def _source(self, content: str) -> Path:
        path = self.folder / f"{content}.txt".replace(" ", "-")
        path.write_text(content)
        return path

    def _any(self, **where: Any) -> ln.Artifact:
        found = ln.Artifact.filter(key__in=KEYS, **where).to_list()
        if not found:
            raise ln.errors.ObjectDoesNotExist("nothing is there")
        return self.random.choice(found)

    def save(self) -> dict[str, Any]:
        content = self._content()
        artifact = ln.Artifact(self._source(content), key=self.random.choice(KEYS)).save()
        return {"id": artifact.id, "content": content}

    def save_steady(self) -> dict[str, Any]:
        content = self._content()
        artifact = ln.Artifact(self._source(content), key=STEADY).save()
        return {"id": artifact.id, "content": content, "uid": artifact.uid}

    def read_steady(self) -> dict[str, Any]:
        artifact = ln.Artifact.get(key=STEADY)
        return {"id": artifact.id, "uid": artifact.uid, "content": artifact.load()}

    def replace(self) -> dict[str, Any]:
        artifact = self._any(is_latest=True)
        content = self._content()
        artifact.replace(self._source(content))
        artifact.save()
        return {"id": artifact.id, "content": content}

    def rename(self) -> dict[str, Any]:
        artifact = self._any(is_latest=True)
        artifact.key = self.random.choice(KEYS)
        artifact.save()
        return {"id": artifact.id}

    def trash(self) -> dict[str, Any]:
        artifact = self._any(is_latest=True)
        artifact.delete(permanent=False)
        return {"id": artifact.id}

    def restore(self) -> dict[str, Any]:
        artifact = self._any(branch_id=-1)
        artifact.restore()
        return {"id": artifact.id}

    def delete(self) -> dict[str, Any]:
        artifact = self._any(is_latest=False)
        artifact.delete(permanent=True)
        return {"id": artifact.id}

    def save_on_branch(self) -> dict[str, Any]:
        content = self._content()
        branch = ln.Branch.get(name="dev")
        artifact = ln.Artifact(self._source(content), key=self.random.choice(KEYS), branch=branch).save()
        return {"id": artifact.id, "content": content}

    def merge(self) -> dict[str, Any]:
        ln.Branch.get(name="dev").merge()
        return {}


def work(registry: Registry, folder: Path, number: int, *, threads: int, rounds: int) -> Log:
    """Run the threads of a process; return what they did, in the order of the ends."""
    workers = [Worker(registry, folder, f"{number}-{thread}") for thread in range(threads)]
    running = [threading.Thread(target=worker.run, args=(rounds,)) for worker in workers]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    return sorted((entry for worker in workers for entry in worker.log), key=lambda entry: entry["end"])
