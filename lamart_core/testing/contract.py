"""The tests that every format passes."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from lamart_core import errors
from lamart_core.formats import Format, UnreadableContent, all_formats, for_path
from lamart_core.testing.samples import FormatSample, identity

# Libraries of data containers, and those that they bring: no format imports them before it needs them.
LIBRARIES = (
    "anndata", "dask", "h5py", "mudata", "numpy", "pandas", "polars", "pyarrow", "scipy", "spatialdata", "tiledb",
    "tiledbsoma", "xarray", "yaml", "zarr",
)  # fmt: skip
# Those of them that come with extras.
OPTIONAL = ("anndata", "h5py", "mudata", "polars", "spatialdata", "tiledb", "tiledbsoma", "zarr")
MAX_PREVIEW = 50_000  # characters
_SUFFIX = re.compile(r"(\.[^\W_A-Z][\w+~-]*)+")


class FormatContract:
    """Subclass it in a test file, say which format, and give objects; pytest finds the tests in the subclass.

    They check what the registry relies on: what is written is recognised and comes back equal; equal content is equal
    for every process; a failed write leaves nothing; what is damaged or asked for wrongly ends in a typed error;
    nothing heavy is imported before it is needed.

    Attributes:
        file_format: The format.
        libraries: Modules that the format must not import before it reads or writes.
        hidden_libraries: Modules whose absence must be told by `MissingExtra`, if the format names an `extra`.

    Example:
        .. code-block:: python

            class TestGmt(FormatContract):
                file_format = GmtFormat()

                @classmethod
                def samples(cls):
                    return [FormatSample("two sets", GeneSets({"a": ["CD4"], "b": []}), ".gmt", any_content=True)]
    """

    file_format: ClassVar[Format]
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    hidden_libraries: ClassVar[tuple[str, ...]] = OPTIONAL

    # What subclasses say

    @classmethod
    def samples(cls) -> Sequence[FormatSample]:
        """Objects to test with: at least one of each type that the format accepts, the empty one among them."""
        raise NotImplementedError(f"{cls.__qualname__}.samples() must return objects that the format takes")

    @classmethod
    def format_of(cls, sample: FormatSample) -> Format:
        """The format that a sample is written with."""
        return cls.file_format

    @classmethod
    def formats(cls) -> Sequence[Format]:
        """All formats that are tested."""
        return [cls.file_format]

    @classmethod
    def as_type(cls, sample: FormatSample) -> type | None:
        """What a sample is loaded as: its own type where the format returns that, else the first that it returns."""
        returns, own = cls.format_of(sample).returns, type(sample.obj)
        return own if any(each.is_class(own) for each in returns) or not returns else returns[0].resolve()

    def assert_equal(self, loaded: Any, sample: FormatSample) -> None:
        """Compare what was loaded with the object of a sample, as the library of the format compares."""
        assert loaded == sample.obj
        assert type(loaded) is type(sample.obj)

    # How the tests get them

    @pytest.fixture
    def written(self, tmp_path_factory: pytest.TempPathFactory) -> Written:
        """Copies of written samples, each of which is written once."""
        if "_masters" not in type(self).__dict__:
            type(self)._masters = Written(self.format_of, tmp_path_factory.mktemp("written"))
        return self._masters

    _masters: ClassVar[Written]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once for each sample, or for each format."""
        if "sample" in metafunc.fixturenames:
            metafunc.parametrize("sample", self.samples(), ids=str)
        if "kind" in metafunc.fixturenames:  # one sample of each suffix
            by_suffix = {(self.format_of(s).name, s.suffix): s for s in reversed(self.samples())}
            metafunc.parametrize("kind", list(reversed(by_suffix.values())), ids=str)
        if "each" in metafunc.fixturenames:
            metafunc.parametrize("each", self.formats(), ids=lambda each: each.name)

    # What a format says of itself

    def test_its_declarations_fit_together(self, each: Format) -> None:
        """Names, suffixes and modes are well formed."""
        assert each.name
        assert len(set(each.suffixes) | set(each.shared_suffixes)) == len(each.suffixes) + len(each.shared_suffixes)
        for suffix in (*each.suffixes, *each.shared_suffixes):
            assert _SUFFIX.fullmatch(suffix), f"{suffix!r}: lower case, beginning with a dot"
            assert len(suffix) <= 30
        assert set(each.modes) <= {"r", "r+", "w", "a"}
        assert not each.handles(object())
        assert not each.recognises(Path("/nowhere/x"), ".zarr"), "recognises() is asked for paths that are not there"

    def test_what_it_accepts_has_a_sample(self, each: Format) -> None:
        """A type without a sample is not tested."""
        objects = [s.obj for s in self.samples() if self.format_of(s) is each]
        untested = [str(accepted) for accepted in each.accepts if not any(accepted.matches(obj) for obj in objects)]
        assert untested == []

    def test_no_library_is_imported_before_it_is_needed(self) -> None:
        """Importing the format and asking whether it handles an object imports none of the heavy libraries."""
        names = [_name(each) for each in self.formats()]
        assert self._process("look", formats=names, libraries=self.libraries)["imported"] == []

    # Writing and loading

    def test_what_is_written_is_recognised_and_loaded(self, sample: FormatSample, tmp_path: Path) -> None:
        """Written, found by its path, loaded as an equal object, counted and previewed."""
        each, path = self.format_of(sample), tmp_path / f"staged{sample.suffix}"
        assert each.handles(sample.obj)
        assert each.writes(sample.suffix)
        assert each.writes(each.default_suffix(sample.obj))
        each.write(sample.obj, path, suffix=sample.suffix)
        assert path.is_dir() == each.is_folder
        if each in all_formats():
            assert for_path(path, sample.suffix) is each
        elif sample.suffix in each.shared_suffixes:
            assert each.recognises(path, sample.suffix)
        self.assert_equal(each.load(path, suffix=sample.suffix, as_type=self.as_type(sample)), sample)
        assert each.load(path, suffix=sample.suffix, as_type=Path) == path
        counted, known = each.count_observations(path, suffix=sample.suffix), each.n_observations(sample.obj)
        assert counted is None or known is None or counted == known
        for shown in (sample.obj, path):
            preview = each.preview(shown, suffix=sample.suffix)
            assert 0 < len(preview.markdown) <= MAX_PREVIEW
            assert preview.row_count is None or known is None or preview.row_count == known

    def test_equal_content_is_equal_for_every_process(self, sample: FormatSample, tmp_path: Path) -> None:
        """Bytes or content digest, written twice here and once by another process under another name."""
        each = self.format_of(sample)
        for name in ("first", "second"):
            each.write(sample.obj, tmp_path / name, suffix=sample.suffix)
        first = identity(each, tmp_path / "first")
        assert identity(each, tmp_path / "second") == first
        assert self._elsewhere(tmp_path)[sample.name]["identity"] == first

    def test_a_taken_path_stays_as_it_is(self, kind: FormatSample, tmp_path: Path) -> None:
        """Files, folders and links: nothing is overwritten."""
        each, target = self.format_of(kind), tmp_path / "taken"
        target.write_bytes(b"other")
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        for path in (target, tmp_path / "link", tmp_path):
            with pytest.raises(errors.ObjectExists):
                each.write(kind.obj, path, suffix=kind.suffix)
        assert target.read_bytes() == b"other"

    def test_a_full_disk_is_told_and_leaves_nothing(self, tmp_path: Path) -> None:
        """`StorageFull`, and no part of a file or folder."""
        for name, found in self._elsewhere(tmp_path).items():
            assert (found["error"], found["is_left"]) in [("StorageFull", False), ("", True)], name

    def test_what_it_does_not_take_is_refused(self, kind: FormatSample, tmp_path: Path) -> None:
        """Foreign objects, suffixes, options and types: a typed error, before anything is written."""
        each, path = self.format_of(kind), tmp_path / f"x{kind.suffix}"
        with pytest.raises(errors.UnsupportedObject):
            each.write(object(), path, suffix=kind.suffix)
        if not each.writes(".no-such-suffix"):
            with pytest.raises(errors.InvalidArgument):
                each.write(kind.obj, path, suffix=".no-such-suffix")
        for group in ("no_such_kwargs", each.options_name or "other_kwargs"):
            with pytest.raises(errors.InvalidArgument):
                each.write(kind.obj, path, suffix=kind.suffix, options={group: {"no_such_option": 1}})
        assert list(tmp_path.iterdir()) == []
        each.write(kind.obj, path, suffix=kind.suffix)
        with pytest.raises(errors.UnsupportedObject):
            each.load(path, suffix=kind.suffix, as_type=range)
        if each.returns:
            with pytest.raises(errors.InvalidArgument):
                each.load(path, suffix=kind.suffix, as_type=self.as_type(kind), no_such_option=1)

    # Opening

    def test_it_is_opened_without_a_change(self, kind: FormatSample, tmp_path: Path, written: Written) -> None:
        """For reading; other modes than those it names are refused."""
        each, path = self.format_of(kind), tmp_path / f"x{kind.suffix}"
        written.copy(kind, path)
        before = identity(each, path)
        with pytest.raises(errors.InvalidArgument):
            each.open(path, suffix=kind.suffix, mode="no such mode")
        if "r" in each.modes:
            opened = each.open(path, suffix=kind.suffix)
            assert opened is not None
            with opened if hasattr(opened, "__exit__") else contextlib.nullcontext():
                pass
        else:
            with pytest.raises(errors.InvalidArgument):
                each.open(path, suffix=kind.suffix, mode="r")
        assert identity(each, path) == before

    # What is damaged

    def test_nothing_there_is_told(self, kind: FormatSample, tmp_path: Path) -> None:
        """`PathNotFound`, whatever was asked."""
        each = self.format_of(kind)
        for as_type in (None, Path) if each.returns else (Path,):
            with pytest.raises((errors.PathNotFound, errors.NoLoader)):
                each.load(tmp_path / "x", suffix=kind.suffix, as_type=as_type)
        if each.modes:
            with pytest.raises(errors.PathNotFound):
                each.open(tmp_path / "x", suffix=kind.suffix)

    def test_a_file_is_no_folder_and_a_folder_no_file(self, kind: FormatSample, tmp_path: Path) -> None:
        """`UnreadableContent`."""
        each, path = self.format_of(kind), tmp_path / f"x{kind.suffix}"
        if each.is_folder:
            path.write_bytes(b"no folder")
        else:
            path.mkdir()
        with pytest.raises(UnreadableContent):
            each.load(path, suffix=kind.suffix, as_type=self.as_type(kind))

    @pytest.mark.parametrize("damage", ["empty", "binary", "pairs", "zip", "a tenth", "half", "without its end"])
    def test_damaged_content_is_told(self, kind: FormatSample, damage: str, tmp_path: Path, written: Written) -> None:
        """`UnreadableContent` of `load`; all other methods return or raise a typed error."""
        each, path = self.format_of(kind), tmp_path / f"x{kind.suffix}"
        written.copy(kind, path)
        is_noticed = _damage(path, damage, kind)
        if is_noticed:
            with pytest.raises(UnreadableContent):
                each.load(path, suffix=kind.suffix, as_type=self.as_type(kind))
        with contextlib.suppress(errors.LamartError):
            each.load(path, suffix=kind.suffix, as_type=self.as_type(kind))
        with contextlib.suppress(errors.LamartError):
            each.count_observations(path, suffix=kind.suffix)
        with contextlib.suppress(errors.LamartError):
            each.preview(path, suffix=kind.suffix)
        if each.modes:
            with contextlib.suppress(errors.LamartError):
                opened = each.open(path, suffix=kind.suffix)
                with opened if hasattr(opened, "__exit__") else contextlib.nullcontext():
                    pass

    def test_pickles_are_never_loaded(self, kind: FormatSample, tmp_path: Path, written: Written) -> None:
        """A pickle under the name of the format is damaged content, and runs no code."""
        each, marker, path = self.format_of(kind), tmp_path / "executed", tmp_path / f"x{kind.suffix}"
        payload = pickle.dumps(_Payload(marker))
        written.copy(kind, path)
        for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
            file.write_bytes(payload)
        for use in (each.load, each.count_observations, each.preview, *([each.open] if each.modes else [])):
            with contextlib.suppress(errors.LamartError):
                use(path, suffix=kind.suffix)
        assert not marker.exists()

    # What is not installed

    def test_a_missing_library_names_the_extra(self, tmp_path: Path) -> None:
        """Of formats with an `extra`: `MissingExtra` where the library is needed, and no other error anywhere."""
        cases: list[Mapping[str, str]] = []
        expected: dict[str, str] = {}
        loads_by_default: dict[str, bool] = {}
        for number, sample in enumerate(self.samples()):
            each, path = self.format_of(sample), tmp_path / f"{number}{sample.suffix}"
            if each.extra is None or sample.suffix in {case["suffix"] for case in cases}:
                continue
            each.write(sample.obj, path, suffix=sample.suffix)
            case = {"name": sample.name, "format": _name(each), "path": str(path), "suffix": sample.suffix}
            cases.append(case)
            expected[sample.name] = each.extra
            loads_by_default[sample.name] = each.has_default_type
        if not cases:
            return
        found = self._process("use", libraries=self.hidden_libraries, cases=cases)
        for name, extras in found.items():
            assert set(extras.values()) - {""} == {expected[name]}, name
            assert extras["load"] or not loads_by_default[name], name

    # Other processes

    @classmethod
    def _elsewhere(cls, tmp_path: Path) -> dict[str, Any]:
        """What becomes of the samples when another process writes them, with and without space: asked for once."""
        if "_written_elsewhere" not in cls.__dict__:
            folder = tmp_path / "elsewhere"
            folder.mkdir()
            cls._written_elsewhere = cls._process("write", folder=str(folder), **cls._me())
        return cls._written_elsewhere

    _written_elsewhere: ClassVar[dict[str, Any]]

    @classmethod
    def _me(cls) -> dict[str, Any]:
        file = sys.modules[cls.__module__].__file__
        return {"module": cls.__module__, "file": file, "class": cls.__qualname__}

    @staticmethod
    def _process(task: str, **request: Any) -> dict[str, Any]:
        path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), *filter(None, sys.path)])
        done = subprocess.run(
            [sys.executable, "-m", "lamart_core.testing.process", task, json.dumps(request)],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


class Written:
    """Samples as files and folders, each of which is written once."""

    def __init__(self, format_of: Callable[[FormatSample], Format], folder: Path) -> None:
        self._format_of = format_of
        self._folder = folder
        self._paths: dict[str, Path] = {}

    def copy(self, sample: FormatSample, path: Path) -> None:
        """Put a written sample at a path."""
        if sample.name not in self._paths:
            master = self._folder / f"{len(self._paths)}{sample.suffix}"
            self._format_of(sample).write(sample.obj, master, suffix=sample.suffix)
            self._paths[sample.name] = master
        master = self._paths[sample.name]
        (shutil.copytree if master.is_dir() else shutil.copyfile)(master, path)


class _Payload:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


def _name(each: Format) -> str:
    return f"{type(each).__module__}:{type(each).__qualname__}"


def _damage(path: Path, damage: str, sample: FormatSample) -> bool:
    """Damage what was written; whether the format must notice. The largest file of a folder is the one damaged."""
    zipped = b"PK\x03\x04" + b"\xff" * 90
    foreign = {"empty": b"", "binary": bytes(range(256)) * 20, "pairs": b"\xff\xfe" * 50, "zip": zipped}
    is_file = path.is_file()
    files = [path] if is_file else [p for p in path.rglob("*") if p.is_file()]
    if damage in foreign:
        for file in files:
            file.write_bytes(foreign[damage])
        return not sample.any_content and not (damage == "empty" and sample.any_beginning)
    shares = {"a tenth": 0.1, "half": 0.5, "without its end": 0.9}
    chosen = max(files, key=lambda p: (p.stat().st_size, p.as_posix()))
    content = chosen.read_bytes()
    chosen.write_bytes(content[: int(len(content) * shares[damage])])
    return is_file and not sample.any_content and not sample.any_beginning
