"""Configuration of all tests: no network, no telemetry, and a record of which requirements are proved."""

from __future__ import annotations

import os
from pathlib import Path

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


def pytest_report_header() -> str:
    """Say what is chosen and what would choose the same again."""
    return f"{'full product of databases and storages, ' if FULL else ''}LAMART_SEED={SEED}"
