"""One path, one owner: nested locations, links inside of a storage, files of stored folders that were exchanged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core.care import check_registry
from lamart_core.db import Registry
from tests.registries import contents, storage_root, tree, write


@pytest.mark.req("R301")
def test_a_path_has_one_owner(registry: Registry, tmp_path: Path) -> None:
    outer = ln.Storage(root=str(tmp_path / "data")).save()
    inner = ln.Storage(root=str(tmp_path / "data/sub")).save()
    source = write(tmp_path / "a.txt", "AAAA")
    one = ln.Artifact(source, key="x.txt", storage=inner, key_is_virtual=False).save()
    before = contents(registry)
    twice: dict[str, Any] = {"storage": outer, "key_is_virtual": False, "skip_hash_lookup": True}
    with pytest.raises(ln.errors.InvalidKey, match=r"storage location .*data/sub"):
        ln.Artifact(source, key="sub/x.txt", **twice).save()
    beside = ln.Artifact(source, key="other.txt", **twice).save()
    beside.key = "sub/new.txt"
    with pytest.raises(ln.errors.InvalidKey):
        beside.save()
    beside = ln.Artifact.get(beside.uid)
    beside.delete(permanent=True, storage=True)
    assert (contents(registry), one.load()) == (before, "AAAA")
    # A name that is no path is nobody's.
    assert ln.Artifact(source, key="sub/x.txt", storage=outer, skip_hash_lookup=True).save().load() == "AAAA"
    # Nor does a new location take over paths that another one has.
    ln.Artifact(source, key="deep/y.txt", **twice).save()
    with pytest.raises(ln.errors.IntegrityError, match=r"deep/y\.txt"):
        ln.Storage(root=str(tmp_path / "data/deep")).save()
    assert not (tmp_path / "data/deep/.lamart").exists()
    assert check_registry(registry, verify=True).is_clean


@pytest.mark.req("R301")
def test_nothing_is_written_or_removed_through_links(registry: Registry, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", storage_root(registry)
    victim = write(outside / "victim.txt", "victim")
    (root / "shared").symlink_to(outside)
    source = write(tmp_path / "a.txt", "mine")
    before = contents(registry)
    with pytest.raises(ln.errors.StorageError, match="is a link"):
        ln.Artifact(source, key="shared/new.txt", key_is_virtual=False).save()
    assert [path.name for path in outside.iterdir()] == ["victim.txt"]
    assert contents(registry).artifacts == before.artifacts
    lying = ln.Artifact(root / "shared/victim.txt").save()
    lying.delete(permanent=True, storage=True)
    assert victim.read_text() == "victim"
    # A link in the place of a stored file is another file.
    artifact = ln.Artifact(source, key="a.txt").save()
    assert isinstance(artifact.path, Path)
    artifact.path.unlink()
    artifact.path.symlink_to(write(tmp_path / "b.txt", "MINE"))
    with pytest.raises(ln.errors.ContentMismatch):
        ln.Artifact.get(artifact.uid).load()
    # A version store that is a link is nobody's.
    (tmp_path / "other").mkdir()
    (tmp_path / "other/.lamart").symlink_to(outside)
    assert not ln.Storage(root=str(tmp_path / "other")).save().is_managed
    assert [path.name for path in outside.iterdir()] == ["victim.txt"]


@pytest.mark.req("R70", "R301")
def test_an_exchanged_file_of_a_folder_does_not_reach_the_next_version(registry: Registry, tmp_path: Path) -> None:
    other = write(tmp_path / "older", "XXXX")
    os.utime(other, (1, 1))
    files: dict[str, str | bytes] = {"f.txt": "AAAA", "g.txt": "0"}
    first = ln.Artifact(tree(tmp_path / "d", files), key="d", overwrite_versions=False).save()
    os.replace(other, first.cache() / "f.txt")
    second = ln.Artifact(tree(tmp_path / "d", {"g.txt": "1"}), key="d", overwrite_versions=False).save()
    assert (second.cache() / "f.txt").read_text() == "AAAA"
    assert second.verify()
    with pytest.raises(ln.errors.ContentMismatch, match=r"f\.txt"):
        first.verify()


@pytest.mark.req("R70")
def test_files_that_were_only_linked_are_linked_again(registry: Registry, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"f.txt": "AAAA", "g.txt": "0"}
    versions = []
    for number in range(3):
        files["g.txt"] = str(number)
        versions.append(ln.Artifact(tree(tmp_path / "d", dict(files)), key="d", overwrite_versions=False).save())
    versions[0].delete(permanent=True)  # which touches the file that the others share
    files["g.txt"] = "last"
    versions.append(ln.Artifact(tree(tmp_path / "d", dict(files)), key="d", overwrite_versions=False).save())
    inodes = {(version.refresh().cache() / "f.txt").stat().st_ino for version in versions[1:]}
    assert len(inodes) == 1
