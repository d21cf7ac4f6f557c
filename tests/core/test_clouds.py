"""A registry with its storage on Azure and on Google: what users do, on servers that nobody mocks."""

from __future__ import annotations

import os
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import Kind, check_registry, collect_garbage
from lamart_core.db import Registry
from tests.processes import start
from tests.registries import contents, fresh_registry, tree, write
from tests.storage.clouds import CLOUDS, CloudServer, reaching, shared_cloud


@pytest.fixture(params=list(CLOUDS))
def server(request: pytest.FixtureRequest) -> Generator[CloudServer, None, None]:
    server = shared_cloud(request.param)
    with reaching(server):
        yield server


@pytest.fixture
def lab(server: CloudServer, tmp_path: Path) -> Generator[Registry, None, None]:
    with fresh_registry("sqlite", tmp_path / "lab", server.protocol) as registry:
        yield registry


def kinds(registry: Registry) -> list[Kind]:
    """What a check of the registry finds, bytes included."""
    return [finding.kind for finding in check_registry(registry, verify=True).findings]


@pytest.mark.req("R95", "R97", "R98")
def test_a_location_is_registered_marked_written_to_and_removed(
    lab: Registry, server: CloudServer, tmp_path: Path
) -> None:
    default = ln.settings.storage
    assert (default.type, default.is_managed, default.host) == (server.protocol, True, None)
    storage = ln.Storage(root=server.new_root() + "/").save()
    container = storage.root.split("/")[2]
    marker = server.read(container, "lab/.lamart/storage_uid.txt").decode().split()
    assert marker == [storage.uid, lab.uid]
    artifact = ln.Artifact(write(tmp_path / "a.txt", "hello"), key="a.txt", storage=storage).save()
    assert str(artifact.path).startswith(storage.root + "/.lamart/")
    assert artifact.load() == "hello"
    assert artifact.verify()
    assert len(server.keys(container)) == 2
    artifact.delete(permanent=True)
    storage.delete()
    assert server.keys(container) == []


def test_a_container_that_is_not_there_and_wrong_credentials_are_told(lab: Registry, server: CloudServer) -> None:
    root = f"{server.protocol}://no-such-container/lab"
    with pytest.raises(errors.StorageError, match=r"no-such-container.*make it"):
        ln.Storage(root=root).save()
    with pytest.raises(FileNotFoundError, match="no-such-container"):
        ln.Artifact(f"{root}/a.csv")
    if server.protocol == "az":
        lab.set_storage_options("az", server.wrong())
        with pytest.raises(errors.AccessDenied, match="credentials are not valid"):
            ln.Storage(root=server.new_root()).save()
        lab.set_storage_options("az", None)
    assert ln.Storage.filter().to_list() == [ln.settings.storage]


@pytest.mark.req("R52", "R53", "R64", "R230")
def test_files_folders_versions_and_real_keys(lab: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(write(tmp_path / "a.txt", "one"), key="x/a.txt", key_is_virtual=False).save()
    second = ln.Artifact(write(tmp_path / "a.txt", "two"), key="x/a.txt", key_is_virtual=False).save()
    assert second.path.read_text() == "two"
    assert (first.load(), second.load()) == ("one", "two")
    second.key = "y/b.txt"
    second.save()
    assert ln.settings.storage.backend.path("y/b.txt").read_text() == "two"
    ln.settings.storage.backend.path("taken.txt").write_text("theirs")
    with pytest.raises(FileExistsError):
        ln.Artifact(write(tmp_path / "c.txt", "c"), key="taken.txt", key_is_virtual=False).save()
    second.replace(write(tmp_path / "d.txt", "three"))
    second.save()
    assert ln.settings.storage.backend.path("y/b.txt").read_text() == "three"
    options = {"key": "run", "overwrite_versions": False}
    files = {f"{number}.txt": str(number) for number in range(4)}
    before = ln.Artifact(tree(tmp_path / "1", files), **options).save()
    after = ln.Artifact(tree(tmp_path / "2", files | {"deep/new.txt": "n", "0.txt": "changed"}), **options).save()
    assert sorted(path.name for path in after.cache().rglob("*.txt")) == ["0.txt", "1.txt", "2.txt", "3.txt", "new.txt"]
    assert (before.cache() / "0.txt").read_text() == "0"
    assert kinds(lab) == []
    for artifact in (before, after):
        artifact.delete(permanent=True)
    assert sum(".lamart" not in name for name in contents(lab).files) == 2


@pytest.mark.req("R258", "R267")
def test_what_is_left_over_is_found_and_collected(lab: Registry, server: CloudServer, tmp_path: Path) -> None:
    kept = ln.Artifact(write(tmp_path / "a.txt", "kept"), key="a.txt").save()
    lost = ln.Artifact(write(tmp_path / "b.txt", "lost"), key="b.txt").save()
    orphan = ln.settings.storage.backend.path(f".lamart/{'x' * 24}.txt")
    orphan.write_text("of a save that was killed")
    lost.path.unlink()
    assert kinds(lab) == [Kind.MISSING]
    assert collect_garbage(lab, grace=timedelta(hours=1), dry_run=False) == []
    assert len(collect_garbage(lab, grace=timedelta(0), dry_run=False)) == 1
    assert not orphan.exists()
    assert kept.verify()


@pytest.mark.req("R54", "R57")
def test_what_lies_there_is_registered_without_a_copy(lab: Registry, server: CloudServer) -> None:
    storage = ln.settings.storage
    container = storage.root.split("/")[2]
    for number in range(3):
        server.put(container, f"lab/raw/{number}.csv", b"a\n%d\n" % number)
    before = server.keys(container)
    found = ln.Artifact.from_dir(storage.path / "raw").save()
    assert found.to_list("key") == [f"raw/{number}.csv" for number in range(3)]
    assert [item.load()["a"].tolist() for item in found] == [[0], [1], [2]]
    folder = ln.Artifact(f"{storage.root}/raw").save()
    assert (folder.n_files, folder.key) == (3, "raw")
    elsewhere = server.new_container()
    server.put(elsewhere, "public/x.csv", b"a\n9\n")
    other = ln.Artifact(f"{server.protocol}://{elsewhere}/public/x.csv").save()
    assert (other.load()["a"].tolist(), other.storage.is_managed) == ([9], False)
    assert server.keys(container) == before


def test_tables_matrices_and_documents_are_loaded_and_opened(lab: Registry, tmp_path: Path) -> None:
    table = pd.DataFrame({"a": range(1000), "b": [f"row {number}" for number in range(1000)]})
    saved = ln.Artifact.from_dataframe(table, key="t.parquet").save()
    again = ln.Artifact.get(key="t.parquet")
    assert again.load().equals(table)
    assert saved.open().filter(pd_filter()).count_rows() == 10
    cells = ad.AnnData(sparse.random(60, 20, 0.3, "csr", np.float32, rng=0))
    cells.obs_names = [f"cell {number}" for number in range(60)]
    stored = ln.Artifact.from_anndata(cells, key="c.zarr").save()
    with stored.open() as opened:
        assert opened.shape == (60, 20)
        part = opened[5:9].to_memory()
    assert (part.X != cells[5:9].X).nnz == 0
    assert list(part.obs_names) == list(cells.obs_names[5:9])
    document = ln.Artifact(write(tmp_path / "limits.json", '{"threshold": 0.5}'), key="limits.json").save()
    assert ln.Artifact.get(document.uid).load() == {"threshold": 0.5}
    assert [item.verify() for item in (saved, stored, document)] == [True] * 3


def pd_filter() -> object:
    import pyarrow.dataset as ds

    return ds.field("a") >= 990


def test_a_large_file_is_saved_and_fetched(lab: Registry, tmp_path: Path) -> None:
    content = os.urandom(20 * 2**20)
    artifact = ln.Artifact(write(tmp_path / "large.bin", content), key="large.bin").save()
    lab.settings.verify_on_read = True
    assert artifact.cache().read_bytes() == content
    assert artifact.verify()


@pytest.mark.parametrize("server", ["az"], indirect=True)
def test_a_process_that_has_read_a_matrix_ends_quietly(lab: Registry) -> None:
    ln.Artifact.from_anndata(ad.AnnData(np.ones((4, 3), np.float32)), key="c.zarr").save()
    code = """
ready()
with ln.Artifact.get(key="c.zarr").open() as store:
    assert store[1:3].to_memory().shape == (2, 3)
tell("done")
"""
    process = start(lab, code)
    out, err = process.communicate("go\n", timeout=100)
    assert (process.returncode, out.splitlines()[-1]) == (0, '"done"'), err
    assert "Traceback" not in err
