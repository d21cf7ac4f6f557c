"""Where a test steps in between: at transactions, and at the verbs of storages.

Both are boundaries that last: what is inside may be written anew. A test says what happens *before* or *after*, once or
each time; an error that is raised there is the error of the transaction or the verb.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

from lamart_core.storage import Backend

Act = Callable[[], Any]


def nothing() -> None:
    """Do nothing."""


@contextmanager
def at_commit(
    table: str, *, before: Act = nothing, after: Act = nothing, always: bool = False
) -> Generator[None, None, None]:
    """Act at a transaction of this process that writes to a table.

    Args:
        table: Name of the table, for example `lamart_artifact`.
        before: Called when everything is written and nothing is committed.
        after: Called when it is committed, and nobody knows yet.
        always: Whether at each such transaction; default: at the first one only.
    """
    turn = threading.local()
    is_over = False

    def see(connection: Connection, _: Any, statement: str, *others: Any) -> None:
        verb, *words = statement.replace('"', "").split()[:4]
        if verb.upper() in ("INSERT", "UPDATE", "DELETE") and table in words:
            connection.info["seam"] = True

    def begin_commit(connection: Connection) -> None:
        nonlocal is_over
        turn.is_mine = connection.info.pop("seam", False) and not is_over
        if turn.is_mine:
            is_over = not always
            before()

    def forget(connection: Connection) -> None:
        connection.info.pop("seam", None)

    commit = DefaultDialect.do_commit

    def do_commit(dialect: Any, connection: Any) -> None:
        is_mine, turn.is_mine = getattr(turn, "is_mine", False), False
        commit(dialect, connection)
        if is_mine:
            after()

    listeners = {"before_cursor_execute": see, "commit": begin_commit, "rollback": forget}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DefaultDialect, "do_commit", do_commit)
        for name, listener in listeners.items():
            event.listen(Engine, name, listener)
        try:
            yield
        finally:
            for name, listener in listeners.items():
                event.remove(Engine, name, listener)


@contextmanager
def at_storage(
    verb: str, *, before: Act = nothing, after: Act = nothing, always: bool = False
) -> Generator[None, None, None]:
    """Act when a verb of a storage is called in this process.

    Args:
        verb: Name of a method of `Backend`, for example `put_files`.
        before: Called before the verb.
        after: Called when it has succeeded.
        always: Whether at each call; default: at the first one only.
    """
    real: Callable[..., Any] = getattr(Backend, verb)
    is_over = False

    def called(*arguments: Any, **options: Any) -> Any:
        nonlocal is_over
        is_mine, is_over = not is_over, not always
        if is_mine:
            before()
        result = real(*arguments, **options)
        if is_mine:
            after()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backend, verb, called)
        yield
