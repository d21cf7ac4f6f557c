"""Progress of transfers: a bar on stderr, where somebody sees it, and never on stdout."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from fsspec.callbacks import Callback

# Less is there before anybody could read a bar.
_WORTH_DRAWING = 16 * 2**20


class Bar:
    """Counts the bytes that a transfer has moved; this one draws nothing."""

    def advance(self, count: int) -> None:
        """Say that `count` more bytes were moved. Threads may call it at once."""


class _DrawnBar(Bar):
    def __init__(self, drawing: Any, task: Any) -> None:
        self._drawing = drawing
        self._task = task

    def advance(self, count: int) -> None:
        self._drawing.advance(self._task, count)


NO_BAR = Bar()


@contextmanager
def progress(label: str, *, total: int | None, enabled: bool | None = None) -> Generator[Bar, None, None]:
    """Show how far a transfer is, until the block ends.

    Args:
        label: What is done, for example `"uploading counts.h5ad"`.
        total: Bytes that will be moved; None when that is not known.
        enabled: False draws nothing, True draws always. None draws where stderr is a terminal and the transfer is
            large enough to take a moment.

    Returns:
        A bar; call `bar.advance(n)` after every `n` bytes, from any thread.

    Examples:
        >>> with progress("copying", total=100, enabled=False) as bar:
        ...     bar.advance(100)
    """
    if not _is_drawn(total, enabled):
        yield NO_BAR
        return
    # Loaded when the first bar is drawn: most processes never draw one.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True, force_terminal=True if enabled else None)
    with Progress(*columns, console=console, redirect_stdout=False) as drawing:
        yield _DrawnBar(drawing, drawing.add_task(label, total=total))


def _is_drawn(total: int | None, enabled: bool | None) -> bool:
    if enabled is not None:
        return enabled
    return (total is None or total >= _WORTH_DRAWING) and sys.stderr is not None and sys.stderr.isatty()


class BarCallback(Callback):
    """Lets an fsspec transfer advance a bar, and counts what it has moved."""

    def __init__(self, bar: Bar = NO_BAR) -> None:
        super().__init__()
        self.bar = bar
        self.moved = 0

    def relative_update(self, inc: int = 1) -> None:
        """Take over how many bytes were moved; fsspec calls this."""
        self.moved += inc
        self.bar.advance(inc)

    def absolute_update(self, value: int) -> None:
        """Take over how many bytes were moved in all; fsspec calls this."""
        self.relative_update(value - self.moved)
