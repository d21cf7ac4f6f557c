"""Make the virtual environment and install the project into it, with one line of progress per step.

Needs nothing but a Python with `venv`. Called by the Makefile:

    python3 scripts/bootstrap.py .venv test
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)
SHOW_EVERY_SECONDS = 5.0


def main(folder: str, extra: str) -> int:
    """Install the project with one of its extras into a virtual environment; return the exit status."""
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        print(f"Python {wanted} or newer is needed, this is {sys.version.split()[0]}: make PYTHON=/path/to/python3")
        return 1
    environment = Path(folder)
    python = environment / "bin" / "python"
    if not python.exists():
        say(f"creating the virtual environment {environment}")
        if subprocess.run([sys.executable, "-m", "venv", str(environment)]).returncode:
            print("The module venv does not work with this Python; on Debian: apt-get install python3-venv")
            return 1
        # The pip that comes with Python may be years old and resolve dependencies badly.
        upgrade = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "pip"]
        if subprocess.run(upgrade).returncode:
            say("pip could not be upgraded; going on with the one that came with Python")
    say(f"installing lamart-dagster[{extra}] and what it needs; the first time takes some minutes")
    return install(python, extra)


def install(python: Path, extra: str) -> int:
    """Run pip, showing what it is at, and its whole output only if it fails."""
    command = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--no-input", "--constraint", "constraints.txt", "--editable", f".[{extra}]"]
    started = shown = time.monotonic()
    lines: list[str] = []
    n_packages = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            n_packages += line.startswith("Collecting ")
            if line.startswith("Installing collected packages"):
                say(f"unpacking {n_packages} packages")
            elif line.startswith("Collecting ") and time.monotonic() - shown > SHOW_EVERY_SECONDS:
                shown = time.monotonic()
                say(f"package {n_packages}: {line.split()[1]}")
    if process.returncode:
        sys.stdout.writelines(lines)
        print(f"pip failed with status {process.returncode}")
    else:
        say(f"installed in {time.monotonic() - started:.0f} s")
    return process.returncode


def say(text: str) -> None:
    """Print one line of progress at once, also into a pipe."""
    print(f"  · {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
