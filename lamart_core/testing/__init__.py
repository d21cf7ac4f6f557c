"""Tests that every format and every backend of a storage passes, for those who write one. Needs pytest.

See "Write your own format" in the guide.
"""

from __future__ import annotations

from lamart_core.testing.backend_contract import BackendContract
from lamart_core.testing.contract import FormatContract
from lamart_core.testing.samples import FormatSample

__all__ = ["BackendContract", "FormatContract", "FormatSample"]
