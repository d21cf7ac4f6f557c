"""The record of which test proves which requirement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import requirements_report
from tests.requirements_report import main, read_specification

SPECIFICATION = """# Specification
- **R1** First.
- **R2** Second.
- **R3** *(not built yet)* Third.
"""


@pytest.fixture
def specification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "specification.md"
    path.write_text(SPECIFICATION)
    monkeypatch.setattr(requirements_report, "SPECIFICATION", path)
    return path


def write_results(folder: Path, outcomes: dict[str, dict[str, str]]) -> str:
    path = folder / "results.json"
    path.write_text(json.dumps(outcomes))
    return str(path)


def test_specification_is_read(specification: Path) -> None:
    found = read_specification(specification)
    assert [(r.id, r.text, r.is_built) for r in found.values()] == [
        ("R1", "First.", True),
        ("R2", "Second.", True),
        ("R3", "Third.", False),
    ]


def test_repeated_ids_are_refused(specification: Path) -> None:
    specification.write_text(SPECIFICATION + "- **R2** Again.\n")
    with pytest.raises(ValueError, match="R2 twice"):
        read_specification(specification)


@pytest.mark.parametrize(
    ("outcomes", "status", "line"),
    [
        ({"R1": {"a": "passed"}, "R2": {"a": "passed", "b": "passed"}}, 0, "2 of 2 built requirements proved"),
        ({"R1": {"a": "passed"}}, 1, "R2  no test"),
        ({"R1": {"a": "passed"}, "R2": {"a": "passed", "b": "failed"}}, 1, "R2  test failed   b"),
        ({"R1": {"a": "passed"}, "R2": {"a": "skipped"}}, 1, "R2  test skipped  a"),
        ({"R1": {"a": "passed"}, "R2": {"a": "passed"}, "R3": {"a": "passed"}}, 1, "R3  has a passing test"),
    ],
)
def test_report(
    specification: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    outcomes: dict[str, dict[str, str]],
    status: int,
    line: str,
) -> None:
    results = write_results(tmp_path, outcomes)
    assert main([results, "--check"]) == status
    assert line in capsys.readouterr().out
    assert main([results]) == 0


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\nmarkers = req(*ids): proves\naddopts = --strict-markers\n")
    pytester.makeconftest("pytest_plugins = ['tests.requirements_plugin']")
    return pytester


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_results_are_recorded(project: pytest.Pytester, workers: tuple[str, ...]) -> None:
    project.makepyfile(
        test_it="""
        import pytest
        @pytest.mark.req("R1", "R2")
        def test_good(): pass
        @pytest.mark.req("R2")
        def test_bad(): assert False
        @pytest.mark.req("R3")
        def test_skipped(): pytest.skip("no")
        """
    )
    project.runpytest_subprocess("--requirements-results=out/results.json", *workers)
    assert json.loads((project.path / "out" / "results.json").read_text()) == {
        "R1": {"test_it.py::test_good": "passed"},
        "R2": {"test_it.py::test_good": "passed", "test_it.py::test_bad": "failed"},
        "R3": {"test_it.py::test_skipped": "skipped"},
    }


def test_unknown_ids_stop_the_run(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="import pytest\n@pytest.mark.req('R9999')\ndef test_x(): pass\n")
    result = project.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*has no R9999*"])
