"""The environment of the peer: lamindb and what it depends on, apart from ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENT = "lamindb"


def default_environment() -> Path:
    """Return where the environment lies when none is named: in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lamart-benchmarks" / "lamindb"


def python_of(environment: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return environment / "bin" / "python"


def ensure(environment: Path) -> Path:
    """Make the environment and install the peer, unless it is there; return its interpreter.

    Raises:
        CalledProcessError: The environment cannot be made, or the peer cannot be installed.
    """
    python = python_of(environment)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    if _has_peer(python):
        return python
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-input", REQUIREMENT], check=True)
    return python


def _has_peer(python: Path) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({REQUIREMENT!r}) is None)"
    return subprocess.run([str(python), "-c", code], check=False).returncode == 0
