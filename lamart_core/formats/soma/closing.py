"""SOMA objects that tell when they are closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def telling(opened: Any, then: Callable[[bool], None]) -> Any:
    """Have ``then`` called once an open SOMA object is closed; see ``Format.closing``.

    The object itself is returned, for the functions of tiledbsoma ask for its very class: it gets a class of its own,
    derived from the one that it has. When it is collected without having been closed, ``then`` is not called.
    """
    base: Any = type(opened)
    waiting = [then]

    def end(this: Any, keep: bool) -> None:
        if not waiting:
            return
        told = waiting.pop()
        try:
            base.close(this)
        except BaseException:
            told(False)
            raise
        told(keep)

    def close(this: Any) -> None:
        end(this, keep=True)

    def leave(this: Any, kind: type[BaseException] | None, *_: object) -> None:
        end(this, keep=kind is None)

    def collect(this: Any) -> None:
        try:
            base.close(this)  # before the owner of `then` removes what it still writes to
        finally:
            waiting.clear()

    members = {"__slots__": (), "__module__": base.__module__, "__qualname__": base.__qualname__}
    methods = {"close": close, "__exit__": leave, "__del__": collect}
    opened.__class__ = type(base)(base.__name__, (base,), {**members, **methods})
    return opened
