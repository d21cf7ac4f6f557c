"""A small HTTP proxy in front of a server: counts what is asked, and answers late, wrong, half or not at all."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_ANSWER = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} by the proxy</Message></Error>"
_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True)
class Asked:
    """A request that arrived: method, path with query, and whether it was signed."""

    method: str
    target: str
    is_signed: bool
    size: int


@dataclass
class Fault:
    """What goes wrong.

    Attributes:
        kind: `delay` (it goes on after `seconds`), `drop` (before the server sees the request), `drop answer` (after
            the server has done it), `truncate` (the connection ends in the middle of the answer's body), `shorten`
            (half of the body, and a length that says that this was all), `alter` (other `headers` in the answer), or
            `answer` (with `status` and `code`, and the server never sees the request).
        method: Only requests of this method.
        contains: Only requests whose target contains this.
        after: How many such requests are let through before.
        times: How many requests it meets; None: all from then on.
        seconds: Time before anything happens.
        meanwhile: Called before anything happens.
    """

    kind: str
    method: str | None = None
    contains: str = ""
    after: int = 0
    times: int | None = None
    status: int = 503
    code: str = "InternalError"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0
    meanwhile: Callable[[], object] | None = None
    met: int = field(default=0, init=False)

    def meets(self, asked: Asked) -> bool:
        if (self.method is not None and asked.method != self.method) or self.contains not in asked.target:
            return False
        self.met += 1
        return self.met > self.after and (self.times is None or self.met <= self.after + self.times)


class Proxy:
    """A running proxy.

    Attributes:
        endpoint_url: Where it listens.
        asked: The requests that arrived, in order.
        faults: What goes wrong at this moment; the first that meets a request is what happens to it.
        sent: Bytes that were sent back, without headers.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.sent = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.endpoint_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def fault(self, kind: str, method: str | None = None, **details: Any) -> Fault:
        """Let something go wrong from now on."""
        fault = Fault(kind, method, **details)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Let everything through again, and forget what was asked."""
        self.faults.clear()
        self.asked.clear()

    def count(self, method: str, contains: str = "") -> int:
        """Return how many requests of a method arrived."""
        return sum(asked.method == method and contains in asked.target for asked in self.asked)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def meet(self, asked: Asked) -> Fault | None:
        with self._lock:
            self.asked.append(asked)
            return next((fault for fault in self.faults if fault.meets(asked)), None)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                with suppress(ConnectionError):
                    proxy.handle(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        size = int(request.headers.get("Content-Length") or 0)
        if request.headers.get("Expect", "").lower() == "100-continue":
            pass  # the base class has answered already
        body = request.rfile.read(size)
        asked = Asked(request.command, request.path, "Authorization" in request.headers, len(body))
        fault = self.meet(asked)
        kind = fault.kind if fault is not None else ""
        if fault is not None:
            time.sleep(fault.seconds)
            if fault.meanwhile is not None:
                fault.meanwhile()
        if kind == "drop":
            request.close_connection = True
            return
        if fault is not None and kind == "answer":
            self._answer(request, fault)
            return
        status, headers, content = self._forward(request, body)
        if kind == "drop answer":
            request.close_connection = True
            return
        if fault is not None and kind == "alter":
            headers = [*(pair for pair in headers if pair[0].lower() not in fault.headers), *fault.headers.items()]
        self._reply(request, status, headers, content, kind)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(str(self.upstream.hostname), self.upstream.port, timeout=60)
        try:
            connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in {"connection", "expect"}:
                    connection.putheader(name, value)  # the host too: it is signed
            connection.endheaders(body)
            answer = connection.getresponse()
            content = answer.read()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
            return answer.status, headers, content
        finally:
            connection.close()

    def _answer(self, request: BaseHTTPRequestHandler, fault: Fault) -> None:
        content = _ANSWER.format(code=fault.code).encode()
        self._reply(request, fault.status, [("Content-Type", "application/xml")], content, "")

    def _reply(
        self, request: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes, kind: str
    ) -> None:
        given = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
        half = content[: len(content) // 2] if kind in ("truncate", "shorten") else content
        length = str(len(half)) if kind == "shorten" else given
        request.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length":
                request.send_header(name, value)
        request.send_header("Content-Length", length)
        request.end_headers()
        if request.command != "HEAD":
            with self._lock:
                self.sent += len(half)
            request.wfile.write(half)
        if kind == "truncate":
            request.close_connection = True


@contextmanager
def proxied(upstream: str) -> Generator[Proxy, None, None]:
    """Run a proxy in front of a server until the block ends."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
