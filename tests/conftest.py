"""Configuration of all tests: no network, no telemetry, and a record of which requirements are proved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.botocore_models import share_loaded_models
from tests.statements import share_compiled_statements
from tests.tools import FULL, SEED, quick_folder

HERE = Path(__file__).parent

pytest_plugins = ["pytester", "tests.requirements_plugin"]

# pytest-socket (pyproject.toml) guards this process; the hook in this folder guards those that tests start.
os.environ["PYTHONPATH"] = os.pathsep.join(
    part for part in [str(HERE / "offline"), str(HERE.parent), os.environ.get("PYTHONPATH", "")] if part
)
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
# A registry of the developer must not be written to by a test that forgets to say which one it means.
for name in ("LAMART_DB_URL", "LAMART_STORAGE", "LAMART_CACHE_DIR", "DAGSTER_HOME"):
    os.environ.pop(name, None)
# What reaches the disk is seen at the calls that flush it (`faults/flushes.py`): the tests need not wait for a disk.
if folder := quick_folder():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", folder)
share_compiled_statements()
share_loaded_models()

# Files whose tests share what takes long to make, or to import: each group runs in one process.
TOGETHER = {
    "tests/example/test_demo.py": "demo",
    "tests/example/test_ui.py": "demo",
    "tests/formats/test_spatialdata.py": "spatialdata",
    "tests/dagster/test_containers.py": "spatialdata",
}


class Scheduler(LoadScopeScheduling):
    """Gives each process the next test, or the next group of tests. Groups come first, then what takes long."""

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER.get(nodeid.partition("::")[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Schedule by `TOGETHER`: xdist's own groups go by a private field that pytest does not have any more."""
    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process waits for another one in the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_report_header() -> str:
    """Say what is chosen and what would choose the same again."""
    return f"{'full product of databases and storages, ' if FULL else ''}LAMART_SEED={SEED}"
