"""Eight processes that save at the same time: nothing is lost, nothing is there twice."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.processes import answers, release, start
from tests.registries import contents

PROCESSES = 8
VERSIONS = 4

# Each part begins when all processes are ready for it.
CODE = """
from pathlib import Path
import pandas as pd, pyarrow.parquet
from lamart_core.saving import create

folder = Path(arguments["folder"])
told = {}

def save(part, key, content, versions):
    told[part] = []
    ready()
    for version in range(versions):
        source = folder / f"{part}-{number}-{version}.txt"
        source.write_text(content.format(number=number, version=version))
        told[part].append(ln.Artifact(source, key=key.format(number=number)).save().uid)

save("distinct", "distinct/{number}.txt", "distinct {number} {version}", arguments["versions"])
save("same", "same.txt", "same {number} {version}", arguments["versions"])
save("equal", "equal.txt", "equal under one key", 1)
save("spread", "spread/{number}.txt", "equal under many keys", 1)

ready()
empty = pd.DataFrame({"a": pd.Series(dtype="int64")})
result = create(registry, empty, key=f"tables/{number}.parquet")
told["tables"] = [result.outcome.value]

source = folder / f"churn-{number}.txt"
source.write_text("equal and deleted again and again")
ready()
for _ in range(5):
    artifact = ln.Artifact(source, key=f"churn/{number}.txt", skip_hash_lookup=True).save()
    assert artifact.load() == "equal and deleted again and again"
    artifact.delete(permanent=True)
told["churn"] = [ln.Artifact(source, key=f"churn/{number}.txt", skip_hash_lookup=True).save().uid]
tell(told)
"""
PARTS = 6


@pytest.mark.req("R43", "R47", "R49", "R50", "R79", "R89", "R91", "R257", "R258", "R287")
def test_eight_processes_save_at_the_same_time(registry: Registry, tmp_path: Path) -> None:
    processes = [
        start(registry, CODE, number=number, folder=tmp_path, versions=VERSIONS) for number in range(PROCESSES)
    ]
    try:
        for _ in range(PARTS):
            release(processes)
        each = answers(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    told = {part: [value for one in each for value in one[part]] for part in each[0]}
    check_distinct_keys(told["distinct"])
    check_same_key(told["same"])
    check_one_artifact(told["equal"], "equal")
    check_one_artifact(told["spread"], "spread/")
    check_stored_once("tables/")
    check_stored_once("churn/")
    check_whole(registry)


def check_distinct_keys(uids: list[str]) -> None:
    assert len(set(uids)) == PROCESSES * VERSIONS
    for number in range(PROCESSES):
        family = ln.Artifact.filter(key=f"distinct/{number}.txt").order_by("uid").to_list()
        assert [item.uid[-4:] for item in family] == ["0000", "0001", "0002", "0003"]
        assert [item.is_latest for item in family] == [False, False, False, True]
        assert [item.load() for item in family] == [f"distinct {number} {version}" for version in range(VERSIONS)]


def check_same_key(uids: list[str]) -> None:
    assert len(set(uids)) == PROCESSES * VERSIONS
    family = ln.Artifact.filter(key="same.txt").order_by("uid").to_list()
    assert {item.uid for item in family} == set(uids)
    assert len({item.stem_uid for item in family}) == 1
    assert [item.version for item in family] == [f"000{digit}" for digit in "0123456789ABCDEFGHIJKLMNOPQRSTUV"]
    assert [item.is_latest for item in family] == [False] * (len(family) - 1) + [True]
    assert {item.load() for item in family} == {f"same {n} {v}" for n in range(PROCESSES) for v in range(VERSIONS)}


def check_one_artifact(uids: list[str], prefix: str) -> None:
    """Equal content is one artifact, whoever saved it first."""
    assert len(uids) == PROCESSES
    (uid,) = set(uids)
    assert ln.Artifact.get(uid).is_latest
    assert ln.Artifact.filter(key__startswith=prefix).count() == 1
    assert ln.Artifact.get(uid).load().startswith("equal under")


def check_stored_once(prefix: str) -> None:
    """Equal content under keys of its own; a saver whose shared bytes are deleted in this moment puts them again."""
    artifacts = ln.Artifact.filter(key__startswith=prefix, is_latest=True).to_list()
    assert len({artifact.key for artifact in artifacts}) == len(artifacts) == PROCESSES
    assert len({artifact.path for artifact in artifacts}) == 1


def check_whole(registry: Registry) -> None:
    """Every record has its bytes, and nothing else is stored."""
    artifacts = ln.Artifact.filter(branch=None).to_list()
    for artifact in artifacts:
        assert artifact.verify()
    held = contents(registry)
    assert len(held.files) == held.objects == len({artifact.object_id for artifact in artifacts})
    assert set(held.files) == {artifact.object.path for artifact in artifacts}
