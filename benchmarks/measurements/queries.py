"""Read from a registry of many artifacts, which are inserted by raw SQL beforehand."""

from __future__ import annotations

import random
import secrets
import sqlite3
import string
from collections.abc import Callable
from typing import Any

from benchmarks.model import Job, Samples
from benchmarks.registries import DATABASE, copy_row, make_peer, open_ours, open_peer
from benchmarks.timing import seconds

_ALPHABET = string.digits + string.ascii_letters
_FRAMES = 5


def prepare_ours(job: Job) -> None:
    ln, registry = open_ours(job)
    artifact = _first(ln, job)
    ids = range(artifact.id + 1, artifact.id + job.sizes.artifacts)
    content = {number: secrets.token_hex(21) for number in ids}
    connection = registry.engine.raw_connection()
    copy_row(
        connection.driver_connection,
        "lamart_storedobject",
        artifact.object_id,
        lambda number: {"hash": content[number], "path": f".lamart/{secrets.token_hex(12)}.txt"},
        ids,
    )
    copy_row(
        connection.driver_connection,
        "lamart_artifact",
        artifact.id,
        lambda number: {**_names(number), "hash": content[number], "object_id": number},
        ids,
    )
    connection.close()


def prepare_peer(job: Job) -> None:
    make_peer(job)
    ln = open_peer()
    artifact = _first(ln, job)
    from django.db import connection  # pyright: ignore[reportMissingImports]

    connection.ensure_connection()
    copy_row(
        connection.connection,
        "lamindb_artifact",
        artifact.id,
        lambda number: {**_names(number), "hash": secrets.token_hex(11)},
        range(artifact.id + 1, artifact.id + job.sizes.artifacts),
    )


def ours(job: Job) -> Samples:
    ln, _ = open_ours(job)
    return _samples(
        job,
        by_key=lambda key: ln.Artifact.get(key=key),
        by_uid=lambda uid: ln.Artifact.get(uid),
        frame=lambda: ln.Artifact.to_dataframe(limit=job.sizes.frame_rows),
    )


def peer(job: Job) -> Samples:
    ln = open_peer()
    return _samples(
        job,
        by_key=lambda key: ln.Artifact.get(key=key),
        by_uid=lambda uid: ln.Artifact.get(uid),
        frame=lambda: ln.Artifact.to_dataframe(limit=job.sizes.frame_rows),
    )


def floor(job: Job) -> Samples:
    """Read the same rows of our database by the driver alone."""
    import pandas as pd

    database = sqlite3.connect(job.root / "ours" / DATABASE)
    rows = "SELECT * FROM lamart_artifact WHERE"
    frame = f"SELECT * FROM lamart_artifact WHERE is_latest ORDER BY id DESC LIMIT {job.sizes.frame_rows}"
    return _samples(
        job,
        by_key=lambda key: database.execute(f"{rows} key = ? AND is_latest", (key,)).fetchone(),
        by_uid=lambda uid: database.execute(f"{rows} uid = ?", (uid,)).fetchone(),
        frame=lambda: pd.read_sql_query(frame, database),
    )


def _first(ln: Any, job: Job) -> Any:
    path = job.folder / "first.txt"
    path.write_text("first")
    return ln.Artifact(path, key="first.txt").save()


def _names(number: int) -> dict[str, str]:
    """Return key and uid of a copy; the uid is a function of the number, so that every side can ask for it."""
    digits = random.Random(number).choices(_ALPHABET, k=16)
    return {"uid": "".join(digits) + "0000", "key": f"batch-{number % 100}/{number}.txt"}


def _samples(
    job: Job, *, by_key: Callable[[str], Any], by_uid: Callable[[str], Any], frame: Callable[[], Any]
) -> Samples:
    asked = [_names(number) for number in random.sample(range(2, job.sizes.artifacts), job.samples + 1)]
    if by_key(asked[0]["key"]) is None or by_uid(asked[0]["uid"]) is None:
        raise LookupError(f"the registry does not have {asked[0]}")
    if len(frame()) != job.sizes.frame_rows:
        raise LookupError("the data frame does not have as many rows as were asked for")
    return {
        "get_key": [seconds(lambda names=names: by_key(names["key"]))[0] for names in asked[1:]],
        "get_uid": [seconds(lambda names=names: by_uid(names["uid"]))[0] for names in asked[1:]],
        "to_dataframe": [seconds(frame)[0] for _ in range(_FRAMES)],
    }
