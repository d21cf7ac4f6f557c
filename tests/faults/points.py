"""Every step at which a process changes something outside itself, found by running it.

The interpreter tells of each change to the file system (audit events), SQLAlchemy of each writing statement and commit,
and the client of the object store of each request. So the steps of a verb are enumerated by the verb itself: a step
that is added to the code is a step that is tested.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.exc import OperationalError

_PATHS = {
    "os.rename": 2,
    "os.link": 2,
    "os.symlink": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.chmod": 1,
    "os.truncate": 1,
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_STATEMENTS = ("INSERT", "UPDATE", "DELETE", "LOCK")


class Points:
    """Counts the steps of this process; kills it, or fails, at one of them.

    Install once a process, in a child made for it: audit hooks stay.

    Args:
        folder: Where changes of the file system count.
        stop_at: Number of the step, from 1; 0 only counts.
        action: `kill` ends the process with SIGKILL before the step; `error` lets the step fail once.
    """

    def __init__(self, folder: Path, *, stop_at: int, action: str) -> None:
        self.folder = str(folder)
        self.stop_at = stop_at
        self.action = action
        self.names: list[str] = []
        self.armed = False
        self._lock = threading.Lock()

    def install(self) -> None:
        """Begin to listen; nothing counts before `armed` is set."""
        sys.addaudithook(self._audit)
        event.listen(Engine, "before_cursor_execute", self._statement)
        event.listen(Engine, "commit", self._commit)
        self._wrap_commit()
        self._wrap_requests()

    def reached(self, name: str) -> bool:
        """Count a step; return whether it must fail."""
        if not self.armed:
            return False
        with self._lock:
            self.names.append(name)
            hit = len(self.names) == self.stop_at
        if hit and self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()
        return hit

    def _audit(self, name: str, args: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if name == "open":
            path, _, flags = args
            counts = isinstance(flags, int) and bool(flags & _WRITING) and self._is_inside(path)
        else:
            counts = name in _PATHS and (
                any(self._is_inside(path) for path in args[: _PATHS[name]])
                # Removing a tree goes by names relative to an open folder; then the path says nothing.
                or (isinstance(args[-1], int) and args[-1] >= 0)
            )
        if counts and self.reached(f"{name} {os.path.basename(os.fsdecode(args[0]))}"):
            raise OSError(errno.EIO, "this step fails")

    def _is_inside(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        # The database writes by itself; its steps are the statements.
        text = os.fsdecode(path)
        return text.startswith(self.folder) and ".db" not in os.path.basename(text)

    def _statement(self, _: Any, __: Any, statement: str, *others: Any) -> None:
        verb = statement.split(maxsplit=1)[0].upper()
        if verb in _STATEMENTS and self.reached(" ".join(statement.split()[:3])):
            raise OperationalError(statement, {}, Exception("this statement fails"))

    def _commit(self, _: Any) -> None:
        if self.reached("COMMIT"):
            raise OperationalError("COMMIT", {}, Exception("the commit fails"))

    def _wrap_commit(self) -> None:
        commit = DefaultDialect.do_commit

        def do_commit(dialect: Any, connection: Any) -> None:
            commit(dialect, connection)
            if self.reached("committed"):
                raise OperationalError("COMMIT", {}, Exception("the answer to the commit is lost"))

        DefaultDialect.do_commit = do_commit  # pyright: ignore[reportAttributeAccessIssue]

    def _wrap_requests(self) -> None:
        try:
            from aiobotocore.httpsession import AIOHTTPSession
        except ImportError:
            return
        send = AIOHTTPSession.send

        async def counted(session: Any, request: Any) -> Any:
            if request.method in ("GET", "HEAD"):
                return await send(session, request)
            self.reached(f"{request.method} sent")
            answer = await send(session, request)
            self.reached(f"{request.method} answered")
            return answer

        AIOHTTPSession.send = counted
