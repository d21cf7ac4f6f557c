"""Folders whose files are stored objects of their own: having them whole again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection, select

from lamart_core import errors, uids
from lamart_core.db import attempting
from lamart_core.logging import logger
from lamart_core.objects import histories
from lamart_core.objects.contents import contents_of
from lamart_core.objects.folder_contents import ObjectVanished, PutFile, put_contents
from lamart_core.objects.plan import Row, Staged
from lamart_core.objects.put_again import held_contents, put_contents_again
from lamart_core.objects.rows import OBJECT, insert_files, note_sizes
from lamart_core.objects.unreferenced import Unclaimed, delete_unreferenced, remove_bytes
from lamart_core.objects.verify import damaged_contents
from lamart_core.records import Storage
from lamart_core.storage import NO_BAR


def repair_folder(storage: Storage, stored: Row, staged: Staged) -> bool:
    """Put those files of a folder again that are not whole, from a folder of equal content.

    Args:
        storage: The location of the folder; it is managed here.
        stored: The row of the folder.
        staged: The equal content.

    Returns:
        Whether something was stored again.

    Raises:
        SourceChanged, StorageError: As for `put_contents_again`.
    """
    source, tree = staged.source, staged.tree
    if tree is None or not isinstance(source, Path):
        return False
    with storage.registry.engine.connect() as connection:
        contents = contents_of(connection, stored["id"])
    found = damaged_contents(storage, contents)
    put_contents_again(source, tree, storage, found)
    if {content.value for content in found} - {entry.value for entry in tree.entries}:
        _take_files(storage, stored, staged)
    return bool(found)


def _take_files(storage: Storage, stored: Row, staged: Staged) -> None:
    """Let a folder consist of the files at hand: in some formats equal contents have other bytes."""
    source, tree = staged.source, staged.tree
    assert isinstance(source, Path)
    assert tree is not None
    logger.warning("%s/%s was not whole; storing it again with the files at hand", storage.root, stored["path"])
    stem = str(stored["path"]).rpartition("/")[2][: uids.STEM_LENGTH]
    puts: Mapping[str, PutFile] = {}

    def work(connection: Connection) -> list[Unclaimed]:
        """Record the files; return what nothing refers to."""
        histories.lock_histories(connection, [stored["id"]])
        place = select(OBJECT.c.history_id, OBJECT.c.position).where(OBJECT.c.id == stored["id"])
        row = connection.execute(place).first()
        if row is None:
            return [Unclaimed(put.relpath, is_folder=False) for put in puts.values()]
        folder = histories.NewFolder(stored["id"], storage.id, tree, is_content_addressed=True)
        spare = insert_files(connection, folder, puts, stored["id"])
        before = histories.forget(connection, row.history_id, [row.position])
        note_sizes(connection, stored["id"], tree.size, tree.n_files)
        gone = delete_unreferenced(connection, before)
        return [*(Unclaimed(path, is_folder=False) for path in spare), *gone]

    def step() -> list[Unclaimed]:
        nonlocal puts
        puts = put_contents(source, tree, storage, stem, held_contents(source, tree, storage), puts, NO_BAR)
        return storage.registry.unit_of_work(work)

    def undo(error: errors.LamartError) -> None:
        nonlocal puts
        if not isinstance(error, ObjectVanished):  # then it is missing, and nothing is wrong with what was put
            for put in puts.values():
                remove_bytes(storage, put.relpath, is_folder=False)
            puts = {}

    for item in attempting(step, undo, busy=f"{storage.root}/{stored['path']} is changed again and again"):
        remove_bytes(storage, item.path, is_folder=item.is_folder)
