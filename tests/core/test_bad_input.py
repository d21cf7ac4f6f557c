"""Bad input: refused with a typed error on every database, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from tests.registries import contents, write

HALF = "half a character: \ud83d"
circular: dict[str, Any] = {}
circular["self"] = [circular]

# Keyword → values that are wrong.
WRONG: dict[str, list[Any]] = {
    "key": [
        5, b"a.txt", Path("a.txt"), HALF + ".txt", "a\n.txt", "\u2028.txt", "字" * 700 + ".txt", "x" * 1021 + ".txt",
    ],
    "description": [5, b"x", ["x"], object(), "zero \0", HALF],
    "kind": [5, "x" * 21, "\0", HALF, ["dataset"]],
    "otype": [5, "x" * 65, "\0", HALF],
    "version": [5, 1.0, "x" * 31, "\0", HALF],
    "version_tag": [b"1", "x" * 31],
    "n_observations": [-1, 1.5, "7", True, 2**63],
    "extra_data": [
        [1], "text", {"a": {1, 2}}, {"a": float("nan")}, {"a": float("inf")}, {"a": b"x"}, {"a": object()},
        {1: "a"}, {"a": "\0"}, {"\0": 1}, {"a": HALF}, {"a": 2**63}, {"a": np.int64(1)}, circular,
    ],
    "run": ["x", 5, True],
    "run_id": [2**70],
    "storage": [5, object(), "/no/such/location", "s3://elsewhere", "\0"],
    "storage_id": [99999],
    "branch": [5, "no such branch"],
    "branch_id": [99999, -1],
    "space": [5, "no such space"],
    "space_id": [99999],
    "revises": ["a.txt", 5],
    "overwrite_versions": [0, "yes"],
    "skip_hash_lookup": [1, "no"],
    "key_is_virtual": ["virtual", 0],
}  # fmt: skip


@pytest.mark.req("R6", "R11", "R16", "R21", "R35", "R45")
@pytest.mark.parametrize("form", ["file", "table"])
def test_every_wrong_keyword_is_refused(registry: Registry, tmp_path: Path, form: str) -> None:
    source = write(tmp_path / "a.txt", "content")
    table = pd.DataFrame({"a": [1]})
    before = contents(registry)
    for name, values in WRONG.items():
        for value in values:
            keywords: dict[str, Any] = {"description": "words", name: value}
            if form == "table" and isinstance(value, str):
                keywords[name] = value.removesuffix(".txt") + ".parquet" if name == "key" else value
            with pytest.raises((errors.LamartError, TypeError)) as caught:
                ln.Artifact(source, **keywords) if form == "file" else ln.Artifact.from_dataframe(table, **keywords)
            assert isinstance(caught.value, errors.LamartError), (name, value)
            assert contents(registry) == before


@pytest.mark.req("R21", "R25", "R26", "R27")
def test_records_of_elsewhere_unsaved_and_in_the_trash_are_refused(registry: Registry, tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", "content")
    other = ln.connect(f"sqlite:///{tmp_path / 'other.db'}", storage=tmp_path / "theirs", make_default=False)
    with other:
        theirs = ln.Artifact(write(tmp_path / "b.txt", "theirs"), key="b.txt").save()
        run = ln.track("script")
        records = {"revises": theirs, "storage": theirs.storage, "branch": theirs.branch, "space": theirs.space}
        records["run"] = run
    trashed = ln.Artifact(write(tmp_path / "c.txt", "trashed"), key="c.txt").save()
    trashed.delete()
    unsaved = {"revises": ln.Artifact(source, key="d.txt"), "storage": ln.Storage(root=tmp_path / "new")}
    before = contents(registry)
    for given, message in ((records, "belongs to"), (unsaved, "save .* first"), ({"revises": trashed}, "in the trash")):
        for name, record in given.items():
            with pytest.raises(errors.InvalidArgument, match=message):
                ln.Artifact(source, key="a.txt", **{name: record})
    assert contents(registry) == before
    other.close()


@pytest.mark.req("R26", "R27")
def test_records_may_be_given_by_name(registry: Registry, tmp_path: Path) -> None:
    archive = ln.Storage(root=tmp_path / "archive").save()
    source = write(tmp_path / "a.txt", "content")
    for root in (archive.root, Path(archive.root), archive):
        artifact = ln.Artifact(source, key="a.txt", storage=root, branch="main", space="all")
        assert (artifact.storage, artifact.branch.name, artifact.space.name) == (archive, "main", "all")
    with pytest.raises(errors.UnknownStorageLocation, match="archive"):
        ln.Artifact(source, key="a.txt", storage=tmp_path / "elsewhere")


@pytest.mark.req("R15", "R35", "R289")
@pytest.mark.parametrize("name", ["description", "kind", "otype", "version_tag", "extra_data", "n_observations"])
def test_what_is_assigned_later_is_checked_too(lab: Registry, tmp_path: Path, name: str) -> None:
    for is_saved in (False, True):
        artifact = ln.Artifact(write(tmp_path / "a.txt", f"content {is_saved}"), key="a.txt", description="words")
        if is_saved:
            artifact.save()
        before = contents(lab)
        setattr(artifact, name, "\0" if name not in ("extra_data", "n_observations") else 2**63)
        with pytest.raises(errors.InvalidArgument, match=name):
            artifact.save()
        assert contents(lab) == before
    assert getattr(ln.Artifact.get(artifact.uid), name) == ("words" if name == "description" else None)


@pytest.mark.req("R35")
def test_the_longest_and_largest_that_is_allowed_comes_back(lab: Registry, tmp_path: Path) -> None:
    data = {"text": "ü😀'\"\\\n", "numbers": [1, -(2**63), 2**63 - 1, 1.5e-7, 0.1], "deep": {"": [None, True, {}]}}
    key = "字" * 500 + "/" + "x" * 519 + ".txt"
    artifact = ln.Artifact(
        write(tmp_path / "a.txt", "content"), key=key, kind="k" * 20, otype="😀" * 64, version="v" * 30,
        n_observations=2**63 - 1, extra_data=data, description="long " * 100_000,
    ).save()  # fmt: skip
    found = ln.Artifact.get(key=key)
    assert found == artifact
    assert len(found.key or "") == 1024
    assert (found.kind, found.otype, found.version, found.n_observations) == (
        "k" * 20, "😀" * 64, "v" * 30, 2**63 - 1,
    )  # fmt: skip
    assert found.extra_data == data
    assert found.description == "long " * 100_000
    assert found.cache().read_text() == "content"


@pytest.mark.req("R52")
@pytest.mark.parametrize("key", ["x" * 252 + ".txt", "é" * 126 + ".txt", "d" * 256 + "/a.txt"])
def test_a_real_key_that_no_file_can_have_is_refused(registry: Registry, tmp_path: Path, key: str) -> None:
    source = write(tmp_path / "a.txt", "content")
    before = contents(registry)
    with pytest.raises(errors.InvalidArgument, match="255"):
        ln.Artifact(source, key=key, key_is_virtual=False)
    assert contents(registry) == before
    assert ln.Artifact(source, key=key).save().key == key


@pytest.mark.parametrize(
    "make",
    [
        lambda: ln.models.Transform(key="\0"),
        lambda: ln.models.Transform(key="x" * 1025),
        lambda: ln.models.Transform(key="a", kind="x" * 21),
        lambda: ln.models.User(handle="x" * 31),
        lambda: ln.models.Branch(name=HALF),
    ],
)
def test_other_records_are_checked_the_same_way(registry: Registry, make: Callable[[], Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        make().save()


def test_a_storage_location_is_checked_before_its_folder_is_made(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument):
        ln.Storage(root=tmp_path / "other", description="\0").save()
    assert not (tmp_path / "other").exists()
