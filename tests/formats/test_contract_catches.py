"""The tests that are shipped for formats fail for a format that is wrong, and for this reason."""

from __future__ import annotations

import re

import pytest

FORMATS = """
import os, pickle, time
from pathlib import Path
from lamart_core.formats import Format, Preview, PythonType

class Words(frozenset):
    pass

class Good(Format):
    name, suffixes, options_name = "good", (".good",), "good_kwargs"
    accepts = returns = (PythonType("flawed", "Words"),)
    def _check_write_options(self, suffix, options):
        if options:
            from lamart_core.errors import InvalidArgument
            raise InvalidArgument("none")
    def _write(self, obj, path, suffix, options):
        path.write_text("words:" + " ".join(sorted(obj)) + ":end")
    def _read(self, path, suffix, target, options):
        if options:
            raise TypeError("unexpected argument")
        text = path.read_text()
        if not (text.startswith("words:") and text.endswith(":end")):
            raise ValueError("no words")
        return Words(text[6:-4].split())

class Lossy(Good):
    def _read(self, path, suffix, target, options):
        return Words(sorted(super()._read(path, suffix, target, options))[1:])

class Dated(Good):
    def _write(self, obj, path, suffix, options):
        path.write_text(f"words:{' '.join(sorted(obj))} {time.time_ns()}:end")

class Unordered(Good):
    def _write(self, obj, path, suffix, options):
        path.write_text(f"words:{' '.join(obj)}:end")

class Overwriting(Good):
    def write(self, obj, path, *, suffix, options=None):
        path.write_text("words:" + " ".join(sorted(obj)) + ":end")

class Gullible(Good):
    def _read(self, path, suffix, target, options):
        return pickle.loads(path.read_bytes())

class Credulous(Good):
    def _read(self, path, suffix, target, options):
        return Words(path.read_bytes().decode(errors="replace")[6:-4].split())

class Talkative(Good):
    def preview(self, obj_or_path, *, suffix=None):
        return Preview("word " * 100_000)

class Miscounting(Good):
    def n_observations(self, obj):
        return len(obj)
    def count_observations(self, path, *, suffix):
        return len(path.read_text())

class Changing(Good):
    modes = ("r",)
    def _open(self, path, suffix, mode, engine, options):
        path.write_text("changed")
        return path

class Untold(Good):
    extra = "words"
    def _read(self, path, suffix, target, options):
        import h5py
        return super()._read(path, suffix, target, options)

class Eager(Good):
    def handles(self, obj):
        import numpy
        return super().handles(obj)

class Untested(Good):
    accepts = (*Good.accepts, PythonType("builtins", "complex"))

class Misnamed(Good):
    suffixes = (".Good",)
"""

CAUGHT = {
    "Good": set(),
    "Lossy": {"what_is_written_is_recognised_and_loaded"},
    "Dated": {"equal_content_is_equal_for_every_process"},
    "Unordered": {"equal_content_is_equal_for_every_process"},
    "Overwriting": {"a_taken_path_stays_as_it_is", "a_full_disk_is_told_and_leaves_nothing"},
    "Gullible": {"pickles_are_never_loaded"},
    "Credulous": {"damaged_content_is_told"},
    "Talkative": {"what_is_written_is_recognised_and_loaded"},
    "Miscounting": {"what_is_written_is_recognised_and_loaded"},
    "Changing": {"it_is_opened_without_a_change"},
    "Untold": {"a_missing_library_names_the_extra"},
    "Eager": {"no_library_is_imported_before_it_is_needed"},
    "Untested": {"what_it_accepts_has_a_sample"},
    "Misnamed": {"its_declarations_fit_together"},
}

TESTS = """
from lamart_core.testing import FormatContract, FormatSample
import flawed

class _Test(FormatContract):
    @classmethod
    def samples(cls):
        words = flawed.Words(["alpha", "beta", "gamma", "delta", "größe"])
        return [FormatSample("words", words, cls.file_format.suffixes[0])]
""" + "".join(f"class Test{name}(_Test):\n    file_format = flawed.{name}()\n" for name in CAUGHT)


def test_each_flaw_is_caught(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(flawed=FORMATS, test_flawed=TESTS)
    pytester.syspathinsert()
    # Of the flawed ones only the tests that must catch them: what else they break is no matter here.
    chosen = [f"(Test{name} and test_{test})" for name, tests in CAUGHT.items() for test in tests]
    result = pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-k", " or ".join(["TestGood", *chosen]))
    failed = [line.split("::") for line in result.outlines if line.startswith("FAILED")]
    found: dict[str, set[str]] = {name: set() for name in CAUGHT}
    for _, kind, test in failed:
        found[kind.removeprefix("Test")].add(re.split(r"\W", test)[0].removeprefix("test_"))
    assert found == CAUGHT
