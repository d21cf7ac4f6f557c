"""Names of Dagster that are not public stand in one module, and each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import lamart_dagster
from lamart_dagster import dagster_internals

OWN = ("self", "cls", "_Row")  # private names of what is ours
FOLDER = Path(lamart_dagster.__file__).parent


def private_names(path: Path) -> list[str]:
    """What a module imports of `dagster._…`, and the private attributes that it reads of other objects."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster._"):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("dagster._")]
        elif isinstance(node, ast.Attribute) and re.match("_[^_]", node.attr) and ast.unparse(node.value) not in OWN:
            found.append(ast.unparse(node))
    return found


def test_private_names_of_dagster_stand_in_one_module() -> None:
    elsewhere = {path.name: private_names(path) for path in FOLDER.glob("*.py")}
    assert len(elsewhere.pop("dagster_internals.py")) >= 4
    assert not any(elsewhere.values()), elsewhere


def test_each_says_what_is_missing() -> None:
    functions = [
        item
        for item in vars(dagster_internals).values()
        if getattr(item, "__module__", "") == "lamart_dagster.dagster_internals"
    ]
    assert len(functions) >= 10
    assert all("Missing:" in str(function.__doc__) for function in functions)
