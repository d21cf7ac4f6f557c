from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from upath import UPath

from lamart_core import errors
from lamart_core.storage import (
    Backend,
    Marker,
    address_of,
    backend_at,
    bucket_of,
    match_root,
    normalise_root,
    normalise_source,
    relative_to,
    storage_type,
)


@pytest.mark.req("R96", "R98")
@pytest.mark.parametrize(
    ("root", "normal", "kind"),
    [
        ("/data/lab/", "/data/lab", "local"),
        ("/data/../lab", "/lab", "local"),
        ("file:///data/lab", "/data/lab", "local"),
        ("s3://bucket/", "s3://bucket", "s3"),
        ("S3A://bucket/lab//", "s3://bucket/lab", "s3"),
        ("s3://bucket/lab/?endpoint_url=http://h:9000/", "s3://bucket/lab?endpoint_url=http://h:9000", "s3"),
        ("gcs://bucket/x", "gs://bucket/x", "gs"),
        ("https://host/data/", "https://host/data", "https"),
    ],
)
def test_roots_have_one_normal_form(root: str, normal: str, kind: str) -> None:
    assert normalise_root(root) == normal
    assert normalise_root(normal) == normal
    assert storage_type(normal) == kind


@pytest.mark.req("R96")
def test_local_roots_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert normalise_root("lab/") == os.path.join(os.getcwd(), "lab")
    assert normalise_root("~/lab") == "/home/someone/lab"
    assert normalise_source("file:///a/b") == "/a/b"


@pytest.mark.req("R96")
@pytest.mark.parametrize(
    ("root", "named"),
    [
        ("/data/.lamart", "reserved"),
        ("/data/.lamart/x", "reserved"),
        ("s3://bucket/.lamart/x", "reserved"),
        ("ftq://host/x", "local path or one of file, s3"),
        ("s3://", "no bucket"),
        ("s3://bucket/../other", r"\.\."),
        ("s3://bucket?region=x", "endpoint_url"),
        ("gs://bucket?endpoint_url=http://h", "only for s3"),
        ("", "no root"),
    ],
)
def test_other_roots_are_refused(root: str, named: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=named):
        normalise_root(root)


def test_the_storage_of_an_embedded_registry_is_allowed() -> None:
    assert normalise_root("/data/.lamart/storage/") == "/data/.lamart/storage"


@pytest.mark.req("R59")
def test_the_longest_root_wins_on_whole_segments() -> None:
    roots = ["/data", "/data/lab", "/data/la", "s3://b", "s3://b/lab", "s3://b/lab?endpoint_url=http://h"]
    assert match_root("/data/lab/x.csv", roots) == "/data/lab"
    assert match_root("/data/lab", roots) == "/data/lab"
    assert match_root("/data/laboratory/x", roots) == "/data"
    assert match_root("/elsewhere/x", roots) is None
    assert match_root("s3://b/lab/x", roots) == "s3://b/lab"
    assert match_root("s3://b/x", roots) == "s3://b"
    assert match_root("s3://bb/x", roots) is None
    assert match_root("s3://b/lab/x?endpoint_url=http://h", roots) == "s3://b/lab?endpoint_url=http://h"
    assert match_root("s3://b/lab/x?endpoint_url=http://other", roots) is None
    assert match_root("gs://b/lab/x", roots) is None
    assert match_root("/x", ["/"]) == "/"


@pytest.mark.req("R59")
def test_path_objects_carry_their_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    path = backend_at("s3://b/lab?endpoint_url=http://h").path("x")
    assert address_of(path) == "s3://b/lab/x?endpoint_url=http://h"
    nested = UPath("s3://b/x", client_kwargs={"endpoint_url": "http://h"})
    assert address_of(nested) == "s3://b/x?endpoint_url=http://h"
    assert address_of(Path("/data/x")) == "/data/x"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://h")
    assert address_of(backend_at("s3://b").path("x")) == "s3://b/x"
    assert match_root("s3://b/x", ["s3://b?endpoint_url=http://h"]) == "s3://b?endpoint_url=http://h"
    assert match_root("s3://b/x", ["s3://b?endpoint_url=http://other"]) is None


@pytest.mark.req("R54", "R57")
def test_relative_paths() -> None:
    assert relative_to("/data/lab/a/x.csv", "/data/lab") == "a/x.csv"
    assert relative_to("/data/lab", "/data/lab") == ""
    assert relative_to("s3://b/lab/x?endpoint_url=http://h", "s3://b?endpoint_url=http://h") == "lab/x"
    assert relative_to("/x", "/") == "x"
    with pytest.raises(errors.InvalidArgument, match="/data/other"):
        relative_to("/data/other", "/data/lab")
    assert bucket_of("s3://b/lab/x?endpoint_url=http://h") == "s3://b?endpoint_url=http://h"
    assert bucket_of("gs://b/x") == "gs://b"
    named = "gs://b/lab/a?endpoint_url=x"  # which is a part of the name there
    assert (match_root(named, ["gs://b/lab"]), relative_to(named, "gs://b/lab")) == ("gs://b/lab", "a?endpoint_url=x")
    assert bucket_of(named) == "gs://b"


@pytest.mark.req("R97")
def test_a_location_is_marked_once(backend: Backend) -> None:
    assert backend.read_marker() is None
    marker = Marker("a" * 12, "b" * 12)
    backend.write_marker(marker)
    assert backend.read_marker() == marker
    backend.write_marker(marker)
    with pytest.raises(errors.ObjectExists, match="b" * 12):
        backend.write_marker(Marker("c" * 12, "d" * 12))
    assert backend.read_marker() == marker
    assert backend.path(".lamart/storage_uid.txt").read_text().splitlines() == ["a" * 12, "b" * 12]


@pytest.mark.req("R97")
def test_marking_makes_a_local_folder(tmp_path: Path) -> None:
    backend = backend_at(str(tmp_path / "new/lab"))
    backend.write_marker(Marker("a", "b"))
    assert backend.read_marker() == Marker("a", "b")
    files = [path.name for path in Path(backend.root, ".lamart").rglob("*") if path.is_file()]
    assert files == ["storage_uid.txt"]


@pytest.mark.req("R97")
def test_a_process_that_is_killed_while_it_marks_leaves_what_garbage_collection_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backend_at(str(tmp_path / "lab"))
    backend.write_marker(Marker("a", "b"))
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(os, "replace", lambda *_: os._exit(9))
        backend.replace_marker(Marker("c", "d"))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert backend.read_marker() == Marker("a", "b")
    (left,) = backend.staging().abandoned(older_than=timedelta(0))
    assert backend.staging().remove(left)
    files = [path.name for path in Path(backend.root, ".lamart").rglob("*") if path.is_file()]
    assert files == ["storage_uid.txt"]


@pytest.mark.req("R97")
def test_a_location_that_cannot_be_written_cannot_be_marked(backend: Backend) -> None:
    with pytest.raises(errors.StorageError):
        (backend_at(backend.root, read_only=True)).write_marker(Marker("a", "b"))
    assert backend.read_marker() is None


@pytest.mark.parametrize("text", ["", "only one line\n", "\n\n"])
def test_a_marker_that_says_nothing_is_none(local: Backend, text: str) -> None:
    Path(local.root, ".lamart").mkdir()
    Path(local.root, ".lamart/storage_uid.txt").write_text(text)
    assert local.read_marker() is None
