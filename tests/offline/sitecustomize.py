"""No network in the processes that tests start: Python imports this at start-up where it is on PYTHONPATH.

pytest-socket guards the process of the tests. This is for all those that tests start, and it must cost nothing there:
some are killed after milliseconds. Loopback, Unix sockets and sockets that are no connections stay open.
"""

from __future__ import annotations

import sys

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost", "0.0.0.0", "::", ""})


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" or event == "socket.sendto":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) and address else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if isinstance(host, str) and host not in _LOOPBACK and not host.startswith("127."):
        raise ConnectionRefusedError(f"tests have no network: {event} of {host!r}")


sys.addaudithook(_refuse_network)
