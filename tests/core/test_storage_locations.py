"""Storage locations: several and nested ones, references, spaces, credentials, places that move."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text
from upath import UPath

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from tests.databases import fresh_database
from tests.processes import run_together
from tests.registries import contents, tree, write
from tests.storage.proxy import proxied
from tests.storage.s3_server import CREDENTIALS, S3Server, rclone, s3, s3_server

__all__ = ["rclone", "s3", "s3_server"]


def rows(registry: Registry, table: str) -> str:
    """All text that a table holds."""
    with registry.engine.connect() as connection:
        return "\n".join(str(row) for row in connection.execute(text(f"SELECT * FROM {table}")))


# ---------------------------------------------------------------------- registering


@pytest.mark.req("R95", "R96", "R97", "R98", "R103")
def test_a_location_is_registered_and_written_to(registry: Registry, tmp_path: Path) -> None:
    storage = ln.Storage(root=str(tmp_path / "second") + "/", description="the second").save()
    assert ln.Storage.get(root=str(tmp_path / "second/")) == storage
    assert (storage.type, storage.is_managed, storage.host) == ("local", True, os.uname().nodename)
    assert Path(storage.root, ".lamart/storage_uid.txt").read_text().split() == [storage.uid, registry.uid]
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", storage=storage).save()
    assert artifact.path.is_relative_to(storage.root)
    assert artifact.storage == storage
    assert storage.artifacts.to_list() == [artifact]
    assert ln.Artifact.filter(storage__root=storage.root).one() == artifact
    assert ln.Storage.filter(artifacts__key="a.txt").one() == storage
    again = ln.Storage(root=storage.root)
    assert (again.id, again.uid) == (storage.id, storage.uid)
    assert again.save() == storage


@pytest.mark.req("R95", "R98", "R59", "R61")
def test_a_bucket_is_a_location(registry: Registry, s3_server: S3Server, tmp_path: Path) -> None:
    root = s3_server.new_root()
    storage = ln.Storage(root=root + "/").save()
    assert (storage.root, storage.type, storage.host) == (root, "s3", None)
    assert storage.region in ("us-east-1", None)  # rclone's server does not say
    artifact = ln.Artifact(write(tmp_path / "a.txt", "hello"), key="a.txt", storage=storage).save()
    assert str(artifact.path).startswith(root.partition("?")[0] + "/.lamart/")
    assert artifact.load() == "hello"
    assert artifact.verify()
    artifact.delete(permanent=True)
    assert storage.backend.fs.find(storage.backend.url()) == [
        f"{storage.backend.stored_name()}/.lamart/storage_uid.txt"
    ]


@pytest.mark.req("R54", "R59")
def test_of_nested_locations_the_longest_root_counts(registry: Registry, s3: S3Server, tmp_path: Path) -> None:
    outer = ln.Storage(root=str(tmp_path / "outer")).save()
    inner = ln.Storage(root=str(tmp_path / "outer/inner")).save()
    for name, expected in {"a.txt": outer, "inner/b.txt": inner, "innermost/c.txt": outer}.items():
        artifact = ln.Artifact(write(Path(outer.root, name), name)).save()
        assert artifact.storage == expected
        assert artifact.key == name.removeprefix("inner/")
        assert artifact.load() == name
    bucket = s3.new_bucket()
    endpoint = f"?endpoint_url={s3.endpoint_url}"
    wide = ln.Storage(root=f"s3://{bucket}/lab{endpoint}").save()
    narrow = ln.Storage(root=f"s3://{bucket}/lab/deep{endpoint}").save()
    for name, expected in {"a.txt": wide, "deep/b.txt": narrow}.items():
        path = UPath(f"s3://{bucket}/lab/{name}", endpoint_url=s3.endpoint_url)
        path.write_text(name)
        assert ln.Artifact(path).save().storage == expected


@pytest.mark.req("R57", "R36", "R263")
def test_remote_folders_are_registered_with_one_listing_and_without_a_copy(
    registry: Registry, s3_server: S3Server, tmp_path: Path
) -> None:
    bucket = s3_server.new_bucket()
    for number in range(5):
        s3_server.client.put_object(Bucket=bucket, Key=f"run_7/{number}.csv", Body=b"a\n1\n")
    before = s3_server.keys(bucket)
    with proxied(s3_server.endpoint_url) as proxy:
        folder = ln.Artifact(UPath(f"s3://{bucket}/run_7", endpoint_url=proxy.endpoint_url))
        assert [asked.method for asked in proxy.asked] == ["HEAD", "GET"]
        assert (folder.key, folder.n_files, folder.size) == ("run_7", 5, 20)
        proxy.asked.clear()
        single = ln.Artifact(UPath(f"s3://{bucket}/run_7/1.csv", endpoint_url=proxy.endpoint_url))
        assert [asked.method for asked in proxy.asked] == ["HEAD"]
        folder.save()
        single.save()
        assert folder.storage.root == f"s3://{bucket}?endpoint_url={proxy.endpoint_url}"
        assert not folder.storage.is_managed
        assert single.storage == folder.storage
        assert sorted(path.name for path in folder.cache().iterdir()) == [f"{number}.csv" for number in range(5)]
        assert single.load()["a"].tolist() == [1]
    assert s3_server.keys(bucket) == before


@pytest.mark.req("R29", "R58", "R97")
def test_the_location_of_another_registry_is_only_read(
    registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with fresh_database("sqlite", tmp_path) as url:
        other = ln.connect(url, storage=tmp_path / "theirs", make_default=False)
        with other:
            artifact = ln.Artifact(write(tmp_path / "a.txt", "theirs"), key="a.txt", key_is_virtual=False).save()
        with caplog.at_level(logging.WARNING):
            storage = ln.Storage(root=str(tmp_path / "theirs")).save()
        assert "another registry" in caplog.text
        assert (storage.is_managed, storage.instance_uid, storage.uid) == (False, other.uid, artifact.storage.uid)
        before = sorted(path for path in (tmp_path / "theirs").rglob("*"))
        mine = ln.Artifact(tmp_path / "theirs/a.txt").save()
        assert mine.load() == "theirs"
        with pytest.raises(ValueError, match="not managed"):
            ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt", storage=storage)
        with pytest.raises(errors.ReadOnlyStorage):
            storage.backend.check_writable()
        with pytest.raises(errors.InvalidArgument, match="not managed"):
            ln.settings.storage = storage
        with pytest.raises(errors.IntegrityError, match="storage=False"):
            mine.delete(permanent=True)
        mine.delete(permanent=True, storage=False)
        storage.delete()
        assert sorted(path for path in (tmp_path / "theirs").rglob("*")) == before
        with other:
            assert ln.Artifact.get(key="a.txt").load() == "theirs"
        other.close()


@pytest.mark.req("R29")
def test_what_is_not_managed_any_more_is_not_written_to(registry: Registry, tmp_path: Path) -> None:
    storage = ln.Storage(root=str(tmp_path / "second")).save()
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", storage=storage)
    with registry.engine.begin() as connection:
        connection.execute(text("UPDATE lamart_storage SET instance_uid = NULL WHERE id = :id"), {"id": storage.id})
    storage.refresh()
    with pytest.raises(ValueError, match="not managed"):
        artifact.save()
    assert not ln.Artifact.filter(key="a.txt").exists()
    files = [path.name for path in Path(storage.root, ".lamart").rglob("*") if path.is_file()]
    assert files == ["storage_uid.txt"]


@pytest.mark.req("R91", "R96")
def test_processes_that_register_one_root_share_the_record(registry: Registry, tmp_path: Path) -> None:
    code = """
ready()
location = ln.Storage(root=arguments["root"]).save()
tell([location.id, location.uid, location.is_managed])
"""
    told = run_together(registry, code, 4, root=tmp_path / "contested")
    assert len({tuple(item) for item in told}) == 1
    assert told[0][2] is True


# ---------------------------------------------------------------------- spaces and the default


@pytest.mark.req("R26", "R27", "R28")
def test_a_space_has_its_own_locations(registry: Registry, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    space = ln.models.Space(name="secret").save()
    path = write(tmp_path / "a.txt", "a")
    with pytest.raises(errors.NoStorageLocationForSpace, match=r"Storage\(root=…, space=…\).*storage=…"):
        ln.Artifact(path, key="a.txt", space=space)
    first = ln.Storage(root=str(tmp_path / "one"), space=space).save()
    assert ln.Artifact(path, key="a.txt", space=space).save().storage == first
    with caplog.at_level(logging.WARNING):
        ln.Storage(root=str(tmp_path / "two"), space=space).save()
        assert ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt", space=space).save().storage == first
    assert f"several storage locations, using {first.root}" in caplog.text
    with caplog.at_level(logging.WARNING):
        mixed = ln.Artifact(write(tmp_path / "c.txt", "c"), key="c.txt", storage=ln.settings.storage, space=space)
    assert "is overruled" in caplog.text
    assert mixed.save().space_id == space.id
    given = ln.Artifact(write(tmp_path / "d.txt", "d"), key="d.txt", storage=first).save()
    assert given.space_id == space.id


@pytest.mark.req("R100", "R101", "R27")
def test_the_default_is_read_and_switched(registry: Registry, tmp_path: Path) -> None:
    assert ln.settings.storage.root == str(tmp_path / "lab/storage")
    assert Path(ln.settings.storage) == Path(ln.settings.storage.root) == ln.settings.storage.path
    assert ln.settings.storage / "x" == Path(ln.settings.storage.root, "x")
    with pytest.raises(errors.UnknownStorageLocation) as caught:
        ln.settings.storage = tmp_path / "unknown"
    assert ln.settings.storage.root in str(caught.value)
    assert "Storage(root=…).save()" in str(caught.value)
    assert not (tmp_path / "unknown").exists()
    second = ln.Storage(root=str(tmp_path / "second")).save()
    ln.settings.storage = str(tmp_path / "second/")
    assert ln.settings.storage == second
    artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt").save()
    assert artifact.storage == second
    copy = pickle.loads(pickle.dumps(registry))
    assert copy.storage_id == second.id
    copy.close()


# ---------------------------------------------------------------------- deleting


@pytest.mark.req("R99")
def test_only_an_empty_location_is_deleted(registry: Registry, s3_server: S3Server, tmp_path: Path) -> None:
    with pytest.raises(errors.ProtectedError, match="default"):
        ln.settings.storage.delete()
    for root in (str(tmp_path / "second"), s3_server.new_root()):
        storage = ln.Storage(root=root).save()
        with pytest.raises(ValueError, match="no trash"):
            storage.delete(permanent=False)
        artifact = ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt", storage=storage).save()
        with pytest.raises(errors.ProtectedError, match="1 artifacts"):
            storage.delete()
        artifact.delete()
        with pytest.raises(errors.ProtectedError, match="trash"):
            storage.delete(permanent=True)
        artifact.delete(permanent=True)
        orphan = storage.path / f".lamart/{'x' * 24}.txt"
        orphan.write_text("of a save that was killed")
        with pytest.raises(errors.ProtectedError, match="1 objects"):
            storage.delete()
        assert ln.Storage.filter(root=root).exists()
        orphan.unlink()
        storage.delete()
        assert not ln.Storage.filter(root=root).exists()
        assert not (storage.path / ".lamart").exists()
        assert ln.Storage(root=root).save().is_managed


# ---------------------------------------------------------------------- moving


MOVE = """
import os
ready()
location = ln.Storage.get(arguments["uid"])
os.rename(location.root, arguments["root"])
location.root = arguments["root"]
tell(location.save().root)
"""


@pytest.mark.req("R96", "R97")
def test_a_folder_that_was_moved_is_found_again(registry: Registry, tmp_path: Path) -> None:
    storage = ln.Storage(root=str(tmp_path / "old")).save()
    table = pd.DataFrame({"a": [1, 2]})
    artifact = ln.Artifact.from_dataframe(table, key="d.parquet", storage=storage).save()
    real = ln.Artifact(write(tmp_path / "r.txt", "r"), key="x/r.txt", key_is_virtual=False, storage=storage).save()
    artifact.load()  # this process remembers where it was
    other = ln.Storage(root=str(tmp_path / "other")).save()
    old = storage.root

    def move_to(root: Path) -> None:
        storage.root = str(root)
        storage.save()

    with pytest.raises(errors.PathNotFound, match="no folder"):
        move_to(tmp_path / "nowhere")
    storage.refresh()
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.IntegrityError, match=storage.uid):
        move_to(tmp_path / "empty")
    storage.refresh()
    with pytest.raises(errors.InvalidArgument, match=other.uid):
        move_to(Path(other.root))
    storage.refresh()
    shutil.copytree(other.root, tmp_path / "copy of other")
    with pytest.raises(errors.IntegrityError, match=f"should be that of {storage.uid}.*{other.uid}"):
        move_to(tmp_path / "copy of other")
    storage.refresh()
    assert storage.root == old
    assert artifact.load().equals(table)

    os.rename(old, tmp_path / "new")
    with pytest.raises(errors.WrongStorage, match=r"storage\.root = "):
        artifact.load()
    with pytest.raises(errors.IntegrityError, match=r"storage\.root = "):
        ln.Storage(root=str(tmp_path / "new")).save()
    move_to(tmp_path / "new/")
    assert ln.Storage.get(storage.uid).root == str(tmp_path / "new")
    for record in (artifact, ln.Artifact.get(key="d.parquet")):
        assert record.load().equals(table)
        assert record.verify()
    assert ln.Artifact.get(key="x/r.txt").path == tmp_path / "new/x/r.txt"
    assert real.load() == "r"
    assert ln.Artifact(tmp_path / "new/x/r.txt") == real
    later = ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt", storage=storage).save()
    assert later.path.is_relative_to(tmp_path / "new")
    run_together(registry, MOVE, 1, uid=storage.uid, root=tmp_path / "newest")
    assert artifact.load().equals(table)  # moved by another process, while this one remembered the place
    assert ln.Artifact.get(key="x/r.txt").path == tmp_path / "newest/x/r.txt"


@pytest.mark.req("R97")
def test_a_bucket_that_was_copied_to_another_server_is_found_again(
    registry: Registry, s3: S3Server, rclone: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = ln.Storage(root=s3.new_root()).save()
    folder = tree(tmp_path / "f", {"a.txt": "a", "deep/b.txt": "b"})
    artifact = ln.Artifact(folder, key="f", storage=storage).save()
    old_bucket, bucket = storage.root.split("/")[2], rclone.new_bucket()
    for key in s3.keys(old_bucket):
        body = s3.client.get_object(Bucket=old_bucket, Key=key)["Body"].read()
        rclone.client.put_object(Bucket=bucket, Key=key, Body=body)
    storage.root = f"s3://{bucket}/lab?endpoint_url={rclone.endpoint_url}"
    with caplog.at_level(logging.WARNING):
        storage.save()
    assert "still holds a copy" in caplog.text
    for key in s3.keys(old_bucket):
        s3.client.delete_object(Bucket=old_bucket, Key=key)
    assert sorted(path.name for path in ln.Artifact.get(artifact.uid).cache().rglob("*.txt")) == ["a.txt", "b.txt"]
    assert artifact.verify()


# ---------------------------------------------------------------------- credentials


def make_options() -> dict[str, Any]:
    """What a function that renews credentials gives."""
    return {"key": "test", "secret": os.environ.get("RENEWED", "expired-secret")}


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.req("R95")
def test_credentials_are_used_and_never_stored_or_shown(rclone: S3Server, no_credentials: None, tmp_path: Path) -> None:
    root = rclone.new_root()
    options = {root.partition("?")[0]: {"key": "test", "secret": "test"}, "s3": {"secret": "very-secret-word"}}
    with fresh_database("sqlite", tmp_path) as url:
        registry = ln.connect(url, storage=root, cache_dir=tmp_path / "cache", storage_options=options)
        artifact = ln.Artifact(write(tmp_path / "a.txt", "hello"), key="a.txt").save()
        assert ln.Artifact.get(key="a.txt").load() == "hello"
        assert artifact.path.read_text() == "hello"
        copy = pickle.loads(pickle.dumps(registry))
        with copy:
            ln.Artifact.get(key="a.txt").verify()
        copy.close()
        registry.set_storage_options(root, {"key": "test", "secret": "very-secret-word"})
        with pytest.raises(errors.AccessDenied) as caught:
            artifact.verify()
        shown = [repr(registry), repr(registry.options), repr(registry.storage_options), repr(artifact.path)]
        shown += [repr(artifact.storage.backend), repr(artifact), f"{caught.value}{caught.value!r}"]
        for table in ("lamart_storage", "lamart_artifact", "lamart_registry", "lamart_storedobject"):
            shown.append(rows(registry, table))
        assert "very-secret-word" not in "\n".join(shown)
        registry.close()
        ln.db.set_default_registry(None)


@pytest.mark.req("R266")
def test_credentials_that_expire_are_renewed_without_a_restart(
    rclone: S3Server, no_credentials: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = rclone.new_root()
    monkeypatch.setenv("RENEWED", "test")
    with fresh_database("sqlite", tmp_path) as url:
        registry = ln.connect(url, storage=root, cache_dir=tmp_path / "cache", storage_options={"s3": make_options})
        first = ln.Artifact(write(tmp_path / "a.txt", "hello"), key="a.txt").save()
        monkeypatch.delenv("RENEWED")
        artifact = ln.Artifact(write(tmp_path / "b.txt", "b"), key="b.txt")
        with pytest.raises(errors.AccessDenied, match="not valid"):
            artifact.save()
        with pytest.raises(errors.AccessDenied):
            first.load()
        assert not ln.Artifact.filter(key="b.txt").exists()
        monkeypatch.setenv("RENEWED", "test")  # the function gives the new ones
        assert artifact.save().load() == "b"
        assert first.load() == "hello"
        registry.set_storage_options("s3", {"key": "test", "secret": "old"})
        with pytest.raises(errors.AccessDenied):
            ln.Artifact(write(tmp_path / "c.txt", "c"), key="c.txt").save()
        registry.set_storage_options("s3", None)
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        assert ln.Artifact(write(tmp_path / "c.txt", "c"), key="c.txt").save().load() == "c"
        registry.close()
        ln.db.set_default_registry(None)


@pytest.mark.req("R57")
def test_the_options_of_a_path_are_those_of_its_artifact(
    registry: Registry, s3: S3Server, no_credentials: None, tmp_path: Path
) -> None:
    bucket = s3.new_bucket()
    s3.client.put_object(Bucket=bucket, Key="public/a.csv", Body=b"a\n1\n", ACL="public-read")
    path = UPath(f"s3://{bucket}/public/a.csv", endpoint_url=s3.endpoint_url, anon=True)
    artifact = ln.Artifact(path).save()
    assert artifact.load()["a"].tolist() == [1]
    assert artifact.open().count_rows() == 1
    assert "anon" not in rows(registry, "lamart_storage")
    with fresh_database("sqlite", tmp_path) as url:
        public = {f"s3://{bucket}": {"anon": True}}
        other = ln.connect(url, storage=tmp_path / "mine", storage_options=public, make_default=False)
        with other:
            named = ln.Artifact(UPath(f"s3://{bucket}/public/a.csv", endpoint_url=s3.endpoint_url)).save()
            assert named.cache().read_text() == "a\n1\n"
        other.close()


@pytest.mark.parametrize("root", ["s3://key:secret@bucket/x", "https://me:secret@host/x", "https://me@host/x"])
def test_credentials_in_a_root_are_refused_and_not_repeated(registry: Registry, root: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="credentials") as caught:
        ln.Storage(root=root)
    assert "secret" not in str(caught.value)
    with pytest.raises(errors.InvalidArgument) as refused:
        ln.connect("sqlite:///x.db", storage_options={"s3": "secret"})  # pyright: ignore[reportArgumentType]
    assert "secret" not in str(refused.value)


# ---------------------------------------------------------------------- other protocols


@pytest.fixture
def web(tmp_path: Path) -> Generator[str, None, None]:
    """A web server over a folder."""
    folder = tree(tmp_path / "www", {"data/a.csv": "a,b\n1,2\n"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.req("R57", "R58", "R98")
def test_a_file_of_a_web_server_is_registered_where_it_is(registry: Registry, web: str) -> None:
    artifact = ln.Artifact(f"{web}/data/a.csv").save()
    assert (artifact.key, artifact.suffix, artifact.size) == ("data/a.csv", ".csv", 8)
    assert (artifact.storage.root, artifact.storage.type, artifact.storage.is_managed) == (web, "http", False)
    assert str(artifact.path) == f"{web}/data/a.csv"
    assert artifact.load()["b"].tolist() == [2]
    assert ln.Artifact.get(key="data/a.csv").cache().read_text() == "a,b\n1,2\n"
    with pytest.raises(errors.PathNotFound, match="nowhere"):
        ln.Artifact(f"{web}/nowhere.csv")
    with pytest.raises(errors.InvalidArgument, match="query"):
        ln.Artifact(f"{web}/data/a.csv?download=1")
    with pytest.raises(errors.InvalidArgument, match="not managed"):
        ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="x.parquet", storage=artifact.storage)
    assert contents(registry).files == ()


@pytest.mark.req("R97", "R98")
def test_a_place_that_cannot_be_written_is_unmanaged(
    registry: Registry, web: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        storage = ln.Storage(root=f"{web}/data/").save()
    assert "registered for reading only" in caplog.text
    assert (storage.root, storage.is_managed, storage.instance_uid) == (f"{web}/data", False, None)
    assert ln.Artifact(f"{web}/data/a.csv").save().storage == storage


@pytest.mark.req("R95", "R98")
def test_memory_is_a_location(registry: Registry, tmp_path: Path) -> None:
    storage = ln.Storage(root=f"memory://{tmp_path.name}").save()
    assert (storage.type, storage.is_managed) == ("memory", True)
    table = pd.DataFrame({"a": [1, 2]})
    artifact = ln.Artifact.from_dataframe(table, key="d.parquet", storage=storage).save()
    folder = ln.Artifact(tree(tmp_path / "f", {"a.txt": "a", "b/c.txt": "c"}), key="f", storage=storage).save()
    assert ln.Artifact.get(artifact.uid).load().equals(table)
    assert folder.verify()
    assert artifact.verify()
    artifact.delete(permanent=True)
    folder.delete(permanent=True)
    storage.delete()


@pytest.mark.req("R96")
@pytest.mark.parametrize(
    ("root", "extra", "library"), [("gs://bucket/x", "gcs", "gcsfs"), ("az://container/x", "azure", "adlfs")]
)
def test_a_protocol_without_its_library_names_the_extra(tmp_path: Path, root: str, extra: str, library: str) -> None:
    code = f"""
import sys
sys.modules[{library!r}] = None
import lamart_core as ln
ln.connect("sqlite:///{tmp_path}/x.db", storage="{tmp_path}/lab")
try:
    ln.Storage(root={root!r}).save()
except ln.errors.MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert f"pip install 'lamart-dagster[{extra}]'" in done.stdout, done.stderr
    assert library in done.stdout


@pytest.mark.req("R104", "R289")
def test_a_local_registry_never_uses_the_network(tmp_path: Path) -> None:
    code = f"""
import sys
used = []
def listen(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        used.append((event, str(arguments)))
sys.addaudithook(listen)
import lamart_core as ln, pandas as pd
from pathlib import Path
folder = Path({str(tmp_path)!r})
ln.connect(f"sqlite:///{{folder}}/x.db", storage=folder / "lab")
second = ln.Storage(root=str(folder / "second")).save()
artifact = ln.Artifact.from_dataframe(pd.DataFrame({{"a": [1]}}), key="d.parquet").save()
(folder / "a.txt").write_text("a")
other = ln.Artifact(folder / "a.txt", key="a.txt", storage=second, run=False).save()
artifact.load(); other.cache(); other.verify()
ln.Artifact.filter(key__endswith="txt").to_dataframe()
other.delete(permanent=True); second.delete()
print(used)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
