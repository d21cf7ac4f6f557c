"""Real processes for tests: started together, with what they said and how they ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from lamart_core.db import Registry

_PRELUDE = """
import json, sys
import lamart_core as ln
arguments = json.loads(sys.argv[1])
registry = ln.connect(arguments["url"], storage=arguments["storage"], cache_dir=arguments["cache_dir"])
number = arguments["number"]
def ready():
    # All begin at once, when every one is ready.
    print("ready", flush=True)
    sys.stdin.readline()
def tell(value):
    print(json.dumps(value), flush=True)
"""


def start(registry: Registry, code: str, *, number: int = 0, **arguments: Any) -> subprocess.Popen[str]:
    """Start a process that opens the same registry and runs code with `ln`, `registry`, `number`, `arguments`.

    The code calls `ready()` to wait for the others, and `tell(value)` to answer with JSON.
    """
    passed = {
        "url": registry.url.render_as_string(hide_password=False),
        "storage": registry.options["storage"],
        "cache_dir": registry.options["cache_dir"],
        "number": number,
        **arguments,
    }
    return subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + code, json.dumps(passed, default=os.fspath)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def release(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Wait until all processes are ready, then let them go at once."""
    for process in processes:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line == "ready", f"{line}\n{process.communicate()[1]}"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


def answers(processes: Sequence[subprocess.Popen[str]]) -> list[Any]:
    """Wait for the processes and return the last thing that each of them told; any error fails the test."""
    told: list[Any] = []
    for process in processes:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        told.append(json.loads(out.strip().splitlines()[-1]))
    return told


def run_together(registry: Registry, code: str, count: int, **arguments: Any) -> list[Any]:
    """Run the same code in several processes at the same time; return what each told."""
    processes = [start(registry, code, number=number, **arguments) for number in range(count)]
    try:
        release(processes)
        return answers(processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()
