"""What user interfaces show of a TileDB-SOMA store: names, types and shapes, never values."""

from __future__ import annotations

from typing import Any

from lamart_core.formats.format import ColumnInfo, Preview
from lamart_core.formats.markdown import code

_LISTED = 50


def preview_of(opened: Any) -> Preview:
    """A preview of an open SOMA object."""
    obs = opened.get("obs")
    columns = _columns(obs)
    slots = {"obs": columns} if columns else {}
    rows = int(obs.count) if hasattr(obs, "count") else None
    counted = f" {rows:,} observations" if rows is not None else ""
    lines = [f"**{type(opened).__name__}**{counted}"]
    if columns:
        lines.append(f"- obs: {_names([c.name for c in columns])}")
    shape: tuple[int, ...] | None = None
    if "ms" in opened:
        measurements = opened["ms"]
        for name in sorted(measurements)[:_LISTED]:
            measurement = measurements[name]
            lines.append(f"- {code(f'ms/{name}')}: {_described(measurement)}")
            if "var" in measurement:
                slots[f"ms:{name}"] = _columns(measurement["var"])
        if rows is not None and len(measurements) == 1:
            shape = _shape(rows, measurements[next(iter(measurements))])
    elif hasattr(opened, "members"):
        lines.append(f"- {_described(opened)}")
    return Preview("\n".join(lines), rows, columns, shape, slots)


def _shape(rows: int, measurement: Any) -> tuple[int, ...] | None:
    return (rows, int(measurement["var"].count)) if "var" in measurement else None


def _described(group: Any) -> str:
    """The members of a group: arrays with their shapes, tables with their columns, other groups by their members."""
    described: list[str] = []
    for name in sorted(group)[:_LISTED]:
        member = group[name]
        if hasattr(member, "members"):
            described.append(f"{code(name)} ({_names([_label(key, member[key]) for key in sorted(member)])})")
        else:
            described.append(_label(name, member, quote=True))
    return ", ".join(described) or "nothing"


def _label(name: str, member: Any, *, quote: bool = False) -> str:
    shown = code(name) if quote else name
    shape = getattr(member, "shape", None)
    if shape is not None:
        kind = member.schema.field("soma_data").type
        return f"{shown} {' × '.join(f'{n:,}' for n in shape)} {kind}"
    return f"{shown} {int(member.count):,} rows" if hasattr(member, "index_column_names") else shown


def _names(names: list[str]) -> str:
    return ", ".join(code(name) for name in names[:_LISTED]) + (" …" if len(names) > _LISTED else "")


def _columns(table: Any) -> tuple[ColumnInfo, ...]:
    if not hasattr(table, "index_column_names"):
        return ()
    return tuple(ColumnInfo(field.name, str(field.type)) for field in table.schema)
