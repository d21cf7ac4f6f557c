"""Types that several rooms share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from upath import UPath

AnyPathStr: TypeAlias = str | Path | UPath
ArtifactKind: TypeAlias = Literal["dataset", "model"]

__all__ = ["AnyPathStr", "ArtifactKind"]
