from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest
from upath import UPath

from lamart_core import errors
from lamart_core.storage import Location, delete, put_file, stat
from tests.storage.s3_server import S3Server


@pytest.mark.req("R61")
def test_paths_are_of_the_kind_of_the_storage(s3: S3Server, local: Location) -> None:
    path = local.path("a/b.csv")
    assert type(path) is type(Path(local.root))
    assert str(path) == f"{local.root}/a/b.csv"
    assert local.path() == Path(local.root)
    location = Location(f"s3://bucket/lab?endpoint_url={s3.endpoint_url}")
    remote = location.path("a/b.csv")
    assert isinstance(remote, UPath)
    assert str(remote) == "s3://bucket/lab/a/b.csv"
    assert remote.storage_options["endpoint_url"] == s3.endpoint_url


def test_the_endpoint_may_come_from_the_environment(
    s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint_url)
    location = Location(f"s3://{s3.new_bucket()}/lab")
    put_file(source, location, "a.bin")
    assert stat(location, "a.bin").size == 100_000
    assert location.path("a.bin").read_bytes() == source.read_bytes()


def test_a_location_is_a_value(s3: S3Server) -> None:
    location = Location("s3://bucket/lab", options={"key": "k", "secret": "s"})
    assert pickle.loads(pickle.dumps(location)) == location
    assert hash(location) == hash(pickle.loads(pickle.dumps(location)))


def test_what_another_process_writes_is_seen_at_once(s3: S3Server, source: Path) -> None:
    location = Location(s3.new_root())
    put_file(source, location, "f/one")
    assert stat(location, "f").n_files == 1
    code = f"""
from pathlib import Path
from lamart_core.storage import Location, put_file
put_file(Path({str(source)!r}), Location({location.root!r}), "f/two")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert stat(location, "f").n_files == 2


def test_threads_share_one_file_system(s3: S3Server) -> None:
    location = Location(s3.new_root())
    found: list[object] = [location.fs]
    thread = threading.Thread(target=lambda: found.append(Location(location.root).fs))
    thread.start()
    thread.join()
    assert found[0] is found[1]


@pytest.mark.parametrize("used_before", [True, False])
def test_a_forked_child_reaches_the_object_store(s3: S3Server, source: Path, used_before: bool) -> None:
    location = Location(s3.new_root())
    if used_before:
        put_file(source, location, "parent")
    child = os.fork()
    if child == 0:
        try:
            put_file(source, location, "child")
            assert location.path("child").read_bytes() == source.read_bytes()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert stat(location, "child").size == 100_000
    put_file(source, location, "parent again")


def test_any_fsspec_storage_works(source: Path) -> None:
    location = Location("memory://lab")
    put_file(source, location, "a/b.bin")
    put_file(source, location, "a/c.bin")
    assert stat(location, "a").n_files == 2
    delete(location, "a", is_folder=True)
    with pytest.raises(errors.PathNotFound):
        stat(location, "a")


def test_a_missing_library_names_the_extra() -> None:
    code = """
import sys
sys.modules["s3fs"] = None
from lamart_core import errors
from lamart_core.storage import Location
for reach in (lambda: Location("s3://bucket").fs, lambda: Location("s3://bucket").path("a")):
    try:
        reach()
    except errors.MissingExtra as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert all("pip install 'lamart-dagster[aws]'" in line and "s3fs" in line for line in lines)
