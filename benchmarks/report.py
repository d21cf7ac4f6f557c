"""Medians and ratios, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.table import Table

from benchmarks.model import Metric, Result, Sizes


@dataclass(frozen=True)
class Row:
    """Medians of one metric.

    Attributes:
        title: What was measured.
        metric: The metric.
        ours: Median of ours; None if it failed.
        floor: Median of the floor; None if there is none.
        peer: Median of the peer; None if it did not take part.
    """

    title: str
    metric: Metric
    ours: float | None
    floor: float | None
    peer: float | None

    @property
    def above_floor(self) -> float | None:
        """How many times the floor ours takes, or, for a difference, how much more."""
        if self.ours is None or self.floor is None:
            return None
        if self.metric.as_difference:
            return self.ours - self.floor
        return self.floor / self.ours if self.metric.unit == "1/s" else self.ours / self.floor

    @property
    def below_peer(self) -> float | None:
        """How many times ours the peer takes: more than 1 means that ours is better."""
        if self.ours is None or self.peer is None:
            return None
        return self.ours / self.peer if self.metric.unit == "1/s" else self.peer / self.ours


def rows(results: list[Result], sizes: Sizes) -> list[Row]:
    """Return the rows of the table."""
    return list(_rows(results, sizes))


def _rows(results: list[Result], sizes: Sizes) -> Iterator[Row]:
    words = {name: f"{size:,}" for name, size in asdict(sizes).items()}
    for result in results:
        for metric in result.measurement.metrics:
            medians = {
                side: median(samples[metric.name])
                for side, samples in result.samples.items()
                if samples.get(metric.name)
            }
            title = metric.title.format(**words)
            yield Row(title, metric, medians.get("ours"), medians.get("floor"), medians.get("peer"))


def as_table(found: list[Row]) -> Table:
    """Return the table for a terminal."""
    table = Table(title="Medians; × floor: less is better, × lamindb: more is better")
    table.add_column("job")
    for heading in ("lamart", "floor", "× floor", "lamindb", "× lamindb"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found:
        table.add_row(row.title, *_cells(row))
    return table


def as_markdown(found: list[Row]) -> str:
    """Return the table for a document."""
    lines = ["| job | lamart | floor | × floor | lamindb | × lamindb |", "|---|---:|---:|---:|---:|---:|"]
    lines += [f"| {' | '.join([row.title, *_cells(row)])} |" for row in found]
    return "\n".join(lines)


def as_json(results: list[Result], sizes: Sizes, machine: dict[str, str]) -> dict[str, Any]:
    """Return everything that was measured, the single samples included."""
    return {
        "machine": machine,
        "sizes": asdict(sizes),
        "rows": [
            {
                "title": row.title,
                "unit": row.metric.unit,
                "ours": row.ours,
                "floor": row.floor,
                "peer": row.peer,
                "above_floor": row.above_floor,
                "below_peer": row.below_peer,
            }
            for row in rows(results, sizes)
        ],
        "samples": {result.measurement.name: result.samples for result in results},
        "failures": {result.measurement.name: result.failures for result in results if result.failures},
    }


def _cells(row: Row) -> list[str]:
    unit = row.metric.unit
    difference = row.above_floor
    if row.metric.as_difference:
        above = "–" if difference is None else f"{'+' if difference >= 0 else '−'}{_value(abs(difference), unit)}"
    else:
        above = _ratio(difference)
    return [_value(row.ours, unit), _value(row.floor, unit), above, _value(row.peer, unit), _ratio(row.below_peer)]


def _ratio(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "s":
        return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"
    if unit == "1/s":
        return f"{value:.0f}/s"
    return f"{value:.0f} {unit}" if unit == "MB" else f"{value:g}"
