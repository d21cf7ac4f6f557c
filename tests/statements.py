"""Compiled statements that all engines of a process share.

SQLAlchemy keeps what it compiled with the engine, and each test has an engine of its own: so it compiled everything
again, which took longer than the tests.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.util import LRUCache

MOST_STATEMENTS = 3000


class _Compiled(LRUCache[Any, Any]):
    """Keyed by the kind of the dialect, where SQLAlchemy's own key has the dialect of one engine."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(_shared(key), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_shared(key), value)


def _shared(key: Any) -> Any:
    dialect, *others = key
    return type(dialect), dialect.paramstyle, *others


_compiled = _Compiled(MOST_STATEMENTS)


def share_compiled_statements() -> None:
    """From now on, let all engines of this process, and of its children, share."""
    event.listen(Engine, "engine_connect", _share)


def _share(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_compiled)
