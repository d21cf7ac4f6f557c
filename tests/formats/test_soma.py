"""TileDB-SOMA stores: what they mean decides what is equal, and they are opened where they lie."""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tiledbsoma
import tiledbsoma.io
from hypothesis import given, settings
from hypothesis import strategies as st

import lamart_core as ln
from lamart_core import errors
from lamart_core.care import check_registry
from lamart_core.db import Registry
from lamart_core.formats import Format, UnreadableContent, for_suffix
from lamart_core.formats.soma import digest as digests
from lamart_core.hashing import hash_bytes
from tests.formats.format_samples import adata, fingerprint
from tests.formats.soma_stores import SCHEMA, table, write
from tests.registries import contents, lab, registry, sqlite_registry
from tests.storage.s3_server import S3Server, s3

__all__ = ["lab", "registry", "s3", "sqlite_registry"]


def soma() -> Format:
    found = for_suffix(".tiledbsoma")
    assert found is not None
    return found


def value(path: Path) -> str:
    digest = soma().content_digest(path)
    assert digest is not None
    assert digest.is_exact
    return digest.value


# ---------------------------------------------------------------------- what is equal


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("store") / "s.tiledbsoma", metadata={"who": "é", "n": 1})


# Tiles of two columns: TileDB's own order is then not that of the rows.
CREATE = {"capacity": 3, "dims": {"soma_dim_1": {"tile": 2}}, "sparse_nd_array_dim_zstd_level": 9}
PLATFORM = {"tiledb": {"create": CREATE}}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pieces": 3},
        {"metadata": {"n": 1, "who": "é"}},
        {"platform": PLATFORM},
    ],
    ids=["again", "fragments-in-another-order", "metadata-in-another-order", "other-tiles-and-compression"],
)
def test_equal_content_has_an_equal_digest(store: Path, options: dict[str, Any], tmp_path: Path) -> None:
    other = write(tmp_path / "o.tiledbsoma", **{"metadata": {"who": "é", "n": 1}, **options})
    assert fingerprint(other) != fingerprint(store)
    assert value(other) == value(store)


def wells(path: Path, tile: int) -> Path:
    """A table with two index columns: their tiles decide in which order TileDB has its rows."""
    schema = pa.schema([(name, pa.int64()) for name in ("soma_joinid", "row", "column")])
    create = {"dims": {name: {"tile": tile} for name in ("row", "column")}}
    cells = list(itertools.product(range(4), range(4)))
    columns = [range(16), [row for row, _ in cells], [column for _, column in cells]]
    with tiledbsoma.Collection.create(str(path)) as plate:
        made = plate.add_new_dataframe(
            "wells",
            schema=schema,
            index_column_names=["row", "column"],
            domain=[(0, 3), (0, 3)],
            platform_config={"tiledb": {"create": create}},
        )
        made.write(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
    return path


def test_rows_count_in_the_order_of_the_index_columns(tmp_path: Path) -> None:
    one, two = wells(tmp_path / "one.tiledbsoma", 4), wells(tmp_path / "two.tiledbsoma", 2)
    with tiledbsoma.open(str(one / "wells")) as first, tiledbsoma.open(str(two / "wells")) as second:
        assert not first.read().concat().equals(second.read().concat())
    assert value(one) == value(two)


def test_the_canonical_form_is_the_documented_one(tmp_path: Path) -> None:
    """Digests are kept for years: no version may take another order, or other parts."""

    def framed(*parts: tuple[str, str]) -> str:
        raw = [text.encode() for part in parts for text in part]
        return hash_bytes(b"".join(len(text).to_bytes(8, "little") + text for text in raw)).value

    def integers(values: list[int]) -> tuple[str, str]:
        streams = (b"\1" * len(values), b"", np.array(values, "<i8").tobytes())
        return "values", ":".join([str(len(values)), *(hash_bytes(stream).value for stream in streams)])

    def metadata(kind: str) -> list[tuple[str, str]]:
        # Of the encoding of SOMA.
        texts = {"soma_encoding_version": "1.1.0", "soma_object_type": kind}
        pairs = [(("metadata", name), ("value", f"str:{text!r}")) for name, text in texts.items()]
        return [("type", kind), *itertools.chain(*pairs)]

    fields = {"row": "required", "column": "required", "soma_joinid": "nullable"}
    cells = list(itertools.product(range(4), range(4)))
    rows = framed(
        *metadata("SOMADataFrame"),
        ("index", "(str:'row',str:'column')"),
        ("domain", "((int:0,int:3),(int:0,int:3))"),
        *itertools.chain(*((("column", name), (null, "int64")) for name, null in fields.items())),
        integers([row for row, _ in cells]),
        integers([column for _, column in cells]),
        integers(list(range(16))),
    )
    expected = framed(*metadata("SOMACollection"), ("member", "wells"), ("content", rows))
    assert value(wells(tmp_path / "s.tiledbsoma", 2)) == expected


def test_another_process_gets_the_same_digest(tmp_path: Path) -> None:
    other = tmp_path / "other.tiledbsoma"
    program = [sys.executable, "-m", "tests.formats.soma_stores", str(other)]
    subprocess.run(program, check=True, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": "7"})
    assert value(other) == value(write(tmp_path / "here.tiledbsoma"))


def reordered() -> Any:
    indices, categories = pa.array([1, 0, None, 0, 1, 1], pa.int8()), pa.array(["B", "T"], pa.large_string())
    return pa.DictionaryArray.from_arrays(indices, categories)


def ordered() -> Any:
    kind = pa.dictionary(pa.int8(), pa.large_string(), ordered=True)
    return SCHEMA.set(1, pa.field("cell", kind)), table(cell=table().column("cell").combine_chunks().cast(kind))


CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "a value": lambda: {"obs": table(score=[1.5, None, float("nan"), -0.0, 0.0, 2e300])},
    "the sign of zero": lambda: {"obs": table(score=[1.5, None, float("nan"), 0.0, 0.0, 1e300])},
    "a null that is nothing": lambda: {"obs": table(größe=["ä", "", "", "測", "x", "longer text"])},
    "a border between texts": lambda: {"obs": table(größe=["", "ä", None, "測", "x", "longer text"])},
    "a null that is zero": lambda: {"obs": table(score=[1.5, 0.0, float("nan"), -0.0, 0.0, 1e300])},
    "a false that is true": lambda: {"obs": table(ok=[True, None, True, True, True, False])},
    "a time": lambda: {"obs": table(when=pa.array([1, None, 3, 4, 5, 7], pa.timestamp("us")))},
    "the order of categories": lambda: {"obs": table(cell=reordered())},
    "that categories are ordered": lambda: dict(zip(("schema", "obs"), ordered(), strict=True)),
    "a row less": lambda: {"obs": table().slice(0, 5)},
    "the number of a row": lambda: {"obs": table(soma_joinid=[0, 1, 2, 3, 4, 6])},
    "the domain": lambda: {"domain": 8},
    "the name of a column": lambda: {
        "schema": SCHEMA.set(3, pa.field("points", pa.float64())),
        "obs": table().rename_columns(["soma_joinid", "cell", "größe", "points", "ok", "when"]),
    },
    "the type of a column": lambda: {
        "schema": SCHEMA.set(3, pa.field("score", pa.float32())),
        "obs": table(score=pa.array([1.5, None, float("nan"), -0.0, 0.0, 1e300], pa.float32())),
    },
    "the name of a measurement": lambda: {"measurement": "rna"},
    "a count": lambda: {"counts": ((0, 0, 1.0), (3, 2, 2.0), (5, 1, 0.0))},
    "a coordinate": lambda: {"counts": ((0, 0, 1.0), (3, 3, 2.5), (5, 1, 0.0))},
    "a stored zero": lambda: {"counts": ((0, 0, 1.0), (3, 2, 2.5))},
    "a dense value": lambda: {"dense": np.arange(1, 13, dtype="int32").reshape(3, 4)},
    "a dense shape": lambda: {"dense": np.arange(12, dtype="int32").reshape(4, 3)},
    "metadata": lambda: {"metadata": {"who": "é", "n": 2}},
    "the type of metadata": lambda: {"metadata": {"who": "é", "n": 1.0}},
    "the name of metadata": lambda: {"metadata": {"who": "é", "m": 1}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_changes_the_digest(store: Path, change: str, tmp_path: Path) -> None:
    other = write(tmp_path / "o.tiledbsoma", **{"metadata": {"who": "é", "n": 1}, **CHANGES[change]()})
    assert value(other) != value(store)


COLUMNS = st.one_of(
    st.lists(st.none() | st.text(max_size=4), max_size=12).map(lambda v: pa.array(v, pa.large_string())),
    st.lists(st.none() | st.text(max_size=4), max_size=12).map(lambda v: pa.array(v, pa.string())),
    st.lists(st.none() | st.binary(max_size=4), max_size=12).map(lambda v: pa.array(v, pa.large_binary())),
    st.lists(st.none() | st.integers(-128, 127), max_size=12).map(lambda v: pa.array(v, pa.int8())),
    st.lists(st.none() | st.booleans(), max_size=12).map(lambda v: pa.array(v, pa.bool_())),
    st.lists(st.none() | st.sampled_from("abc"), max_size=12).map(lambda v: pa.array(v).dictionary_encode()),
)


@settings(max_examples=30, deadline=None)
@given(COLUMNS, st.lists(st.integers(0, 12), max_size=4), st.integers(0, 3))
def test_how_a_column_is_cut_into_chunks_does_not_matter(column: Any, cuts: list[int], offset: int) -> None:
    whole, cut = digests._Stream(), digests._Stream()
    whole.update(column)
    bounds = [0, *sorted(min(c, len(column)) for c in cuts), len(column)]
    padded = pa.concat_arrays([column.slice(0, min(offset, len(column))), column])  # so that slices have offsets
    for start, end in itertools.pairwise(bounds):
        cut.update(padded.slice(len(padded) - len(column) + start, end - start))
    assert cut.value() == whole.value()


def test_what_lies_under_a_null_does_not_matter() -> None:
    mask = pa.array([True, False]).buffers()[1]
    streams = [digests._Stream(), digests._Stream()]
    for stream, hidden in zip(streams, (b"xy", b"xz"), strict=True):
        offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
        stream.update(pa.Array.from_buffers(pa.string(), 2, [mask, offsets, pa.py_buffer(hidden)]))
    assert streams[0].value() == streams[1].value()


def test_large_dense_arrays_are_read_in_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path / "d.tiledbsoma", dense=np.arange(60, dtype="int16").reshape(3, 4, 5))
    whole = value(path)
    for most in (3, 7, 25):
        monkeypatch.setattr(digests, "_DENSE_VALUES_AT_ONCE", most)
        assert value(path) == whole


# ---------------------------------------------------------------------- artifacts


@pytest.mark.req("R106", "R109", "R110", "R147", "R240")
def test_two_stores_of_equal_content_are_one_artifact(lab: Registry, tmp_path: Path) -> None:
    first = write(tmp_path / "first.tiledbsoma")
    with tiledbsoma.open(str(first)) as experiment:
        artifact = ln.Artifact.from_tiledbsoma(experiment, key="x.tiledbsoma").save()
    assert (artifact.otype, artifact.n_observations, artifact.kind) == ("tiledbsoma", 6, "dataset")
    assert artifact.n_files == len(fingerprint(first))
    again = ln.Artifact.from_tiledbsoma(f"file://{write(tmp_path / 'again.tiledbsoma', pieces=3)}", key="x.tiledbsoma")
    assert again.save() == artifact
    shutil.rmtree(first)
    assert artifact.verify()
    assert check_registry(lab, verify=True).findings == ()
    with artifact.open() as opened:
        assert isinstance(opened, tiledbsoma.Experiment)
        assert next(iter(opened.obs.read(column_names=["größe"])))["größe"].to_pylist()[3] == "測"
    assert value(artifact.cache()) == value(tmp_path / "again.tiledbsoma")
    changed = ln.Artifact(write(tmp_path / "changed.tiledbsoma", domain=8), key="x.tiledbsoma").save()
    assert (changed.otype, changed.stem_uid, changed.is_latest) == ("tiledbsoma", artifact.stem_uid, True)
    assert changed.uid != artifact.uid


@pytest.mark.req("R147")
def test_a_damaged_store_is_found(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact(write(tmp_path / "x.tiledbsoma"), key="x.tiledbsoma").save()
    stored = Path(artifact.path)
    data = next(path for path in stored.glob("ms/RNA/X/data/__fragments/*/a0.tdb"))
    data.chmod(0o644)
    data.write_bytes(bytes(data.stat().st_size))
    with pytest.raises(errors.ContentMismatch):
        artifact.verify()
    assert len(check_registry(sqlite_registry, verify=True).findings) == 1


def test_equal_content_of_other_sizes_in_all_places(sqlite_registry: Registry, tmp_path: Path) -> None:
    one, other = write(tmp_path / "one.tiledbsoma"), write(tmp_path / "other.tiledbsoma", pieces=3)
    first = ln.Artifact(one, key="a.tiledbsoma").save()
    # Stored under a second name: the bytes are those of the first.
    second = ln.Artifact(other, key="b.tiledbsoma", skip_hash_lookup=True).save()
    assert (second.object_id, second.size, second.n_files) == (first.object_id, first.size, first.n_files)
    assert second.verify()
    # Bytes that are gone are stored again, as those that the caller has.
    shutil.rmtree(first.path)
    repaired = ln.Artifact(other, key="a.tiledbsoma").save()
    assert repaired == second
    for artifact in (repaired, ln.Artifact.get(first.uid)):
        assert artifact.n_files == len(fingerprint(other))
        assert artifact.verify()
    assert check_registry(sqlite_registry, verify=True).findings == ()


def test_a_store_in_place_that_was_consolidated_is_the_same_artifact(sqlite_registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "outside"
    folder.mkdir()
    ln.Storage(folder).save()
    path = write(folder / "x.tiledbsoma", pieces=3)
    artifact = ln.Artifact(path).save()
    assert artifact.path == path
    shutil.rmtree(path)
    write(path)
    with pytest.raises(errors.ContentMismatch):
        artifact.verify()
    again = ln.Artifact(path).save()
    assert again == artifact
    assert again.n_files == len(fingerprint(path))
    assert artifact.verify()
    assert check_registry(sqlite_registry, verify=True).findings == ()


@pytest.mark.req("R244")
@pytest.mark.parametrize("keeps", [False, True])
def test_versions_that_are_kept_can_be_opened_too(
    keeps: bool, sqlite_registry: Registry, s3: S3Server, tmp_path: Path
) -> None:
    storage = ln.Storage(s3.new_root()).save()
    path = write(tmp_path / "x.tiledbsoma")
    artifact = ln.Artifact(path, key="x.tiledbsoma", storage=storage, overwrite_versions=not keeps).save()
    with artifact.open() as opened:
        assert opened.obs.count == 6
        assert opened.uri.startswith("s3://") is not keeps
        moment = opened.tiledb_timestamp_ms
    with artifact.open(tiledb_timestamp=moment) as opened:
        assert opened.tiledb_timestamp_ms == moment
    assert artifact.verify()


def test_moving_to_where_equal_content_lies(sqlite_registry: Registry, s3: S3Server, tmp_path: Path) -> None:
    bucket = ln.Storage(s3.new_root()).save()
    one, other = write(tmp_path / "one.tiledbsoma"), write(tmp_path / "other.tiledbsoma", pieces=3)
    artifact = ln.Artifact(one, key="x.tiledbsoma").save()
    there = ln.Artifact(other, key="y.tiledbsoma", storage=bucket, skip_hash_lookup=True).save()
    artifact.storage = bucket
    artifact.save()
    assert (artifact.object_id, artifact.n_files) == (there.object_id, there.n_files)
    assert check_registry(sqlite_registry, verify=True).findings == ()


@pytest.mark.req("R247")
@pytest.mark.req("R93")
def test_files_of_equal_content_take_the_place_of_those_that_are_lost(
    sqlite_registry: Registry, s3: S3Server, tmp_path: Path
) -> None:
    storage = ln.Storage(s3.new_root()).save()

    def save(name: str, key: str = "x.tiledbsoma", **how: Any) -> ln.Artifact:
        return ln.Artifact(write(tmp_path / name, **how), key=key, storage=storage, overwrite_versions=False).save()

    def files() -> list[str]:
        return [file for file in storage.backend.fs.find(storage.backend.url(".lamart")) if "storage_uid" not in file]

    first = save("1.tiledbsoma")
    second = save("2.tiledbsoma", metadata={"who": "me"})
    for file in files():
        storage.backend.fs.rm_file(file)
    # Other fragments and other names: file by file nothing is equal.
    again = save("3.tiledbsoma", pieces=3)
    assert again == first
    assert again.verify()
    with pytest.raises(errors.LamartError):
        second.verify()
    kept = {path.read_bytes() for path in (tmp_path / "3.tiledbsoma").rglob("*") if path.is_file()} - {b""}
    assert len(files()) == len(kept)
    assert again.size == ln.Artifact.get(first.uid).size != first.size
    assert save("4.tiledbsoma", metadata={"who": "me"}) == second
    for artifact in (first.refresh(), second.refresh()):
        assert artifact.verify()
        assert artifact.size == sum(path.stat().st_size for path in artifact.cache().rglob("*") if path.is_file())
    for artifact in (first, second):
        artifact.delete(permanent=True)
    assert files() == []
    assert check_registry(sqlite_registry).is_clean


def test_a_damaged_copy_in_the_cache_is_fetched_again(sqlite_registry: Registry, s3: S3Server, tmp_path: Path) -> None:
    path, storage = write(tmp_path / "x.tiledbsoma"), ln.Storage(s3.new_root()).save()
    artifact = ln.Artifact(path, key="x.tiledbsoma", storage=storage).save()
    sqlite_registry.settings.verify_on_read = True

    def damage(folder: Path) -> None:
        data = next(folder.glob("obs/__fragments/*/a2.tdb"))
        data.chmod(0o644)
        data.write_bytes(bytes(data.stat().st_size))

    cached = artifact.cache()
    damage(cached)
    assert value(artifact.cache()) == value(path)
    damage(path)
    for file in fingerprint(path):
        s3.client.upload_file(str(path / file), *_bucket_and_key(f"{artifact.path}/{file}"))
    shutil.rmtree(artifact.cache())
    with pytest.raises(errors.ContentMismatch):
        artifact.cache()


def _bucket_and_key(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


@pytest.mark.req("R106", "R110", "R147")
def test_a_remote_store_is_registered_where_it_lies(sqlite_registry: Registry, s3: S3Server, tmp_path: Path) -> None:
    bucket, path = s3.new_bucket(), write(tmp_path / "x.tiledbsoma")
    for name in fingerprint(path):
        s3.client.upload_file(str(path / name), bucket, f"lab/x.tiledbsoma/{name}")
    uri = f"s3://{bucket}/lab/x.tiledbsoma"
    config = {
        "vfs.s3.endpoint_override": s3.endpoint_url.removeprefix("http://"),
        "vfs.s3.scheme": "http",
        "vfs.s3.use_virtual_addressing": "false",
        "vfs.s3.region": "us-east-1",
    }
    context = tiledbsoma.SOMATileDBContext(tiledb_config=config)
    with tiledbsoma.open(uri, context=context) as experiment:
        artifact = ln.Artifact.from_tiledbsoma(experiment, run=False).save()
    assert (artifact.key, artifact.otype, artifact.n_observations) == ("lab/x.tiledbsoma", "tiledbsoma", 6)
    assert str(artifact.path) == uri
    with artifact.open() as opened:
        assert opened.obs.count == 6
    by_address = ln.Artifact(f"{uri}?endpoint_url={s3.endpoint_url}", run=False)
    assert (by_address.otype, by_address.n_observations) == ("tiledbsoma", 6)


def test_credentials_reach_tiledb_when_a_store_is_opened(
    sqlite_registry: Registry, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamart_core.formats.arrays.tiledb_context import tiledb_config

    asked: list[int] = []

    def options() -> dict[str, str]:
        asked.append(1)
        return {"key": f"key{len(asked)}", "secret": "s", "token": "t"}

    root = s3.new_root()
    sqlite_registry.set_storage_options(root, options)
    storage = ln.Storage(root).save()
    path = storage.backend.path("x.tiledbsoma")
    config = tiledb_config(path)
    assert config["vfs.s3.aws_access_key_id"] == f"key{len(asked)}"
    assert (config["vfs.s3.aws_secret_access_key"], config["vfs.s3.aws_session_token"]) == ("s", "t")
    assert config["vfs.s3.scheme"] + "://" + config["vfs.s3.endpoint_override"] == s3.endpoint_url  # type: ignore[operator]


# ---------------------------------------------------------------------- writing


def cells(first: int, count: int) -> ad.AnnData:
    names = [f"c{i}" for i in range(first, first + count)]
    values = np.arange(count * 3, dtype="float32").reshape(count, 3)
    return ad.AnnData(values, obs=pd.DataFrame({"n": range(count)}, index=names))


@pytest.mark.req("R147", "R240", "R241", "R242")
def test_what_is_appended_is_the_next_version(lab: Registry, tmp_path: Path) -> None:
    path = str(tmp_path / "x.tiledbsoma")
    tiledbsoma.io.from_anndata(path, cells(0, 4), "RNA")
    first = ln.Artifact.from_tiledbsoma(path, key="x.tiledbsoma", overwrite_versions=False).save()
    before = contents(lab)
    with first.open("w") as experiment:
        assert isinstance(experiment, tiledbsoma.Experiment)
        more = cells(4, 2)
        names = {"measurement_name": "RNA", "obs_field_name": "obs_id", "var_field_name": "var_id"}
        mapping = tiledbsoma.io.register_anndatas(experiment.uri, [more], **names)
        mapping.prepare_experiment(experiment.uri)
        tiledbsoma.io.from_anndata(experiment.uri, more, "RNA", registration_mapping=mapping)
        assert contents(lab).artifacts == before.artifacts
    second = ln.Artifact.get(key="x.tiledbsoma")
    assert (second.stem_uid, second.otype, second.n_observations) == (first.stem_uid, "tiledbsoma", 6)
    loaded = second.load(as_type=ad.AnnData)
    assert loaded.obs["n"].tolist() == [0, 1, 2, 3, 0, 1]
    assert first.refresh().load(as_type=ad.AnnData).n_obs == 4
    assert (first.verify(), second.verify()) == (True, True)


@pytest.mark.req("R242")
def test_only_changes_that_were_closed_are_saved(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = ln.Artifact(write(tmp_path / "x.tiledbsoma"), key="x.tiledbsoma").save()
    before = contents(sqlite_registry)
    for value in (None, "same", "discarded", "collected"):
        opened = artifact.open("w")
        if value == "same":  # written again, as it was
            opened.obs.write(table())
        if value in ("discarded", "collected"):
            opened.metadata["who"] = value
        if value == "discarded":
            with pytest.raises(KeyError), opened:
                raise KeyError
        if value in (None, "same"):
            opened.close()
            assert opened.closed
        del opened
        gc.collect()
        assert contents(sqlite_registry) == before, value
    opened = artifact.open("w")
    opened.metadata["who"] = "me"
    opened.close()
    opened.close()
    latest = ln.Artifact.get(key="x.tiledbsoma")
    assert latest != artifact
    with latest.open() as stored:
        assert stored.metadata["who"] == "me"
        with pytest.raises(tiledbsoma.SOMAError):
            stored.metadata["who"] = "nobody"
    with pytest.raises(ValueError, match="'r' or 'w'"):
        latest.open("r+")


# ---------------------------------------------------------------------- what is refused, loaded and shown


@pytest.mark.req("R147")
def test_what_is_no_experiment_is_refused(sqlite_registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n1\n")
    for data in (adata(), 3, None, tmp_path / "x.csv"):
        with pytest.raises(ValueError, match="tiledbsoma"):
            ln.Artifact.from_tiledbsoma(data, key="x.tiledbsoma")  # type: ignore[arg-type]
    with (
        tiledbsoma.Experiment.create(str(tmp_path / "open.tiledbsoma")) as experiment,
        pytest.raises(ValueError, match="open for writing"),
    ):
        ln.Artifact.from_tiledbsoma(experiment, key="x.tiledbsoma")
    assert ln.Artifact.filter().count() == 0


def test_a_store_that_refers_to_arrays_elsewhere_is_refused(sqlite_registry: Registry, tmp_path: Path) -> None:
    write(tmp_path / "other.tiledbsoma")
    path = tmp_path / "x.tiledbsoma"
    with (
        tiledbsoma.Experiment.create(str(path)) as experiment,
        tiledbsoma.open(str(tmp_path / "other.tiledbsoma" / "obs")) as obs,
    ):
        experiment.set("obs", obs, use_relative_uri=False)
    with pytest.raises(UnreadableContent, match=r"'obs'.*use_relative_uri"):
        ln.Artifact(path, key="x.tiledbsoma")


@pytest.mark.parametrize("damage", ["empty", "text", "schema", "cut"])
def test_damaged_stores_are_typed_errors(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "x.tiledbsoma"
    if damage in ("empty", "text"):
        path.mkdir()
        (path / "x.txt").write_text("text" if damage == "text" else "")
    else:
        write(path)
        pattern = "obs/__schema/__[0-9]*" if damage == "schema" else "obs/__fragments/*/*.tdb"
        for file in path.glob(pattern):
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableContent):
        soma().content_digest(path)
    if damage != "cut":
        with pytest.raises(UnreadableContent):
            soma().count_observations(path, suffix=".tiledbsoma")
    if damage in ("empty", "text"):
        for use in (soma().open, soma().preview):
            with pytest.raises(UnreadableContent):
                use(path, suffix=".tiledbsoma")


def test_loading_needs_a_type(tmp_path: Path) -> None:
    path = tmp_path / "x.tiledbsoma"
    original = adata()
    tiledbsoma.io.from_anndata(str(path), original, "RNA")
    with pytest.raises(errors.NoLoader, match=r"\.open\(\)"):
        soma().load(path, suffix=".tiledbsoma")
    loaded = soma().load(path, suffix=".tiledbsoma", as_type=ad.AnnData)
    np.testing.assert_array_equal(loaded.X.toarray(), original.X.toarray())  # type: ignore[union-attr]
    assert loaded.obs["label"].astype(str).tolist() == original.obs["label"].tolist()
    with soma().load(path, suffix=".tiledbsoma", as_type=tiledbsoma.Experiment) as experiment:
        assert experiment.mode == "r"
    with pytest.raises(errors.UnsupportedObject, match="Experiment"):
        soma().load(path, suffix=".tiledbsoma", as_type=tiledbsoma.Measurement)


def test_a_preview_shows_names_and_shapes(tmp_path: Path) -> None:
    shown = soma().preview(write(tmp_path / "x.tiledbsoma"))
    assert (shown.row_count, [column.name for column in shown.columns][:3]) == (6, ["soma_joinid", "cell", "größe"])
    for expected in ("6 observations", "ms/RNA", "data 10 × 4 float", "dense 3 × 4 int32"):
        assert expected in shown.markdown


def test_hashing_works_in_a_forked_process(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tiledbsoma")
    expected = value(path)  # starts TileDB's threads in this process
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, value(path).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == expected
    os.waitpid(child, 0)
