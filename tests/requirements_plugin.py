"""pytest plugin: which test proves which requirement.

A test names what it proves with `@pytest.mark.req("R41", "R47")`. Ids that docs/specification.md does not have stop
the run. `--requirements-results=FILE` writes, for every id, the tests that passed, failed or were skipped, and the
databases and storages that each ran on; `python -m tests.requirements_report FILE` reads it.

Where a test runs is seen in its parameters (`sqlite`, `postgres`, `local`, `s3`, or two of them with a dash between)
and in the fixtures that it uses. A test that chooses in its body says so: `@pytest.mark.req("R268", on="postgres-s3")`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.databases import BACKENDS
from tests.requirements_report import SPECIFICATION, STORAGES, read_specification
from tests.storage.clouds import CLOUDS

_PROPERTY, _PLACE = "requirement", "place"
# What fixtures without parameters stand for.
_FIXTURES = {"sqlite_registry": "sqlite", "s3": "s3"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--requirements-results", metavar="FILE", help="write which tests prove which requirement")


def pytest_configure(config: pytest.Config) -> None:
    target = config.getoption("--requirements-results")
    if target and not hasattr(config, "workerinput"):  # workers of xdist report to the controller
        config.pluginmanager.register(_Recorder(Path(target)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = read_specification(SPECIFICATION)
    for item in items:
        ids = {requirement for marker in item.iter_markers("req") for requirement in marker.args}
        if unknown := sorted(ids - known.keys()):
            raise pytest.UsageError(f"{item.nodeid}: docs/specification.md has no {', '.join(unknown)}")
        # A report carries the properties of its test also from a worker process.
        item.user_properties.extend((_PROPERTY, requirement) for requirement in sorted(ids))
        if ids:
            item.user_properties.extend((_PLACE, place) for place in sorted(_places(item)))


def _places(item: pytest.Item) -> set[str]:
    """Return the databases and storages that a test runs on; without another, a storage is local."""
    callspec = getattr(item, "callspec", None)
    values = [value for value in callspec.params.values() if isinstance(value, str)] if callspec is not None else []
    words = {word for value in values for word in value.split("-")}
    fixtures: list[str] = getattr(item, "fixturenames", [])
    words |= {_FIXTURES[name] for name in fixtures if name in _FIXTURES}
    known = {*BACKENDS, *STORAGES}
    for marker in item.iter_markers("req"):
        said = {word for word in str(marker.kwargs.get("on", "")).split("-") if word}
        if said - known:
            raise pytest.UsageError(f"{item.nodeid}: on={marker.kwargs['on']!r} has other words than {sorted(known)}")
        words |= said
    places = words & known
    if places & set(BACKENDS) and not places & set(STORAGES) and not words & set(CLOUDS):
        places.add("local")
    return places


class _Recorder:
    def __init__(self, target: Path) -> None:
        self.target = target
        self.results: dict[str, dict[str, dict[str, object]]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test passed if its call passed; a set-up or tear-down counts only when it did not.
        if report.when != "call" and report.outcome == "passed":
            return
        places = [value for name, value in report.user_properties if name == _PLACE]
        for name, requirement in report.user_properties:
            if name == _PROPERTY:
                earlier = self.results[str(requirement)].get(report.nodeid)
                outcome = "failed" if earlier is not None and earlier["outcome"] == "failed" else report.outcome
                self.results[str(requirement)][report.nodeid] = {"outcome": outcome, "places": places}

    def pytest_sessionfinish(self) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.write_text(json.dumps(self.results, indent=1, sort_keys=True), encoding="utf-8")
