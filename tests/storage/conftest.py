from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lamart_core.storage import Backend, backend_at, normalise_root
from tests.storage.clouds import CLOUDS, azurite, cloud, reaching, shared_cloud
from tests.storage.s3_server import S3Server, rclone, s3, s3_server

__all__ = ["azurite", "cloud", "rclone", "s3", "s3_server"]


class AnyBackend:
    """An empty storage on each kind of storage, by name."""

    params = ("local", "s3", "rclone", *CLOUDS)

    @staticmethod
    @contextmanager
    def at(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Backend, None, None]:
        """Make the one that the parameter of a fixture names."""
        if request.param == "local":
            root = tmp_path / "storage"
            root.mkdir()
            yield backend_at(normalise_root(str(root)))
        elif request.param in CLOUDS:
            server = shared_cloud(request.param)
            with reaching(server):
                yield backend_at(server.new_root(), {"token": "anon"} if request.param == "gs" else {})
        else:
            s3_like: S3Server = request.getfixturevalue(request.param)
            yield backend_at(normalise_root(s3_like.new_root()))


@pytest.fixture(params=AnyBackend.params)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Backend, None, None]:
    """An empty storage, on each kind of storage."""
    with AnyBackend.at(request, tmp_path) as made:
        yield made


@pytest.fixture
def local(tmp_path: Path) -> Backend:
    root = tmp_path / "storage"
    root.mkdir()
    return backend_at(normalise_root(str(root)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with nested files, an empty one among them, and names that are not plain ASCII."""
    top = tmp_path / "source"
    for name, content in {"a.txt": b"A", "deep/er/b.bin": b"B" * 1000, "ünï code.csv": b"x,y\n", "empty": b""}.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(content)
    return top


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(os.urandom(100_000))
    return path
