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
from lamart_core.storage import Backend, backend_at
from tests.storage.s3_server import S3Server


@pytest.mark.req("R61")
def test_paths_are_of_the_kind_of_the_storage(s3: S3Server, local: Backend) -> None:
    path = local.path("a/b.csv")
    assert type(path) is type(Path(local.root))
    assert str(path) == f"{local.root}/a/b.csv"
    assert local.path() == Path(local.root)
    backend = backend_at(f"s3://bucket/lab?endpoint_url={s3.endpoint_url}")
    remote = backend.path("a/b.csv")
    assert isinstance(remote, UPath)
    assert str(remote) == "s3://bucket/lab/a/b.csv"
    assert remote.storage_options["endpoint_url"] == s3.endpoint_url


def test_the_endpoint_may_come_from_the_environment(
    s3: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint_url)
    backend = backend_at(f"s3://{s3.new_bucket()}/lab")
    backend.put_file(source, "a.bin")
    assert backend.stat("a.bin").size == 100_000
    assert backend.path("a.bin").read_bytes() == source.read_bytes()


def test_a_location_is_a_value(s3: S3Server) -> None:
    backend = backend_at("s3://bucket/lab", options={"key": "k", "secret": "s"})
    assert pickle.loads(pickle.dumps(backend)) == backend
    assert hash(backend) == hash(pickle.loads(pickle.dumps(backend)))


def test_what_another_process_writes_is_seen_at_once(s3: S3Server, source: Path) -> None:
    backend = backend_at(s3.new_root())
    backend.put_file(source, "f/one")
    assert backend.stat("f").n_files == 1
    code = f"""
from pathlib import Path
from lamart_core.storage import backend_at
backend_at({backend.root!r}).put_file(Path({str(source)!r}), "f/two")
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert backend.stat("f").n_files == 2


def test_threads_share_one_file_system(s3: S3Server) -> None:
    backend = backend_at(s3.new_root())
    found: list[object] = [backend.fs]
    thread = threading.Thread(target=lambda: found.append(backend_at(backend.root).fs))
    thread.start()
    thread.join()
    assert found[0] is found[1]


@pytest.mark.parametrize("used_before", [True, False])
def test_a_forked_child_reaches_the_object_store(s3: S3Server, source: Path, used_before: bool) -> None:
    backend = backend_at(s3.new_root())
    if used_before:
        backend.put_file(source, "parent")
    child = os.fork()
    if child == 0:
        try:
            backend.put_file(source, "child")
            assert backend.path("child").read_bytes() == source.read_bytes()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert backend.stat("child").size == 100_000
    backend.put_file(source, "parent again")


def test_any_fsspec_storage_works(source: Path) -> None:
    backend = backend_at("memory://lab")
    backend.put_file(source, "a/b.bin")
    backend.put_file(source, "a/c.bin")
    assert backend.stat("a").n_files == 2
    backend.delete("a", is_folder=True)
    with pytest.raises(errors.PathNotFound):
        backend.stat("a")


def test_a_missing_library_names_the_extra() -> None:
    code = """
import sys
sys.modules["s3fs"] = None
from lamart_core import errors
from lamart_core.storage import backend_at
for reach in (lambda: backend_at("s3://bucket").fs, lambda: backend_at("s3://bucket").path("a")):
    try:
        reach()
    except errors.MissingExtra as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert all("pip install 'lamart-dagster[aws]'" in line and "s3fs" in line for line in lines)
