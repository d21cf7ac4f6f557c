"""The folder that the demo works in: a registry, its bytes, and a Dagster instance."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent.parent

_DAGSTER_YAML = """\
telemetry:
  enabled: false
nux:
  enabled: false
"""


@dataclass(frozen=True)
class Home:
    """Where everything of one demo lies; removing the folder removes it all."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Dagster and the registry find their places, in any process."""
        return {
            "DAGSTER_HOME": str(self.folder / "dagster"),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "LAMART_DB_URL": f"sqlite:///{self.folder / 'registry.db'}",
            "LAMART_STORAGE": str(self.folder / "storage"),
            "LAMART_CACHE_DIR": str(self.folder / "cache"),
        }

    @property
    def exists(self) -> bool:
        """Whether a demo was run here."""
        return (self.folder / "registry.db").exists()

    def start_afresh(self) -> None:
        """Remove what an earlier demo left, and make the folders.

        Raises:
            FileExistsError: There are files, and not those of a demo.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            if not (self.folder / "dagster" / "dagster.yaml").exists():
                raise FileExistsError(f"{self.folder} holds files that no demo made; choose another folder")
            shutil.rmtree(self.folder)
        (self.folder / "dagster").mkdir(parents=True, exist_ok=True)
        (self.folder / "dagster" / "dagster.yaml").write_text(_DAGSTER_YAML, encoding="utf-8")
        (self.folder / "storage").mkdir()

    def use(self) -> None:
        """Let this process, and those that it starts, work here."""
        os.environ.update(self.environment)


def home(folder: str | Path = ".demo") -> Home:
    """Return the home in a folder; relative to the project."""
    return Home((PROJECT / folder).absolute())
