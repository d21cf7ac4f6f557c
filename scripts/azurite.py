"""Install Azurite, Microsoft's emulator of Azure Storage, which the tests of Azure run against.

It is a package of npm. Called by the Makefile, and quick when it is there already:

    python3 scripts/azurite.py .venv

Without node and npm the tests of Azure are skipped; with `LAMART_CI` that is a failure.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "3.35.0"  # the last that runs on node 18, which Debian has


def main(folder: str) -> int:
    """Install it below a virtual environment; return the exit status."""
    place = Path(folder, "azurite")
    if _installed(place) == VERSION:
        return 0
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return _without("node and npm are not installed")
    print(f"  · installing Azurite {VERSION}", flush=True)
    place.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(place)]
    done = subprocess.run([*command, f"azurite@{VERSION}"], stdout=subprocess.DEVNULL)
    return 0 if done.returncode == 0 else _without(f"npm failed with status {done.returncode}")


def _installed(place: Path) -> str | None:
    try:
        return str(json.loads((place / "node_modules/azurite/package.json").read_text())["version"])
    except (OSError, ValueError, KeyError):
        return None


def _without(reason: str) -> int:
    print(f"  · {reason}: the tests of Azure are skipped", flush=True)
    return 1 if os.environ.get("LAMART_CI") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
