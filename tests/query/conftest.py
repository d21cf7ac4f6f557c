"""Fixtures of the query tests: the small library on both databases."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from lamart_core.db import Registry
from tests.databases import BACKENDS, fresh_database
from tests.query.models import create_tables, open_library


@pytest.fixture(params=BACKENDS)
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Registry, None, None]:
    """An empty library."""
    with fresh_database(request.param, tmp_path, prepare=create_tables) as url:
        registry = open_library(url)
        yield registry
        registry.close()
