"""A process that makes processes: each child begins with the libraries loaded, which else takes it a second or more.

A child is a process like any other (its memory, threads, connections and death are its own); what it shares with its
siblings is what was imported. So it shows nothing of what a program loads: tests of that start an interpreter.

Run as `python -m tests.zygote FD`, where FD is a Unix socket. Each message asks for one child: JSON, and four open
files, its standard input, output and errors, and where to write its process id and, in the end, its exit code.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

MOST_BYTES = 1 << 20  # of a message


def preload() -> None:
    """Load what nearly every child needs. Nothing here may start a thread or open a connection."""
    import pandas  # noqa: F401
    import psycopg  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import s3fs  # noqa: F401

    import lamart_core.models  # noqa: F401
    from tests.botocore_models import load_models, share_loaded_models
    from tests.statements import share_compiled_statements

    share_compiled_statements()
    share_loaded_models()
    load_models()


def serve(asked: socket.socket) -> dict[str, Any] | None:
    """Make the children that are asked for; return None at the end, and in each child what it was asked to run."""
    while True:
        message, files, _, _ = socket.recv_fds(asked, MOST_BYTES, 4)
        if not message:
            return None
        if os.fork() == 0:
            asked.close()
            task = json.loads(message)
            return task if _become_child(files) else None
        for file in files:
            os.close(file)


def _become_child(files: list[int]) -> bool:
    """In the child of the zygote: fork once more, and return whether this is the one that runs the code.

    The process between the two waits for the code to end, so that the zygote need not.
    """
    *standard, told = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if child := os.fork():
        for file in standard:
            os.close(file)
        os.write(told, f"{child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.close(told)
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    return True


def run(task: dict[str, Any]) -> None:
    """Run the code of a task as a program would: with its own arguments, environment and folder."""
    os.environ.clear()
    os.environ.update(task["environment"])
    os.chdir(task["folder"])
    sys.argv = ["-c", *task["arguments"]]
    exec(compile(task["code"], "<child>", "exec"), {"__name__": "__main__"})


def main() -> None:
    """Serve the socket whose descriptor is the argument."""
    preload()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are waited for by nobody here
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        task = serve(asked)
    if task is not None:
        try:
            run(task)
        except Exception:
            traceback.print_exc()
            sys.exit(1)


if __name__ == "__main__":
    main()
