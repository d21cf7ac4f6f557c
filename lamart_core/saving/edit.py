"""Opening for writing: a private copy is written to, and becomes the next version when it is closed.

The bytes of a saved artifact never change under its record. So whoever writes gets a copy of his own, and what he
closes is saved by the normal path, as if it had been passed to a constructor with `revises=`.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import and_, or_, select

from lamart_core import errors, formats
from lamart_core.db import TRASH_BRANCH_ID, Registry
from lamart_core.families.family import Family
from lamart_core.lineage import context
from lamart_core.lineage.edges import track_input
from lamart_core.logging import logger
from lamart_core.objects.plan import Dedup, Staged
from lamart_core.query import QuerySet
from lamart_core.reading import read
from lamart_core.records import ArtifactRecord, Run, Storage
from lamart_core.saving import construct, stage
from lamart_core.saving.arguments import Request, checked
from lamart_core.saving.save import save
from lamart_core.saving.targets import check_managed


def open_to_write(
    record: ArtifactRecord,
    *,
    mode: str,
    engine: str = "pyarrow",
    is_run_input: bool | Run | None = None,
    **options: Any,
) -> Any:
    """Open a private copy of a saved artifact for writing; closing it saves the next version.

    Args:
        record: The latest version of a family.
        mode: A writing mode of its format.
        engine: As for reading.
        is_run_input: Whether to record the artifact as an input of the current, or of the given, run.
        **options: Go to the library that opens.

    Returns:
        What the format opens. When it is closed with other content, that is the next version, made by the run that
        was current when it was opened; with equal content nothing happens. Leaving its `with` block by an exception
        discards the copy.

    Raises:
        InvalidArgument: The format has no such mode; the artifact is not saved, in the trash, not the latest version,
            or in a location that is not managed.
        ReadOnlyRegistry: The registry was opened for reading only.
        StorageFull: There is no space for the copy.
    """
    storage = _check_editable(record)
    read.format_of(record).check_mode(mode)
    copy = _copy(record, storage)
    edit = _Edit(record, storage, copy)
    try:
        chosen = formats.for_path(copy, record.suffix)
        chosen.check_mode(mode)
        opened = chosen.open(copy, suffix=record.suffix, mode=mode, engine=engine, **options)
        track_input(record, is_run_input)
        return chosen.closing(opened, edit.finish)
    except BaseException:
        edit.discard()
        raise


def _copy(record: ArtifactRecord, storage: Storage) -> Path:
    staging = storage.backend.staging(record.registry.settings.cache_dir)
    made: list[Path] = []

    def copy(local: Path) -> Path:
        made.append(staging.copy(local, record.suffix))
        return made[-1]

    try:
        read.copied(record, copy)
        return made.pop()
    finally:
        for left in made:
            stage.discard_path(left)


def _check_editable(record: ArtifactRecord) -> Storage:
    if not record.is_saved:
        raise errors.InvalidArgument("save the artifact before opening it")
    record.registry.require_writable()
    if record.branch_id == TRASH_BRANCH_ID:
        raise errors.InvalidArgument(f"{record.uid} is in the trash; restore() it before it is written to")
    storage: Storage = record.storage
    check_managed(storage)
    latest = _latest(record)
    if latest != record.uid:
        raise errors.InvalidArgument(
            f"{record.uid} is not the latest version, and what is written follows the latest one: open {latest}"
        )
    return storage


def _latest(record: ArtifactRecord) -> str | None:
    """Return the uid of the version that a new one would follow: that of the current branch, else of the record's."""
    table = record.__table__
    columns, branch_id = table.c, record.registry.branch_id
    on_branch = or_(columns.branch_id == branch_id, columns.branch_id == record.branch_id)
    query = select(columns.uid, columns.branch_id).where(and_(Family.of(table, record.uid).members, columns.is_latest))
    with record.registry.engine.connect() as connection:
        found = {row.branch_id: row.uid for row in connection.execute(query.where(on_branch))}
    return found.get(branch_id, found.get(record.branch_id))


class _Edit:
    """A private copy while it is written to.

    The opened object refers to this one: when both are gone and nobody closed, the copy goes too.
    """

    def __init__(self, record: ArtifactRecord, storage: Storage, copy: Path) -> None:
        self._record = record
        self._registry: Registry = record.registry
        self._storage = storage
        self._copy = copy
        self._run = context.run_for(self._registry, None)
        self._forgotten = weakref.finalize(self, _forget, copy, record.uid, os.getpid())
        stored = read.stored_digest(record)
        # What only a server can compare is compared by the copy as it was.
        self._before = stored if stored is not None else self._stage().digest

    def finish(self, keep: bool) -> None:
        """Save the copy as the next version if it is to be kept and its content changed; remove it otherwise.

        Raises:
            EditNotSaved: Saving failed; the copy is kept.
        """
        if not keep:
            logger.warning("what was written to a copy of %s is discarded: an error ended its block", self._record.uid)
            self.discard()
            return
        try:
            staged = self._stage()
            if staged.digest == self._before:
                self.discard()
                return
            self._save(staged)
        except (errors.LamartError, OSError) as error:
            raise self._not_saved(error) from error
        self._forgotten.detach()

    def discard(self) -> None:
        """Remove the copy."""
        self._forgotten.detach()
        stage.discard_path(self._copy)

    def _stage(self) -> Staged:
        return stage.stage_copy(self._copy, algorithm=self._registry.hash_algorithm, suffix=self._record.suffix)

    def _save(self, staged: Staged) -> None:
        model: Any = type(self._record)
        opened: ArtifactRecord = QuerySet(model, self._registry).get(self._record.id)
        storage: Storage = opened.storage
        if storage.id != self._storage.id:  # moved meanwhile, perhaps to another disk: the copy cannot be renamed there
            staged = replace(staged, is_owned=False)
        request = Request(
            kind=opened.kind,
            otype=opened.otype,
            revises=opened,
            overwrite_versions=opened._overwrite_versions,
            run=self._run or context.run_for(self._registry, None),
            storage=storage,
            space=opened.space,
            skip_hash_lookup=False,
            dedup=Dedup.HEAD,
            suffix=staged.suffix,
        )
        record: ArtifactRecord = model._blank()
        construct.from_stored(record, self._registry, staged, checked(self._registry, request), storage)
        head = record._pending.plan.expected_head if record._pending is not None else None
        if not record.is_saved and head not in (None, opened.uid):
            raise errors.IntegrityError(
                f"cannot revise the non-latest record {opened.uid}: {head} was saved while it was written to"
            )
        save(record)
        stage.discard_path(self._copy)
        logger.info("what was written to a copy of %s is saved as %s", opened.uid, record.uid)

    def _not_saved(self, error: BaseException) -> errors.EditNotSaved:
        self._forgotten.detach()
        kept = self._copy
        with suppress(errors.LamartError, OSError):
            # Away from the name that goes with the record that could not be saved.
            cache_dir = self._registry.settings.cache_dir
            kept = self._storage.backend.staging(cache_dir).new_path(self._record.suffix)
            os.rename(self._copy, kept)
        return errors.EditNotSaved(
            f"what was written to a copy of {self._record.uid} is not saved: {error}. The copy is kept at {kept} while "
            "this process runs, and until garbage is collected; move it elsewhere, and save it from there",
            copy=kept,
        )


def _forget(copy: Path, uid: str, pid: int) -> None:
    """Remove a copy that nobody closed, in the process that made it."""
    if os.getpid() == pid:
        logger.warning("what was written to a copy of %s is discarded: it was never closed", uid)
        stage.discard_path(copy)
