"""Hostile names as keys, file names and entries of folders: they come back as they were, or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from tests.registries import contents, write


@pytest.mark.req("R51", "R60", "R248")
def test_a_file_goes_to_every_storage_and_back(lab: Registry, tmp_path: Path) -> None:
    before = contents(lab)
    artifact = ln.Artifact(write(tmp_path / "a.txt", "hello"), key="x/a.txt").save()
    assert ln.Artifact.get(key="x/a.txt").cache().read_text() == "hello"
    after = contents(lab)
    assert (after.artifacts, after.objects) == (before.artifacts + 1, before.objects + 1)
    assert len(after.files) == 1
    assert after.files[0].startswith(f".lamart/{artifact.stem_uid}")
