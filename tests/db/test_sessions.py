"""The session model: threads, tasks, forks, fresh processes and long-running ones see what there is and never mix."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

import lamart_core as ln
from lamart_core.db import Registry, current_registry
from tests.processes import answers, start
from tests.registries import fresh_registry, write


def save(folder: Path, name: str, content: str, key: str = "shared.txt") -> str:
    return ln.Artifact(write(folder / name, content), key=key).save().uid


@pytest.mark.req("R287")
def test_threads(registry: Registry, tmp_path: Path) -> None:
    def work(number: int) -> list[str]:
        return [save(tmp_path, f"{number}-{i}.txt", f"{number} {i}") for i in range(4)]

    with ThreadPoolExecutor(8) as pool:
        uids = [uid for each in pool.map(work, range(8)) for uid in each]
    assert len(set(uids)) == 32
    assert ln.Artifact.filter(key="shared.txt").count() == 32
    assert ln.Artifact.filter(key="shared.txt", is_latest=True).count() == 1


@pytest.mark.req("R288")
def test_tasks_have_a_registry_each(registry: Registry, tmp_path: Path) -> None:
    with fresh_registry("sqlite", tmp_path / "other") as other:

        async def work(mine: Registry, number: int) -> str:
            with mine:
                await asyncio.sleep(0)
                uid = await asyncio.to_thread(save, tmp_path, f"{number}.txt", f"{number}", f"{number}.txt")
                await asyncio.sleep(0)
                assert current_registry() is mine
                assert ln.Artifact.get(uid).key == f"{number}.txt"
                return uid

        async def together() -> list[str]:
            return await asyncio.gather(*[work(registry if n % 2 else other, n) for n in range(8)])

        asyncio.run(together())
        assert {item.key for item in registry.Artifact.filter()} == {"1.txt", "3.txt", "5.txt", "7.txt"}
        assert {item.key for item in other.Artifact.filter()} == {"0.txt", "2.txt", "4.txt", "6.txt"}


@pytest.mark.req("R288")
def test_a_record_stays_with_its_registry(registry: Registry, tmp_path: Path) -> None:
    uid = save(tmp_path, "a.txt", "a")
    with fresh_registry("sqlite", tmp_path / "other") as other, other:
        artifact = registry.Artifact.get(uid)
        artifact.description = "changed while another registry is current"
        artifact.save()
        assert artifact.storage == registry.Storage.get(registry.storage_id)
        assert artifact.load() == "a"
        assert artifact.versions.count() == 1
        assert ln.Artifact.filter().count() == 0
        mine = registry.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt")
        mine.save()
        assert other.Artifact.filter().count() == 0
    assert registry.Artifact.get(uid).description == "changed while another registry is current"


def _in_child(arguments: tuple[str, str, int]) -> tuple[int, str]:
    folder, uid, number = arguments
    before = ln.Artifact.get(uid).load()
    assert before == "from the parent"
    save(Path(folder), f"{number}.txt", f"child {number}")
    return ln.Artifact.filter(key="shared.txt").count(), ln.settings.storage.root


def test_fork(registry: Registry, tmp_path: Path) -> None:
    """Children of a process with open connections use their own; those of the parent go on working."""
    uid = save(tmp_path, "parent.txt", "from the parent")
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("fork")) as pool:
        told = list(pool.map(_in_child, [(str(tmp_path), uid, number) for number in range(8)]))
        assert ln.Artifact.get(uid).load() == "from the parent"
    assert all(root == registry.options["storage"] for _, root in told)
    assert ln.Artifact.filter(key="shared.txt").count() == 9
    assert save(tmp_path, "after.txt", "after the children")


_open: list[Registry] = []  # what children find after a fork


def _server_processes() -> set[int]:
    found: set[int] = set()
    for registry in _open:
        with registry.engine.connect() as connection:
            found.add(int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one()))
    return found


def test_fork_with_several_registries_on_one_database(tmp_path: Path) -> None:
    """They are equal, and each has connections of its own: a child leaves all of them alone."""
    with fresh_registry("postgres", tmp_path / "lab") as registry:
        other = ln.connect(registry.url.render_as_string(hide_password=False), make_default=False)
        _open[:] = [registry, other]
        ours = _server_processes()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
            theirs = pool.submit(_server_processes).result()
        _open.clear()
        other.close()
    assert len(ours) == 2
    assert not ours & theirs


def _with_registry(registry: Registry, folder: str, number: int) -> int:
    with registry:
        save(Path(folder), f"{number}.txt", f"spawned {number}")
        return registry.Artifact.filter(key="shared.txt").count()


def test_spawn(registry: Registry, tmp_path: Path) -> None:
    """A registry can be sent to a fresh process, where it connects anew."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_with_registry, [registry] * 4, [str(tmp_path)] * 4, range(4)))
    assert registry.Artifact.filter(key="shared.txt").count() == 4
    copy: Any = pickle.loads(pickle.dumps(registry))
    assert copy == registry
    assert copy.storage_id == registry.storage_id
    copy.close()


READER = """
import sys
first = ln.Artifact.get(key="shared.txt")
tell([first.uid, first.load()])
sys.stdin.readline()
second = ln.Artifact.get(key="shared.txt")
assert first.refresh().is_latest is False
tell([second.uid, second.load()])
"""


def test_a_long_running_process_sees_what_others_save(registry: Registry, tmp_path: Path) -> None:
    first = save(tmp_path, "a.txt", "one")
    reader = start(registry, READER)
    assert reader.stdout is not None
    assert reader.stdin is not None
    assert first in reader.stdout.readline()
    second = save(tmp_path, "a.txt", "two")
    reader.stdin.write("go on\n")
    reader.stdin.flush()
    assert answers([reader]) == [[second, "two"]]


def test_records_are_detached_values(registry: Registry, tmp_path: Path) -> None:
    """What was read stays as it was read; a query gives fresh objects."""
    uid = save(tmp_path, "a.txt", "one")
    mine, theirs = ln.Artifact.get(uid), ln.Artifact.get(uid)
    assert mine is not theirs
    assert mine == theirs
    assert hash(mine) == hash(theirs)
    theirs.description = "theirs"
    theirs.save()
    assert mine.description is None
    assert ln.Artifact.get(uid).description == "theirs"
    save(tmp_path, "a.txt", "two")
    assert mine.is_latest
    assert not mine.refresh().is_latest


def test_no_connection_stays_checked_out(registry: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact.get(save(tmp_path, "a.txt", "one"))
    assert artifact.storage is not None
    assert list(ln.Artifact.filter().to_dataframe()["uid"]) == [artifact.uid]
    with pytest.raises(ln.errors.ObjectDoesNotExist):
        ln.Artifact.get(key="nothing.txt")
    pool: Any = registry.engine.pool
    assert pool.checkedout() == 0
