"""Two S3 servers that nobody mocks, behind a proxy that lets them be slow, broken, cut off and forbidding."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from lamart_core import errors
from lamart_core.hashing import hash_file, hash_tree
from lamart_core.storage import Backend, Cache, FilePut, backend_at, object_path
from tests.storage.proxy import Proxy, proxied
from tests.storage.s3_server import CREDENTIALS, S3Server, serve_rclone

STEM = "9Kq3mZ0aBcDeFgHi"
# Two attempts and not three, and for a server that is silent a short time to wait: the tests need no patience.
TWICE = {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 2}}}
HASTY = {"config_kwargs": {"read_timeout": 1, "retries": {"mode": "standard", "total_max_attempts": 2}}}


@pytest.fixture(scope="module")
def proxies() -> Generator[Callable[[S3Server], Proxy], None, None]:
    """One proxy for each server: a client is made for each address, and takes its time."""
    with ExitStack() as stack:
        yield cache(lambda server: stack.enter_context(proxied(server.endpoint_url)))


@pytest.fixture
def proxy(proxies: Callable[[S3Server], Proxy], s3_server: S3Server) -> Generator[Proxy, None, None]:
    running = proxies(s3_server)
    running.heal()
    yield running
    running.heal()


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def behind(bucket: str, proxy: Proxy) -> Backend:
    """A location that is reached through the proxy."""
    return backend_at(f"s3://{bucket}/lab?endpoint_url={proxy.endpoint_url}", TWICE)


FAULTS = {
    "refuses for a while": {"kind": "answer", "status": 503, "code": "SlowDown"},
    "breaks": {"kind": "answer", "status": 500, "code": "InternalError"},
    "hangs up": {"kind": "drop"},
    "is silent": {"kind": "drop", "seconds": 1.5},
}


@pytest.mark.req("R266")
@pytest.mark.parametrize("fault", FAULTS)
def test_an_upload_that_a_server_fails_leaves_nothing_and_works_afterwards(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, source: Path, fault: str
) -> None:
    if fault == "is silent":
        behind = replace(behind, options=HASTY)
    proxy.fault(method="PUT", **FAULTS[fault])
    name = object_path(STEM, ".bin")
    with pytest.raises(errors.StorageError, match="lab") as caught:
        behind.put_file(source, name, digest=hash_file(source))
    assert not isinstance(caught.value, errors.ReadOnlyStorage)
    proxy.heal()
    assert s3_server.keys(bucket) == []
    assert behind.put_file(source, name, digest=hash_file(source)).size == 100_000
    assert s3_server.keys(bucket) == [f"lab/{name}"]


@pytest.mark.parametrize("fault", ["breaks", "hangs up", "hangs up when done"])
def test_an_upload_survives_a_server_that_fails_once(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, source: Path, fault: str
) -> None:
    proxy.fault(method="PUT", times=1, **({"kind": "drop answer"} if fault == "hangs up when done" else FAULTS[fault]))
    # Also when the first attempt has arrived and only its answer was lost: it meets its own object.
    assert behind.put_file(source, "real/key.bin", digest=hash_file(source)).size == 100_000
    assert proxy.count("PUT") == 2
    proxy.heal()
    behind.get("real/key.bin", source.with_name("copy"))
    assert hash_file(source.with_name("copy")) == hash_file(source)
    assert s3_server.keys(bucket) == ["lab/real/key.bin"]


def test_an_upload_whose_answers_are_all_lost_is_found(
    behind: Backend, proxy: Proxy, source: Path, s3_server: S3Server, bucket: str
) -> None:
    proxy.fault("drop answer", "PUT")
    assert behind.put_file(source, "a.bin").size == 100_000
    assert s3_server.keys(bucket) == ["lab/a.bin"]


@pytest.mark.req("R266")
@pytest.mark.parametrize("fault", ["breaks", "hangs up"])
def test_a_failed_upload_never_removes_what_another_writer_has_put(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, source: Path, fault: str
) -> None:
    # The name is free when it is looked at; then another writer takes it, and our upload fails.
    def take_the_name() -> None:
        s3_server.client.put_object(Bucket=bucket, Key="lab/contested", Body=b"theirs")

    proxy.fault(method="PUT", meanwhile=take_the_name, **FAULTS[fault])
    with pytest.raises(errors.StorageError):
        behind.put_file(source, "contested")
    assert s3_server.client.get_object(Bucket=bucket, Key="lab/contested")["Body"].read() == b"theirs"


@pytest.mark.req("R266")
@pytest.mark.parametrize("fault", ["breaks", "hangs up"])
def test_of_a_folder_that_fails_half_way_nothing_stays_on_a_server(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, folder: Path, fault: str
) -> None:
    proxy.fault(method="PUT", contains="deep", **FAULTS[fault])
    with pytest.raises(errors.StorageError):
        behind.put_folder(folder, ".lamart/f", tree=hash_tree(folder))
    proxy.heal()
    assert s3_server.keys(bucket) == []
    behind.put_folder(folder, ".lamart/f", tree=hash_tree(folder))
    assert behind.stat(".lamart/f").n_files == 4


@pytest.mark.req("R266")
def test_many_files_are_all_there_or_none_on_a_server(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, tmp_path: Path
) -> None:
    puts: list[FilePut] = []
    for number in range(12):
        path = tmp_path / f"{number}.txt"
        path.write_text(str(number))
        puts.append(FilePut(path, f".lamart/{number}.txt", hash_file(path)))
    proxy.fault("answer", "PUT", contains="7.txt")
    with pytest.raises(errors.StorageError):
        behind.put_files(puts)
    proxy.heal()
    assert s3_server.keys(bucket) == []
    assert len(behind.put_files(puts)) == 12


@pytest.mark.req("R249")
@pytest.mark.parametrize("kind", ["truncate", "shorten", "drop", "answer"])
def test_a_download_that_breaks_off_is_begun_again_or_leaves_nothing(
    behind: Backend, proxy: Proxy, source: Path, tmp_path: Path, kind: str
) -> None:
    behind.put_file(source, "a.bin")
    digest = hash_file(source)
    copies = Cache(tmp_path / "cache")
    proxy.fault(kind, "GET")
    with pytest.raises(errors.StorageError, match=r"a\.bin"):
        copies.fetch(behind, "a.bin", size=100_000, digest=digest)
    assert [path.name for path in copies.root.rglob("*") if path.is_file()] == [".lock"]
    proxy.heal()
    proxy.fault(kind, "GET", times=1)
    assert copies.fetch(behind, "a.bin", size=100_000, digest=digest, verify=True).stat().st_size == 100_000
    assert proxy.count("GET") == 2


@pytest.mark.req("R249")
def test_a_folder_of_which_one_file_breaks_off_is_not_cached(
    behind: Backend, proxy: Proxy, folder: Path, tmp_path: Path
) -> None:
    tree = hash_tree(folder)
    behind.put_folder(folder, "f", tree=tree)
    copies = Cache(tmp_path / "cache")
    proxy.fault("truncate", "GET", contains="b.bin")
    with pytest.raises(errors.StorageError):
        copies.fetch(behind, "f", size=tree.size, digest=tree.digest, is_folder=True)
    assert [path.name for path in copies.root.rglob("*") if path.is_file()] == [".lock"]
    proxy.heal()
    copy = copies.fetch(behind, "f", size=tree.size, digest=tree.digest, is_folder=True, verify=True)
    assert hash_tree(copy) == tree


@pytest.mark.parametrize("kind", ["truncate", "drop", "answer"])
def test_a_listing_that_fails_is_an_error_and_not_an_empty_folder(
    behind: Backend, proxy: Proxy, folder: Path, kind: str
) -> None:
    behind.put_folder(folder, "f", tree=hash_tree(folder))
    proxy.fault(kind, "GET", contains="list-type")
    for look in (lambda: behind.list_stored(), lambda: behind.exists("f")):
        with pytest.raises(errors.StorageError):
            look()
    proxy.heal()
    assert behind.stat("f").n_files == 4


@pytest.mark.parametrize("kind", ["drop", "answer"])
def test_a_deletion_that_fails_is_an_error_and_can_be_repeated(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, source: Path, folder: Path, kind: str
) -> None:
    behind.put_file(source, "a.bin")
    behind.put_folder(folder, "f", tree=hash_tree(folder))
    proxy.fault(kind, "DELETE")
    proxy.fault(kind, "POST")
    with pytest.raises(errors.StorageError):
        behind.delete("a.bin")
    with pytest.raises(errors.StorageError):
        behind.delete("f", is_folder=True)
    proxy.heal()
    behind.delete("a.bin")
    behind.delete("f", is_folder=True)
    assert s3_server.keys(bucket) == []


def test_a_server_that_is_gone_is_an_error(s3_server: S3Server, source: Path) -> None:
    bucket = s3_server.new_bucket()
    with proxied(s3_server.endpoint_url) as proxy:
        backend = backend_at(f"s3://{bucket}/lab?endpoint_url={proxy.endpoint_url}")
    with pytest.raises(errors.StorageError):
        backend.put_file(source, "a.bin")
    with pytest.raises(errors.StorageError):
        backend.stat("a.bin")


def test_nobody_waits_for_ever() -> None:
    # Three attempts of fifteen seconds: the longest that a silent server is waited for.
    config = backend_at("s3://bucket/lab").fs.config_kwargs
    assert config == {
        "connect_timeout": 5,
        "read_timeout": 15,
        "retries": {"mode": "standard", "total_max_attempts": 3},
    }
    assert backend_at("s3://bucket/lab").fs.retries == 1
    mine = backend_at("s3://bucket/lab", {"config_kwargs": {"read_timeout": 60}}).fs.config_kwargs
    assert (mine["read_timeout"], mine["connect_timeout"]) == (60, 5)


# ---------------------------------------------------------------------- large objects


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 MiB: four parts, no two of which are equal."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    with path.open("wb") as file:
        for number in range(50):
            file.write(os.urandom(1024) + bytes([number]) * (2**20 - 1024))
    return path


def test_a_large_file_goes_in_parts_and_comes_back(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, large: Path, tmp_path: Path
) -> None:
    digest = hash_file(large)
    behind.put_file(large, "large.bin", digest=digest)
    assert proxy.count("PUT", "partNumber") == 4
    # Of an object in parts S3 gives no MD5 of the content; a server that does is believed no more.
    tag = s3_server.client.head_object(Bucket=bucket, Key="lab/large.bin")["ETag"].strip('"')
    found = behind.stat("large.bin").digest
    assert found is not None
    assert (found.algorithm, found.is_exact) == ("md5-4" if tag.endswith("-4") else "md5", False)
    proxy.asked.clear()
    behind.get("large.bin", tmp_path / "copy")
    assert hash_file(tmp_path / "copy") == digest
    assert proxy.count("GET") > 4
    assert s3_server.uploads(bucket) == []


@pytest.mark.req("R266")
@pytest.mark.parametrize("contains", ["partNumber=3", "uploadId"])
def test_an_upload_of_parts_that_fails_is_aborted(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, large: Path, contains: str
) -> None:
    proxy.fault("answer", "PUT" if "part" in contains else "POST", contains=contains, status=500)
    with pytest.raises(errors.StorageError):
        behind.put_file(large, ".lamart/large.bin")
    assert s3_server.uploads(bucket) == []
    assert s3_server.keys(bucket) == []


def test_parts_whose_last_answer_is_lost_are_an_object(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, large: Path
) -> None:
    proxy.fault("drop answer", "POST", contains="uploadId", times=1)
    assert behind.put_file(large, "large.bin").size == large.stat().st_size
    assert s3_server.keys(bucket) == ["lab/large.bin"]
    assert s3_server.uploads(bucket) == []


@pytest.mark.req("R249")
@pytest.mark.parametrize("kind", ["truncate", "shorten"])
def test_a_part_that_arrives_short_is_noticed(
    behind: Backend, proxy: Proxy, large: Path, tmp_path: Path, kind: str
) -> None:
    behind.put_file(large, "large.bin")
    proxy.asked.clear()
    # The first answer is closed unread, for its length; from then on every part of 16 MiB but the first two.
    proxy.fault(kind, "GET", after=2)
    with pytest.raises(errors.StorageError, match=r"large\.bin"):
        behind.get("large.bin", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_uploads_that_a_dead_process_left_are_found_and_aborted(s3_server: S3Server, bucket: str) -> None:
    backend = backend_at(f"s3://{bucket}/lab?endpoint_url={s3_server.endpoint_url}")
    assert list(backend.list_uploads()) == []
    for key in ("lab/.lamart/9Kq3mZ0aBcDeFgHi12345678.bin", "elsewhere/theirs.bin"):
        s3_server.client.create_multipart_upload(Bucket=bucket, Key=key)
    (left,) = backend.list_uploads()
    assert left.relpath == ".lamart/9Kq3mZ0aBcDeFgHi12345678.bin"
    backend.abort_upload(left)
    backend.abort_upload(left)
    assert s3_server.uploads(bucket) == ["elsewhere/theirs.bin"]


BIG = """
import sys
from pathlib import Path
import lamart_core as ln
registry = ln.connect("lab.db", storage=sys.argv[1], cache_dir="cache")
registry.settings.verify_on_read = True
with Path("big.bin").open("wb") as file:  # sparse on this side, and every byte of it hashed and sent
    file.truncate(5 * 2**27)
artifact = ln.Artifact("big.bin", key="big.bin", run=False).save()
assert artifact.cache().stat().st_size == 5 * 2**27
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(peak) // 1024)
"""


@pytest.mark.slow
@pytest.mark.req("R247", "R263")
def test_640_mebibytes_go_there_and_back_in_bounded_memory(rclone: S3Server, tmp_path: Path) -> None:
    root = rclone.new_root()
    done = subprocess.run([sys.executable, "-c", BIG, root], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 400  # MiB, of which the libraries alone take more than a hundred
    bucket = root.split("/")[2]
    (key,) = [key for key in rclone.keys(bucket) if key.endswith(".bin")]
    assert rclone.client.head_object(Bucket=bucket, Key=key)["ContentLength"] == 5 * 2**27
    rclone.client.delete_object(Bucket=bucket, Key=key)
    shutil.rmtree(tmp_path)


# ---------------------------------------------------------------------- how much is asked


@pytest.mark.req("R36")
def test_a_file_costs_one_request_and_a_folder_one_listing(
    behind: Backend, proxy: Proxy, source: Path, folder: Path
) -> None:
    behind.put_file(source, "a.bin")
    behind.put_folder(folder, "f", tree=hash_tree(folder))
    proxy.asked.clear()
    behind.stat("a.bin")
    assert [asked.method for asked in proxy.asked] == ["HEAD"]
    proxy.asked.clear()
    behind.stat("f")
    assert [asked.method for asked in proxy.asked] == ["HEAD", "GET"]


def test_an_object_of_the_version_store_costs_two_requests(behind: Backend, proxy: Proxy, source: Path) -> None:
    _ = behind.fs.exists(behind.url())
    proxy.asked.clear()
    behind.put_file(source, object_path(STEM, ".bin"))
    assert [asked.method for asked in proxy.asked] == ["PUT", "HEAD"]


# ---------------------------------------------------------------------- who may


def test_wrong_credentials_are_named_so(rclone: S3Server, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = rclone.new_bucket()
    root = f"s3://{bucket}/lab?endpoint_url={rclone.endpoint_url}"
    backend_at(root).put_file(source, "a.bin")
    wrong = backend_at(root, {"key": "test", "secret": "guess-of-mine"})
    for call in (
        lambda: wrong.put_file(source, ".lamart/b.bin"),
        lambda: wrong.get("a.bin", source.with_name("copy")),
        lambda: wrong.list_stored(),
        lambda: wrong.stat("a.bin"),
        lambda: wrong.delete("a.bin"),
    ):
        with pytest.raises(PermissionError) as caught:
            call()
        assert isinstance(caught.value, errors.StorageError)
        assert "guess-of-mine" not in f"{caught.value!r}{caught.value}{wrong!r}"
    assert backend_at(root).stat("a.bin").size == 100_000


def test_without_any_credentials_the_error_says_where_to_put_them(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(errors.AccessDenied, match="storage_options"):
        backend_at(s3_server.new_root()).list_stored()


def test_anonymous_requests_are_not_signed(
    behind: Backend, proxy: Proxy, source: Path, s3: S3Server, s3_server: S3Server, bucket: str
) -> None:
    behind.put_file(source, "a.bin")
    assert all(asked.is_signed for asked in proxy.asked)
    proxy.asked.clear()
    public = backend_at(behind.root, {**TWICE, "anon": True})
    with pytest.raises(errors.AccessDenied):
        public.stat("a.bin")
    assert proxy.asked
    assert not any(asked.is_signed for asked in proxy.asked)
    if s3_server is s3:
        s3.client.put_object_acl(Bucket=bucket, Key="lab/a.bin", ACL="public-read")
        assert public.stat("a.bin").size == 100_000
        public.get("a.bin", source.with_name("copy"))


def test_a_server_that_lets_everybody_in_needs_no_credentials(
    source: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "data/public").mkdir(parents=True)
    (tmp_path / "data/public/a.bin").write_bytes(source.read_bytes())
    with serve_rclone(key=None, folder=tmp_path / "data") as server:
        public = backend_at(f"s3://public?endpoint_url={server.endpoint_url}", {"anon": True})
        assert public.stat("a.bin").size == 100_000
        public.get("a.bin", tmp_path / "copy")
        assert public.path("a.bin").read_bytes() == (tmp_path / "copy").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId"])
def test_new_credentials_in_the_environment_work_at_once(
    behind: Backend, proxy: Proxy, source: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind.put_file(source, "a.bin")
    proxy.fault("answer", status=400 if code == "ExpiredToken" else 403, code=code)
    said = {"ExpiredToken": "expired", "InvalidAccessKeyId": "not valid"}[code]
    with pytest.raises(errors.AccessDenied, match=said):
        behind.list_stored()
    with pytest.raises(errors.AccessDenied, match=said):
        behind.put_file(source, ".lamart/b.bin")
    with pytest.raises(errors.AccessDenied, match=r"expired|does not allow"):
        behind.get("a.bin", source.with_name("copy"))
    proxy.heal()
    before = behind.fs
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    assert behind.fs is not before
    behind.put_file(source, ".lamart/b.bin")
    assert behind.path("a.bin").read_bytes() == source.read_bytes()
