"""Several transfers at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from lamart_core.storage.values import FilePut, ObjectStat


def run_all(calls: Sequence[partial[None]], threads: int) -> None:
    """Run calls in threads; after the first error none is begun, and all that were have ended."""
    if len(calls) == 1:
        calls[0]()
        return
    with ThreadPoolExecutor(max_workers=min(threads, max(len(calls), 1))) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def put_side_by_side(
    puts: Sequence[FilePut], put_one: Callable[[FilePut], ObjectStat], remove: Callable[[str], None], threads: int
) -> list[ObjectStat]:
    """Store files in threads; when one fails, those that were stored before are removed again."""
    found: list[ObjectStat | None] = [None] * len(puts)
    waiting = iter(range(len(puts)))
    has_failed = threading.Event()

    def put_those_left() -> None:
        # Each thread takes the next file: a task for each of thousands would cost as much as the files.
        for index in waiting:
            if has_failed.is_set():
                return
            try:
                found[index] = put_one(puts[index])
            except BaseException:
                has_failed.set()
                raise

    try:
        run_all([partial(put_those_left)] * min(threads, len(puts)), threads)
    except BaseException:
        has_failed.set()
        for put_before, stored in zip(puts, found, strict=True):
            if stored is not None:
                with contextlib.suppress(Exception):
                    remove(put_before.relpath)
        raise
    return [stored for stored in found if stored is not None]
