"""Settings of a registry: plain values with documented defaults."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class CreationSettings:
    """How new artifacts are made.

    Attributes:
        _artifact_use_virtual_keys: Whether `Artifact(…, key_is_virtual=None)` means a virtual key (the default).
        artifact_silence_missing_run_warning: Whether an artifact without a run is made without a warning.
    """

    _artifact_use_virtual_keys: bool = True
    artifact_silence_missing_run_warning: bool = False


@dataclass
class Settings:
    """Settings of one registry.

    Attributes:
        cache_dir: Folder that holds copies of remote objects.
        track_run_inputs: Whether `load`, `open` and `cache` record the artifact as an input of the current run.
        verify_on_read: Whether every read hashes the bytes again, and not only their size is compared.
        progress: Whether transfers draw a progress bar on stderr: None where that is a terminal and the transfer is
            large, True always, False never.
        busy_timeout: Seconds that a write waits for other writers before it fails.
        creation: Settings for new artifacts.
    """

    cache_dir: Path
    track_run_inputs: bool = True
    verify_on_read: bool = False
    progress: bool | None = None
    busy_timeout: float = 60.0
    creation: CreationSettings = field(default_factory=CreationSettings)


def default_cache_dir() -> Path:
    """Return the folder for cached copies: `LAMART_CACHE_DIR`, else the user's cache folder.

    Where the latter cannot be written to, as in many containers, a folder among the temporary files.
    """
    configured = os.environ.get("LAMART_CACHE_DIR")
    if configured:
        return Path(configured).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "lamart"
    return folder if _is_writable(folder) else Path(tempfile.gettempdir(), f"lamart-{os.getuid()}")


def _is_writable(folder: Path) -> bool:
    """Return whether a folder, or the one that it can be made in, can be written to."""
    nearest = next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
    return nearest.is_dir() and os.access(nearest, os.W_OK)
