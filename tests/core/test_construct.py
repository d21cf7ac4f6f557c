"""Constructing an artifact: what is accepted, what is refused, and that nothing is written by it."""

from __future__ import annotations

import inspect
import logging
import os
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import inspect as sa_inspect
from upath import UPath

import lamart_core as ln
from lamart_core.db import Registry
from tests.registries import contents, storage_root, tree, write

pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "notes.txt", "some notes")


@pytest.mark.req("R1")
def test_one_positional_argument_and_keywords_that_default_to_none() -> None:
    parameters = inspect.signature(ln.Artifact).parameters
    names = "key description kind features schema revises overwrite_versions run storage branch space "
    names += "skip_hash_lookup key_is_virtual"
    for name in names.split():
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None


@pytest.mark.req("R2")
def test_bases_are_importable() -> None:
    models = ln.models
    for base in (models.SQLRecord, models.IsVersioned, models.TracksRun, models.TracksUpdates):
        assert issubclass(ln.Artifact, base)
    assert models.QuerySet is ln.QuerySet
    assert inspect.isclass(models.RelatedManager)


@pytest.mark.req("R3", "R262")
def test_save_returns_the_artifact(file: Path) -> None:
    artifact = ln.Artifact(file, key="a.txt")
    assert not artifact.is_saved
    assert artifact.save() is artifact
    assert artifact.is_saved


@pytest.mark.req("R4")
def test_a_second_positional_argument_is_refused(file: Path) -> None:
    with pytest.raises(ValueError, match="one non-keyword argument, the path"):
        ln.Artifact(file, "a.txt")


@pytest.mark.req("R5")
def test_loading_a_row_runs_no_constructor(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    saved = ln.Artifact(file, key="a.txt").save()
    file.unlink()
    caplog.clear()
    monkeypatch.setattr(ln.Artifact, "__init__", lambda *_, **__: pytest.fail("the constructor was called"))
    with caplog.at_level(logging.DEBUG, logger="lamart_core"):
        loaded = ln.Artifact.get(saved.id)
    assert loaded == saved
    assert not caplog.records


@pytest.mark.req("R5")
def test_one_value_per_column_rebuilds_a_row(file: Path) -> None:
    saved = ln.Artifact(file, key="a.txt").save()
    columns = [attribute.key for attribute in sa_inspect(ln.Artifact).column_attrs]
    rebuilt = ln.Artifact(*[getattr(saved, name) for name in columns])
    assert rebuilt == saved
    assert rebuilt.key == "a.txt"


@pytest.mark.req("R6")
def test_unknown_keyword(file: Path, registry: Registry) -> None:
    with pytest.raises(ln.errors.FieldValidationError, match=r"colour.*description.*key_is_virtual"):
        ln.Artifact(file, key="a.txt", colour="red")
    assert contents(registry).artifacts == 0


@pytest.mark.req("R7")
@pytest.mark.parametrize("form", [str, Path, UPath])
def test_forms_of_paths(form: Any, file: Path) -> None:
    assert ln.Artifact(form(str(file)), key="a.txt").save().load() == "some notes"


@pytest.mark.req("R7")
def test_home_and_relative_paths(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ln.Artifact("~/notes.txt", key="home.txt").path == file
    monkeypatch.chdir(tmp_path)
    artifact = ln.Artifact("notes.txt", key="relative.txt")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert artifact.save().load() == "some notes"


@pytest.mark.req("R8")
def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        ln.Artifact(tmp_path / "gone.txt", key="gone.txt")


@pytest.mark.req("R9")
@pytest.mark.parametrize("thing", [object(), 5, None, b"bytes", {1, 2}])
def test_things_that_are_no_path(thing: Any) -> None:
    with pytest.raises(TypeError, match="str, Path or UPath"):
        ln.Artifact(thing, key="a.txt")


@pytest.mark.req("R9")
def test_datasets_without_their_constructor(caplog: pytest.LogCaptureFixture) -> None:
    table = ln.Artifact(pd.DataFrame({"a": [1]}), key="a.parquet")
    assert table.otype == "DataFrame"
    assert "from_dataframe" in caplog.text
    matrix = ln.Artifact(ad.AnnData(np.ones((2, 2))), key="a.h5ad")
    assert matrix.otype == "AnnData"
    assert "from_anndata" in caplog.text


@pytest.mark.req("R10", "R15", "R16")
def test_key_description_and_kind(file: Path) -> None:
    plain = ln.Artifact(file, key="raw/2024/a.txt").save()
    assert (plain.key, plain.description, plain.kind) == ("raw/2024/a.txt", None, None)
    described = ln.Artifact(
        write(file.with_name("b.txt"), "b"), key="b.txt", description="from the freezer", kind="plan"
    ).save()
    assert (described.description, described.kind) == ("from the freezer", "plan")
    with pytest.raises(ValueError, match="more than 20"):
        ln.Artifact(file, key="c.txt", kind="x" * 21)


@pytest.mark.req("R11", "R12")
@pytest.mark.parametrize(
    "key",
    [
        "a\\b.txt",
        "a/./b.txt",
        "a/../b.txt",
        "../b.txt",
        ".lamart/b.txt",
        "a/.lamart/b.txt",
        "/b.txt",
        "a//b.txt",
        "a/b.txt/",
        "",
        "a\x00.txt",
        "a" * 1021 + ".txt",
    ],
)
def test_bad_keys(key: str, file: Path, registry: Registry) -> None:
    before = contents(registry)
    with pytest.raises(ln.errors.InvalidKey):
        ln.Artifact(file, key=key)
    with pytest.raises(ln.errors.InvalidKey):
        ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key=key)
    assert contents(registry) == before


@pytest.mark.req("R13", "R14")
def test_suffix_of_key_and_path(tmp_path: Path) -> None:
    table = write(tmp_path / "cells.csv", "a\n1\n")
    with pytest.raises(ln.errors.InvalidArgument, match=r"\.parquet.*\.csv"):
        ln.Artifact(table, key="cells.parquet")
    with pytest.raises(ln.errors.InvalidArgument, match=r"\.csv\.gz.*\.csv"):
        ln.Artifact(table, key="cells.csv.gz")
    assert ln.Artifact(table, key="Cells.CSV").suffix == ".csv"


@pytest.mark.req("R25", "R33")
def test_an_artifact_needs_a_name(file: Path, registry: Registry) -> None:
    before = contents(registry)
    with pytest.raises(ValueError, match="key, run or description"):
        ln.Artifact(file)
    with pytest.raises(ValueError, match="key, run or description"):
        ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}))
    assert contents(registry) == before
    run = ln.track("notebook")
    assert ln.Artifact(file).save().run == run
    assert ln.Artifact(write(file.with_name("b.txt"), "b"), key="b.txt", run=False).save().run is None
    ln.finish()
    assert ln.Artifact(write(file.with_name("c.txt"), "c"), key="c.txt", run=run).save().run == run
    assert ln.Artifact(write(file.with_name("d.txt"), "d"), key="d.txt").save().run is None


@pytest.mark.req("R26")
def test_branch_and_space(file: Path, tmp_path: Path, registry: Registry) -> None:
    artifact = ln.Artifact(file, key="a.txt").save()
    assert (artifact.branch.name, artifact.space.name) == ("main", "all")
    other = ln.connect(registry.url.render_as_string(hide_password=False), branch="draft", make_default=False)
    with other:
        draft = ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt").save()
        assert draft.branch.name == "draft"
        on_main = ln.Artifact(write(tmp_path / "c.txt", "c"), key="c.txt", branch=artifact.branch).save()
        assert on_main.branch.name == "main"
    assert ln.Artifact.filter(key="b.txt").count() == 0
    assert ln.Artifact.filter(key="b.txt", branch=None).one() == draft


@pytest.mark.req("R27", "R34")
def test_storage(file: Path, tmp_path: Path) -> None:
    default = ln.Artifact(file, key="a.txt")
    assert default.storage == ln.settings.storage
    archive = ln.Storage(root=tmp_path / "archive").save()
    moved = ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt", storage=archive).save()
    assert moved.storage == archive
    assert moved.path.is_relative_to(tmp_path / "archive")
    by_id = ln.Artifact(write(tmp_path / "c.txt", "c"), key="c.txt", storage_id=archive.id).save()
    assert by_id.storage == archive
    with pytest.raises(ValueError, match="storage_id"):
        ln.Artifact(file, key="d.txt", storage=archive, storage_id=archive.id)


@pytest.mark.req("R34")
@pytest.mark.parametrize("name", ["run", "branch", "space"])
def test_an_object_and_its_id(name: str, file: Path) -> None:
    run = ln.track("script")
    ln.finish()
    saved = ln.Artifact(file, key="a.txt", run=run).save()
    record = getattr(saved, name)
    with pytest.raises(ValueError, match=f"{name}_id"):
        ln.Artifact(file, key="b.txt", **{name: record, f"{name}_id": record.id})
    alone = ln.Artifact(write(file.with_name("b.txt"), "b"), key="b.txt", **{f"{name}_id": record.id}).save()
    assert getattr(alone, name) == record


@pytest.mark.req("R29")
def test_a_location_of_another_registry_is_not_written_to(file: Path, tmp_path: Path) -> None:
    other = ln.connect(f"sqlite:///{tmp_path / 'other.db'}", storage=tmp_path / "theirs", make_default=False)
    theirs = ln.Storage(root=tmp_path / "theirs").save()
    assert not theirs.is_managed
    with pytest.raises(ln.errors.LamartError, match="not managed by this registry"):
        ln.Artifact(file, key="a.txt", storage=theirs)
    assert other.Artifact.filter().count() == 0


@pytest.mark.req("R35")
def test_fields_as_keywords(file: Path) -> None:
    artifact = ln.Artifact(file, key="a.txt", otype="Protocol", n_observations=7, version="1.0").save()
    assert (artifact.otype, artifact.n_observations, artifact.version) == ("Protocol", 7, "1.0")


@pytest.mark.req("R39")
def test_otype_of_paths(tmp_path: Path) -> None:
    matrix = ad.AnnData(np.ones((3, 2)))
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "t.parquet")
    write(tmp_path / "t.csv", "a\n1\n")
    write(tmp_path / "t.bin", "?")
    matrix.write_h5ad(tmp_path / "m.h5ad")
    matrix.write_zarr(tmp_path / "m.zarr")
    otypes = {
        name: ln.Artifact(tmp_path / name, key=name).otype
        for name in ("t.parquet", "t.csv", "m.h5ad", "m.zarr", "t.bin")
    }
    assert otypes == {
        "t.parquet": "DataFrame", "t.csv": "DataFrame", "m.h5ad": "AnnData", "m.zarr": "AnnData", "t.bin": None,
    }  # fmt: skip


@pytest.mark.req("R54", "R59", "R80", "R263")
def test_a_path_inside_the_storage_is_registered_in_place(registry: Registry, tmp_path: Path) -> None:
    root = storage_root(registry)
    nested = ln.Storage(root=root / "nested").save()
    path = write(root / "nested/raw/a.txt", "here")
    artifact = ln.Artifact(path).save()
    assert artifact.storage == nested
    assert (artifact.key, artifact.path, artifact._key_is_virtual) == ("raw/a.txt", path, False)
    # Not looked up: a copy at another place of the storage is another artifact.
    copy = ln.Artifact(write(root / "copy.txt", "here")).save()
    assert copy != artifact
    assert copy.hash == artifact.hash
    # A root is matched on whole segments.
    beside = write(tmp_path / "lab/storage2/b.txt", "beside")
    assert ln.Artifact(beside, key="b.txt").save().path != beside


@pytest.mark.req("R32")
def test_key_is_virtual_that_contradicts_the_place(registry: Registry) -> None:
    path = write(storage_root(registry) / "a.txt", "here")
    with pytest.raises(ValueError, match="contradicts"):
        ln.Artifact(path, key_is_virtual=True)
    with pytest.raises(ValueError, match="contradicts"):
        ln.Artifact(path, key="other.txt", key_is_virtual=False)


@pytest.mark.req("R55")
def test_another_key_for_a_path_inside_the_storage(registry: Registry) -> None:
    path = write(storage_root(registry) / "a.txt", "here")
    artifact = ln.Artifact(path, key="named/b.txt").save()
    assert (artifact.key, artifact._real_key, artifact._key_is_virtual) == ("named/b.txt", "a.txt", True)
    assert artifact.path == path


@pytest.mark.req("R66", "R67", "R68")
def test_suffixes(tmp_path: Path) -> None:
    names = {
        "plain": "", "A.PNG": ".png", "x.2022.csv": ".csv", "x.csv.gz": ".csv.gz", "x.tar.gz": ".tar.gz",
        "x.ome.h5": ".ome.h5", "x.unheardof": ".unheardof",
    }  # fmt: skip
    for number, (name, suffix) in enumerate(names.items()):
        artifact = ln.Artifact(write(tmp_path / name, f"content {number}"), key=f"k/{name}").save()
        assert artifact.suffix == suffix
        assert artifact.key == f"k/{name}"
        with pytest.raises(ln.errors.InvalidArgument):
            artifact.suffix = ".other"
    assert ln.Artifact(tree(tmp_path / "run.2024.01", {"a": "1"}), key="run").suffix == ""


@pytest.mark.req("R289")
def test_nothing_is_asked(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked a question"))
    monkeypatch.setattr(os, "isatty", lambda _: True)
    artifact = ln.Artifact(file, key="a.txt", key_is_virtual=False).save()
    artifact.delete()
    artifact.delete()
    assert ln.Artifact.filter(branch=None).count() == 0


def test_a_default_of_real_keys_is_for_those_who_have_a_key(registry: Registry, tmp_path: Path) -> None:
    registry.settings.creation._artifact_use_virtual_keys = False
    with_key = ln.Artifact(write(tmp_path / "a.txt", "a"), key="x/a.txt", run=False).save()
    assert str(with_key.path).endswith("/x/a.txt")
    without = ln.Artifact(write(tmp_path / "b.txt", "b"), description="no key", run=False).save()
    assert (without.key, without._key_is_virtual, without.load()) == (None, True, "b")
    with pytest.raises(ln.errors.InvalidArgument, match="needs a key"):
        ln.Artifact(write(tmp_path / "c.txt", "c"), description="no key", key_is_virtual=False)
