"""Killed, or failing, at every step of every verb: what is there afterwards is the old state or the new one.

The steps are those that the verbs are seen to take (see `points`). All of them are tried by `make test-all`, otherwise
some of each verb: others for each way to fail, and others every day (`LAMART_SEED` chooses the same ones again).
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core.care import check_registry, collect_garbage
from lamart_core.db import Registry, set_default_registry
from lamart_core.models import Artifact, ArtifactBlock
from lamart_core.places.publish import finish_publication, publish_pending
from lamart_core.storage import Local
from tests.databases import fresh_database
from tests.faults.followers import FOLLOWERS, save_next
from tests.faults.record_scenarios import SCENARIOS
from tests.faults.scenarios import Lab
from tests.registries import advance, create_tables
from tests.storage.s3_server import credentials, shared_server
from tests.tools import FULL, SEED


def chosen(n_steps: int, turn: int, *, stride: int, most: int) -> range:
    """Return the numbers of the steps that are tried: all, or about `most` of them, `stride` or more apart.

    Args:
        n_steps: How many steps the verb takes.
        turn: Whoever has another one tries other steps.
        stride: Smallest distance of two steps.
        most: Verbs of many steps are not tried much more often than this.
    """
    stride = 1 if FULL else min(max(stride, n_steps // most), n_steps)
    return range(1 + (SEED + turn) % stride, n_steps + 1, stride)


@dataclass
class Place:
    """Where a scenario runs: a database and storage that can be made anew as they were before the verb."""

    backend: str
    storage: str
    folder: Path
    zygote: subprocess.Popen[str]
    prepared: ExitStack = field(default_factory=ExitStack)
    url: str = ""
    root: str = ""
    second: str = ""

    def reset(self, scenario: str) -> None:
        """Make the state before the verb."""
        self.prepared.close()
        lab, kept = self.folder / "lab", self.folder / "kept"
        shutil.rmtree(lab, ignore_errors=True)
        if kept.exists():
            # With the links between files, which are a part of the state.
            subprocess.run(["cp", "-a", str(kept), str(lab)], check=True)
            return
        lab.mkdir()
        self.url = self.prepared.enter_context(fresh_database(self.backend, lab, prepare=create_tables))
        self.root = shared_server().new_root() if self.storage == "s3" else str(lab / "storage")
        self.second = shared_server().new_root() if self.storage == "s3" else str(lab / "second")
        assert self.run(scenario, "prepare") == 0
        if (self.backend, self.storage) == ("sqlite", "local"):
            subprocess.run(["cp", "-a", str(lab), str(kept)], check=True)

    def run(
        self, scenario: str, part: str, *, stop_at: int = 0, action: str = "count", follower: str | None = None
    ) -> int:
        """Run a part of a scenario, or what follows it, in a child; return its exit code."""
        lab = self.folder / "lab"
        (lab / "sources").mkdir(exist_ok=True)
        task = {
            "scenario": scenario,
            "part": part,
            "url": self.url,
            "storage": self.root,
            "second": self.second,
            "cache_dir": str(lab / "cache"),
            "folder": str(lab),
            "sources": str(lab / "sources"),
            "stop_at": stop_at,
            "action": action,
            "follower": follower,
        }
        assert self.zygote.stdin is not None
        assert self.zygote.stdout is not None
        self.zygote.stdin.write(json.dumps(task) + "\n")
        self.zygote.stdin.flush()
        return int(self.zygote.stdout.readline())

    def seen(self, what: str) -> list[str]:
        """Return what was seen of the verb that ran last: its `steps`, or what was flushed (see `flushes`)."""
        return json.loads((self.folder / "lab/sources/seen.json").read_text())[what]

    @contextmanager
    def opened(self) -> Generator[Registry, None, None]:
        """Open the registry in this process."""
        registry = ln.connect(self.url, storage=self.root, cache_dir=self.folder / "lab/cache", user="tester")
        try:
            yield registry
        finally:
            registry.close()
            set_default_registry(None)


@pytest.fixture(scope="module")
def zygote() -> Generator[subprocess.Popen[str], None, None]:
    """The process that makes the children."""
    with credentials():
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.crasher"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
        process.kill()
        process.wait()


def state(registry: Registry) -> list[tuple[Any, ...]]:
    """Return what queries see, without what is random."""
    rows: list[tuple[Any, ...]] = [
        (
            "artifact", item.key, item.uid[-4:], item.branch_id, item.is_latest, item.hash, item.size, item.n_files,
            item.suffix, item.otype, item.description, item.storage_id == registry.storage_id,
        )
        for item in Artifact.filter(branch=None)
    ]  # fmt: skip
    rows += [
        ("collection", item.key, item.uid[-4:], item.branch_id, item.is_latest, item.hash, item.artifacts.count())
        for item in registry.Collection.filter(branch=None)
    ]
    rows += [
        ("label", item.name, item.branch_id, tuple(item.artifacts.order_by("key").to_list("key")))
        for item in registry.ULabel.filter(branch=None)
    ]
    rows += [
        ("block", item.artifact.key, item.uid[-4:], item.content, item.is_latest) for item in ArtifactBlock.filter()
    ]
    # The transform of a transfer is named after the other registry.
    rows += [("transform", item.key.partition("__/")[0], item.uid[-4:]) for item in registry.Transform.filter()]
    # What a process that was killed has begun is no run that counts.
    rows += [("run", item.name) for item in registry.Run.filter() if item.status == "completed"]
    rows += [("storage", Path(item.root.partition("?")[0]).name) for item in registry.Storage.filter()]
    rows += [("branch", item.name, item.status) for item in registry.Branch.filter()]
    return sorted(rows, key=repr)


def check_readable() -> None:
    """Every version that is not overwritten has its bytes."""
    for item in Artifact.filter(branch=None):
        if item.is_latest or not item.overwrite_versions:
            assert item.verify()


def stored(registry: Registry) -> set[str]:
    """Return the objects in the version store of the default storage, and what lies at real keys."""
    backend = registry.Storage.get(registry.storage_id).backend
    if isinstance(backend, Local):
        root = Path(backend.root)
        names = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    else:
        prefix = backend.stored_name() + "/"
        names = [str(name).removeprefix(prefix) for name in backend.fs.find(backend.url())]
    folders = registry.StoredObject.filter(storage_id=registry.storage_id, is_managed=False, n_files__isnull=False)
    real = folders.to_list("path")
    found: set[str] = set()
    for name in names:
        if name.startswith(".lamart/"):
            found.add("/".join(name.split("/")[:2]))
        else:
            found.add(next((path for path in real if name.startswith(path + "/")), name))
    return found - {".lamart/storage_uid.txt"}


def referred(registry: Registry) -> set[str]:
    """Return the paths that rows refer to in the default storage."""
    objects = registry.StoredObject.filter(storage_id=registry.storage_id, is_content_addressed=False)
    return set(objects.to_list("path"))


def check_afterwards(place: Place, scenario: str, old: Any, new: Any) -> str:
    """Check one crash; return which state it left."""
    with place.opened() as registry:
        found = state(registry)
        assert found in (old, new)
        check_readable()
    if found != new or old == new:
        assert place.run(scenario, "act") == 0, "the verb cannot be repeated"
    with place.opened() as registry:
        assert state(registry) == new
        check_readable()
        for pending in publish_pending(registry):
            finish_publication(registry, pending)
        assert publish_pending(registry) == []
        advance(registry)  # so that what the crash has left is not the newest
        collect_garbage(registry, grace=timedelta(0), dry_run=False)
        check_readable()
        assert stored(registry) == referred(registry)
        assert check_registry(registry, grace=timedelta(0)).findings == ()
    return "new" if found == new else "old"


# Verbs that write rows and touch no bytes: on Postgres they are tried without a bucket, but for the full product.
RECORDS_ONLY = {
    "merge a branch",
    "save a branch",
    "archive the latest version",
    "restore a label",
    "save a collection",
    "append to a collection",
    "delete a collection for good",
    "save a block",
    "save a label",
    "save many labels",
    "delete a label for good",
    "add labels",
    "remove labels",
    "set labels",
    "clear labels",
    "update what a query finds",
    "track a run",
    "finish a run",
    "call a flow",
}
STORES_NOTHING = RECORDS_ONLY | {
    "collect garbage",
    "check and repair",
    "save content that is stored under another key",
    "rename a family",
    "trash the latest version",
    "delete the latest version for good",
    "delete a version of a folder",
    "delete what lies at a real key",
    "restore a version",
}


def act_watched(place: Place, scenario: str) -> None:
    """Run the verb to its end; on a local disk, what its commits record must be flushed."""
    if place.storage != "local":
        assert place.run(scenario, "act") == 0
        return
    root = Path(place.root)
    before = {path.relative_to(root.parent).as_posix() for path in root.rglob("*")}
    assert place.run(scenario, "act", action="flushes") == 0
    assert place.seen("missing") == []
    assert bool(set(place.seen("recorded")) - before) == (scenario not in STORES_NOTHING)
    touched = [step for step in place.seen("steps") if step.startswith(("open", "os."))]
    assert scenario not in RECORDS_ONLY or touched == []


def try_all(place: Place, scenario: str, actions: Sequence[str], *, stride: int, most: int) -> None:
    """Try the steps of a verb, each in every way, or some of them (see `chosen`)."""
    place.reset(scenario)
    with place.opened() as registry:
        old = state(registry)
    act_watched(place, scenario)
    steps = place.seen("steps")
    with place.opened() as registry:
        new = state(registry)
    assert steps
    assert (old != new) == SCENARIOS[scenario].is_seen
    tries = [
        (action, number)
        for turn, action in enumerate(actions)
        for number in chosen(len(steps), turn, stride=stride, most=most)
    ]
    left: list[str] = []
    for action, number in tries:
        place.reset(scenario)
        code = place.run(scenario, "act", stop_at=number, action=action)
        assert code == (-signal.SIGKILL if action == "kill" else code)
        try:
            left.append(check_afterwards(place, scenario, old, new))
        except BaseException as error:
            step = f"{action} at step {number} of {len(steps)}, {steps[number - 1]!r}"
            error.add_note(f"{scenario}: {step}; LAMART_SEED={SEED}")
            raise
        # Killed before the first step, nothing is done.
        assert (action, number) != ("kill", 1) or left[-1] == "old" or old == new
    print(f"\n{scenario} on {place.backend} and {place.storage}: {len(steps)} steps, {len(left)} tried")


@pytest.mark.req("R236", "R258", "R266", "R267", "R268", on="sqlite-local")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_step_on_a_local_disk(scenario: str, zygote: subprocess.Popen[str], tmp_path: Path) -> None:
    place = Place("sqlite", "local", tmp_path, zygote)
    with place.prepared:
        try_all(place, scenario, ("kill", "error"), stride=3, most=3)


@pytest.mark.req("R236", "R258", "R266", "R267", "R268", on="postgres")
@pytest.mark.parametrize(
    ("scenario", "storage"), [(name, "local" if name in RECORDS_ONLY and not FULL else "s3") for name in SCENARIOS]
)
def test_every_step_on_postgres(scenario: str, storage: str, zygote: subprocess.Popen[str], tmp_path: Path) -> None:
    place = Place("postgres", storage, tmp_path, zygote)
    with place.prepared:
        try_all(place, scenario, ("kill",), stride=5, most=2)


# ---------------------------------------------------------------------- another verb after the crash


def check_settled(place: Place) -> None:
    """Check that caretakers bring everything in order, and that no real key is blocked."""
    with place.opened() as registry:
        check_readable()
        check_registry(registry, repair=True, grace=timedelta(0))
        advance(registry)
        collect_garbage(registry, grace=timedelta(0), dry_run=False)
        check_readable()
        assert stored(registry) == referred(registry)
        assert check_registry(registry, verify=True, grace=timedelta(0)).findings == ()
        lab = Lab(registry, place.folder / "lab/sources", place.second)
        for artifact in Artifact.filter(is_latest=True, key_is_virtual=False):
            after = save_next(lab, artifact, "the last one")
            assert after.verify()
            assert after.object.path == artifact.key


def try_followers(place: Place, scenario: str, tries: Sequence[tuple[int, str]]) -> None:
    """Kill a verb at some steps, and do something else then with what it was at."""
    place.reset(scenario)
    assert place.run(scenario, "act") == 0
    steps = place.seen("steps")
    for number, follower in tries:
        step = number % len(steps) + 1
        place.reset(scenario)
        assert place.run(scenario, "act", stop_at=step, action="kill") == -signal.SIGKILL
        try:
            assert place.run(scenario, "follow", follower=follower) == 0
            check_settled(place)
        except BaseException as error:
            error.add_note(f"{scenario}: {follower} after a kill at step {step} of {len(steps)}, {steps[step - 1]!r}")
            raise


def _followers(scenario: str, most_steps: int) -> list[tuple[int, str]]:
    """Return which verb follows a kill at which step: each after each, or one that differs from day to day."""
    turn = SEED + list(SCENARIOS).index(scenario)
    names = list(FOLLOWERS)
    if FULL:
        return [(step, name) for step in range(most_steps) for name in names]
    return [(turn * 7919, names[turn % len(names)])]


@pytest.mark.req("R267", "R311")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_another_verb_after_a_kill_on_a_local_disk(
    scenario: str, zygote: subprocess.Popen[str], tmp_path: Path
) -> None:
    place = Place("sqlite", "local", tmp_path, zygote)
    with place.prepared:
        try_followers(place, scenario, _followers(scenario, 40))


@pytest.mark.req("R267", "R311")
@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if "real key" in name or "folder" in name])
def test_another_verb_after_a_kill_in_a_bucket(scenario: str, zygote: subprocess.Popen[str], tmp_path: Path) -> None:
    place = Place("postgres", "s3", tmp_path, zygote)
    with place.prepared:
        try_followers(place, scenario, _followers(scenario, 40))
