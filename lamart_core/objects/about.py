"""What stored bytes say of themselves, so that they can be registered again when the database is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

# Object stores keep 2 kB of metadata, ours and their own.
_LONGEST = 1800


@dataclass(frozen=True)
class About:
    """What bytes were put for.

    Attributes:
        uid: Uid of the artifact, as far as it was known before the commit.
        key: Its key then.
        suffix: Suffix of the object.
        hash: Hash of the content.
        hash_type: How it was made.
        kind: Kind of the artifact.
        otype: Object type of the artifact.
        is_virtual: Whether the key is a name only.
        overwrites: Whether further versions of a folder overwrite it.
    """

    uid: str
    key: str | None = None
    suffix: str = ""
    hash: str | None = None
    hash_type: str | None = None
    kind: str | None = None
    otype: str | None = None
    is_virtual: bool = True
    overwrites: bool = False

    def written(self) -> str | None:
        """Return this as ASCII; without the key where it would be too long; None where it would be still."""
        for about in (self, replace(self, key=None)):
            text = json.dumps({name: value for name, value in vars(about).items() if value is not None})
            if len(text) <= _LONGEST:
                return text
        return None

    @classmethod
    def parse(cls, text: str) -> About | None:
        """Return what was written; None for anything else."""
        try:
            said: dict[str, Any] = json.loads(text)
            flags = {name: bool(said.pop(name)) for name in ("is_virtual", "overwrites") if name in said}
            return cls(**flags, **{name: str(value) for name, value in said.items()})  # type: ignore[arg-type]
        except (ValueError, TypeError, AttributeError):
            return None
