"""An S3 server on the loopback interface, in a process of its own: what the tests need of moto."""

from __future__ import annotations

import atexit
import itertools
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache

import pytest

_SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Attributes:
        endpoint_url: Where it listens.
    """

    endpoint_url: str
    _numbers: itertools.count[int] = field(default_factory=itertools.count, repr=False)

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bucket-{os.getpid()}-{next(self._numbers)}"
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint_url}/{name}", method="PUT"), timeout=30).close()
        return name

    def new_root(self, prefix: str = "lab") -> str:
        """Return the root of a fresh storage location that names this server."""
        return f"s3://{self.new_bucket()}/{prefix}?endpoint_url={self.endpoint_url}"

    def uploads(self, bucket: str) -> str:
        """Return the server's list of unfinished multi-part uploads."""
        with urllib.request.urlopen(f"{self.endpoint_url}/{bucket}?uploads", timeout=30) as answer:
            return str(answer.read().decode())


@contextmanager
def serve_s3() -> Generator[S3Server, None, None]:
    """Run a server until the block ends; it also ends when this process does."""
    environment = {name: value for name, value in os.environ.items() if name != "AWS_ENDPOINT_URL"} | CREDENTIALS
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("the S3 server did not start")
        server = S3Server(f"http://127.0.0.1:{port}")
        _wait(server.endpoint_url)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(url: str) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the S3 server at {url} does not answer")


@cache
def shared_server() -> S3Server:
    """Return the server of this process; it starts with the first test that needs it and ends with the process."""
    stack = ExitStack()
    server = stack.enter_context(serve_s3())
    # A child process made by fork inherits what runs at exit, but not the server.
    atexit.register(lambda owner: stack.close() if os.getpid() == owner else None, os.getpid())
    return server


@contextmanager
def credentials() -> Generator[None, None, None]:
    """Set the credentials for the servers of the tests in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def s3() -> Generator[S3Server, None, None]:
    """The server of this process, with credentials for it in the environment."""
    with credentials():
        yield shared_server()
