"""One artifact for each file of a folder: keys, versions, and what is refused."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import event
from upath import UPath

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.saving import bulk, resolve
from lamart_core.storage import Local, backend_at
from tests.processes import answers, release, start
from tests.registries import contents, storage_root, tree, write
from tests.storage.s3_server import S3Server

FILES: dict[str, str | bytes] = {"b.txt": "bee", "a/x.csv": "n\n1\n2\n", "a/deep/x.csv": "n\n1\n2\n", "empty": b""}
ORDER = ["a/deep/x.csv", "a/x.csv", "b.txt", "empty"]


@contextmanager
def statements(registry: Registry) -> Generator[list[str], None, None]:
    """Collect the statements that the registry's database is sent, without those that begin transactions."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("BEGIN", "SAVEPOINT")):
            seen.append(statement)

    event.listen(registry.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(registry.engine, "before_cursor_execute", note)


@pytest.mark.req("R149", "R150", "R151", "R153", "R154")
def test_one_artifact_for_each_file(lab: Registry, tmp_path: Path) -> None:
    folder = tree(tmp_path / "project" / "run_001", FILES)
    artifacts = ln.Artifact.from_dir(folder)
    assert isinstance(artifacts, ln.SQLRecordList)
    assert not any(artifact.is_saved for artifact in artifacts)
    assert contents(lab).files == ()
    assert artifacts.save() is artifacts
    assert artifacts.to_list("key") == [f"run_001/{name}" for name in ORDER]
    assert [artifact.version for artifact in artifacts] == ["0000"] * 4
    assert len({artifact.stem_uid for artifact in artifacts}) == 4
    for artifact, name in zip(artifacts, ORDER, strict=True):
        fresh = ln.Artifact.get(artifact.uid)
        assert fresh == artifact
        assert fresh.cache().read_bytes() == (folder / name).read_bytes()
        assert fresh.verify()
        assert fresh.is_latest
    tables = artifacts[:2]
    assert [(table.otype, table.n_observations, table.suffix) for table in tables] == [("DataFrame", None, ".csv")] * 2
    # Equal content, two artifacts, one object.
    assert tables[0].hash == tables[1].hash
    assert tables[0].object_id == tables[1].object_id
    held = contents(lab)
    assert (held.artifacts, held.objects, len(held.files)) == (4, 3, 3)
    assert folder.exists()
    found = ln.Artifact.filter(key__startswith="run_001/").order_by("key").to_list("key")
    assert sorted(found) == sorted(artifacts.to_list("key"))
    # Named by the caller; a later file shows up under the prefix.
    named = ln.Artifact.from_dir(folder, key="project_alpha/run_001").save()
    assert named.to_list("key") == [f"project_alpha/run_001/{name}" for name in ORDER]
    assert ln.Artifact.filter(key__startswith="project_alpha/run_001/").count() == 4
    ln.Artifact(write(tmp_path / "late.txt", "late"), key="project_alpha/run_001/late.txt").save()
    assert ln.Artifact.filter(key__startswith="project_alpha/run_001/").count() == 5
    assert len(contents(lab).files) == 3 + 2  # the late one, and the empty one again: empty files are never shared


@pytest.mark.req("R153", "R155")
def test_repeating_gives_what_is_there_and_new_versions(registry: Registry, tmp_path: Path) -> None:
    folder = tree(tmp_path / "run", FILES)
    first = ln.Artifact.from_dir(folder).save()
    again = ln.Artifact.from_dir(folder)
    assert all(artifact.is_saved for artifact in again)
    with statements(registry) as seen:
        again.save()
    assert not [statement for statement in seen if not statement.startswith("SELECT")]
    assert again == first
    held = contents(registry)
    write(folder / "b.txt", "n\n1\n2\n")  # the content of the tables, under a suffix of its own
    write(folder / "c.txt", "new")
    (folder / "empty").unlink()
    changed = ln.Artifact.from_dir(folder).save()
    assert changed.to_list("key") == [f"run/{name}" for name in ("a/deep/x.csv", "a/x.csv", "b.txt", "c.txt")]
    assert changed[:2] == first[:2]
    assert changed[2].version == "0001"
    assert changed[2].stem_uid == first[2].stem_uid
    assert [item.is_latest for item in changed[2].versions] == [True, False]
    assert [item.load() for item in changed[2].versions] == ["n\n1\n2\n", "bee"]
    # Back to what it was: the state of the key counts, and the bytes are shared.
    write(folder / "b.txt", "bee")
    back = ln.Artifact.from_dir(folder).save()
    assert back[2].version == "0002"
    assert back[2].object_id == first[2].object_id
    assert contents(registry).artifacts == held.artifacts + 3
    for artifact in ln.Artifact.filter(branch=None):
        assert artifact.verify()


@pytest.mark.req("R149", "R155")
def test_runs_and_recreations(registry: Registry, tmp_path: Path) -> None:
    folder = tree(tmp_path / "run", {"a.txt": "a", "b.txt": "b"})
    without = ln.Artifact.from_dir(folder, run=False).save()
    assert [artifact.run_id for artifact in without] == [None, None]
    one = ln.track("one")
    assert [artifact.run_id for artifact in ln.Artifact.from_dir(folder).save()] == [one.id, one.id]
    ln.finish()
    two = ln.Run(transform=one.transform).save()
    write(folder / "c.txt", "c")
    made = ln.Artifact.from_dir(folder, run=two).save()
    assert [artifact.run_id for artifact in made] == [one.id, one.id, two.id]
    assert [artifact.run_id for artifact in ln.Artifact.filter(key__startswith="run/").order_by("key")] == [
        one.id,
        one.id,
        two.id,
    ]
    assert two.recreated_artifacts.to_list() == made[:2]
    ln.Artifact.from_dir(folder, run=two).save()
    assert two.recreated_artifacts.count() == 2


@pytest.mark.req("R150", "R153", "R155")
def test_inside_a_location_files_stay_where_they_are(lab: Registry, tmp_path: Path) -> None:
    storage = ln.Storage.get(lab.storage_id)
    if isinstance(storage.backend, Local):
        folder: Path | UPath = tree(Path(storage.root) / "seq" / "run_1", FILES)
        write(Path(storage.root) / "seq" / "other.txt", "not in the folder")
    else:
        folder = storage.path / "seq" / "run_1"
        for name, data in FILES.items():
            (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        (storage.path / "seq" / "other.txt").write_text("not in the folder")
    before = contents(lab).files
    artifacts = ln.Artifact.from_dir(folder).save()
    assert artifacts.to_list("key") == [f"seq/run_1/{name}" for name in ORDER]
    assert not any(artifact._key_is_virtual for artifact in artifacts)
    assert contents(lab).files == before
    assert [str(artifact.path) for artifact in artifacts] == [str(folder / name) for name in ORDER]
    assert ln.Artifact.from_dir(folder).save() == artifacts
    assert ln.Artifact.from_dir(str(folder) if isinstance(storage.backend, Local) else folder) == artifacts
    # Under other keys too, still in place.
    named = ln.Artifact.from_dir(folder, key="named").save()
    assert named.to_list("key") == [f"named/{name}" for name in ORDER]
    assert [artifact._real_key for artifact in named] == [f"seq/run_1/{name}" for name in ORDER]
    assert [artifact.object_id for artifact in named] == [artifact.object_id for artifact in artifacts]
    assert contents(lab).files == before
    (folder / "b.txt").write_text("another bee")
    changed = ln.Artifact.from_dir(folder).save()
    assert [artifact.version for artifact in changed] == ["0000", "0000", "0001", "0000"]
    assert changed[2].cache().read_text() == "another bee"
    # The bytes of the older version are gone, until the former content comes back.
    with pytest.raises(ln.errors.LamartError):
        ln.Artifact.get(artifacts[2].uid).cache()
    if storage.backend.protocol == "az":
        return  # it knows no MD5 of what adlfs writes, so content that comes back is another one
    (folder / "b.txt").write_text("bee")
    back = ln.Artifact.from_dir(folder).save()
    assert back[2].version == "0002"
    assert ln.Artifact.get(artifacts[2].uid).cache().read_text() == "bee"
    states = [item.object.state for item in ln.Artifact.filter(key=back[2].key).order_by("uid")]
    assert states == [None, "lost", None]
    (folder / "b.txt").write_text("another bee")
    assert ln.Artifact.from_dir(folder).save()[2].version == "0003"
    # All of the location: its version store is no data.
    ln.Artifact(write(tmp_path / "stored.txt", "stored"), key="stored.txt").save()
    everything = ln.Artifact.from_dir(storage.root if isinstance(storage.backend, Local) else storage.path)
    assert everything.to_list("key") == ["seq/other.txt", *(f"seq/run_1/{name}" for name in ORDER)]
    assert [artifact.is_saved for artifact in everything] == [False, True, True, True, True]


@pytest.mark.req("R149", "R150", "R156")
def test_a_remote_folder_costs_one_listing(sqlite_registry: Registry, s3_root: str) -> None:
    backend = backend_at(s3_root)
    for name in ORDER:
        (backend.path("deliveries/run_9") / name).write_bytes(name.encode())
    requests: list[str] = []
    client = backend.fs

    async def note(method: str, *_: object, **keywords: object) -> object:
        requests.append(method)
        return await original(method, *_, **keywords)

    original = client._call_s3
    client._call_s3 = note
    try:
        artifacts = ln.Artifact.from_dir(backend.path("deliveries/run_9"))
        assert len(requests) < 5, requests  # and not one or more for every file
        artifacts.save()
    finally:
        client._call_s3 = original
    # Outside of all locations: the bytes stay, and the bucket becomes the location, as for a single remote path.
    assert artifacts.to_list("key") == [f"lab/deliveries/run_9/{name}" for name in ORDER]
    single = ln.Artifact(backend.path("deliveries/run_9/b.txt"), run=False)
    assert (single.key, single.storage_id) == (artifacts[2].key, artifacts[2].storage_id)
    assert [artifact.size for artifact in artifacts] == [len(name) for name in ORDER]
    assert {artifact.storage.root.partition("?")[0] for artifact in artifacts} == {
        "s3://" + s3_root.removeprefix("s3://").partition("/")[0]
    }
    assert contents(sqlite_registry).files == ()
    assert artifacts[2].cache().read_text() == "b.txt"
    assert ln.Artifact.from_dir(backend.path("deliveries/run_9")).save() == artifacts
    with pytest.raises(NotADirectoryError):
        ln.Artifact.from_dir(backend.path("deliveries/run_9/b.txt"))
    with pytest.raises(FileNotFoundError):
        ln.Artifact.from_dir(backend.path("deliveries/run_8"))


@pytest.fixture
def s3_root(s3: S3Server) -> str:
    return s3.new_root()


@pytest.mark.req("R149", "R150", "R152", "R154")
def test_the_example_of_the_reference(lab: Registry, tmp_path: Path) -> None:
    folder = ln.examples.datasets.dir_scrnaseq_cellranger("sample_001", ln.settings.storage)
    artifacts = ln.Artifact.from_dir(folder).save()
    assert len(artifacts) == 15
    assert all(artifact.key.startswith("sample_001/") for artifact in artifacts)
    assert not any(artifact._key_is_virtual for artifact in artifacts)
    by_name = {artifact.key.removeprefix("sample_001/"): artifact for artifact in artifacts}
    assert by_name["filtered_feature_bc_matrix/matrix.mtx.gz"].suffix == ".mtx.gz"
    assert str(by_name["web_summary.html"].path) == str(folder / "web_summary.html")
    assert len(contents(lab).files) == 15  # in place: nothing was copied
    assert ln.Artifact.filter(key__startswith="sample_001/").count() == 15
    # Again the same bytes; more with the reads; outside of all locations a copy is stored.
    ln.examples.datasets.dir_scrnaseq_cellranger("sample_001", ln.settings.storage)
    if not hasattr(folder, "protocol"):
        assert ln.Artifact.from_dir(folder).save() == artifacts
    outside = ln.examples.datasets.dir_scrnaseq_cellranger("sample_002", tmp_path, output_only=False)
    assert outside == tmp_path / "sample_002"
    assert len(ln.Artifact.from_dir(outside).save()) == 17
    for wrong in ("", "a/b", "..", ".lamart"):
        with pytest.raises(ln.errors.InvalidArgument):
            ln.examples.datasets.dir_scrnaseq_cellranger(wrong, tmp_path)


@pytest.mark.req("R95", "R150")
def test_locations_inside_the_folder_keep_their_files(sqlite_registry: Registry, tmp_path: Path) -> None:
    folder = tree(tmp_path / "outside", {"a.txt": "a", "lab/b.txt": "b", "lab/deep/c.txt": "c"})
    inner = ln.Storage(root=folder / "lab").save()
    artifacts = ln.Artifact.from_dir(folder).save()
    assert artifacts.to_list("key") == ["outside/a.txt", "b.txt", "deep/c.txt"]
    assert [artifact.storage == inner for artifact in artifacts] == [False, True, True]
    assert [artifact._key_is_virtual for artifact in artifacts] == [True, False, False]


@pytest.mark.req("R156", "R149")
def test_statements_do_not_grow_with_the_files_of_a_batch(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(number: int) -> tuple[int, int, int]:
        folder = tree(tmp_path / f"of_{number}", {f"{i}.txt": f"{number} {i}" for i in range(number)})
        with statements(registry) as seen:
            artifacts = ln.Artifact.from_dir(folder, run=False)
        looked = len(seen)
        with statements(registry) as seen:
            artifacts.save()
        saved = len(seen)
        with statements(registry) as seen:
            ln.Artifact.from_dir(folder, run=False).save()
        return looked, saved, len(seen)

    one = count(10)
    assert count(300) == one
    assert one[0] <= 2
    assert one[1] <= 6
    # And they grow with the number of batches, not faster.
    monkeypatch.setattr(bulk, "BATCH_SIZE", 50)
    monkeypatch.setattr(resolve, "BATCH", 50)
    looked, _, _ = count(200)
    assert looked <= one[0] + 3


@pytest.mark.req("R94", "R149")
def test_what_is_no_folder_of_files(
    sqlite_registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(FileNotFoundError):
        ln.Artifact.from_dir(tmp_path / "missing")
    with pytest.raises(NotADirectoryError, match="takes a folder") as error:
        ln.Artifact.from_dir(write(tmp_path / "file.txt", "x"))
    assert isinstance(error.value, ValueError)
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    with caplog.at_level(logging.WARNING, logger="lamart"):
        assert ln.Artifact.from_dir(tmp_path / "empty") == []
    assert "holds no files" in caplog.text
    assert ln.Artifact.from_dir(tmp_path / "empty").save() == []
    folder = tree(tmp_path / "in", {"a.txt": "a"})
    for key in ("", "/abs", "a/../b", "a//b", ".lamart/x", "new\nline"):
        with pytest.raises(ln.errors.InvalidKey):
            ln.Artifact.from_dir(folder, key=key)
    with pytest.raises(ln.errors.InvalidArgument):
        ln.Artifact.from_dir(folder, run="yesterday")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ln.errors.UnsupportedObject):
        ln.Artifact.from_dir(17)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ln.errors.InvalidArgument, match="reserved"):
        ln.Artifact.from_dir(storage_root(sqlite_registry) / ".lamart")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))


def _link_out(folder: Path) -> None:
    write(folder.parent / "secret", "secret")
    (folder / "link").symlink_to(folder.parent / "secret")


def _broken_link(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "nothing")


def _not_utf8(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.txt")).write_text("x")


def _line_break(folder: Path) -> None:
    write(folder / "two\nlines.txt", "x")


def _twins(folder: Path) -> None:
    write(folder / "u\u0308.txt", "x")
    write(folder / "\u00fc.txt", "y")


@pytest.mark.req("R94")
@pytest.mark.parametrize("spoil", [_pipe, _socket, _link_out, _broken_link, _not_utf8, _line_break, _twins])
def test_hostile_entries_are_refused_before_anything(
    sqlite_registry: Registry, spoil: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # A short path: the name of a socket must not be long.
    folder = tree(tmp_path_factory.mktemp("h") / "d", {"good.txt": "good"})
    assert callable(spoil)
    spoil(folder)
    with pytest.raises(ln.errors.InvalidArgument):
        ln.Artifact.from_dir(folder)
    assert contents(sqlite_registry).files == ()
    assert contents(sqlite_registry).artifacts == 0


@pytest.mark.req("R39", "R149")
def test_types_and_counts(sqlite_registry: Registry, tmp_path: Path) -> None:
    folder = tree(tmp_path / "in", {"a.csv": "x\n1\n", "b.png": b"no image", "broken.parquet": b"no parquet"})
    pd.DataFrame({"x": [1, 2, 3]}).to_parquet(folder / "c.parquet")
    artifacts = ln.Artifact.from_dir(folder)
    for artifact in artifacts:
        alone = ln.Artifact(folder / artifact.key.removeprefix("in/"), key=f"alone/{artifact.key}", run=False)
        for name in ("suffix", "otype", "n_observations", "size", "hash", "_hash_type", "n_files", "space_id"):
            assert getattr(artifact, name) == getattr(alone, name), (artifact.key, name)
    assert [artifact.n_observations for artifact in artifacts] == [None, None, None, 3]


@pytest.mark.req("R149")
def test_lists_of_records(sqlite_registry: Registry, tmp_path: Path) -> None:
    folder = tree(tmp_path / "in", {"a.txt": "a", "b.txt": "bb"})
    artifacts = ln.Artifact.from_dir(folder, run=False)
    unsaved = artifacts.to_dataframe()
    assert unsaved["key"].tolist() == ["in/a.txt", "in/b.txt"]
    assert unsaved["size"].tolist() == [1, 2]
    saved = artifacts.save().to_dataframe()
    assert saved.index.tolist() == [artifact.id for artifact in artifacts]
    pd.testing.assert_frame_equal(saved, ln.Artifact.filter().to_dataframe(order_by="id"))
    assert artifacts.to_list() == list(artifacts)
    assert artifacts.to_list("size") == [1, 2]
    with pytest.raises(ln.errors.FieldError, match="no field 'colour'"):
        artifacts.to_list("colour")
    with pytest.raises(ln.errors.MultipleObjectsReturned):
        artifacts.one()
    with pytest.raises(ln.errors.ObjectDoesNotExist):
        ln.SQLRecordList[ln.Artifact]().one()
    assert ln.SQLRecordList(artifacts[:1]).one() == artifacts[0]
    with pytest.raises(ln.errors.InvalidArgument):
        ln.SQLRecordList([artifacts[0], ln.Transform(key="t")]).to_dataframe()


RACE = """
from pathlib import Path
import pyarrow.parquet
folder = Path(arguments["folder"])
told = []
for part in range(2):
    ready()
    artifacts = ln.Artifact.from_dir(folder / f"part{part}", run=False).save()
    told.append([artifact.uid for artifact in artifacts])
tell(told)
"""


@pytest.mark.req("R43", "R47", "R155", "R287")
def test_processes_that_take_in_one_folder(registry: Registry, tmp_path: Path) -> None:
    for part in range(2):
        tree(tmp_path / f"part{part}", {f"{i}.txt": f"{part} {i % 70}" for i in range(100)})
    processes = [start(registry, RACE, number=number, folder=tmp_path) for number in range(2)]
    try:
        for _ in range(2):
            release(processes)
        told = answers(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert told[0] == told[1]
    artifacts = ln.Artifact.filter(branch=None).to_list()
    assert sorted(artifact.uid for artifact in artifacts) == sorted(uid for part in told[0] for uid in part)
    assert all(artifact.is_latest for artifact in artifacts)
    assert len({artifact.key for artifact in artifacts}) == 200
    for artifact in artifacts[:20]:
        assert artifact.verify()
    held = contents(registry)
    assert held.objects == len(held.files) == 140
    assert set(held.files) == {artifact.object.path for artifact in artifacts}
