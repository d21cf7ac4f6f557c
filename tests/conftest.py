"""Configuration of all tests: no network, no telemetry, and a record of which requirements are proved."""

from __future__ import annotations

import os
from pathlib import Path

from tests.tools import FULL, SEED

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


def pytest_report_header() -> str:
    """Say what is chosen and what would choose the same again."""
    return f"{'full product of databases and storages, ' if FULL else ''}LAMART_SEED={SEED}"
