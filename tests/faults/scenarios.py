"""What is killed: every verb that changes bytes or rows, each as a state before it and the verb itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd

import lamart_core as ln
from lamart_core.care import check_registry
from lamart_core.db import Registry
from lamart_core.objects.histories import files_of


@dataclass(frozen=True)
class Lab:
    """A registry for a scenario.

    Attributes:
        registry: The registry, the default of the process.
        sources: Folder for the files that are saved.
        second: Root of a second storage location.
    """

    registry: Registry
    sources: Path
    second: str

    def file(self, name: str, content: str | bytes) -> Path:
        """Write a source file."""
        path = self.sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def folder(self, name: str, version: int) -> Path:
        """Write a source folder of four files, of which two differ from version to version."""
        for part in range(4):
            self.file(f"{name}-{version}/part-{part % 2}/{part}.txt", f"{part}: {version if part > 1 else 'same'}")
        return self.sources / f"{name}-{version}"


@dataclass(frozen=True)
class Scenario:
    """A verb and the state before it.

    Attributes:
        prepare: Makes the state before.
        start: Does what is not a part of the verb, and returns the verb.
        is_seen: Whether queries see what the verb did.
    """

    prepare: Callable[[Lab], Any]
    start: Callable[[Lab], Callable[[], Any]]
    is_seen: bool = True


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    name: str, prepare: Callable[[Lab], Any] = lambda lab: None, *, is_seen: bool = True
) -> Callable[[Callable[[Lab], Any]], None]:
    """Register a function that starts a verb under a name."""

    def register(start: Callable[[Lab], Callable[[], Any]]) -> None:
        SCENARIOS[name] = Scenario(prepare, start, is_seen)

    return register


def _file(lab: Lab, version: int = 0, **fields: Any) -> ln.Artifact:
    return ln.Artifact(lab.file(f"a-{version}.txt", f"content {version}"), key="a.txt", **fields)


def _table(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(rows)})


def _two_versions(lab: Lab) -> None:
    _file(lab, 0).save()
    _file(lab, 1).save()


@scenario("save a file")
def _(lab: Lab) -> Callable[[], Any]:
    return _file(lab).save


@scenario("save a version of a file", lambda lab: _file(lab, 0).save())
def _(lab: Lab) -> Callable[[], Any]:
    return _file(lab, 1).save


@scenario("save content that is stored under another key", lambda lab: _file(lab, 0).save())
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact(lab.file("a-0.txt", "content 0"), key="b.txt", skip_hash_lookup=True).save


@scenario("save a table")
def _(lab: Lab) -> Callable[[], Any]:
    return lambda: ln.Artifact.from_dataframe(pd.DataFrame({"a": [1, 2]}), key="a.parquet").save()


@scenario("save a folder")
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact(lab.folder("run", 0), key="run", overwrite_versions=False).save


@scenario(
    "save a version of a folder",
    lambda lab: ln.Artifact(lab.folder("run", 0), key="run", overwrite_versions=False).save(),
)
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact(lab.folder("run", 1), key="run", overwrite_versions=False).save


@scenario("overwrite a folder", lambda lab: ln.Artifact(lab.folder("run", 0), key="run").save())
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact(lab.folder("run", 1), key="run").save


def _many(lab: Lab, version: int) -> Path:
    for name in ("same", "changed", f"new-{version}"):
        lab.file(f"many/{name}.txt", name if name == "same" else f"{name} {version}")
    return lab.sources / "many"


@scenario("save many files", lambda lab: ln.Artifact.from_dir(_many(lab, 0)).save())
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact.from_dir(_many(lab, 1)).save


@scenario("save at a real key")
def _(lab: Lab) -> Callable[[], Any]:
    return _file(lab, key_is_virtual=False).save


@scenario("rename a real key", lambda lab: _file(lab, key_is_virtual=False).save())
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="a.txt")
    artifact.key = "folder/b.txt"
    return artifact.save


@scenario("save a version at a real key", lambda lab: _file(lab, key_is_virtual=False).save())
def _(lab: Lab) -> Callable[[], Any]:
    return _file(lab, 1, key_is_virtual=False).save


@scenario(
    "save a version of a folder at a real key",
    lambda lab: ln.Artifact(lab.folder("run", 0), key="run", key_is_virtual=False, overwrite_versions=False).save(),
)
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact(lab.folder("run", 1), key="run", key_is_virtual=False, overwrite_versions=False).save


@scenario("replace a file", _two_versions)
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="a.txt")
    artifact.replace(lab.file("b.md", "replaced"))
    return artifact.save


@scenario("replace at a real key", lambda lab: _file(lab, key_is_virtual=False).save())
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="a.txt")
    artifact.replace(lab.file("b.txt", "replaced"))
    return artifact.save


@scenario("replace a table by one in memory", lambda lab: ln.Artifact.from_dataframe(_table(1), key="t.parquet").save())
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="t.parquet")
    artifact.replace(_table(2))
    return artifact.save


def _with_second_storage(lab: Lab) -> None:
    ln.Storage(root=lab.second).save()
    _two_versions(lab)
    ln.Artifact(lab.file("a-0.txt", "content 0"), key="b.txt", skip_hash_lookup=True).save()


@scenario("move a family to another storage", _with_second_storage)
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="a.txt")
    artifact.storage = lab.registry.Storage.filter().order_by("-id").first()
    return artifact.save


@scenario("save a lazy artifact", lambda lab: _file(lab, 0).save())
def _(lab: Lab) -> Callable[[], Any]:
    lazy = ln.Artifact.from_lazy(".txt", False, key="a.txt")
    lazy.path.write_text("content 1")
    return lazy.save


def _cells(lab: Lab) -> None:
    cells = ad.AnnData(obs=pd.DataFrame({"kind": [1, 2]}, index=["a", "b"]))
    ln.Artifact.from_anndata(cells, key="cells.zarr", overwrite_versions=False).save()


@scenario("close an edit", _cells)
def _(lab: Lab) -> Callable[[], Any]:
    store = ln.Artifact.get(key="cells.zarr").open("r+")
    store.set_column("obs", "score", [1.0, 2.0])
    return store.close


@scenario("delete what lies at a real key", lambda lab: [_file(lab, n, key_is_virtual=False).save() for n in (0, 1)])
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="a.txt")
    return lambda: artifact.delete(permanent=True, storage=True)


@scenario("rename a family", _two_versions)
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="a.txt")
    artifact.key = "b.txt"
    return artifact.save


@scenario("trash the latest version", _two_versions)
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact.get(key="a.txt").delete


@scenario("delete the latest version for good", _two_versions)
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="a.txt")
    return lambda: artifact.delete(permanent=True)


def _versions_of_a_folder(lab: Lab) -> None:
    for version in (0, 1, 2):
        ln.Artifact(lab.folder("run", version), key="run", overwrite_versions=False).save()


@scenario("delete a version of a folder", _versions_of_a_folder)
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.filter(key="run").order_by("uid")[1]
    return lambda: artifact.delete(permanent=True)


def _trashed(lab: Lab) -> None:
    _two_versions(lab)
    ln.Artifact.get(key="a.txt").delete()


@scenario("restore a version", _trashed)
def _(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact.filter(key="a.txt", branch_id=-1).one().restore


def _elsewhere(lab: Lab) -> str:
    return f"sqlite:///{lab.sources.parent / 'other.db'}"


def _folders_of_another_registry(lab: Lab) -> None:
    other = ln.connect(_elsewhere(lab), storage=lab.second, cache_dir=lab.sources.parent / "other", make_default=False)
    with other:
        for version in (0, 1):
            ln.Artifact(lab.folder("run", version), key="run", overwrite_versions=False).save()
    other.close()
    ln.DB(_elsewhere(lab)).Artifact.filter(key="run").order_by("uid").first().save()


@scenario("transfer a version of a folder", _folders_of_another_registry)
def _(lab: Lab) -> Callable[[], Any]:
    return ln.DB(_elsewhere(lab)).Artifact.get(key="run").save


@scenario("delete a version of a folder that was transferred", _folders_of_another_registry)
def _(lab: Lab) -> Callable[[], Any]:
    artifact = ln.Artifact.get(key="run")
    return lambda: artifact.delete(permanent=True, storage=False)


# ---------------------------------------------------------------------- what is stored again


def _damage(lab: Lab) -> None:
    """Save a folder of which two files are lost then, one of them not as a whole."""
    artifact = ln.Artifact(lab.folder("run", 0), key="run", overwrite_versions=False).save()
    with lab.registry.engine.connect() as connection:
        places = {file.path: file.relpath for file in files_of(connection, artifact.object_id)}
    backend = artifact.storage.backend
    for name, damaged in (("part-0/0.txt", None), ("part-1/1.txt", b"1")):
        path = backend.path(places[name] or f"{artifact.object.path}/{name}")
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)


def _hit(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact(lab.folder("run", 0), key="run", overwrite_versions=False).save


def _next(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact(lab.folder("run", 1), key="run", overwrite_versions=False).save


def _damage_with_copy(lab: Lab) -> None:
    """Lose a folder of which there is a copy in a folder under another key."""
    artifact = ln.Artifact(lab.folder("run", 0), key="run").save()
    second = ln.Storage(root=lab.second).save()
    ln.Artifact(lab.folder("run", 0), key="copy", storage=second, skip_hash_lookup=True).save()
    artifact.storage.backend.delete(artifact.object.path, is_folder=True)


def _repair(lab: Lab) -> Callable[[], Any]:
    return lambda: check_registry(lab.registry, repair=True)


def _damage_at_key(lab: Lab) -> None:
    """Save a file and a folder at real keys, and lose them there."""
    saved = ln.Artifact(lab.folder("run", 0), key="run", overwrite_versions=False, key_is_virtual=False).save()
    saved.storage.backend.delete("run", is_folder=True)


def _hit_at_key(lab: Lab) -> Callable[[], Any]:
    return ln.Artifact(lab.folder("run", 0), key="run", overwrite_versions=False, key_is_virtual=False).save


REPAIRING: dict[str, Scenario] = {
    "save a folder again": Scenario(_damage, _hit),
    "save the next version of a folder": Scenario(_damage, _next),
    "save a folder at its real key again": Scenario(_damage_at_key, _hit_at_key),
    "repair what has a copy": Scenario(_damage_with_copy, _repair),
}
