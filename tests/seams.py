"""Where a test steps in between: at transactions, at what they write, and at the verbs of storages.

All are boundaries that last: what is inside may be written anew. A test says what happens *before* or *after*, once or
each time; an error that is raised there is the error of the transaction or the verb.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import Context
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect

from lamart_core.storage import Backend, Local, ObjectStore

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
        if _writes(statement, table):
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
def at_write(table: str, *, before: Act) -> Generator[None, None, None]:
    """Act before the first statement of this process that writes to a table or locks its rows: what decides was read.

    Args:
        table: Name of the table, for example `lamart_artifact`.
        before: Called then; where databases let several write, what it commits is what another process did meanwhile.
    """
    is_over = False

    def see(connection: Connection, _: Any, statement: str, *others: Any) -> None:
        nonlocal is_over
        if not is_over and (_writes(statement, table) or _locks(statement, table)):
            is_over = True
            # In a context of its own: another process knows nothing of the transaction that is under way here.
            Context().run(before)

    event.listen(Engine, "before_cursor_execute", see)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", see)


def _writes(statement: str, table: str) -> bool:
    verb, *words = statement.replace('"', "").split()[:4]
    return verb.upper() in ("INSERT", "UPDATE", "DELETE") and table in words


def _locks(statement: str, table: str) -> bool:
    return re.search(rf"FROM {table}\b.* FOR (NO KEY )?UPDATE", statement, re.DOTALL) is not None


@contextmanager
def at_storage(
    *verbs: str, before: Act = nothing, after: Act = nothing, always: bool = False
) -> Generator[None, None, None]:
    """Act when one of some verbs of a storage is called in this process.

    Args:
        *verbs: Names of methods of `Backend`, for example `put_files`.
        before: Called before the verb.
        after: Called when it has succeeded.
        always: Whether at each call; default: at the first one only.
    """
    is_over = False

    def stepping_in(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            nonlocal is_over
            is_mine, is_over = not is_over, not always
            if is_mine:
                before()
            result = real(*arguments, **options)
            if is_mine:
                after()
            return result

        return called

    with pytest.MonkeyPatch.context() as patch:
        for verb in verbs:
            for kind in (Backend, Local, ObjectStore):
                if kind is Backend or verb in vars(kind):
                    patch.setattr(kind, verb, stepping_in(getattr(kind, verb)))
        yield
