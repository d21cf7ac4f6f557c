"""What each process of the storm was going to do, and what it was told: written at once, so that it outlives a kill."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Call:
    """One call of a verb.

    Attributes:
        verb: Its name.
        begin: When it began, on the clock of the machine.
        end: When it returned, or raised; None where the process was killed.
        plan: What it was going to do: `deletes`, uids that it may delete; `replaces`, with the `content`.
        told: What it returned: lists of `uid`, `hash` and `content`.
        error: What it raised.
    """

    verb: str
    begin: float
    end: float | None = None
    plan: Mapping[str, Any] = field(default_factory=dict[str, Any])
    told: tuple[Mapping[str, Any], ...] = ()
    error: str = ""


class Log:
    """The log of one process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, **entry: Any) -> None:
        """Write a line; whoever kills this process afterwards finds it."""
        os.write(self._file, (json.dumps({**entry, "time": time.monotonic()}) + "\n").encode())


def read_calls(folder: Path) -> Iterator[Call]:
    """Go through the calls of all processes."""
    for path in sorted(folder.glob("*.jsonl")):
        begun: dict[str, Any] | None = None
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if "verb" in entry:
                if begun is not None:
                    yield _call(begun, None)
                begun = entry
            elif "plan" in entry and begun is not None:
                begun["plan"] = {**begun.get("plan", {}), **entry["plan"]}
            elif begun is not None:
                yield _call(begun, entry)
                begun = None
        if begun is not None:
            yield _call(begun, None)


def _call(begun: dict[str, Any], ended: dict[str, Any] | None) -> Call:
    plan = begun.get("plan", {})
    if ended is None:
        return Call(begun["verb"], begun["time"], plan=plan)
    return Call(
        begun["verb"], begun["time"], ended["time"], plan, tuple(ended.get("told", ())), str(ended.get("error", ""))
    )


def fingerprint(files: Mapping[str, bytes]) -> str:
    """Return what tells contents apart, made by nothing that is under test: paths and bytes of all files."""
    made = hashlib.sha256()
    for name in sorted(files):
        made.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    return made.hexdigest()


def fingerprint_of(path: Path) -> str:
    """Return the fingerprint of a file or a folder."""
    if path.is_file():
        return fingerprint({"": path.read_bytes()})
    files = (found for found in path.rglob("*") if found.is_file())
    return fingerprint({found.relative_to(path).as_posix(): found.read_bytes() for found in files})
