"""One demo for all tests of a process, and the Dagster UI on it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import lamart_core as ln
from example_project.home import PROJECT, Home, home
from lamart_core.db import Registry

START_SECONDS = 120.0


@dataclass(frozen=True)
class Demo:
    """A demo that has run: what it printed, and where it left its registry."""

    output: str
    home: Home


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, run as `make demo` does, in a process of its own."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    command = [sys.executable, "-m", "example_project.demo", "--folder", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env={**os.environ, "COLUMNS": "160"})
    assert done.returncode == 0, done.stdout + done.stderr
    return Demo(done.stdout, home(folder))


@pytest.fixture
def registry(demo: Demo) -> Iterator[Registry]:
    """The registry of the demo, as the current one."""
    environment = demo.home.environment
    registry = ln.connect(environment["LAMART_DB_URL"], storage=environment["LAMART_STORAGE"], make_default=False)
    with registry:
        yield registry
    registry.close()


@pytest.fixture(scope="session")
def webserver(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dagster UI on the demo."""
    with serve(demo.home, tmp_path_factory.mktemp("webserver") / "log.txt") as address:
        yield address


@contextmanager
def serve(place: Home, log: Path) -> Generator[str, None, None]:
    """Run a Dagster UI on a home, on a free port of loopback; give its address."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "dagster_webserver", "--workspace", "workspace.yaml"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, **place.environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_up(address, process, log)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def _wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the web server did not start:\n{log.read_text()}")
