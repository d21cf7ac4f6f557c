"""Lineage graphs of any size, written into the tables at once."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert, select

import lamart_core as ln
from lamart_core import uids
from lamart_core.db import Registry, now
from lamart_core.models import Recreation, RunInput
from tests.registries import write


@dataclass
class World:
    """Artifacts and runs by number; the rows are those of one saved artifact and one run, with other names."""

    registry: Registry
    artifact_row: dict[str, Any]
    run_row: dict[str, Any]
    artifacts: list[ln.Artifact] = field(default_factory=list)

    @classmethod
    def make(cls, registry: Registry, folder: Path) -> World:
        run = ln.track("template.py")
        artifact = ln.Artifact(write(folder / "template.txt", "template"), key="template.txt").save()
        ln.finish()
        return cls(registry, artifact._values(), run._values())

    def build(
        self,
        n_artifacts: int,
        n_runs: int,
        *,
        made: Iterable[tuple[int, int]] = (),
        read: Iterable[tuple[int, int]] = (),
        again: Iterable[tuple[int, int]] = (),
        keys: dict[int, str] | None = None,
        returned: int | None = None,
    ) -> list[ln.Artifact]:
        """Write artifacts and runs, and the edges (run, artifact) between them; return the artifacts, or the first."""
        makers = {artifact: run for run, artifact in made}
        with self.registry.engine.begin() as connection:
            runs = [
                self.run_row | {"uid": uids.base62(16), "external_id": f"world/{uids.base62(12)}"}
                for _ in range(n_runs)
            ]
            if runs:
                connection.execute(insert(ln.Run.__table__), runs)
            ids = dict(map(tuple, connection.execute(select(ln.Run.uid, ln.Run.id))))
            run_ids = [ids[run["uid"]] for run in runs]
            stems = [f"{uids.base62(16)}0000" for _ in range(n_artifacts)]
            names = [(keys or {}).get(number, f"{stem}.txt") for number, stem in enumerate(stems)]
            rows = [
                self.artifact_row
                | {"uid": uid, "key": key, "run_id": run_ids[makers[n]] if n in makers else None, "is_latest": True}
                for n, (uid, key) in enumerate(zip(stems, names, strict=True))
            ]
            connection.execute(insert(ln.Artifact.__table__), rows)
            ids = dict(map(tuple, connection.execute(select(ln.Artifact.uid, ln.Artifact.id))))
            for model, pairs in ((RunInput, read), (Recreation, again)):
                links = [
                    {"run_id": run_ids[run], "artifact_id": ids[stems[artifact]], "created_at": now()}
                    for run, artifact in pairs
                ]
                if links:
                    connection.execute(insert(model.__table__), links)
        asked = stems[:returned]
        by_uid = {item.uid: item for item in self.registry.Artifact.filter(uid__in=asked).to_list()}
        return [by_uid[uid] for uid in asked]


@contextmanager
def counted(registry: Registry) -> Generator[list[str], None, None]:
    """Collect the statements that a registry sends."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(registry.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(registry.engine, "before_cursor_execute", note)
