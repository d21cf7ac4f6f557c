"""What zip and tar archives contain, read in bounded time and memory, and single files packed in them.

Nothing here takes a path from an archive: names are shown, and content goes to a path that the caller chose.
"""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from itertools import islice
from pathlib import Path
from typing import IO

from lamart_core.formats.compression import COMPRESSIONS, open_expanded
from lamart_core.formats.guards import UnreadableContent
from lamart_core.formats.markdown import markdown_table

_LISTED = 50
# How much of a compressed archive is expanded to list its first members.
_LISTING_BYTES = 64 << 20


def listing(path: Path, suffix: str) -> str:
    """A markdown table of the first members of an archive.

    Args:
        path: A local file.
        suffix: Suffix of the artifact, e.g. ``".tar.gz"``.
    """
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            found = [(info.filename, info.file_size) for info in archive.infolist()]
        return _table(found[:_LISTED], f"… and {len(found) - _LISTED:,} more" if len(found) > _LISTED else "")
    rows: list[tuple[str, int]] = []
    try:
        with open_expanded(path, _tar_compression(suffix), _LISTING_BYTES) as stream, _members(stream) as members:
            rows.extend((member.name, member.size) for member in islice(members, _LISTED + 1))
    except UnreadableContent:
        if not rows:
            raise
        return _table(rows[:_LISTED], "… and what comes after the first 64 MiB")
    return _table(rows[:_LISTED], "… and more" if len(rows) > _LISTED else "")


def unpack_single_file(path: Path, suffix: str, target: Path, max_bytes: int | None) -> None:
    """Write the content of a compressed file, or of the only file in a tar archive, to a new file.

    Args:
        path: A local file.
        suffix: Suffix of the artifact, e.g. ``".h5ad.gz"`` or ``".csv.tar.gz"``.
        target: Where to.
        max_bytes: Bytes that it may expand to; None for the usual bound.

    Raises:
        UnreadableContent: It expands to more, is damaged, or the archive holds anything else than one file.
    """
    inner = suffix.rpartition(".")[0]
    with open_expanded(path, suffix, max_bytes) as stream, target.open("xb") as file:
        if not inner.endswith(".tar"):
            shutil.copyfileobj(stream, file)
            return
        with _members(stream) as members:
            n_files = 0
            for member in members:
                if member.isdir():
                    continue
                n_files += 1
                content = members.extractfile(member) if member.isreg() and n_files == 1 else None
                if content is None:
                    raise UnreadableContent(f"{path} holds {member.name!r} beside or instead of a single file")
                shutil.copyfileobj(content, file)
        if n_files == 0:
            raise UnreadableContent(f"{path} holds no file")


def _tar_compression(suffix: str) -> str:
    return ".gz" if suffix == ".tgz" else suffix if suffix.endswith(COMPRESSIONS) else ""


def _members(stream: IO[bytes]) -> tarfile.TarFile:
    """The members of an archive as they come: nothing is read ahead of what is asked for."""
    return tarfile.open(fileobj=stream, mode="r|")


def _table(rows: list[tuple[str, int]], more: str) -> str:
    text = markdown_table(["file", "bytes"], [(name, f"{size:,}") for name, size in rows])
    return f"{text}\n\n{more}" if more else text
