"""Which known content counts: what this process can read and what is whole now, for the caller to get instead of his.

A row says neither. Bytes in a version store of ours are mended by whoever saves them again, so they count as soon as
the location is within reach; a file in place, at a real key or of another registry has to be looked at. Nobody looks
within a transaction: `Hits` notes what it does not know, and is asked again after `look`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Select, Table, select

from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.objects.plan import Plan, Row, Staged
from lamart_core.objects.rows import OBJECT
from lamart_core.objects.verify import verify
from lamart_core.query.sql.dialects import dialect_of
from lamart_core.records import Storage, ownership
from lamart_core.storage import Depth, State

_THREADS = 16
# What is read with each artifact of its object.
_STORED = {
    "stored_hash": OBJECT.c.hash,
    "stored_path": OBJECT.c.path,
    "stored_state": OBJECT.c.state,
    "is_managed": OBJECT.c.is_managed,
}


def with_objects(query: Select[Any], table: Table) -> Select[Any]:
    """Return a SELECT of artifacts that also has what `Hits` asks of their objects."""
    named = [column.label(name) for name, column in _STORED.items()]
    # An artifact without its object is no hit, but still a version of its family.
    return query.add_columns(*named).select_from(table.outerjoin(OBJECT, table.c.object_id == OBJECT.c.id))


class Unseen(errors.Overtaken):
    """Nobody has looked at an artifact of equal content yet: do that, and decide again."""


@dataclass
class Hits:
    """What is known of artifacts of equal content.

    Attributes:
        unseen: What was asked for and nobody has looked at: ids of objects, by the ids of their storage locations. An
            object of a version store of ours stands for its location, which is all that is looked at.
    """

    unseen: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    _places: dict[int, State] = field(default_factory=dict[int, State])
    _objects: dict[int, State] = field(default_factory=dict[int, State])
    _known: dict[int, Storage] = field(default_factory=dict[int, Storage])

    def is_one(self, row: Row, staged: Staged, plan: Plan) -> bool:
        """Return whether an artifact may be what content is taken for; False also for what has to be looked at first.

        Args:
            row: Row of an artifact of equal digest, read by `with_objects` or about to be written.
            staged: The content.
            plan: What the caller wants.
        """
        if (row["suffix"], row["otype"]) != (staged.suffix, plan.otype):
            return False
        if "stored_hash" not in row:  # this very batch is going to write it
            return True
        if row["stored_hash"] != row["hash"] or row["stored_state"] is not None:
            return False  # its files were overwritten, or are lost
        storage_id, is_here = row["storage_id"], False
        if plan.storage.is_saved:
            self._known.setdefault(plan.storage.id, plan.storage)
            is_here = plan.storage.id == storage_id
        if is_here and staged.in_place is not None and staged.in_place == row["stored_path"]:
            return True  # these are the bytes that were just read
        state = self._places.get(storage_id) if row["is_managed"] else self._objects.get(row["object_id"])
        if state is None:
            self.unseen[storage_id] |= set[int]() if row["is_managed"] else {row["object_id"]}
        # A file that is gone may have been moved to where the content lies now; at a real key it is put again.
        can_put = plan.storage.is_managed and isinstance(staged.source, Path)
        is_back = is_here and (staged.in_place is not None or can_put)
        return state is State.WHOLE or (state is State.MISSING and is_back)

    def is_unseen(self, row: Row) -> bool:
        """Return whether an artifact has to be looked at before `is_one` can answer."""
        return row["storage_id"] in self.unseen

    def look(self, registry: Registry) -> None:
        """Look at all that was asked for."""
        for storage_id, objects in self.unseen.items():
            storage = self._known.get(storage_id) or registry.Storage.get(storage_id)
            self._places[storage_id] = _reach(storage)
            self._objects |= _look(storage, objects) if objects else {}
        self.unseen.clear()


def _look(storage: Storage, objects: Collection[int]) -> dict[int, State]:
    with storage.registry.engine.connect() as connection:
        among = dialect_of(connection.dialect.name).among
        found = connection.execute(select(OBJECT).where(among(OBJECT.c.id, sorted(objects)))).all()
    rows: list[Row] = [row._asdict() for row in found]

    def state(row: Row) -> State:
        return verify(storage, row, Depth.SIZE).state

    with ThreadPoolExecutor(_THREADS) as pool:
        states = dict(zip((row["id"] for row in rows), pool.map(state, rows), strict=True))
    # What was deleted meanwhile is none any more.
    return dict.fromkeys(objects, State.UNREACHABLE) | states


def _reach(storage: Storage) -> State:
    """Return whether the version store of a location is there: that of another machine is not."""
    guard = ownership.guard_of(storage)
    try:
        if guard is not None:
            guard()
    except errors.LamartError:
        return State.UNREACHABLE
    return State.WHOLE
