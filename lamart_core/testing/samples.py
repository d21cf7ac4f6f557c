"""Objects with which a format is tested."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lamart_core.formats import Format


@dataclass(frozen=True)
class FormatSample:
    """An object, and the suffix to write it under.

    Attributes:
        name: Name of the sample in the names of tests.
        obj: An object that the format takes. Making it again, in another process too, gives an equal one.
        suffix: A suffix that the format writes.
        any_content: Whether any bytes are content of this format, as for text: damage cannot be noticed.
        any_beginning: Whether any beginning of a file may be a file too, even the empty one, as for lines of text.
    """

    name: str
    obj: Any
    suffix: str
    any_content: bool = False
    any_beginning: bool = False

    def __str__(self) -> str:
        return self.name


def identity(file_format: Format, path: Path) -> str:
    """What tells the content of a written file or folder: the format's own digest, or one over all names and bytes."""
    own = file_format.content_digest(path)
    if own is not None:
        return f"{own.algorithm}:{own.value}"
    found = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        found.update(f"{file.relative_to(path).as_posix()} {file.stat().st_size}\n".encode())
        found.update(file.read_bytes())
    return found.hexdigest()
