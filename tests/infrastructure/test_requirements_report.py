"""The record of which test proves which requirement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import requirements_report
from tests.requirements_report import main, read_specification

SPECIFICATION = """# Specification
## 1. The constructor
- **R1** First.
- **R2** Second. [any database]
- **R3** *(not built yet)* Third.
## 2. Keys
- **R4** Fourth. [storage]
## 5. Formats
- **R5** Fifth.
"""
BOTH = ["sqlite", "postgres"]


@pytest.fixture
def specification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "specification.md"
    path.write_text(SPECIFICATION)
    monkeypatch.setattr(requirements_report, "SPECIFICATION", path)
    return path


def write_results(folder: Path, outcomes: dict[str, dict[str, str]], places: dict[str, list[str]]) -> str:
    path = folder / "results.json"
    results = {
        id: {test: {"outcome": outcome, "places": places.get(id, BOTH)} for test, outcome in tests.items()}
        for id, tests in outcomes.items()
    }
    path.write_text(json.dumps(results))
    return str(path)


def test_specification_is_read(specification: Path) -> None:
    found = read_specification(specification)
    assert [(r.id, r.text, r.is_built, r.needs) for r in found.values()] == [
        ("R1", "First.", True, ("sqlite", "postgres")),
        ("R2", "Second. [any database]", True, ()),
        ("R3", "Third.", False, ("sqlite", "postgres")),
        ("R4", "Fourth. [storage]", True, ("sqlite", "postgres", "local", "s3")),
        ("R5", "Fifth.", True, ()),
    ]


def test_repeated_ids_are_refused(specification: Path) -> None:
    specification.write_text(SPECIFICATION + "- **R2** Again.\n")
    with pytest.raises(ValueError, match="R2 twice"):
        read_specification(specification)


@pytest.mark.parametrize(
    ("outcomes", "places", "status", "line"),
    [
        ({}, {}, 0, "4 of 4 built requirements proved"),
        ({"R2": {}}, {}, 1, "R2  no test       Second"),
        ({"R2": {"a": "passed", "b": "failed"}}, {}, 1, "R2  test failed   b"),
        ({"R2": {"a": "skipped"}}, {}, 1, "R2  test skipped  a"),
        ({"R3": {"a": "passed"}}, {}, 1, "R3  has a passing test"),
        ({}, {"R1": ["sqlite", "s3"]}, 1, "R1  no test on    postgres: First"),
        ({}, {"R4": ["sqlite", "postgres", "local"]}, 1, "R4  no test on    s3: Fourth"),
        ({}, {"R2": [], "R5": []}, 0, "4 of 4 built requirements proved"),
    ],
)
def test_report(
    specification: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    outcomes: dict[str, dict[str, str]],
    places: dict[str, list[str]],
    status: int,
    line: str,
) -> None:
    everywhere = {"R4": [*BOTH, "local", "s3"]}
    passed = {id: {"a": "passed"} for id in ("R1", "R2", "R4", "R5")}
    results = write_results(tmp_path, passed | outcomes, everywhere | places)
    assert main([results, "--check"]) == status
    assert line in capsys.readouterr().out
    assert main([results, "--all"]) == 0
    assert "R4  proved on     sqlite, postgres, " in capsys.readouterr().out


def test_a_failure_on_one_database_proves_nothing_there(specification: Path, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    tests = {
        "a[sqlite]": {"outcome": "passed", "places": ["sqlite"]},
        "a[postgres]": {"outcome": "failed", "places": ["postgres"]},
    }
    path.write_text(json.dumps({"R1": tests}))
    assert requirements_report.read_results(path)["R1"].places == {"sqlite"}


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
        @pytest.fixture(params=["sqlite-local", "postgres-s3"])
        def lab(request): pass
        @pytest.fixture
        def s3(): pass
        @pytest.fixture(params=["sqlite", "postgres"])
        def registry(request): pass
        @pytest.mark.req("R4")
        def test_lab(lab): pass
        @pytest.mark.req("R5")
        def test_remote(registry, s3): pass
        @pytest.mark.req("R6")
        def test_registry(registry): pass
        @pytest.mark.req("R7", on="postgres-s3")
        def test_says_so(): pass
        """
    )
    project.runpytest_subprocess("--requirements-results=out/results.json", *workers)
    found = json.loads((project.path / "out" / "results.json").read_text())

    def told(outcome: str, *places: str) -> dict[str, object]:
        return {"outcome": outcome, "places": list(places)}

    assert found == {
        "R1": {"test_it.py::test_good": told("passed")},
        "R2": {"test_it.py::test_good": told("passed"), "test_it.py::test_bad": told("failed")},
        "R3": {"test_it.py::test_skipped": told("skipped")},
        "R4": {
            "test_it.py::test_lab[sqlite-local]": told("passed", "local", "sqlite"),
            "test_it.py::test_lab[postgres-s3]": told("passed", "postgres", "s3"),
        },
        "R5": {
            "test_it.py::test_remote[sqlite]": told("passed", "s3", "sqlite"),
            "test_it.py::test_remote[postgres]": told("passed", "postgres", "s3"),
        },
        "R6": {
            "test_it.py::test_registry[sqlite]": told("passed", "local", "sqlite"),
            "test_it.py::test_registry[postgres]": told("passed", "local", "postgres"),
        },
        "R7": {"test_it.py::test_says_so": told("passed", "postgres", "s3")},
    }


def test_unknown_ids_stop_the_run(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="import pytest\n@pytest.mark.req('R9999')\ndef test_x(): pass\n")
    result = project.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*has no R9999*"])


def test_unknown_places_stop_the_run(project: pytest.Pytester) -> None:
    project.makepyfile(test_it="import pytest\n@pytest.mark.req('R1', on='mysql-s3')\ndef test_x(): pass\n")
    result = project.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'mysql-s3' has other words*"])
