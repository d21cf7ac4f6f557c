"""A full disk, a storage that cannot be written to, a source that changes: nothing is half there."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.processes import run_together
from tests.registries import contents, tree, write
from tests.seams import at_commit

LIMITED = """
import resource
from pathlib import Path
from typing import Any
import numpy as np, pandas as pd, pyarrow.parquet
ready()
folder = Path(arguments["folder"])
told = {}
# Every file that grows beyond this fails to, as on a full disk; the database stays far below.
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
def attempt(name, make):
    try:
        make().save()
    except ln.errors.LamartError as error:
        told[name] = [type(error).__name__, isinstance(error, OSError)]
attempt("file", lambda: ln.Artifact(folder / "big.bin", key="big.bin"))
attempt("folder", lambda: ln.Artifact(folder / "in", key="in"))
attempt("table", lambda: ln.Artifact.from_dataframe(pd.DataFrame({"a": np.random.rand(400_000)}), key="big.parquet"))
small = ln.Artifact(folder / "small.txt", key="small.txt").save()
told["small"] = small.load()
tell(told)
"""


@pytest.mark.req("R266")
def test_full_disk(registry: Registry, tmp_path: Path) -> None:
    write(tmp_path / "big.bin", b"x" * 3_000_000)
    write(tmp_path / "small.txt", "small")
    tree(tmp_path / "in", {"a.txt": "fits", "deep/big.bin": b"y" * 3_000_000})
    (told,) = run_together(registry, LIMITED, 1, folder=tmp_path)
    full = ["StorageFull", True]
    assert told == {"file": full, "folder": full, "table": full, "small": "small"}
    held = contents(registry)
    assert (held.artifacts, held.objects, len(held.files)) == (1, 1, 1)


READ_ONLY = """
import ctypes, os
from pathlib import Path
from typing import Any
import pandas as pd, pyarrow.parquet
ready()
folder = Path(arguments["folder"])
root = Path(arguments["storage"])
if os.geteuid() == 0:
    # Without its capabilities root minds permissions like anybody else.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
told = {}
def attempt(name, make):
    try:
        make().save()
    except PermissionError as error:
        told[name] = type(error).__name__
for path in [root, root / ".lamart", root / ".lamart" / "tmp"]:
    if path.exists():
        path.chmod(0o555)
try:
    attempt("file", lambda: ln.Artifact(folder / "a.txt", key="a.txt"))
    attempt("real key", lambda: ln.Artifact(folder / "a.txt", key="a.txt", key_is_virtual=False))
    attempt("folder", lambda: ln.Artifact(folder / "in", key="in"))
    attempt("table", lambda: ln.Artifact.from_dataframe(pd.DataFrame({"a": [1]}), key="a.parquet"))
finally:
    for path in [root, root / ".lamart", root / ".lamart" / "tmp"]:
        if path.exists():
            path.chmod(0o755)
tell(told)
"""


@pytest.mark.req("R266")
def test_read_only_storage(registry: Registry, tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "a")
    tree(tmp_path / "in", {"a.txt": "b"})
    (told,) = run_together(registry, READ_ONLY, 1, folder=tmp_path)
    assert told == dict.fromkeys(("file", "real key", "folder", "table"), "ReadOnlyStorage")
    held = contents(registry)
    assert (held.artifacts, held.objects, held.files) == (0, 0, ())


@pytest.mark.req("R94")
def test_a_source_that_changed(registry: Registry, tmp_path: Path) -> None:
    path = write(tmp_path / "a.bin", b"1" * 1000)
    artifact = ln.Artifact(path, key="a.bin")
    write(path, b"2" * 1000)
    with pytest.raises(ln.errors.IntegrityError, match=r"modified|changed"):
        artifact.save()
    folder = tree(tmp_path / "in", {"a": "1", "b": "2"})
    whole = ln.Artifact(folder, key="in")
    write(folder / "b", "3")
    with pytest.raises(ln.errors.IntegrityError):
        whole.save()
    held = contents(registry)
    assert (held.artifacts, held.objects, held.files) == (0, 0, ())


@pytest.mark.req("R265")
def test_a_source_that_is_gone(registry: Registry, tmp_path: Path) -> None:
    path = write(tmp_path / "a.bin", b"1" * 1000)
    artifact = ln.Artifact(path, key="a.bin")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        artifact.save()
    held = contents(registry)
    assert (held.artifacts, held.objects, held.files) == (0, 0, ())


@pytest.mark.req("R266")
def test_a_commit_that_fails_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    def fail() -> None:
        raise ln.errors.DatabaseBusy("others are writing")

    with at_commit("lamart_artifact", before=fail), pytest.raises(ln.errors.DatabaseBusy):
        ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt").save()
    held = contents(registry)
    assert (held.artifacts, held.objects, held.files) == (0, 0, ())


@pytest.mark.req("R266", "R267")
def test_a_commit_whose_answer_is_lost_keeps_its_bytes(registry: Registry, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with at_commit("lamart_artifact", after=interrupt), pytest.raises(KeyboardInterrupt):
        ln.Artifact(write(tmp_path / "a.txt", "a"), key="a.txt").save()
    assert ln.Artifact.get(key="a.txt").load() == "a"
    assert ln.Artifact(write(tmp_path / "b.txt", "a"), key="a.txt").save().verify()
