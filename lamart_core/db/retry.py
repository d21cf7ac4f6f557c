"""When to try again: a transaction that lost a race, and a step around one that others came in between."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from lamart_core import errors

T = TypeVar("T")

_ATTEMPTS = 20

# The index of the version tags, see `families.declare`: no later attempt finds a tag free that is taken.
_TAG_TAKEN = re.compile(r"\buq_\w+_tag\b")
_POSTGRES_RETRY = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available
}


def is_transient(error: BaseException) -> bool:
    """Return whether the same transaction may succeed when it is run again.

    Lost races show as constraint violations too: a unique index that another writer's row took, or a foreign key to
    a row that another writer removed. Run again, the transaction reads the winner's rows and decides anew.
    """
    if isinstance(error, errors.Conflict | IntegrityError):
        return True
    if isinstance(error, OperationalError) and "locked" in str(error.orig):
        return True
    if isinstance(error, DBAPIError):
        return getattr(error.orig, "sqlstate", None) in _POSTGRES_RETRY
    return False


def retrying(attempt: Callable[[], T], *, timeout: float, sleep: Callable[[float], None] = time.sleep) -> T:
    """Call `attempt` until it succeeds, fails for good, or `timeout` seconds have passed.

    Waits grow from 1 ms to 100 ms and are drawn at random, so that writers who met once do not meet again.

    Raises:
        DatabaseBusy: Other writers won until the time was over.
    """
    deadline = time.monotonic() + timeout
    wait = 0.001
    identical = 0
    while True:
        try:
            return attempt()
        except Exception as error:
            if not is_transient(error):
                raise
            if isinstance(error, IntegrityError) and _TAG_TAKEN.search(str(error.orig)):
                raise errors.NameTaken(
                    "another version of the family has this version tag already; choose another one"
                ) from error
            if isinstance(error, IntegrityError):
                # A violation that the fresh read does not resolve is a fault and no race.
                identical += 1
                if identical > 50:
                    raise errors.IntegrityError(f"the database refused the change: {error.orig}") from error
            if time.monotonic() >= deadline:
                raise errors.DatabaseBusy(
                    f"other writers kept the database busy for {timeout:.0f} s; last reason: {error}"
                ) from error
        sleep(random.uniform(0, wait))
        wait = min(wait * 2, 0.1)


def attempting(step: Callable[[], T], undo: Callable[[errors.LamartError], None], *, busy: str) -> T:
    """Do a step that puts bytes and commits; undo it, and do it again, when others came in between.

    Any other error than a `LamartError`, a lost connection for example, may have come after the commit: then records
    refer to what the step has put. Nothing is undone, and garbage collection decides later with the database at hand.

    Args:
        step: What is to be done, up to and with its commit.
        undo: Takes back what the step has left and no record refers to. It gets the error: after an `Overtaken` it may
            keep what the next attempt can use, after any other error nothing is done again. It may be called twice.
        busy: What the error says when others come in between each time.

    Returns:
        What the step returned.

    Raises:
        DatabaseBusy: Others came in between each time.
    """
    try:
        for _ in range(_ATTEMPTS):
            try:
                return step()
            except errors.Overtaken as error:
                undo(error)
        raise errors.DatabaseBusy(busy)
    except errors.LamartError as error:
        undo(error)
        raise
