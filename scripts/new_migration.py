"""Write the migration that makes the tables what the models say: `python -m scripts.new_migration "What it adds."`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import Script

import lamart_core.models  # noqa: F401  # all tables are known
from lamart_core.db import Registry
from lamart_core.db.schema import HEAD, alembic_config, upgrade
from lamart_core.settings import Settings
from tests.databases import fresh_database


def main(message: str) -> None:
    """Compare an empty database of the newest version with the models, and write what is missing."""
    # On Postgres: SQLite does not tell of the expressions in its indexes.
    with tempfile.TemporaryDirectory() as folder, fresh_database("postgres", Path(folder)) as url:
        registry = Registry(url, settings=Settings(cache_dir=Path(folder)))
        upgrade(registry)
        with registry.engine.connect() as connection:
            config = alembic_config(connection)
            script = command.revision(config, message, autogenerate=True, rev_id=f"{int(HEAD) + 1:04}")
        registry.close()
    assert isinstance(script, Script)
    subprocess.run([sys.executable, "-m", "ruff", "check", "-q", "--fix", script.path], check=False)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", script.path], check=True)
    print(f"read and complete {Path(script.path).relative_to(Path.cwd())}: what the models say of conditions and")
    print("expressions of existing indexes, and how rows are filled, no comparison sees")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit('usage: make migration M="What it adds."')
    main(sys.argv[1])
