"""What is known about a record, or about a class of records, as text for people."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lamart_core.query import model_info


class class_or_record:
    """A method that a class has too, for example `Artifact.describe()` and `artifact.describe()`.

    Args:
        of_class: What it does for a class.
    """

    def __init__(self, of_class: Callable[..., Any]) -> None:
        self.of_class = of_class
        self.of_record: Callable[..., Any] = of_class

    def __call__(self, of_record: Callable[..., Any]) -> class_or_record:
        """Take what it does for a record; that function is decorated."""
        self.of_record = of_record
        self.__doc__ = of_record.__doc__
        return self

    def __get__(self, instance: Any, owner: type[Any]) -> Callable[..., Any]:
        return partial(self.of_class, owner) if instance is None else partial(self.of_record, instance)


def describe_class(model: type[Any], return_str: bool = False) -> str | None:
    """Print, or return as plain text, the fields and relations of a record class."""
    info = model_info(model)
    shown: list[tuple[str, Any]] = [(field.name, field.kind.value) for field in info.fields.values()]
    shown += [(name, f"{info.computed(name, how).kind.value}, computed") for name, how in _virtuals(info).items()]
    for name, relation in sorted(info.relations.items()):
        shown.append((name, f"{'many' if relation.many else 'one'} {relation.target}"))
    return print_outline(model.__name__, shown, return_str=return_str)


def _virtuals(info: Any) -> dict[str, Any]:
    return {name: field.virtual for name, field in sorted(info.virtuals.items())}


def describe_record(record: Any, *, return_str: bool = False) -> str | None:
    """Print, or return as plain text, the fields of a record."""
    info = model_info(type(record))
    shown = [
        (name, record.__dict__.get(name)) for name in info.fields if not name.startswith("_") and name not in ("id",)
    ]
    return print_outline(f"{type(record).__name__}: {_title(record)}", shown, return_str=return_str)


def _title(record: Any) -> str:
    named = (record.__dict__.get(name) for name in ("name", "key", "handle", "root", "uid"))
    return str(next((value for value in named if value is not None), "not saved"))


def print_outline(title: str, shown: Sequence[tuple[str, Any]], *, return_str: bool) -> str | None:
    """Print names and values below a title, or return them as plain text; what is None is left out."""
    width = max(len(label) for label, _ in shown)
    lines = [title, *(f"├── {label:<{width}}  {value}" for label, value in shown if value is not None)]
    lines[-1] = lines[-1].replace("├──", "└──", 1)
    text = "\n".join(lines)
    if return_str:
        return text
    sys.stdout.write(text + "\n")
    return None
