"""Azure and Google beyond what is tested of every kind of storage, on servers that nobody mocks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lamart_core import errors
from lamart_core.hashing import hash_file, hash_tree
from lamart_core.storage import (
    Backend,
    Marker,
    backend_at,
    object_path,
)
from lamart_core.storage.objectstore import limits
from tests.storage.clouds import CloudServer, FakeGcs, serve_azurite
from tests.storage.proxy import Proxy, proxied

STEM = "9Kq3mZ0aBcDeFgHi"
NAMES = [
    " leading", "trailing ", "q'uo\"te", "per%2Fcent", "%", "ha#sh", "hash#", "quest?ion", "?", "a?versionid=x", "a#1",
    "am&p", "pl+us", "semi;colon", "st*r", "**", "br[a]cket", "{a,b}", "~", "co:lon", "<x>|", "a=b,c@d!", "end.",
    "...x", "Case", "case", "😀", "\ufeffbom", "日本語", "é" * 120,
]  # fmt: skip


@pytest.fixture
def container(cloud: CloudServer) -> str:
    return cloud.new_container()


@pytest.fixture
def place_there(cloud: CloudServer, container: str) -> Backend:
    return backend_at(f"{cloud.protocol}://{container}/lab", cloud.options())


@pytest.fixture
def proxy(cloud: CloudServer) -> Generator[Proxy, None, None]:
    with proxied(cloud.endpoint_url) as running:
        yield running


@pytest.fixture
def behind(cloud: CloudServer, container: str, proxy: Proxy) -> Backend:
    """A location that is reached through the proxy."""
    return backend_at(f"{cloud.protocol}://{container}/lab", cloud.options(proxy.endpoint_url))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt and not three, for what fails at each of them."""
    monkeypatch.setattr(limits, "ATTEMPTS", 1)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 MiB: three parts, no two of which are equal."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    with path.open("wb") as file:
        for number in range(40):
            file.write(os.urandom(1024) + bytes([number]) * (2**20 - 1024))
    return path


# ---------------------------------------------------------------------- never over something that is there


@pytest.mark.parametrize("size", ["small", "large"])
def test_the_server_itself_is_asked_not_to_replace_anything(
    cloud: CloudServer, container: str, behind: Backend, proxy: Proxy, source: Path, large: Path, size: str
) -> None:
    if size == "large" and isinstance(cloud, FakeGcs):
        pytest.skip("fake-gcs-server knows no conditions of uploads in parts")
    # The name is free when it is looked at; before the bytes arrive, another writer takes it.
    proxy.fault("delay", "PUT" if cloud.protocol == "az" else "POST", meanwhile=lambda: take(cloud, container), times=1)
    with pytest.raises(errors.ObjectExists):
        behind.put_file(source if size == "small" else large, "contested")
    assert cloud.read(container, "lab/contested") == b"theirs"
    assert cloud.keys(container) == ["lab/contested"]


def take(cloud: CloudServer, container: str) -> None:
    cloud.put(container, "lab/contested", b"theirs")


def test_an_upload_whose_answer_is_lost_meets_its_own_object(
    cloud: CloudServer, container: str, behind: Backend, proxy: Proxy, source: Path
) -> None:
    method = "PUT" if cloud.protocol == "az" else "POST"
    proxy.fault("drop answer", method, times=1)
    assert behind.put_file(source, "real/key.bin", digest=hash_file(source)).size == 100_000
    assert proxy.count(method) == 2  # the second was refused, and the object told whose it is
    assert cloud.read(container, "lab/real/key.bin") == source.read_bytes()


def test_a_marker_is_written_by_one(cloud: CloudServer, container: str, behind: Backend, proxy: Proxy) -> None:
    def be_faster() -> None:
        cloud.put(container, "lab/.lamart/storage_uid.txt", b"aaaa\nbbbb\n")

    proxy.fault("delay", "PUT" if cloud.protocol == "az" else "POST", meanwhile=be_faster, times=1)
    with pytest.raises(errors.ObjectExists, match="bbbb"):
        behind.write_marker(Marker("cccc", "dddd"))
    assert behind.read_marker() == Marker("aaaa", "bbbb")


# ---------------------------------------------------------------------- large objects


def test_a_large_file_goes_in_parts_and_comes_back(
    cloud: CloudServer, behind: Backend, proxy: Proxy, large: Path, tmp_path: Path
) -> None:
    digest = hash_file(large)
    behind.put_file(large, "large.bin", digest=digest)
    if cloud.protocol == "az":
        assert proxy.count("PUT", "comp=block&") == 3
        assert proxy.count("PUT", "comp=blocklist") == 1
    else:  # the parts go to the address that the server gives, past the proxy
        assert proxy.count("POST", "uploadType=resumable&ifGenerationMatch=0") == 1
    behind.get("large.bin", tmp_path / "copy")
    assert hash_file(tmp_path / "copy") == digest
    assert behind.stat("large.bin").size == large.stat().st_size
    assert behind.stat("large.bin").digest != digest


def test_a_large_upload_that_fails_leaves_nothing(
    azurite: CloudServer, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = azurite.new_container()
    with proxied(azurite.endpoint_url) as proxy:
        patient = backend_at(f"az://{container}/lab", azurite.options(proxy.endpoint_url))
        proxy.fault("drop", "PUT", contains="comp=block&", after=1, times=1)
        assert patient.put_file(large, "large.bin").size == large.stat().st_size
        proxy.heal()
        monkeypatch.setattr(limits, "ATTEMPTS", 1)
        backend = replace(patient, options={**patient.options, "read_timeout": 14})
        proxy.fault("truncate", "GET", after=1)
        with pytest.raises(errors.StorageError, match=r"large\.bin"):
            backend.get("large.bin", tmp_path / "copy")
        assert not (tmp_path / "copy").exists()
        proxy.heal()
        backend.delete("large.bin")
        proxy.fault("answer", "PUT", contains="comp=blocklist", status=500)
        with pytest.raises(errors.StorageError, match="lab"):
            backend.put_file(large, "large.bin")
        assert azurite.keys(container) == []


def test_a_copy_that_azure_makes_in_its_own_time_is_waited_for(
    azurite: CloudServer, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamart_core.storage.objectstore.azure._BETWEEN_LOOKS", 0.02)
    container = azurite.new_container()
    with proxied(azurite.endpoint_url) as proxy:
        backend = backend_at(f"az://{container}/lab", azurite.options(proxy.endpoint_url))
        backend.put_file(source, "a")
        proxy.asked.clear()
        later = {"headers": {"x-ms-copy-status": "pending"}, "contains": "/lab/b"}
        proxy.fault("alter", "PUT", **later)
        proxy.fault("alter", "HEAD", **later, times=2)
        backend.publish("a", "b", is_folder=False, by_link=False)
        assert [asked.method for asked in proxy.asked if "/lab/b" in asked.target][:4] == [
            "PUT",
            "HEAD",
            "HEAD",
            "HEAD",
        ]
        proxy.heal()
        proxy.fault("alter", "PUT", headers={"x-ms-copy-status": "failed"})
        with pytest.raises(errors.StorageError, match="failed"):
            backend.publish("a", "c", is_folder=False, by_link=False)


def test_a_content_may_hold_whatever_a_request_is_made_of(
    cloud: CloudServer, place_there: Backend, tmp_path: Path
) -> None:
    # gcsfs puts this between the parts of every request.
    content = b"\n--==0==\nContent-Type: text/plain\n\nx\n--==0==--\r\n"
    (tmp_path / "a").write_bytes(content)
    place_there.put_file(tmp_path / "a", "a")
    assert cloud.read(cloud_container(place_there), "lab/a") == content


def cloud_container(backend: Backend) -> str:
    return backend.root.split("/")[2]


# ---------------------------------------------------------------------- names and listings


def test_every_name_comes_back_and_goes_alone(cloud: CloudServer, container: str, tmp_path: Path) -> None:
    backend = backend_at(f"{cloud.protocol}://{container}/lab", cloud.options())
    folder = tmp_path / "in"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_text(str(number))
    tree = hash_tree(folder)
    backend.put_folder(folder, "f*", tree=tree)
    backend.put_folder(folder, "f**", tree=tree)
    assert sorted(key for key in cloud.keys(container) if "f*/" in key) == sorted(f"lab/f*/{name}" for name in NAMES)
    backend.get("f*", tmp_path / "out", is_folder=True)
    assert hash_tree(tmp_path / "out") == tree
    backend.publish("f*", "copy?", is_folder=True, by_link=False)
    assert backend.stat("copy?").size == tree.size
    backend.delete("f*/st*r")
    backend.delete("f*/**")
    assert backend.stat("f*").n_files == len(NAMES) - 2
    backend.delete("f*", is_folder=True)
    assert backend.stat("f**").n_files == backend.stat("copy?").n_files == len(NAMES)


@pytest.mark.parametrize("name", ["back\\slash", "tab\t", "bell\x07", "\x85", "\uffff"])
def test_azure_names_that_would_be_others_are_refused_before_anything_is_written(
    azurite: CloudServer, source: Path, folder: Path, name: str
) -> None:
    container = azurite.new_container()
    backend = backend_at(f"az://{container}/lab", azurite.options())
    (folder / "deep" / name).write_text("x")
    with pytest.raises(errors.InvalidArgument, match="Azure"):
        backend.put_folder(folder, "f", tree=hash_tree(folder))
    with pytest.raises(errors.InvalidArgument, match="rename"):
        backend.put_file(source, f"x/{name}")
    assert azurite.keys(container) == []


def test_listings_go_page_by_page(
    cloud: CloudServer, behind: Backend, proxy: Proxy, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("azure", "google"):
        monkeypatch.setattr(f"lamart_core.storage.objectstore.{module}.PAGE", 5)
    stored = [object_path(STEM, ".txt") for _ in range(12)]
    for relpath in (*stored, ".lamart/run/a.txt", ".lamart/run/b/c.txt", ".lamart2/x", "y"):
        cloud.put(container, f"lab/{relpath}", b"123")
    proxy.asked.clear()
    names = {name.relpath: name for name in behind.list_reserved()}
    assert sorted(names) == sorted([*stored, ".lamart/run"])
    assert 3 <= proxy.count("GET") <= 4
    assert names[".lamart/run"].is_folder
    listed = behind.list_stored()
    assert [name.relpath for name in listed] == sorted(stored)
    # How old it is decides what garbage collection may take.
    assert all(name.size == 3 and time.time() - name.modified.timestamp() < 100 for name in listed)
    time.sleep(1.1)
    assert all(time.time() - name.modified.timestamp() > 1 for name in behind.list_stored())
    assert behind.stat(".lamart").n_files == 14


def test_folders_that_hadoop_has_made_are_no_files(azurite: CloudServer) -> None:
    container = azurite.new_container()
    backend = backend_at(f"az://{container}/lab", azurite.options())
    azurite.put(container, "lab/f/a.txt", b"a")
    for name in ("lab/f", "lab/f/empty"):
        azurite.client.get_blob_client(container, name).upload_blob(b"", metadata={"hdi_isfolder": "true"})
    found = backend.stat("f")
    assert (found.is_folder, found.n_files, found.size) == (True, 1, 1)


def test_what_another_process_writes_is_seen_at_once(cloud: CloudServer, place_there: Backend, source: Path) -> None:
    place_there.put_file(source, "f/one")
    path = place_there.path("f")
    assert place_there.stat("f").n_files == len(list(path.iterdir())) == 1
    code = f"""
from pathlib import Path
from lamart_core.storage import backend_at
backend_at({place_there.root!r}, {dict(place_there.options)!r}).put_file(Path({str(source)!r}), "f/two")
"""
    environment = os.environ | cloud.environment()
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)
    assert place_there.stat("f").n_files == len(list(path.iterdir())) == 2


# ---------------------------------------------------------------------- who may, and what is there


def all_calls(backend: Backend, source: Path) -> dict[str, partial[Any]]:
    return {
        "put": partial(backend.put_file, source, ".lamart/b.bin"),
        "put at a key": partial(backend.put_file, source, "b.bin"),
        "get": partial(backend.get, "a.bin", source.with_name("copy")),
        "list": backend.list_stored,
        "stat": partial(backend.stat, "a.bin"),
        "delete": partial(backend.delete, "a.bin"),
        "delete a folder": partial(backend.delete, "f", is_folder=True),
        "copy": partial(backend.publish, "a.bin", "c.bin", is_folder=False, by_link=False),
    }


def test_wrong_credentials_are_named_so(azurite: CloudServer, source: Path) -> None:
    container = azurite.new_container()
    azurite.put(container, "lab/a.bin", b"x")
    azurite.put(container, "lab/f/a.bin", b"x")
    wrong = backend_at(f"az://{container}/lab", azurite.wrong())
    for name, call in all_calls(wrong, source).items():
        begun = time.monotonic()
        with pytest.raises(errors.AccessDenied, match=r"credentials are not valid.*storage_options") as caught:
            call()
        assert time.monotonic() - begun < 5, name
        assert "guess" not in f"{caught.value!r}{caught.value}{wrong!r}"
    with pytest.raises(errors.AccessDenied):
        wrong.read_marker()
    assert sorted(azurite.keys(container)) == ["lab/a.bin", "lab/f/a.bin"]


@pytest.mark.parametrize("code", [401, 403])
def test_credentials_that_google_refuses_are_named_so(
    impatient: None, cloud: CloudServer, behind: Backend, proxy: Proxy, source: Path, code: int
) -> None:
    if cloud.protocol != "gs":
        pytest.skip("Azurite refuses by itself")
    proxy.fault("answer", status=code, code="Invalid Credentials")
    for name, call in all_calls(behind, source).items():
        with pytest.raises(PermissionError, match=r"credentials|permissions") as caught:
            call()
        assert isinstance(caught.value, errors.StorageError), name


def test_an_account_that_nobody_names_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adlfs")
    for name in list(os.environ):
        if name.startswith("AZURE_STORAGE_"):
            monkeypatch.delenv(name)
    with pytest.raises(errors.InvalidArgument, match=r"account_name.*AZURE_STORAGE_ACCOUNT_KEY"):
        (backend_at("az://container/lab")).stat("a")
    named = backend_at("abfs://container@account.dfs.core.windows.net/lab").fs
    assert named.account_name == "account"


def test_new_credentials_in_the_environment_work_at_once(
    azurite: CloudServer, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = azurite.new_root()
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.wrong()["connection_string"])
    with pytest.raises(errors.AccessDenied):
        backend_at(root).put_file(source, "a.bin")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.options()["connection_string"])
    backend_at(root).put_file(source, "a.bin")
    assert backend_at(root).path("a.bin").read_bytes() == source.read_bytes()


def test_a_container_that_is_not_there_is_named(cloud: CloudServer, source: Path, folder: Path) -> None:
    backend = backend_at(f"{cloud.protocol}://no-such-container/lab", cloud.options())
    for call in (
        partial(backend.put_file, source, ".lamart/a.bin"),
        partial(backend.put_folder, folder, ".lamart/f", tree=hash_tree(folder)),
        partial(backend.write_marker, Marker("a", "b")),
    ):
        with pytest.raises(errors.StorageError, match=r"no-such-container.*make it"):
            call()
    with pytest.raises(errors.PathNotFound, match="no-such-container"):
        backend.stat("a.bin")
    with pytest.raises(errors.PathNotFound, match="no-such-container"):
        backend.list_stored()
    assert backend.read_marker() is None


# ---------------------------------------------------------------------- servers that fail


@pytest.mark.req("R266")
def test_of_a_folder_that_fails_half_way_nothing_stays(
    impatient: None, cloud: CloudServer, container: str, behind: Backend, proxy: Proxy, folder: Path
) -> None:
    where = {"method": "PUT", "contains": "deep"} if cloud.protocol == "az" else {"method": "POST", "after": 2}
    proxy.fault("answer", status=500, **where)
    with pytest.raises(errors.StorageError, match="lab"):
        behind.put_folder(folder, ".lamart/f", tree=hash_tree(folder))
    proxy.heal()
    assert cloud.keys(container) == []
    behind.put_folder(folder, ".lamart/f", tree=hash_tree(folder))
    assert behind.stat(".lamart/f").n_files == 4


@pytest.mark.parametrize("kind", ["drop", "answer"])
def test_failures_of_every_call_are_typed_and_leave_what_was_there(
    impatient: None, cloud: CloudServer, container: str, behind: Backend, proxy: Proxy, source: Path, kind: str
) -> None:
    cloud.put(container, "lab/a.bin", b"x")
    cloud.put(container, "lab/f/a.bin", b"x")
    proxy.fault(kind)
    for call in all_calls(behind, source).values():
        with pytest.raises(errors.StorageError, match="lab"):
            call()
    with pytest.raises(errors.StorageError):
        behind.exists("a.bin")
    proxy.heal()
    assert sorted(cloud.keys(container)) == ["lab/a.bin", "lab/f/a.bin"]


def test_nobody_waits_for_ever(cloud: CloudServer, place_there: Backend) -> None:
    assert place_there.protocol in limits.BY_INSTANCE
    path = place_there.path("a/b") / "c"
    assert path.fs is place_there.fs  # with its limits
    if cloud.protocol == "az":
        client: Any = path.fs.service_client
        assert client._config.retry_policy.total_retries == 2
        assert client._config.retry_policy.get_backoff_time({"count": 2, "hosts": None}) < 10
        transport = client._pipeline._transport
        assert (transport.connection_config.timeout, transport.connection_config.read_timeout) == (5, 15)
        patient = replace(place_there, options={**place_there.options, "read_timeout": 60}).fs
        assert patient.service_client._pipeline._transport.connection_config.read_timeout == 60
    else:
        assert path.fs.requests_timeout.sock_read == 15


def test_a_server_that_dies_is_an_error_soon(source: Path) -> None:
    with serve_azurite() as server:
        backend = backend_at(server.new_root(), server.options())
        backend.put_file(source, "a.bin")
        path = backend.path("a.bin")
        assert path.read_bytes() == source.read_bytes()
    begun = time.monotonic()
    with pytest.raises(errors.StorageError, match="lab"):
        backend.stat("b.bin")
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        path.read_bytes()
    assert time.monotonic() - begun < 40
