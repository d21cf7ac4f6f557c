"""A step that puts and commits: done again when others come in between, and never undone after what may be a commit."""

from __future__ import annotations

import pytest

from lamart_core import errors
from lamart_core.db import attempting


class _Others:
    """A step that meets errors, one after the other, and what was undone for it."""

    def __init__(self, *met: Exception) -> None:
        self.met = list(met)
        self.undone: list[str] = []

    def step(self) -> str:
        if self.met:
            raise self.met.pop(0)
        return "done"

    def undo(self, error: errors.LamartError) -> None:
        self.undone.append(type(error).__name__)

    def run(self) -> str:
        return attempting(self.step, self.undo, busy="they came again and again")


def test_is_done_again_when_others_came_in_between() -> None:
    others = _Others(errors.Overtaken(), errors.Overtaken())
    assert others.run() == "done"
    assert others.undone == ["Overtaken", "Overtaken"]


def test_is_undone_and_not_done_again_after_another_error() -> None:
    others = _Others(errors.StorageFull("no space"), errors.Overtaken())
    with pytest.raises(errors.StorageFull):
        others.run()
    assert others.undone == ["StorageFull"]


def test_is_not_undone_after_what_may_have_come_after_the_commit() -> None:
    others = _Others(ConnectionError("the server is gone"))
    with pytest.raises(ConnectionError):
        others.run()
    assert others.undone == []


def test_gives_up_and_takes_back_what_it_had_kept() -> None:
    others = _Others(*(errors.Overtaken() for _ in range(1000)))
    with pytest.raises(errors.DatabaseBusy, match="again and again"):
        others.run()
    assert others.undone[-1] == "DatabaseBusy"
    assert set(others.undone[:-1]) == {"Overtaken"}
