"""JSON columns on records: what is changed in place is written by the next save, what is assigned is copied."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import InstanceState, InstrumentedAttribute
from sqlalchemy.orm.attributes import instance_state

from lamart_core.db.checks import copied


class _JsonAttribute(InstrumentedAttribute[Any]):  # pyright: ignore[reportIncompatibleVariableOverride]
    # Whoever reads the column may change what he gets, so a copy stays behind when it is read. Loading costs nothing.
    __slots__ = ()
    inherit_cache = True

    def __get__(self, instance: Any, owner: Any) -> Any:
        value = super().__get__(instance, owner)
        if instance is not None and isinstance(value, dict | list):
            before = instance_state(instance).committed_state
            if self.key not in before:
                before[self.key] = copied(value)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        super().__set__(instance, copied(value))


def watch_json(model: type[Any]) -> None:
    """Let the JSON columns of a mapped class see what is changed in place."""
    for attribute in list(vars(model).values()):
        if type(attribute) is InstrumentedAttribute and isinstance(attribute.type, JSON):
            attribute.__class__ = _JsonAttribute


def has_changed(state: InstanceState[Any], name: str) -> bool:
    """Return whether a column has another value than when the record was loaded or saved."""
    before, now = state.committed_state[name], state.dict[name]
    if isinstance(before, dict | list) or isinstance(now, dict | list):
        return _text(before) != _text(now)
    return state.attrs[name].history.has_changes()


def _text(value: Any) -> str:
    # As text, because True and 1 are equal to Python; the order of keys says nothing.
    try:
        return json.dumps(value, sort_keys=True, default=repr)
    except (TypeError, ValueError):  # no JSON: not what a row holds
        return f"no JSON: {id(value)}"
