"""What the processes of the storm do: random verbs on few families, until they are killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

import lamart_core as ln
from lamart_core.care import check_registry, collect_garbage
from lamart_core.db import Registry
from lamart_core.testing.storm.log import Log, fingerprint_of

# What a verb may answer when others came first; anything else is a fault.
LOST = (
    ln.errors.ObjectDoesNotExist,
    ln.errors.InvalidArgument,
    ln.errors.IntegrityError,
    ln.errors.ObjectExists,
    ln.errors.DatabaseBusy,
)
SECOND = "second"
BRANCH = "dev"
FILES = ("v/a.txt", "v/b.txt", "v/c.txt")
REAL_FILES = ("r/a.txt", "r/b.txt", "r/c.txt")
KEPT_FOLDERS = ("kept/a", "kept/b")
OVERWRITTEN_FOLDERS = ("over/a", "over/b")
REAL_FOLDERS = ("real/a",)
KEYS = (*FILES, *REAL_FILES, *KEPT_FOLDERS, *OVERWRITTEN_FOLDERS, *REAL_FOLDERS)
_STEPS = ("os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir")
_WRITES = ("INSERT", "UPDATE", "DELETE")
_SHARED = 6  # contents that everybody saves

Verb = Callable[["Worker"], list[ln.Artifact]]
VERBS: dict[str, Verb] = {}
# How often each verb is drawn, and which public verbs it calls.
WEIGHTS: dict[str, int] = {}
CALLS: dict[str, tuple[str, ...]] = {}


def verb(*calls: str, weight: int = 1) -> Callable[[Verb], Verb]:
    """Register a verb of the storm under the name of its function."""

    def register(function: Verb) -> Verb:
        name = function.__name__
        VERBS[name], WEIGHTS[name], CALLS[name] = function, weight, calls
        return function

    return register


def risk_steps(chance: float, seed: str) -> None:
    """Let this process be killed by chance before each step at which it changes a file or a row.

    A kill after some seconds seldom meets the moments between two steps; these are what crashes are about.
    """
    random_ = random.Random(f"{seed} steps")

    def step(*_: Any) -> None:
        if random_.random() < chance:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(lambda name, _: step() if name in _STEPS else None)
    event.listen(Engine, "commit", step)
    event.listen(Engine, "before_cursor_execute", lambda *args: step() if args[2].startswith(_WRITES) else None)


class Worker:
    """A process of the storm.

    Args:
        registry: The registry.
        folder: Where it may write its sources.
        name: Tells it from all others, also from those that were killed before.
        seed: Decides what it does.
        log: Where it says so.
    """

    def __init__(self, registry: Registry, folder: Path, name: str, seed: str, log: Log) -> None:
        self.registry = registry
        self.random = random.Random(seed)
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self._name = name
        self._log = log
        self._number = count()
        self._contents: dict[int, str] = {}

    def run(self, verbs: list[str], rounds: int | None = None) -> None:
        """Draw verbs, so many or until it is killed."""
        weights = [WEIGHTS[name] for name in verbs]
        for _ in count() if rounds is None else range(rounds):
            name = self.random.choices(verbs, weights)[0]
            self._log.write(verb=name)
            try:
                told = VERBS[name](self)
            except (*LOST, ln.errors.BulkSaveError, ln.errors.BulkDeleteError) as error:
                if not isinstance(error, LOST) and not isinstance(error.__cause__, LOST):
                    raise
                self._log.write(error=f"{type(error).__name__}: {error}")
            else:
                self._log.write(told=[self._returned(item) for item in told])

    def plan(self, **plan: Any) -> None:
        """Say what a verb is going to do, before it does."""
        self._log.write(plan=plan)

    def _returned(self, item: ln.Artifact) -> dict[str, Any]:
        return {"uid": item.uid, "hash": item.hash, "content": self._contents.pop(id(item), None)}

    # ------------------------------------------------------------------ contents

    def saved(self, item: ln.Artifact, content: str) -> ln.Artifact:
        """Note the content of an artifact that a verb is going to return."""
        self._contents[id(item)] = content
        return item

    def artifact(self, key: str, **fields: Any) -> ln.Artifact:
        """Make an artifact of new content for a key."""
        options: dict[str, Any] = {"key": key, "run": False, **fields}
        if key in (*REAL_FILES, *REAL_FOLDERS):
            options["key_is_virtual"] = False
        if key in (*KEPT_FOLDERS, *REAL_FOLDERS):
            options["overwrite_versions"] = False
        source = self.source(is_folder="." not in key)
        return self.saved(ln.Artifact(source, **options), fingerprint_of(source))

    def source(self, *, is_folder: bool) -> Path:
        """Write a file or a folder; some contents are everybody's, others nobody else's."""
        number = next(self._number)
        path = self._folder / (f"{number}" if is_folder else f"{number}.txt")
        if not is_folder:
            path.write_text(self._text())
            return path
        for part in range(self.random.randint(1, 4)):
            file = path / f"part-{part % 2}" / f"{part}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._text())
        return path

    def _text(self) -> str:
        if self.random.random() < 0.3:
            return f"shared {self.random.randrange(_SHARED)}"
        return f"{self._name} {next(self._number)}" + " " * self.random.randrange(3)

    def any(self, **where: Any) -> ln.Artifact:
        """Return any artifact."""
        found = ln.Artifact.filter(key__in=KEYS, **where).to_list()
        if not found:
            raise ln.errors.ObjectDoesNotExist("nothing is there")
        return self.random.choice(found)

    def save(self, *keys: str, **fields: Any) -> list[ln.Artifact]:
        """Save new content under one of some keys."""
        return [self.artifact(self.random.choice(keys), **fields).save()]


# ---------------------------------------------------------------------- saving


@verb("Artifact.save", weight=4)
def save_file(worker: Worker) -> list[ln.Artifact]:
    """Save a file under a key that is a name."""
    return worker.save(*FILES)


@verb("Artifact.save", weight=5)
def save_at_real_key(worker: Worker) -> list[ln.Artifact]:
    """Save a file where its key says."""
    return worker.save(*REAL_FILES)


@verb("Artifact.save", weight=4)
def save_folder(worker: Worker) -> list[ln.Artifact]:
    """Save a version of a folder, kept or overwritten."""
    return worker.save(*KEPT_FOLDERS, *OVERWRITTEN_FOLDERS)


@verb("Artifact.save", weight=2)
def save_folder_at_real_key(worker: Worker) -> list[ln.Artifact]:
    """Save a version of a folder where its key says."""
    return worker.save(*REAL_FOLDERS)


@verb("Artifact.save", weight=2)
def save_shared_content(worker: Worker) -> list[ln.Artifact]:
    """Save content without a look whether it is known."""
    return worker.save(*FILES, *KEPT_FOLDERS, skip_hash_lookup=True)


@verb("Artifact.save")
def save_on_a_branch(worker: Worker) -> list[ln.Artifact]:
    """Save a version on another branch."""
    return worker.save(*FILES, *REAL_FILES, branch=ln.Branch.get(name=BRANCH))


@verb("ln.save", "SQLRecordList.save")
def save_many(worker: Worker) -> list[ln.Artifact]:
    """Save several artifacts as a whole."""
    return list(
        ln.save([worker.artifact(key) for key in worker.random.sample([*FILES, *REAL_FILES, *KEPT_FOLDERS], 3)])
    )


@verb("ArtifactConstructors.from_dir")
def save_a_folder_of_files(worker: Worker) -> list[ln.Artifact]:
    """Save an artifact for each file of a folder."""
    folder = worker.source(is_folder=True)
    shutil.rmtree(folder / "part-1", ignore_errors=True)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    made = ln.Artifact.from_dir(folder, key="many", run=False)
    assert len(made) == len(files)
    made.save()
    return [worker.saved(item, fingerprint_of(path)) for item, path in zip(made, files, strict=True)]


@verb("ArtifactConstructors.from_lazy", "LazyArtifact.save")
def save_lazily(worker: Worker) -> list[ln.Artifact]:
    """Write to a path in the storage, and save it."""
    lazy = ln.Artifact.from_lazy(".txt", False, key=worker.random.choice(FILES), run=False)
    source = worker.source(is_folder=False)
    lazy.path.write_text(source.read_text())
    return [worker.saved(lazy.save(), fingerprint_of(source))]


@verb("Artifact.replace", weight=2)
def replace(worker: Worker) -> list[ln.Artifact]:
    """Give a version other content."""
    artifact = worker.any(is_latest=True)
    source = worker.source(is_folder=artifact.n_files is not None)
    worker.plan(replaces=artifact.uid, content=fingerprint_of(source))
    artifact.replace(source)
    artifact.save()
    return []


# ---------------------------------------------------------------------- moving, deleting


@verb("Artifact.save", weight=2)
def rename(worker: Worker) -> list[ln.Artifact]:
    """Give a family another key."""
    artifact = worker.any(is_latest=True)
    alike = [keys for keys in (FILES, REAL_FILES, KEPT_FOLDERS, OVERWRITTEN_FOLDERS) if artifact.key in keys]
    artifact.key = worker.random.choice(alike[0] if alike else REAL_FOLDERS)
    artifact.save()
    return []


@verb("Artifact.save")
def move(worker: Worker) -> list[ln.Artifact]:
    """Move a family to another storage location."""
    artifact = worker.any(is_latest=True)
    artifact.storage = worker.random.choice(ln.Storage.filter().to_list())
    artifact.save()
    return []


@verb("Artifact.delete")
def trash(worker: Worker) -> list[ln.Artifact]:
    """Put a version into the trash."""
    worker.any(is_latest=True).delete(permanent=False)
    return []


@verb("HasScope.restore", weight=2)
def restore(worker: Worker) -> list[ln.Artifact]:
    """Bring one back from there."""
    worker.any(branch_id=-1).restore()
    return []


@verb("HasScope.archive")
def archive(worker: Worker) -> list[ln.Artifact]:
    """Archive a version."""
    worker.any(is_latest=True).archive()
    return []


@verb("Artifact.delete", weight=2)
def delete(worker: Worker) -> list[ln.Artifact]:
    """Delete a version for good, and its bytes."""
    artifact = worker.any()
    along = ln.Artifact.filter(uid__startswith=artifact.stem_uid, branch=None).to_list("uid")
    worker.plan(deletes=along if artifact.overwrite_versions else [artifact.uid])
    artifact.delete(permanent=True, storage=True)
    return []


@verb("QuerySet.delete")
def delete_what_a_query_finds(worker: Worker) -> list[ln.Artifact]:
    """Delete the older versions of a key."""
    key = worker.random.choice(FILES)
    found = ln.Artifact.filter(key=key, is_latest=False)
    uids = found.to_list("uid")
    worker.plan(deletes=uids)
    ln.Artifact.filter(uid__in=uids, branch=None).delete(permanent=True)
    return []


@verb("Branch.merge")
def merge(worker: Worker) -> list[ln.Artifact]:
    """Merge the branch."""
    ln.Branch.get(name=BRANCH).merge()
    return []


# ---------------------------------------------------------------------- what is said of artifacts


@verb("SQLRecord.save", "QuerySet.update")
def describe(worker: Worker) -> list[ln.Artifact]:
    """Change what is said of artifacts."""
    artifact = worker.any()
    artifact.description = f"described {worker.random.random()}"
    artifact.save()
    ln.Artifact.filter(key=artifact.key).update(description="described together")
    return []


@verb("RelatedManager.add", "RelatedManager.remove", "RelatedManager.set", "RelatedManager.clear", "SQLRecord.delete")
def label(worker: Worker) -> list[ln.Artifact]:
    """Change the labels of an artifact, or delete one."""
    artifact, label = worker.any(), ln.ULabel(name=f"label {worker.random.randrange(3)}").save()
    worker.random.choice(
        [
            lambda: artifact.ulabels.add(label),
            lambda: artifact.ulabels.remove(label),
            lambda: artifact.ulabels.set([label]),
            artifact.ulabels.clear,
            lambda: label.delete(permanent=True),
        ]
    )()
    return []


@verb("Collection.save", "Collection.append")
def collect(worker: Worker) -> list[ln.Artifact]:
    """Save, extend or delete a collection."""
    kept = ln.Collection.filter(key="all").to_list()
    if not kept:
        ln.Collection([worker.any(), worker.any()], key="all").save()
    elif worker.random.random() < 0.6:
        kept[0].append(worker.any()).save()
    else:
        kept[-1].delete(permanent=True)
    return []


# ---------------------------------------------------------------------- care


@verb("care.collect_garbage")
def collect_what_is_left(worker: Worker) -> list[ln.Artifact]:
    """Collect garbage, some of it of any age."""
    collect_garbage(worker.registry, grace=worker.random.choice([timedelta(0), timedelta(hours=24)]), dry_run=False)
    return []


@verb("care.check_registry")
def repair(worker: Worker) -> list[ln.Artifact]:
    """Check and repair."""
    check_registry(worker.registry, repair=True, verify=worker.random.random() < 0.5)
    return []


CARE = ["collect_what_is_left", "repair"]
