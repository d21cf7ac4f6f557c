"""Whether what lies at a real key is ours: also a folder of an object store whose publication died in the middle.

A folder there changes file by file. What it left is neither the folder before nor the one after, and still nobody
else's: each file is one of what was going to lie there, or lay there before.
"""

from __future__ import annotations

from collections.abc import Sequence

from lamart_core.objects.plan import Row
from lamart_core.objects.verify import is_any_of
from lamart_core.records import Storage
from lamart_core.records.stored_object import OBSOLETE


def holds_any(storage: Storage, key: str, rows: Sequence[Row]) -> bool:
    """Return whether the bytes at a real key are those of one of some objects, or what a torn folder left of them.

    Args:
        storage: The location.
        key: The key.
        rows: Objects whose bytes may lie there.

    Raises:
        StorageError: The storage failed or refused.
    """
    return is_any_of(storage, key, rows) or _is_torn(storage, key, rows)


def _is_torn(storage: Storage, key: str, rows: Sequence[Row]) -> bool:
    """Return whether a folder at a real key is what a publication left that died in the middle.

    An obsolete object says that a publication of it has begun. Files of a version that is in the version store are
    known by what the server says of them, others by their age: what was there when the publication began had been
    looked at.
    """
    backend = storage.backend
    recorded = [row for row in rows if row["n_files"] is not None and "id" in row]
    begun = [row["created_at"] for row in recorded if row["state"] == OBSOLETE]
    if backend.keeps_links or not begun:
        return False
    found = backend.list_files(key)
    stored = [row["path"] for row in recorded if row["is_managed"] and not row["is_content_addressed"]]
    known = {(name, stat) for path in stored for name, stat in backend.list_files(path).items()}
    rest = [stat for name, stat in found.items() if (name, stat) not in known]
    return bool(found) and all(stat.modified is not None and stat.modified <= max(begun) for stat in rest)
