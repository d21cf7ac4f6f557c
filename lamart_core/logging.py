"""The logger of this library.

What a person must know is a warning on stderr even when logging is not configured; Python's last-resort handler
prints it. Everything else is `info` or `debug`.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("lamart")
