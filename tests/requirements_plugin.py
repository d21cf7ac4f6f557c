"""pytest plugin: which test proves which requirement.

A test names what it proves with `@pytest.mark.req("R41", "R47")`. Ids that docs/specification.md does not have stop
the run. `--requirements-results=FILE` writes, for every id, the tests that passed, failed or were skipped;
`python -m tests.requirements_report FILE` reads it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.requirements_report import SPECIFICATION, read_specification

_PROPERTY = "requirement"


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


class _Recorder:
    def __init__(self, target: Path) -> None:
        self.target = target
        self.outcomes: dict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A test passed if its call passed; a set-up or tear-down counts only when it did not.
        if report.when != "call" and report.outcome == "passed":
            return
        for name, requirement in report.user_properties:
            if name == _PROPERTY:
                earlier = self.outcomes[str(requirement)].get(report.nodeid)
                outcome = "failed" if earlier == "failed" else report.outcome
                self.outcomes[str(requirement)][report.nodeid] = outcome

    def pytest_sessionfinish(self) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.write_text(json.dumps(self.outcomes, indent=1, sort_keys=True), encoding="utf-8")
