"""Bytes first, then one transaction, then cleaning up; again where another process came in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lamart_core import errors
from lamart_core.lifecycle.objects import Unclaimed
from lamart_core.lifecycle.plan import Plan, Row, Staged
from lamart_core.lifecycle.put import Put, check_source, put_bytes, remove_bytes, take_back, take_back_parts
from lamart_core.lifecycle.real_keys import Place, PlaceChanged
from lamart_core.lifecycle.scatter import ObjectVanished
from lamart_core.lifecycle.stage import discard
from lamart_core.lifecycle.tombstones import BytesCollected
from lamart_core.records import ArtifactRecord

_ATTEMPTS = 20


@dataclass(frozen=True)
class Committed:
    """What a transaction recorded.

    Attributes:
        row: The artifact.
        object_path: Where the bytes are that it refers to; empty where it is an existing one.
        unclaimed: Bytes that nothing refers to any more.
        kept: Path of the copy of a real key's former bytes that a record refers to now.
    """

    row: Row
    object_path: str
    unclaimed: tuple[Unclaimed, ...] = ()
    kept: str | None = None


C = TypeVar("C", bound=Committed)


@dataclass(frozen=True)
class Written(Generic[C]):
    """The transaction that was committed, and the real key that it gave other bytes."""

    committed: C
    site: Place | None


def write(
    record: ArtifactRecord,
    staged: Staged,
    plan: Plan,
    *,
    occupy: Callable[[], Place | None],
    commit: Callable[[Put | None, Place | None], C],
    is_put: bool,
    show_progress: bool | None,
) -> Written[C]:
    """Put bytes and record them.

    Args:
        record: The artifact; it gets the row that was committed.
        staged: The content.
        plan: The arguments of the artifact.
        occupy: Sees what lies at the real key, if there is one.
        commit: Records everything in one transaction, which may look again and again.
        is_put: Whether equal bytes seem to lie in the storage already.
        show_progress: Whether an upload draws a bar; None is the setting of the registry.

    Raises:
        PathNotFound, SourceChanged: The source is not what it was.
        StorageError: The storage refused the bytes; nothing is registered, nothing is left behind.
        DatabaseBusy: Others changed the same things again and again.
    """
    settings = record.registry.settings
    shown = settings.progress if show_progress is None else show_progress
    put: Put | None = None
    site: Place | None = None
    for _ in range(_ATTEMPTS):
        try:
            # Before the bytes are put: a key that is taken by others is refused before anything is written.
            if site is None:
                site = occupy()
            if not is_put:
                put = put_bytes(record, staged, plan, before=put, show_progress=shown)
                is_put = True
            committed = commit(put, site)
            break
        except ObjectVanished:
            is_put = False
        except PlaceChanged:
            _withdraw(site)
            site = None
        except BytesCollected:
            take_back_parts(plan, put)
            put, is_put = None, False
            _withdraw(site)
            site = None
            check_source(staged)
        except errors.LamartError:
            take_back(plan, staged, put)
            _withdraw(site)
            raise
        # Any other error may have come after the commit, a lost connection for example: then a record refers to the
        # bytes. They stay, and garbage collection decides later with the database at hand.
    else:
        raise errors.DatabaseBusy(
            f"{record!r} could not be saved: others delete equal content, or change its key, again and again"
        )
    if put is not None and put.relpath != committed.object_path:
        take_back(plan, staged, put)
    discard(staged)
    for item in committed.unclaimed:
        remove_bytes(plan.storage, item.path, is_folder=item.is_folder)
    record._adopt_row(committed.row)
    record._pending = None
    # From here on the stored bytes are the content: the object in memory may be changed by its owner.
    record._memory = None
    return Written(committed, site)


def _withdraw(site: Place | None) -> None:
    if site is not None:
        site.withdraw()
