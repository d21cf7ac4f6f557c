"""From content to artifacts: stage, resolve, put, commit."""

from lamart_core.objects.plan import Dedup, Outcome, SaveResult
from lamart_core.saving.create import create

__all__ = ["Dedup", "Outcome", "SaveResult", "create"]
