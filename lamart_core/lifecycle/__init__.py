"""From bytes to artifacts and back: one verb, one file."""

from lamart_core.lifecycle.create import create
from lamart_core.lifecycle.gc import Garbage, collect_garbage
from lamart_core.lifecycle.plan import Dedup, Outcome, SaveResult

__all__ = ["Dedup", "Garbage", "Outcome", "SaveResult", "collect_garbage", "create"]
