"""Bytes first, then one transaction, then cleaning up; again where another process came in between."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lamart_core import errors
from lamart_core.objects.mend import mend, see
from lamart_core.objects.plan import Pending, Plan, Put, Row, Staged
from lamart_core.objects.remove import remove_bytes
from lamart_core.objects.rows import Share, Unclaimed, Unseen
from lamart_core.objects.scatter import ObjectVanished
from lamart_core.objects.tombstones import BytesCollected
from lamart_core.places.real_keys import Place, PlaceChanged
from lamart_core.records import ArtifactRecord
from lamart_core.saving.put import check_source, put_bytes, take_back, take_back_parts
from lamart_core.saving.stage import discard

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
    commit: Callable[[Put | None, Place | None, Collection[int]], C],
    shared: Row | None,
    show_progress: bool | None,
) -> Written[C]:
    """Put bytes and record them.

    Args:
        record: The artifact; it gets the row that was committed.
        staged: The content.
        plan: The arguments of the artifact.
        occupy: Sees what lies at the real key, if there is one.
        commit: Records everything in one transaction, which may look again and again. It gets what was put, the real
            key, and the ids of stored objects that are known to be whole.
        shared: The object of equal bytes that seems to lie in the storage already.
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
    is_put = shared is not None
    shares: Sequence[Share] = [Share(plan.storage, shared, staged)] if shared is not None else []
    seen: set[int] = set()
    for _ in range(_ATTEMPTS):
        try:
            see(shares, seen)
            # Before the bytes are put: a key that is taken by others is refused before anything is written.
            if site is None:
                site = occupy()
            if not is_put:
                put = put_bytes(record, staged, plan, before=put, show_progress=shown)
                is_put = True
            committed = commit(put, site, seen)
            break
        except ObjectVanished:
            is_put = False
        except Unseen as error:
            # What was put goes back to where it came from: what is not whole is stored again from there.
            take_back(plan, staged, put)
            put, shares = None, error.shares
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
    record._adopt_row(committed.row)
    if not committed.object_path and staged.in_place is None:
        mend(record, Pending(staged, plan))
    discard(staged)
    for item in committed.unclaimed:
        remove_bytes(plan.storage, item.path, is_folder=item.is_folder)
    record._pending = None
    # From here on the stored bytes are the content: the object in memory may be changed by its owner.
    record._memory = None
    return Written(committed, site)


def _withdraw(site: Place | None) -> None:
    if site is not None:
        site.withdraw()
