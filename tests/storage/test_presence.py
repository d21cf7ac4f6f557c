"""Looking whether many objects of a version store are whole: what is found, and how much is asked for it."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lamart_core.errors import StorageError
from lamart_core.storage import Backend, backend_at, object_path
from lamart_core.uids import new_stem
from tests.storage.proxy import Proxy, proxied
from tests.storage.s3_server import S3Server

TWICE = {"config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 2}}}


@pytest.fixture
def proxy(s3_server: S3Server) -> Generator[Proxy, None, None]:
    with proxied(s3_server.endpoint_url) as running:
        yield running


@pytest.fixture
def bucket(s3_server: S3Server) -> str:
    return s3_server.new_bucket()


@pytest.fixture
def behind(bucket: str, proxy: Proxy) -> Backend:
    """A location that is reached through the proxy."""
    return backend_at(f"s3://{bucket}/lab?endpoint_url={proxy.endpoint_url}", TWICE)


def put(server: S3Server, bucket: str, sizes: dict[str, int]) -> dict[str, int]:
    """Put objects of these sizes by another client."""
    with ThreadPoolExecutor(16) as pool:
        put_one = server.client.put_object
        list(pool.map(lambda path: put_one(Bucket=bucket, Key=f"lab/{path}", Body=b"x" * sizes[path]), sizes))
    return sizes


def names(count: int, stem: str | None = None) -> dict[str, int]:
    """Return paths in a version store with sizes: of one family, or of one for each."""
    return {object_path(stem or new_stem(), ".txt"): number % 7 + 1 for number in range(count)}


@pytest.mark.req("R93")
def test_what_is_missing_or_of_another_size_is_found(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy
) -> None:
    stem = new_stem()
    family, few, spread = put(s3_server, bucket, names(20, stem)), names(3, new_stem()), names(3)
    put(s3_server, bucket, few | spread)
    put(s3_server, bucket, {f"{object_path(stem, '.zarr')}/part": 3})  # a folder beside them
    everything = family | few | spread
    assert behind.mismatched(everything) == {}
    assert (proxy.count("GET"), proxy.count("HEAD")) == (1, 6)
    wrong: set[str] = set()
    for paths in (list(family), list(few), list(spread)):
        s3_server.client.delete_object(Bucket=bucket, Key=f"lab/{paths[0]}")
        s3_server.client.put_object(Bucket=bucket, Key=f"lab/{paths[1]}", Body=b"longer than all")
        wrong |= set(paths[:2])
    proxy.asked.clear()
    assert set(behind.mismatched(everything)) == wrong
    # What the listing did not show as it should be was asked for by itself.
    assert (proxy.count("GET"), proxy.count("HEAD")) == (1, 6 + 2)
    assert behind.mismatched({}) == {}


@pytest.mark.req("R93")
def test_what_is_spread_over_many_families_is_looked_for_in_one_listing(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy
) -> None:
    spread = put(s3_server, bucket, names(60))
    s3_server.client.delete_object(Bucket=bucket, Key=f"lab/{min(spread)}")
    assert set(behind.mismatched(spread)) == {min(spread)}
    assert (proxy.count("GET"), proxy.count("HEAD")) == (1, 1)


@pytest.mark.req("R93")
def test_the_listing_of_a_large_family_ends_for_the_sake_of_a_few(s3: S3Server) -> None:
    bucket, stem = s3.new_bucket(), new_stem()
    stored = sorted(put(s3, bucket, names(1_010, stem)).items())
    with proxied(s3.endpoint_url) as proxy:
        behind = backend_at(f"s3://{bucket}/lab?endpoint_url={proxy.endpoint_url}", TWICE)
        wanted = dict([*stored[:4], *stored[-5:]])
        assert behind.mismatched(wanted) == {}
        assert (proxy.count("GET"), proxy.count("HEAD")) == (1, 5)
        proxy.asked.clear()
        # More of them are worth a second page.
        assert behind.mismatched(dict([*stored[:100], *stored[-5:]])) == {}
        assert (proxy.count("GET"), proxy.count("HEAD")) == (2, 0)


@pytest.mark.req("R93")
def test_a_store_without_pages_is_listed_by_the_beginning_of_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_at(f"memory://{tmp_path.name}")
    family, spread = names(10, new_stem()), names(60)
    for path, size in (family | spread).items():
        backend.fs.pipe_file(backend.url(path), b"x" * size)
    asked: list[str] = []
    info = backend.fs.info
    monkeypatch.setattr(backend.fs, "info", lambda path, **how: (asked.append(path), info(path, **how))[1])
    assert backend.mismatched(family) == {}
    assert asked == []
    backend.fs.rm_file(backend.url(min(family)))
    assert set(backend.mismatched(family | spread)) == {min(family)}
    assert len(asked) == 60 + 1


@pytest.mark.req("R93")
def test_who_may_not_list_asks_for_each(s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy) -> None:
    family = put(s3_server, bucket, names(10, new_stem()))
    s3_server.client.delete_object(Bucket=bucket, Key=f"lab/{min(family)}")
    proxy.fault("answer", "GET", contains="list-type", status=403, code="AccessDenied")
    assert set(behind.mismatched(family)) == {min(family)}
    assert proxy.count("HEAD") == 10


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_server_that_fails_has_lost_nothing(
    s3_server: S3Server, bucket: str, behind: Backend, proxy: Proxy, method: str
) -> None:
    family = put(s3_server, bucket, names(10 if method == "GET" else 3, new_stem()))
    proxy.fault("answer", method, status=500)
    with pytest.raises(StorageError):
        behind.mismatched(family)
