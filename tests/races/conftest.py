"""Fixtures of the tests of races."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from lamart_core.db import Registry
from tests.databases import BACKENDS
from tests.registries import fresh_registry


@pytest.fixture(params=BACKENDS)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Registry, None, None]:
    """An empty registry, the default of the process."""
    with fresh_registry(request.param, tmp_path / "lab") as registry:
        yield registry


@pytest.fixture
def sqlite_registry(tmp_path: Path) -> Generator[Registry, None, None]:
    """An empty registry on SQLite, for what does not depend on the database."""
    with fresh_registry("sqlite", tmp_path / "lab") as registry:
        yield registry
