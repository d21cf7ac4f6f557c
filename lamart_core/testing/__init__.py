"""Tests that every format passes, for those who write one. Needs pytest.

See "Write your own format" in the guide.
"""

from __future__ import annotations

from lamart_core.testing.contract import FormatContract
from lamart_core.testing.samples import FormatSample

__all__ = ["FormatContract", "FormatSample"]
