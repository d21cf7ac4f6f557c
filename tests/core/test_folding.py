"""Letter case: one answer on every database, for letters of all scripts, and by an index where one can serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.query.sql.dialect import letters_like
from tests.registries import write

# Texts that differ in case only, and texts that no fold of single letters makes equal.
ALIKE = ["ärzte/a", "ÄRZTE/A"], ["straße", "STRAßE", "StraẞE"], ["ΣΊΣΥΦΟΣ", "σίσυφος", "Σίσυφοσ"], ["ÿ_%", "Ÿ_%"], [
    "µΜμ", "μμΜ"
], ["ǆ", "ǅ", "Ǆ"], ["\U00010428x", "\U00010400X"], ["kelvin[1]", "KELVIN[1]"]  # fmt: skip
APART = ["strasse", "ıstanbul", "istanbul", "İstanbul", "\u212aelvin[1]", "ﬁn", "fin", "ſ", "s"]
LOOKUPS = ("iexact", "icontains", "istartswith", "iendswith")


def _found(lookup: str, value: str) -> set[str]:
    return set(ln.Reference.filter(**{f"description__{lookup}": value}).to_list("description"))


@pytest.mark.req("R223")
def test_case_is_the_same_on_every_database(registry: Registry) -> None:
    everything = [*(each for group in ALIKE for each in group), *APART]
    ln.save([ln.Reference(name=f"{number}", description=each) for number, each in enumerate(everything)])
    for lookup in LOOKUPS:
        for group in ALIKE:
            for each in group:
                assert _found(lookup, each) == set(group), (lookup, each)
        for each in APART:
            others = {other for other in everything if _holds(lookup, other, each)}
            assert _found(lookup, each) == others, (lookup, each)


def _holds(lookup: str, whole: str, part: str) -> bool:
    folded, part = ("".join(min(letters_like(letter)) for letter in each) for each in (whole, part))
    tests = {
        "iexact": folded == part,
        "icontains": part in folded,
        "istartswith": folded.startswith(part),
        "iendswith": folded.endswith(part),
    }
    return tests[lookup]


def test_what_is_alike_is_so_both_ways() -> None:
    for code in (*range(0x3000), *range(0xA640, 0xAC00), *range(0x10400, 0x10450)):
        if not 0xD800 <= code < 0xE000:
            letter = chr(code)
            assert letter in letters_like(letter)
            assert all(letters_like(other) == letters_like(letter) for other in letters_like(letter)), hex(code)


def _plan(registry: Registry, sql: str) -> str:
    with registry.engine.connect() as connection:
        if registry.is_sqlite:
            rows = connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))
            return "\n".join(str(row[-1]) for row in rows)
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        return "\n".join(str(row[0]) for row in connection.execute(text(f"EXPLAIN {sql}")))


def _queries() -> Iterator[str]:
    for value in ("raw/a", "Ärzte/B", "12"):
        for lookup in ("iexact", "istartswith"):
            query = ln.Artifact.filter(**{f"key__{lookup}": value})
            statement = query.ids().order_by(None)
            dialect = query.registry.engine.dialect
            compiled = statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True})
            yield str(compiled).replace("%%", "%")


@pytest.mark.req("R223")
def test_an_index_on_the_key_serves(registry: Registry, tmp_path: Path) -> None:
    for number, key in enumerate(("raw/a.txt", "RAW/A.txt", "Ärzte/b.txt", "ärzte/B.txt", "12.txt")):
        ln.Artifact(write(tmp_path / f"{number}.txt", str(number)), key=key, run=False).save()
    assert ln.Artifact.filter(key__istartswith="rAw/A").count() == 2
    assert ln.Artifact.filter(key__iexact="ÄRZTE/B.TXT").count() == 2
    assert ln.Artifact.filter(key__istartswith="").count() == 5
    for sql in _queries():
        assert "lamart_artifact_key" in _plan(registry, sql), sql
