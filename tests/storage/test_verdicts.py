"""Whether bytes are what they should be: missing, unreachable and altered are three verdicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lamart_core import errors
from lamart_core.hashing import Digest, hash_file, hash_tree
from lamart_core.storage import Backend, Depth, Expected, Local, State, backend_at
from lamart_core.storage.verdicts import verify, verify_any, verify_local

SIZE = 100_000


@pytest.fixture(params=["local", "remote"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    return request.getfixturevalue("local") if request.param == "local" else backend_at(f"memory://{tmp_path.name}")


@pytest.fixture
def expected(backend: Backend, source: Path) -> Expected:
    backend.put_file(source, "a.bin")
    return Expected(SIZE, hash_file(source), suffix=".bin")


def put(backend: Backend, content: bytes) -> None:
    backend.delete("a.bin")
    path: Any = backend.path("a.bin")
    path.write_bytes(content)


def states(backend: Backend, expected: Expected) -> list[State]:
    return [verify(backend, "a.bin", expected, depth).state for depth in Depth]


def test_each_depth_sees_more(backend: Backend, expected: Expected) -> None:
    assert states(backend, expected) == [State.WHOLE] * 3
    put(backend, b"o" * SIZE)
    assert states(backend, expected) == [State.WHOLE, State.WHOLE, State.ALTERED_CONTENT]
    put(backend, b"o")
    assert states(backend, expected) == [State.WHOLE, State.ALTERED_SIZE, State.ALTERED_SIZE]
    backend.delete("a.bin")
    assert states(backend, expected) == [State.MISSING] * 3


def test_what_cannot_be_seen_is_neither_whole_nor_damaged(
    backend: Backend, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "no")

    if isinstance(backend, Local):
        monkeypatch.setattr(Path, "stat", refuse)
    else:
        for name in ("info", "get_file"):
            monkeypatch.setattr(type(backend.fs), name, refuse)
    for depth in Depth:
        verdict = verify(backend, "a.bin", expected, depth)
        assert (verdict.state, verdict.is_whole, verdict.is_damaged) == (State.UNREACHABLE, False, False)
        with pytest.raises(errors.AccessDenied):
            verdict.check("the bytes")


def test_a_verdict_says_what_differs(backend: Backend, expected: Expected) -> None:
    put(backend, b"o")
    with pytest.raises(errors.ContentMismatch, match="the bytes were altered: it has 1 bytes, but 100,000 were stored"):
        verify(backend, "a.bin", expected, Depth.SIZE).check("the bytes")
    backend.delete("a.bin")
    with pytest.raises(errors.ContentMismatch, match="the bytes are missing"):
        verify(backend, "a.bin", expected, Depth.SIZE).check("the bytes")


def test_a_folder_is_more_than_its_size(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "1").write_bytes(b"one")
    tree = hash_tree(folder)
    expected = Expected(3, tree.digest, is_folder=True, n_files=1)
    assert verify_local(folder, expected, Depth.DIGEST).is_whole
    assert verify_local(folder, replace(expected, is_folder=False), Depth.THERE).state is State.ALTERED_SIZE
    (folder / "2").write_bytes(b"")
    assert verify_local(folder, expected, Depth.SIZE).state is State.ALTERED_SIZE
    (folder / "2").unlink()
    (folder / "1").write_bytes(b"two")
    verdict = verify_local(folder, expected, Depth.DIGEST)
    assert verdict.state is State.ALTERED_CONTENT
    assert verdict.tree == hash_tree(folder)


def test_bytes_may_be_one_of_several(backend: Backend, expected: Expected) -> None:
    other = replace(expected, digest=Digest("blake3", "another"))
    longer = replace(expected, size=SIZE + 1)
    assert verify_any(backend, "a.bin", [longer, other, expected]).is_whole
    assert verify_any(backend, "a.bin", [longer, other]).state is State.ALTERED_CONTENT
    assert verify_any(backend, "a.bin", [longer]).state is State.ALTERED_SIZE
    assert verify_any(backend, "a.bin", []).is_damaged
    # What only a server vouches for is another digest where it says another one, or none.
    assert verify_any(backend, "a.bin", [replace(expected, digest=Digest("md5", "of a server", False))]).is_damaged
    backend.delete("a.bin")
    assert verify_any(backend, "a.bin", [expected]).state is State.MISSING
