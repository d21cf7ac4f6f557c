"""The examples in docstrings run as printed."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("lamart_core", "lamart_dagster")


def module_names() -> Iterator[str]:
    for name in PACKAGES:
        yield name
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if "migrations" not in module.name:
                yield module.name


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in module_names():
        for found in finder.find(importlib.import_module(name), name):
            if found.examples:
                yield found


@pytest.mark.parametrize("example", [pytest.param(example, id=example.name) for example in examples()])
def test_example(example: doctest.DocTest, empty_folder: Path) -> None:
    example.globs["folder"] = str(empty_folder)  # what an example may use without making it
    report: list[str] = []
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.DocTestRunner(optionflags=flags).run(example, out=report.append, clear_globs=False)
    assert result.failed == 0, "".join(report)
