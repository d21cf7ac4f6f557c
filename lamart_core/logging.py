"""The logger of this library.

What a person must know is a warning on stderr even when logging is not configured; Python's last-resort handler
prints it. Everything else is `info` or `debug`.
"""

from __future__ import annotations

import logging

from lamart_core.errors import InvalidArgument

logger = logging.getLogger("lamart")

LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
_SHOWN = logging.StreamHandler()


def verbosity() -> str:
    """Return the name of the level from which on messages are shown."""
    level = logger.getEffectiveLevel()
    return next(name for name, value in sorted(LEVELS.items(), key=lambda item: item[1]) if value >= min(level, 40))


def set_verbosity(value: str | int) -> None:
    """Show messages of a level and above on stderr; those that logging is configured to show elsewhere stay there.

    Args:
        value: Name of the level, or its number from 0 (`error`) to 3 (`debug`).

    Raises:
        InvalidArgument: There is no such level.
    """
    names = list(LEVELS)
    numbers: dict[object, str] = dict(enumerate(names))
    name = value if isinstance(value, str) else None if isinstance(value, bool) else numbers.get(value)
    if name not in LEVELS:
        raise InvalidArgument(f"the verbosity is one of {', '.join(names)}, or 0 to {len(names) - 1}, got {value!r}")
    logger.setLevel(LEVELS[name])
    # Python's last resort shows warnings only; whoever configured logging has handlers of his own.
    if LEVELS[name] < logging.WARNING and not logger.hasHandlers():
        logger.addHandler(_SHOWN)
