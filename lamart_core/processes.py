"""Which process is meant by what it left, and whether it still lives."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

SEPARATOR = "|"


@cache
def namespace() -> str:
    """Return what tells where process ids mean the same: the machine, its last start, and the namespace of ids."""
    try:
        # In two containers of one machine the same number is two processes.
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        ids = str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:  # no Linux
        boot = ids = ""
    return SEPARATOR.join((socket.gethostname(), boot, ids))


def started(pid: int) -> int | None:
    """Return when a process began, in ticks since the last start; 0 where nobody says, None for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    else:
        # The name of the program may hold spaces and brackets; the state comes after the last one.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except PermissionError:
        pass
    return 0
