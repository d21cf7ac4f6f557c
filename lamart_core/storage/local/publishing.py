"""Files and folders get their names in one step: what is there appears whole, and nothing is replaced by mistake."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from lamart_core.storage.backend import exists_already
from lamart_core.storage.copying import make_folders, remove_quietly, sync_file
from lamart_core.storage.location import Location
from lamart_core.storage.names.keys import RESERVED

# Answers of file systems that have no hard links, or no more of them.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


def check_free(final: Path, location: Location) -> None:
    """Refuse a path where something is.

    Raises:
        ObjectExists: It is taken.
    """
    if os.path.lexists(final):
        raise exists_already(final.name, location)


def link(source: Path, target: Path) -> bool:
    """Give a file a second name; return False where the file system has none to give.

    Raises:
        FileExistsError: Something is at the target.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def is_flushed_late(final: Path, *, is_alone: bool) -> bool:
    """Whether a file gets its name before it is flushed, so that the disk is asked to write both only once.

    Names in the version store are random: nobody looks there before a record, which comes later, has the name.
    """
    return is_alone and final.parent.name == RESERVED


def publish_file(temporary: Path, final: Path, location: Location, *, is_alone: bool) -> None:
    """Give a new file its name; of those that are stored together the caller makes and flushes the folders."""
    if is_alone:
        make_folders(final.parent, Path(location.root))
    is_stored_name = final.parent.name == RESERVED
    if is_stored_name:
        os.rename(temporary, final)
    else:
        rename_new(temporary, final, location)
    try:
        if is_flushed_late(final, is_alone=is_alone):
            sync_file(final)
        if is_alone:
            sync_file(final.parent)
        if not is_stored_name:
            temporary.unlink(missing_ok=True)
    except BaseException:
        remove_quietly(final)
        raise


def rename_new(temporary: Path, final: Path, location: Location) -> None:
    """Give a file a name where nothing is. The first name may be left, to be removed."""
    try:
        # Unlike a rename, a link fails when another writer has taken the name in between.
        linked = link(temporary, final)
    except FileExistsError:
        raise exists_already(final.name, location) from None
    if not linked:
        check_free(final, location)
        os.rename(temporary, final)


def sync_folders(top: Path) -> None:
    """Flush a folder and those in it, from the bottom up."""
    for folder, _, _ in os.walk(top, topdown=False):
        sync_file(Path(folder))


def publish_folder(temporary: Path, final: Path, location: Location) -> None:
    """Give a new folder, whose files are flushed, its name."""
    sync_folders(temporary)
    make_folders(final.parent, Path(location.root))
    check_free(final, location)
    # After every file in it, so that one that is written later is known by its time: see `link_known`.
    os.utime(temporary)
    try:
        os.rename(temporary, final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise exists_already(final.name, location) from None
        raise
    sync_file(final.parent)


def exchange(temporary: Path, target: Path, location: Location, *, aside: Path, replace: bool) -> None:
    """Let a file or folder take the place of what is at a path; by way of `aside`, if that is a folder."""
    make_folders(target.parent, Path(location.root))
    if not replace:
        check_free(target, location)
    if not temporary.is_dir():
        if replace:
            os.replace(temporary, target)
        else:
            rename_new(temporary, target, location)
        sync_file(target.parent)
        return
    if os.path.lexists(target):
        os.rename(target, aside)
    os.rename(temporary, target)
    sync_file(target.parent)
    remove_quietly(aside)


def create_file(path: Path, text: str, *, staged: Path, replace: bool = False) -> None:
    """Write a small file whole or not at all, and only if it is not there yet, or over what is there.

    Args:
        path: Its path.
        text: Its content.
        staged: Where it is written first, on the same disk: garbage collection finds there what a killed process left.
        replace: Whether it replaces what is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged.parent.mkdir(parents=True, exist_ok=True)
    try:
        staged.write_text(text)
        sync_file(staged)
        with contextlib.suppress(FileExistsError):
            if replace or (not link(staged, path) and not path.exists()):
                os.replace(staged, path)
            sync_file(path.parent)
            sync_file(path.parent.parent)  # which has the folder since, or since an attempt that was killed
    finally:
        staged.unlink(missing_ok=True)


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those folders that nothing is in."""
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
