"""From bytes to artifacts and back: one verb, one file."""

from lamart_core.lifecycle.create import create
from lamart_core.lifecycle.gc import Garbage, Reason, collect_garbage, iter_garbage
from lamart_core.lifecycle.plan import Dedup, Outcome, SaveResult

__all__ = ["Dedup", "Garbage", "Outcome", "Reason", "SaveResult", "collect_garbage", "create", "iter_garbage"]
