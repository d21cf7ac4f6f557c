"""Real processes for tests: started together, with what they said and how they ended."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import cache
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


class Process:
    """A process that runs Python code, made by the zygote (see `zygote`); to be used like a `subprocess.Popen`.

    Attributes:
        pid: Its process id.
        returncode: Its exit code, or None while it runs as far as is known.
    """

    def __init__(self, code: str, *arguments: str) -> None:
        child_in, stdin = os.pipe()
        stdout, child_out = os.pipe()
        told, telling = os.pipe()
        # A file, so that nobody waits until it is read. All are open until the process has ended: see `close`.
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        task = {"code": code, "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
        given = [child_in, child_out, self._errors.fileno(), telling]
        socket.send_fds(_zygote(os.getpid()), [json.dumps(task).encode()], given)
        for file in (child_in, child_out, telling):
            os.close(file)
        self.stdin = os.fdopen(stdin, "w", encoding="utf-8")
        self.stdout = os.fdopen(stdout, encoding="utf-8")
        self._told = os.fdopen(told, encoding="utf-8")
        self.pid = int(self._told.readline())
        self.returncode: int | None = None

    def wait(self) -> int:
        """Wait until it has ended; return its exit code."""
        if self.returncode is None:
            self.returncode = int(self._told.readline())
        return self.returncode

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            if self.returncode is None:
                os.kill(self.pid, signal.SIGKILL)

    def communicate(self, text: str = "", timeout: float = 200) -> tuple[str, str]:
        """Send a text, wait for the end, and return what it wrote since; it is killed after some seconds."""
        clock = threading.Timer(timeout, self.kill)
        clock.start()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.write(text)
            self.stdin.close()
        told = self.stdout.read()
        self.wait()
        clock.cancel()
        self._errors.seek(0)
        return told, self._errors.read()

    def close(self) -> None:
        """End it, if it has not ended, and forget what it said."""
        self.kill()
        self.wait()
        for file in (self.stdin, self.stdout, self._told, self._errors):
            with contextlib.suppress(BrokenPipeError):
                file.close()


@cache
def _zygote(owner: int) -> socket.socket:
    """Return the socket of this process's zygote, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.zygote", str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
    theirs.close()
    # A child process made by fork inherits what runs at exit, but not the zygote.
    atexit.register(lambda: (ours.close(), process.wait()) if os.getpid() == owner else None)
    return ours


def start(registry: Registry, code: str, *, number: int = 0, **arguments: Any) -> Process:
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
    return Process(_PRELUDE + code, json.dumps(passed, default=os.fspath))


def release(processes: Sequence[Process]) -> None:
    """Wait until all processes are ready, then let them go at once."""
    for process in processes:
        line = process.stdout.readline().strip()
        assert line == "ready", f"{line}\n{process.communicate()[1]}"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()


def answers(processes: Sequence[Process]) -> list[Any]:
    """Wait for the processes and return the last thing that each of them told; any error fails the test."""
    told: list[Any] = []
    for process in processes:
        out, err = process.communicate()
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
            process.close()
