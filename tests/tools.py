"""What tests of several rooms share."""

from __future__ import annotations

import os
import shutil
from datetime import date
from pathlib import Path
from typing import NoReturn

import pytest

from lamart_core.lineage import pictures

# `make test-all`: every database with every storage, and every step of the crash matrix.
FULL = bool(os.environ.get("LAMART_FULL"))
# Decides which steps of the crash matrix are tried, others each day. It is printed at the beginning, and passed on to
# the workers of a run, so that all of them have the same.
SEED = int(os.environ.setdefault("LAMART_SEED", str(date.today().toordinal())))


def quick_folder() -> str | None:
    """Return a folder in memory for the files of the tests, or None: where there is none, and with `FULL`."""
    memory = Path("/dev/shm")
    if FULL or not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < 4 << 30:
        return None
    return str(memory)


def require_tool(*names: str) -> str:
    """Return the path of the first program of these names, or skip the test.

    Under `LAMART_CI` a missing program fails the test instead: there it is known to be installed, and a skip would
    hide that nothing was tested.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    return missing_tool(f"the program {' or '.join(names)}")


def hide_renderers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the programs that draw pictures, the one of the wheel and `dot`."""
    monkeypatch.setattr(pictures, "_of_wheel", lambda: None)
    monkeypatch.setenv("PATH", "")


def missing_tool(what: str) -> NoReturn:
    """Skip the test for what is not installed; under `LAMART_CI` fail it."""
    message = f"needs {what}, which is not installed"
    if os.environ.get("LAMART_CI"):
        pytest.fail(message)
    pytest.skip(message)
