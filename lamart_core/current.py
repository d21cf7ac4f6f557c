"""`ln.settings` and `ln.context`: the settings and the run of the current registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lamart_core import errors
from lamart_core.db import current_registry
from lamart_core.lineage import current_run
from lamart_core.logging import set_verbosity, verbosity
from lamart_core.query import QuerySet
from lamart_core.records import Branch, Run, Space, Storage, Transform
from lamart_core.records.locations import known_root
from lamart_core.settings import CreationSettings
from lamart_core.storage import normalise_root


class CurrentSettings:
    """Settings of the current registry, readable and settable.

    Examples:
        >>> import lamart_core as ln
        >>> ln.settings.track_run_inputs
        True
    """

    @property
    def storage(self) -> Storage:
        """The default storage location: a record with `.root` that can be used as a path."""
        registry = current_registry()
        return QuerySet(Storage, registry).get(registry.storage_id)

    @storage.setter
    def storage(self, value: Storage | str | os.PathLike[str]) -> None:
        registry = current_registry()
        if not isinstance(value, Storage):
            root = known_root(registry, normalise_root(str(value)))
            found = QuerySet(Storage, registry).filter(root=root).one_or_none()
            if found is None:
                roots = ", ".join(item.root for item in QuerySet(Storage, registry).filter().to_list())
                raise errors.UnknownStorageLocation(
                    f"{root} is no registered storage location; known are: {roots}. "
                    "Create it with Storage(root=…).save()"
                )
            value = found
        if not value.is_managed:
            raise errors.InvalidArgument(f"{value.root} is not managed by this registry; nothing can be written there")
        registry.storage_id = value.id
        registry.options["storage"] = value.root  # a copy in another process begins with the same

    @property
    def local_storage(self) -> Storage | None:
        """The location that new artifacts are kept in until `save(upload=True)`; None if there is none."""
        registry = current_registry()
        return QuerySet(Storage, registry).get(registry.local_storage_id) if registry.local_storage_id else None

    @property
    def branch(self) -> Branch:
        """The branch that new records go to, and that queries see beside main; settable by record or name."""
        return current_registry().branch

    @branch.setter
    def branch(self, value: Branch | str) -> None:
        current_registry().branch = value

    @property
    def space(self) -> Space:
        """The space that new records go to; settable by record or name."""
        return current_registry().space

    @space.setter
    def space(self, value: Space | str) -> None:
        current_registry().space = value

    @property
    def creation(self) -> CreationSettings:
        """Settings for new artifacts."""
        return current_registry().settings.creation

    @property
    def track_run_inputs(self) -> bool:
        """Whether `load`, `open` and `cache` record inputs of the current run."""
        return current_registry().settings.track_run_inputs

    @track_run_inputs.setter
    def track_run_inputs(self, value: bool) -> None:
        current_registry().settings.track_run_inputs = value

    @property
    def verbosity(self) -> str:
        """What is logged on stderr, in this process: `error`, `warning` (the default), `info` or `debug`.

        Also settable as a number from 0 to 3.
        """
        return verbosity()

    @verbosity.setter
    def verbosity(self, value: str | int) -> None:
        set_verbosity(value)

    @property
    def progress(self) -> bool | None:
        """Whether transfers draw a progress bar on stderr: None for large ones on a terminal, True always."""
        return current_registry().settings.progress

    @progress.setter
    def progress(self, value: bool | None) -> None:
        current_registry().settings.progress = value

    @property
    def cache_dir(self) -> Path:
        """Folder for copies of remote objects."""
        return current_registry().settings.cache_dir

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(getattr(type(self), name, None), property):
            raise AttributeError(f"there is no setting {name!r}")
        super().__setattr__(name, value)


class RunContext:
    """`ln.context`: the run that is under way in the current registry.

    Examples:
        >>> import lamart_core as ln
        >>> run = ln.track("analysis.py", params={"resolution": 0.5})
        >>> ln.context.run == run, ln.context.transform.key, ln.context.params
        (True, 'analysis.py', {'resolution': 0.5})
        >>> ln.finish()
        >>> ln.context.run is None
        True
    """

    @property
    def run(self) -> Run | None:
        """The run of the innermost flow or step, else the one that `track` started, else None."""
        return current_run(current_registry())

    @property
    def transform(self) -> Transform | None:
        """The code of the current run."""
        run = self.run
        return run.transform if run is not None else None

    @property
    def params(self) -> dict[str, Any] | None:
        """The parameters of the current run."""
        run = self.run
        return run.params if run is not None else None


settings = CurrentSettings()
context = RunContext()
