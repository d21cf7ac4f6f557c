"""Many artifacts read as one: loaded and put together, or opened as one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from lamart_core import errors, formats
from lamart_core.formats.concat import check_join, concatenate, union
from lamart_core.reading import read
from lamart_core.records import ArtifactRecord

_THREADS = 8  # each opening of a remote table waits for a few answers of the server
_SHOWN = 5


def load(records: Sequence[ArtifactRecord], *, join: str = "outer", mute: bool = False, **options: Any) -> Any:
    """Return the contents put together, in the order of the records; see `ArtifactSet.load`."""
    check_join(join)
    _check_suffixes(records)
    objects = [read.load(record, is_run_input=False, mute=mute, **options) for record in records]
    return concatenate(objects, join=join, names=[record.uid for record in records])


def open_lazily(records: Sequence[ArtifactRecord], *, engine: str = "pyarrow", **options: Any) -> Any:
    """Open the contents as one dataset, in the order of the records; see `ArtifactSet.open`."""
    suffix = _check_suffixes(records)
    known = formats.for_suffix(suffix)
    if known is not None and known.otype != "DataFrame":
        raise errors.InvalidArgument(f"only tables can be opened as one dataset, not {suffix!r}; open them one by one")
    open_one = partial(read.open_lazily, is_run_input=False, **options)
    with ThreadPoolExecutor(_THREADS) as pool:
        datasets = list(pool.map(open_one, records))
    return union(datasets, lambda position, schema: open_one(records[position], schema=schema), engine=engine)


def _check_suffixes(records: Sequence[ArtifactRecord]) -> str:
    if not records:
        raise errors.InvalidArgument("there is no artifact to read; the set is empty")
    suffixes = sorted({record.suffix for record in records})
    if len(suffixes) > 1:
        shown = ", ".join(map(repr, suffixes[:_SHOWN]))
        raise errors.InvalidArgument(f"only artifacts of one format can be read as one; these have suffixes {shown}")
    return suffixes[0]
