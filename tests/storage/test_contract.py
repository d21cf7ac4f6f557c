"""Every backend keeps the contract of `Backend`; and the contract tells those that do not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lamart_core import errors, uids
from lamart_core.hashing import hash_tree
from lamart_core.storage import Backend, FilePut, Local, ObjectStat, ObjectStore, ReservedName, backend_at
from lamart_core.testing import BackendContract
from tests.storage.conftest import AnyBackend

proves = pytest.mark.req


class TestBackends(BackendContract):
    """A local folder, memory, and servers of S3, Azure and Google."""

    @pytest.fixture(params=["memory", *AnyBackend.params])
    def backend(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
        if request.param == "memory":
            yield backend_at(f"memory://{uids.base62(12)}/lab")
            return
        with AnyBackend.at(request, tmp_path) as backend:
            yield backend

    test_a_file_comes_back = proves("R60", "R61")(BackendContract.test_a_file_comes_back)
    test_a_file_of_any_size_comes_back = proves("R60", "R61")(BackendContract.test_a_file_of_any_size_comes_back)
    test_a_folder_comes_back = proves("R60", "R77")(BackendContract.test_a_folder_comes_back)
    test_what_is_not_as_it_was_is_not_stored = proves("R94")(BackendContract.test_what_is_not_as_it_was_is_not_stored)
    test_a_folder_that_is_not_as_it_was_is_not_stored = proves("R94")(
        BackendContract.test_a_folder_that_is_not_as_it_was_is_not_stored
    )


@dataclass(frozen=True)
class Overwriting(Local):
    def _put_file(self, put: FilePut, bar: Any) -> ObjectStat:
        self.path(put.relpath).unlink(missing_ok=True)
        return super()._put_file(put, bar)


@dataclass(frozen=True)
class Trusting(Local):
    def put_file(self, source: Path, relpath: str, **options: Any) -> ObjectStat:
        return super().put_file(source, relpath, **options | {"digest": None})


@dataclass(frozen=True)
class Lax(Local):
    def put_folder(self, source: Path, relpath: str, **options: Any) -> ObjectStat:
        source.mkdir(exist_ok=True)
        return super().put_folder(source, relpath, **options | {"tree": hash_tree(source)})


@dataclass(frozen=True)
class Truncating(Local):
    def _put_file(self, put: FilePut, bar: Any) -> ObjectStat:
        stat = super()._put_file(put, bar)
        os.truncate(self.path(put.relpath), min(stat.size or 0, 2**20))
        return stat


@dataclass(frozen=True)
class Littering(Local):
    def _put_files(self, puts: Any, bar: Any) -> list[ObjectStat]:
        return [self._put_file(put, bar) for put in puts]


@dataclass(frozen=True)
class Keeping(Local):
    def _put_file(self, put: FilePut, bar: Any) -> ObjectStat:
        return super()._put_file(FilePut(put.source, put.relpath, put.digest, move=False), bar)


@dataclass(frozen=True)
class Forgetting(Local):
    def _put_folder(self, source: Path, relpath: str, **options: Any) -> ObjectStat:
        stat = super()._put_folder(source, relpath, **options)
        min(path for path in self.path(relpath).rglob("*") if path.is_file()).unlink()
        return stat


@dataclass(frozen=True)
class Merging(Local):
    def get(self, relpath: str, target: Path, *, is_folder: bool = False, bar: Any = None) -> None:
        if is_folder:
            shutil.copytree(self.path(relpath), target, dirs_exist_ok=True)
        else:
            super().get(relpath, target)


@dataclass(frozen=True)
class Prefixing(ObjectStore):
    def _files(self, relpath: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for page in self.client.pages(""):
            for listed in page:
                if listed.path.startswith(relpath):
                    found[listed.path.removeprefix(relpath).lstrip("/")] = listed
        return found


@dataclass(frozen=True)
class Adding(ObjectStore):
    def _fill(self, origins: Mapping[str, str | None], target: str, size: int | None, *, replace: bool) -> None:
        for name, origin in origins.items():
            self._copy(origin, f"{target}/{name}")


@dataclass(frozen=True)
class Claiming(Local):
    def _create_marker(self, text: str) -> None:
        self.path(".lamart").mkdir(exist_ok=True)
        self.path(".lamart/storage_uid.txt").write_text(text)


@dataclass(frozen=True)
class Shallow(Local):
    def list_reserved(self) -> Iterator[ReservedName]:
        return (name for name in super().list_reserved() if not name.is_folder)


@dataclass(frozen=True)
class Permissive(Local):
    def check_writable(self) -> None:
        pass


@dataclass(frozen=True)
class Climbing(Local):
    def path(self, relpath: str = "") -> Path:
        return Path(self.root, relpath)


@dataclass(frozen=True)
class Telling(Local):
    def __repr__(self) -> str:
        return f"Telling({self.root!r}, options={self.options!r})"


@dataclass(frozen=True)
class Silent(Local):
    def _delete(self, relpath: str, *, is_folder: bool, missing_ok: bool) -> None:
        with suppress(errors.PathNotFound):
            super()._delete(relpath, is_folder=is_folder, missing_ok=missing_ok)


@pytest.mark.parametrize(
    ("flawed", "test"),
    [
        (Overwriting, BackendContract.test_nothing_is_overwritten),
        (Trusting, BackendContract.test_what_is_not_as_it_was_is_not_stored),
        (Lax, BackendContract.test_a_folder_that_is_not_as_it_was_is_not_stored),
        (Truncating, BackendContract.test_a_file_of_any_size_comes_back),
        (Littering, BackendContract.test_many_files_are_stored_or_none),
        (Keeping, BackendContract.test_what_is_moved_is_gone_where_it_was),
        (Forgetting, BackendContract.test_a_folder_comes_back),
        (Merging, BackendContract.test_a_copy_replaces_what_was_there),
        (Prefixing, BackendContract.test_what_is_not_there_is_told),
        (Adding, BackendContract.test_bytes_are_published),
        (Claiming, BackendContract.test_the_first_marker_stays),
        (Shallow, BackendContract.test_the_version_store_is_surveyed),
        (Permissive, BackendContract.test_what_is_only_read_is_not_written),
        (Climbing, BackendContract.test_no_path_leads_out),
        (Telling, BackendContract.test_it_can_be_sent_to_another_process),
        (Silent, BackendContract.test_what_is_not_there_is_told),
    ],
)
def test_a_backend_that_is_wrong_in_one_way_is_caught(
    flawed: type[Backend], test: Callable[..., None], tmp_path: Path
) -> None:
    def run(kind: type[Any]) -> None:
        name = uids.base62(8)
        scratch = tmp_path / f"scratch-{name}"
        root = tmp_path / name if issubclass(kind, Local) else f"memory://{name}/lab"
        for folder in (scratch, tmp_path / name):
            folder.mkdir()
        arguments = {"backend": kind(str(root)), "tmp_path": scratch}
        wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
        test(BackendContract(), **{name: value for name, value in arguments.items() if name in wanted})

    run(flawed.__mro__[1])  # the test passes for what the flawed one was made from
    with pytest.raises((AssertionError, pytest.fail.Exception, errors.LamartError, OSError)):
        run(flawed)
