"""Hostile names as keys, file names and entries of folders: they come back as they were, or are refused."""

from __future__ import annotations

import re
import shutil
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from upath import UPath

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Registry
from lamart_core.hashing import hash_tree
from lamart_core.models import StoredObject
from lamart_core.saving import create
from lamart_core.storage import backend_at, suffix_of
from tests.registries import contents, storage_root, tree, write
from tests.storage.s3_server import credentials, shared_server

NFC, NFD = "ü.txt", "u\u0308.txt"
NAMES = [
    " leading.txt", "inner space.txt", "trailing .txt", "trailing.txt ", "q'uo\"te.txt", "per%2Fcent.txt", "%.txt",
    "ha#sh.txt", "quest?ion.txt", "?", "a?endpoint_url=x", "am&p.txt", "pl+us.txt", "semi;colon.txt", "st*r.txt", "**",
    "br[a]cket.txt", "{a,b}.txt", "~", "~root.txt", "$HOME.txt", "`id`.txt", "co:lon.txt", "<x>|.txt", "a=b,c@d!.txt",
    "-rf", "dots..txt", "end.", "...txt", "CON", "Case.txt", "case.txt", "😀.txt", "\u202eltr.txt", "\ufeffbom.txt",
    "日本語.csv", "\uffff.txt", "x" * 251 + ".txt", "é" * 127, "__init__", "null", "None",
]  # fmt: skip
# Names that no key has, but that a file in a folder may have.
ONLY_FILES = ["back\\slash.txt", "Icon\r", "tab\t.txt", "bell\x07.txt", "del\x7f.txt", "\x85", "\u2028", NFD]
AZURE_REFUSES = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ufffe\uffff]")


def kept_by(lab: Registry, names: list[str]) -> list[str]:
    """Return the names that the storage of a registry takes: Azure has no way to say some."""
    backend = lab.Storage.get(lab.storage_id).backend
    return [name for name in names if backend.protocol != "az" or not AZURE_REFUSES.search(name)]


@pytest.mark.req("R10", "R40", "R51", "R52", "R63", "R248")
def test_every_name_comes_back_as_it_was(lab: Registry, tmp_path: Path) -> None:
    keys: dict[str, str] = {}
    names = kept_by(lab, NAMES)
    for number, name in enumerate(names):
        # The same name for the source, and at a real key for the stored object.
        key, content = f"names/{name}", f"content {number}"
        source = write(tmp_path / "in" / name, content)
        artifact = ln.Artifact(source, key=key, description=name, key_is_virtual=bool(number % 2)).save()
        source.unlink()
        assert artifact.path.exists()
        keys[key] = content
    found = ln.Artifact.filter(key__startswith="names/").to_list()
    assert {item.key: item.description for item in found} == {f"names/{name}": name for name in names}
    for key, content in keys.items():
        artifact = ln.Artifact.get(key=key)
        assert artifact.cache().read_text() == content
        assert ln.Artifact.get(path=artifact.path) == artifact
    table = ln.Artifact.filter().to_dataframe(limit=None)
    assert set(table["key"]) == set(keys)
    assert len({item.stem_uid for item in found}) == len(names)


@pytest.mark.req("R60", "R77", "R248", "R257")
def test_every_name_in_a_folder_comes_back_and_goes_alone(lab: Registry, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        name: str(number) for number, name in enumerate(kept_by(lab, [NFC, *NAMES, *ONLY_FILES]))
    }
    files |= {f"d {name[:99]}/{name}": f"deep {number}" for number, name in enumerate(kept_by(lab, NAMES))}
    folder = tree(tmp_path / "in", files)
    beside = ln.Artifact(tree(tmp_path / "other", {"a": "x"}), key="names1", key_is_virtual=False).save()
    for key, virtual in (("virtual", True), ("names*", False)):
        artifact = ln.Artifact(folder, key=key, key_is_virtual=virtual, skip_hash_lookup=True).save()
        assert artifact.n_files == len(files)
        assert hash_tree(artifact.cache()) == hash_tree(folder)
        assert artifact.verify()
        artifact.delete(permanent=True, storage=True)
    # Names that are patterns have removed what they name, and nothing that they match.
    assert contents(lab).files == ("names1/a",)
    assert (beside.cache() / "a").read_text() == "x"


@pytest.mark.req("R11", "R40", "R63", "R215")
def test_a_key_is_the_same_in_both_forms_of_its_characters(registry: Registry, tmp_path: Path) -> None:
    first = ln.Artifact(write(tmp_path / "a.txt", "1"), key=f"x/{NFD}").save()
    second = ln.Artifact(write(tmp_path / "a.txt", "2"), key=f"x/{NFC}").save()
    assert second.stem_uid == first.stem_uid
    assert first.key == second.key == ln.Artifact.get(first.uid).key == f"x/{NFC}"
    for form in (NFC, NFD):
        assert ln.Artifact.get(key=f"x/{form}") == second
        assert ln.Artifact.filter(key=f"x/{form}").count() == 2
        assert ln.Artifact.filter(key__in=[f"x/{form}"]).count() == 2
        assert ln.Artifact.filter(key__endswith=form, is_latest=True).one() == second
    second.key = f"y/{NFD}"
    second.save()
    assert second.key == ln.Artifact.get(second.uid).key == f"y/{NFC}"
    assert ln.Artifact.get(key=f"y/{NFD}") == second
    # A suffix too: a Mac's file goes under the key that was typed.
    accented = write(tmp_path / "a.données".replace("é", "e\u0301"), "3")
    assert ln.Artifact(accented, key="a.données").save().suffix == ".données"


@pytest.mark.req("R11", "R54", "R55")
def test_files_that_differ_only_in_the_form_of_their_characters_stay_two(registry: Registry, tmp_path: Path) -> None:
    root = storage_root(registry)
    one, other = write(root / NFD, "decomposed"), root / NFC
    alone = ln.Artifact(one).save()
    assert (alone.key, alone.path, alone.load()) == (NFC, one, "decomposed")
    write(other, "composed")
    with pytest.raises(errors.InvalidKey, match=r"[Pp]ass key="):
        ln.Artifact(one)
    named = ln.Artifact(other, key="composed.txt").save()
    assert [item.load() for item in (ln.Artifact.get(key=NFC), named)] == ["decomposed", "composed"]


@pytest.mark.req("R40")
def test_keys_that_differ_in_case_are_two_families(lab: Registry, tmp_path: Path) -> None:
    upper = ln.Artifact(write(tmp_path / "a", "1"), key="Data/A").save()
    lower = ln.Artifact(write(tmp_path / "a", "2"), key="data/a").save()
    assert upper.stem_uid != lower.stem_uid
    assert [ln.Artifact.get(key=key).cache().read_text() for key in ("Data/A", "data/a")] == ["1", "2"]


@pytest.mark.req("R11", "R54")
def test_a_path_in_the_storage_whose_name_is_no_key_needs_one(registry: Registry) -> None:
    path = write(storage_root(registry) / "raw/Icon\r", "x")
    before = contents(registry)
    with pytest.raises(errors.InvalidKey, match=r"[Pp]ass key="):
        ln.Artifact(path)
    assert contents(registry) == before
    artifact = ln.Artifact(path, key="raw/icon").save()
    assert artifact.path == path
    with pytest.raises(errors.InvalidArgument, match="root of a storage location"):
        ln.Artifact(storage_root(registry), key="all")


any_name = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(["..", ".", "", "a", "/", "~", "\\", ".lamart", ".LAMART", "%2e%2e", "\0", "b.txt"]))
    .map("/".join),
)  # fmt: skip


@pytest.mark.req("R10", "R11", "R12", "R52")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=any_name)
def test_no_key_leads_out_of_the_storage(sqlite_registry: Registry, tmp_path: Path, key: str) -> None:
    root = storage_root(sqlite_registry)
    source = write(tmp_path / f"source{suffix_of(key)}", "content")
    before = everything(tmp_path, root)
    try:
        artifact = ln.Artifact(source, key=key, key_is_virtual=False, skip_hash_lookup=True)
    except errors.InvalidArgument:
        assert everything(tmp_path, root) == before
        return
    artifact.save()
    try:
        assert artifact.path.is_file()
        assert root.resolve() in artifact.path.resolve().parents
        assert artifact.path.relative_to(root).as_posix() == artifact.key == unicodedata.normalize("NFC", key)
        assert ln.Artifact.get(key=key) == artifact
        assert everything(tmp_path, root) == before
    finally:
        artifact.delete(permanent=True, storage=True)
        # Folders stay, and the next key may be a file of that name.
        for folder in root.iterdir():
            shutil.rmtree(folder) if folder.name != ".lamart" else None


def everything(folder: Path, but: Path) -> set[Path]:
    """Return all files of the test outside of the storage, the database aside."""
    return {path for path in folder.rglob("*") if but not in path.parents and ".db" not in path.name}


@settings(max_examples=300, deadline=None)
@given(relpath=any_name)
def test_no_relative_path_leads_out_of_a_location(relpath: str) -> None:
    for backend, top in ((backend_at("/data/lab"), "/data/lab"), (backend_at("memory://lab"), "memory://lab")):
        try:
            path = backend.path(relpath)
        except errors.InvalidArgument:
            continue
        assert str(path) == top or top in map(str, path.parents)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=st.one_of(st.text(max_size=10), any_name.map(lambda name: "." + name)))
def test_no_suffix_leads_out_of_the_version_store(sqlite_registry: Registry, tmp_path: Path, suffix: str) -> None:
    root = storage_root(sqlite_registry)
    before = everything(tmp_path, root)
    try:
        artifact = create(sqlite_registry, "text", key="x" + suffix, suffix=suffix).artifact
    except (errors.InvalidArgument, errors.UnsupportedObject):
        assert everything(tmp_path, root) == before
        return
    assert artifact.path.parent == root / ".lamart"
    artifact.delete(permanent=True)


@pytest.mark.req("R52", "R247")
@pytest.mark.parametrize("path", ["../outside.txt", "/etc/hostname", "a/../../outside.txt", ".", "a//b", "x\\..\\y"])
def test_a_path_from_the_database_never_leads_out(lab: Registry, tmp_path: Path, path: str) -> None:
    outside = write(tmp_path / "lab/outside.txt", "secret")
    artifact = ln.Artifact(write(tmp_path / "a.txt", "1"), key="a.txt").save()
    statement = update(StoredObject.__table__).values(path=path, size=None)
    lab.unit_of_work(lambda connection: connection.execute(statement).rowcount)
    for read in (artifact.cache, artifact.load, artifact.open, artifact.verify):
        with pytest.raises((errors.LamartError, OSError)):
            read()
    with suppress(errors.LamartError):
        artifact.delete(permanent=True, storage=True)
    assert outside.read_text() == "secret"
    assert not list(tmp_path.rglob("hostname"))


@pytest.mark.req("R57", "R248", "R249")
def test_what_an_object_store_lists_never_leads_out(registry: Registry, tmp_path: Path) -> None:
    with credentials():
        server = shared_server()
        for name in ("../../../../evil", "a/../../evil", "/evil", "a//evil", "./evil"):
            bucket = server.new_bucket()
            backend = backend_at(f"s3://{bucket}?endpoint_url={server.endpoint_url}")
            backend.fs.call_s3("put_object", Bucket=bucket, Key="folder/good.txt", Body=b"good")
            path = UPath(f"s3://{bucket}/folder", endpoint_url=server.endpoint_url)
            artifact = ln.Artifact(path, key=f"named {bucket}").save()
            backend.fs.call_s3("put_object", Bucket=bucket, Key=f"folder/{name}", Body=b"evil")
            with pytest.raises(errors.InvalidArgument, match="evil"):
                ln.Artifact(path, key="other")
            with pytest.raises(errors.InvalidArgument, match="evil"):
                artifact.cache()
    assert not list(tmp_path.rglob("*evil*"))
    assert not [path for path in (tmp_path / "lab/cache").rglob("*") if path.is_file() and path.name != ".lock"]
