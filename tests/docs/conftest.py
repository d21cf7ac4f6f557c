"""Documents and docstrings run in an empty folder, each with an embedded registry of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lamart_core.db import set_default_registry


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder without a registry; none is left open as the default of the process."""
    monkeypatch.chdir(tmp_path)
    set_default_registry(None)
    yield tmp_path
    set_default_registry(None)
