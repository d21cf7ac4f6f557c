"""The guard that keeps tests, and what they start, off the network."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from pytest_socket import SocketConnectBlockedError

OUTSIDE = "192.0.2.1"  # reserved for documentation, never assigned


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_connections_to_the_outside_are_refused() -> None:
    # Either guard may be first: a worker of xdist is itself a process that a test run started.
    with pytest.raises(
        (SocketConnectBlockedError, ConnectionRefusedError), match=r"A test tried|tests have no network"
    ):
        socket.create_connection((OUTSIDE, 80), timeout=1)


@pytest.mark.parametrize(
    "code",
    [
        f"import socket; socket.create_connection(({OUTSIDE!r}, 80), timeout=1)",
        "import socket; socket.getaddrinfo('example.invalid', 80)",
        f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ({OUTSIDE!r}, 53))",
        f"import asyncio; asyncio.run(asyncio.open_connection({OUTSIDE!r}, 80))",
    ],
    ids=["connect", "look-up", "datagram", "asyncio"],
)
def test_started_processes_have_no_network(code: str) -> None:
    done = run(code)
    assert done.returncode != 0
    assert "tests have no network" in done.stderr


def test_started_processes_have_loopback() -> None:
    done = run(
        "import socket; server = socket.create_server(('127.0.0.1', 0));"
        "client = socket.create_connection(server.getsockname());"
        "a, b = socket.socketpair(); a.send(b'x'); print('open')"
    )
    assert done.stdout.strip() == "open", done.stderr
