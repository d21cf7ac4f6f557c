"""Count SQL statements; those that only begin and end transactions are not counted."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.model import Job, Samples
from benchmarks.registries import make_peer, open_ours, open_peer

_TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA")

prepare_peer = make_peer


def prepare_ours(job: Job) -> None:
    open_ours(job)


def ours(job: Job) -> Samples:
    from sqlalchemy import event

    ln, registry = open_ours(job)
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        seen.append(sql)

    event.listen(registry.engine, "before_cursor_execute", note)
    return _samples(job, ln, seen)


def peer(job: Job) -> Samples:
    ln = open_peer()
    from django.db import connection  # pyright: ignore[reportMissingImports]

    seen: list[str] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    wrapper: AbstractContextManager[Any] = connection.execute_wrapper(note)
    with wrapper:
        return _samples(job, ln, seen)


def _samples(job: Job, ln: Any, seen: list[str]) -> Samples:
    samples: Samples = {"constructor": [], "save": [], "new_version": []}
    for _ in range(job.samples + 1):  # the first one fills what is remembered for the process
        key = f"{uuid.uuid4().hex}.txt"
        first = _file(job.folder)
        second = _file(job.folder)
        seen.clear()
        artifact = ln.Artifact(first, key=key)
        samples["constructor"].append(_count(seen))
        artifact.save()
        samples["save"].append(_count(seen))
        ln.Artifact(second, key=key).save()
        samples["new_version"].append(_count(seen))
    return {name: values[1:] for name, values in samples.items()}


def _file(folder: Path) -> Path:
    path = folder / f"{uuid.uuid4().hex}.txt"
    path.write_text(path.name)
    return path


def _count(seen: list[str]) -> float:
    count = sum(not sql.lstrip().upper().startswith(_TRANSACTION) for sql in seen)
    seen.clear()
    return float(count)
