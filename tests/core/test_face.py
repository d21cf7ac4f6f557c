"""The face of the package: light to import, and every name what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lamart_core as ln

HEAVY = ["pandas", "pyarrow", "anndata", "zarr", "dagster", "polars", "numpy", "h5py", "alembic"]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.req("R290")
def test_importing_loads_no_data_library() -> None:
    assert run(f"import sys, lamart_core; print([name for name in {HEAVY} if name in sys.modules])") == "[]"


@pytest.mark.req("R290")
def test_opening_a_known_registry_and_asking_it_loads_no_data_library(tmp_path: Path) -> None:
    code = f"""
import sys, lamart_core as ln
ln.connect("sqlite:///{tmp_path}/lab.db", storage="{tmp_path}/storage")
print(ln.Artifact.filter(key="a").count(), [name for name in {HEAVY} if name in sys.modules])
"""
    run(code)
    assert run(code) == "0 []"


@pytest.mark.parametrize("first", ["lamart_core.settings", "lamart_core.connect", "lamart_core.cli"])
def test_submodules_do_not_hide_public_names(first: str) -> None:
    code = f"import {first}; import lamart_core as ln; print(type(ln.connect), type(ln.settings))"
    assert run(code) == "<class 'function'> <class 'lamart_core.current.CurrentSettings'>"


def test_every_public_name_is_there() -> None:
    for name in ln.__all__:
        assert getattr(ln, name) is not None


OFFLINE = """
import sys
seen = []
def guard(event, arguments):
    # Stricter than the guard of all tests: not even loopback, and no name is looked up.
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        seen.append((event, arguments[1:]))
        raise ConnectionRefusedError(event)
sys.addaudithook(guard)
from pathlib import Path
import pandas as pd
import lamart_core as ln
folder = Path(sys.argv[1])
ln.connect(f"sqlite:///{folder}/lab.db", storage=folder / "storage")
(folder / "a.txt").write_text("a")
(folder / "in").mkdir()
(folder / "in" / "b.txt").write_text("b")
ln.track("script")
text = ln.Artifact(folder / "a.txt", key="a.txt").save()
ln.Artifact(folder / "in", key="in").save()
ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="t.parquet").save()
assert ln.Artifact.get(key="t.parquet").load()["a"].tolist() == [1]
assert text.view_lineage(return_graph=True) is not None
ln.finish()
text.delete(permanent=True)
print(ln.Artifact.filter().count(), seen)
"""


@pytest.mark.req("R289")
def test_local_use_opens_no_connection(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", OFFLINE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "2 []"
