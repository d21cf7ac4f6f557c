"""Tables: round trips, types, options, lazy access."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import hypothesis.extra.pandas as hpd
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamart_core import errors
from lamart_core.formats import Format, UnreadableContent, all_formats, for_path, for_suffix
from tests.formats.format_samples import frame, write

TABLES = [f for f in all_formats() if f.otype == "DataFrame" and f.accepts]
SUFFIXES = [s for f in TABLES for s in f.suffixes]
EXACT = [".parquet", ".ipc", ".arrow", ".feather"]
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def of(suffix: str) -> Format:
    found = for_suffix(suffix)
    assert found is not None
    return found


def round_trip(obj: Any, suffix: str, folder: Path, as_type: Any = None) -> Any:
    path = folder / f"x{len(list(folder.iterdir()))}"
    return of(suffix).load(write(obj, path, suffix), suffix=suffix, as_type=as_type)


@quick
@given(df=hpd.data_frames([hpd.column("a", dtype=int), hpd.column("b", elements=st.floats(allow_nan=False))]))
def test_numbers_survive_text(tmp_path_factory: pytest.TempPathFactory, df: pd.DataFrame) -> None:
    loaded = round_trip(df, ".csv", tmp_path_factory.mktemp("t"))
    if len(df):
        pd.testing.assert_frame_equal(loaded.astype({"b": float}), df, check_dtype=False, rtol=1e-15)
    else:
        assert list(loaded.columns) == ["a", "b"]


CASES = {
    "categories without text": pd.DataFrame({"a": pd.Categorical([3, 1, None], categories=[5, 3, 1])}),
    "categories of dates": pd.DataFrame({"a": pd.Categorical(pd.to_datetime(["2020-01-02", "2020-01-01"]))}),
    "categories of truth values": pd.DataFrame({"a": pd.Categorical([True, False], categories=[True, False])}),
    "empty with categories": pd.DataFrame({"a": pd.Categorical([], categories=["z", "x"], ordered=True)}),
    "no value, but categories": pd.DataFrame({"a": pd.Categorical([None], categories=["z", "x"])}),
    "categorical index": pd.DataFrame({"a": [1]}, index=pd.CategoricalIndex([1], categories=[2, 1], name="i")),
    "seconds": pd.DataFrame({"a": pd.Series(pd.to_datetime(["2020-01-01"])).dt.as_unit("s")}),
    "rows without columns": pd.DataFrame(index=pd.RangeIndex(3)),
    "nothing": pd.DataFrame(),
    "names without columns": pd.DataFrame(index=["a", "b"]),
    "numbers as names": pd.DataFrame({1: [1], 2: [2]}),
    "columns of several levels": pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "x")])),
    "intervals": pd.DataFrame({"a": pd.IntervalIndex.from_breaks([0, 1, 2])}),
    "periods": pd.DataFrame({"a": pd.period_range("2020", periods=2, freq="M")}),
    "bytes and lists": pd.DataFrame({"a": [b"\x00"], "b": [[1, 2]]}),
}


@pytest.mark.req("R130")
@pytest.mark.parametrize("suffix", EXACT)
@pytest.mark.parametrize("df", CASES.values(), ids=CASES.keys())
def test_what_parquet_alone_would_lose(df: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
    pd.testing.assert_frame_equal(round_trip(df, suffix, tmp_path), df, check_freq=False)


@pytest.mark.req("R130")
def test_categories_survive_several_row_groups(tmp_path: Path) -> None:
    df = pd.DataFrame({"a": pd.Categorical([1] * 10 + [2] * 10, categories=[3, 2, 1])})
    write(df, tmp_path / "x", ".parquet", parquet_kwargs={"row_group_size": 7})
    assert pq.read_metadata(tmp_path / "x").num_row_groups == 3
    pd.testing.assert_frame_equal(of(".parquet").load(tmp_path / "x", suffix=".parquet"), df)
    table = of(".parquet").load(tmp_path / "x", suffix=".parquet", as_type=pa.Table)
    assert table.to_pandas()["a"].cat.categories.tolist() == [3, 2, 1]
    part = of(".parquet").load(tmp_path / "x", suffix=".parquet", filters=[("a", "==", 2)])
    assert part["a"].cat.categories.tolist() == [3, 2, 1]
    assert len(part) == 10


def test_attrs_survive_or_are_refused(tmp_path: Path) -> None:
    df = pd.DataFrame({"a": pd.Categorical([1])})
    df.attrs = {"source": "plate 7"}
    assert round_trip(df, ".parquet", tmp_path).attrs == {"source": "plate 7"}
    df.attrs = {"source": object()}
    with pytest.raises(errors.UnsupportedObject, match="attrs"):
        write(df, tmp_path / "no", ".parquet")


def test_categorical_column_names(tmp_path: Path) -> None:
    df = pd.DataFrame([[1, 2]], columns=pd.CategoricalIndex(["a", "b"], name="kind"))
    pd.testing.assert_frame_equal(round_trip(df, ".parquet", tmp_path), df)
    assert pd.read_parquet(write(df, tmp_path / "others.parquet", ".parquet")).columns.tolist() == ["a", "b"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz", ".tsv.bz2", ".csv.xz"])
def test_the_index_in_text(suffix: str, tmp_path: Path) -> None:
    counted = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    pd.testing.assert_frame_equal(round_trip(counted, suffix, tmp_path), counted)
    row_names = counted.set_axis(["r1", "r2"])
    pd.testing.assert_frame_equal(round_trip(row_names, suffix, tmp_path), row_names)
    named = row_names.rename_axis("barcode")
    loaded = round_trip(named, suffix, tmp_path)
    pd.testing.assert_frame_equal(loaded, named.reset_index())
    filtered = counted.iloc[1:]
    pd.testing.assert_frame_equal(round_trip(filtered, suffix, tmp_path), filtered, check_index_type=False)


def test_the_caller_decides_about_index_and_separator(tmp_path: Path) -> None:
    df = pd.DataFrame({"a": [1]}, index=["r1"])
    write(df, tmp_path / "x.csv", ".csv", csv_kwargs={"index": False, "sep": ";"})
    assert (tmp_path / "x.csv").read_text() == "a\n1\n"
    write(df, tmp_path / "y.csv", ".csv")
    loaded = of(".csv").load(tmp_path / "y.csv", suffix=".csv", index_col=False)
    assert loaded.columns.tolist() == ["Unnamed: 0", "a"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.req("R118")
def test_all_types_in_and_out(suffix: str, tmp_path: Path) -> None:
    df = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    kinds: list[Any] = [pd.DataFrame, pa.Table, ds.Dataset, pl.DataFrame, pl.LazyFrame]
    arrow, polars = pa.table({"a": [1, 2], "b": ["x", "y"]}), pl.DataFrame(df)
    objects = (df, arrow, polars) if suffix.count(".") == 1 else (df,)
    for number, obj in enumerate((*objects, polars.lazy(), ds.dataset(arrow))):
        path = write(obj, tmp_path / f"{number}{suffix}", suffix)
        for kind in kinds:
            loaded = of(suffix).load(path, suffix=suffix, as_type=kind)
            assert isinstance(loaded, kind)
            if isinstance(loaded, ds.Dataset):
                loaded = loaded.to_table()
            if isinstance(loaded, pl.LazyFrame):
                loaded = loaded.collect()
            assert (loaded["b"].to_pylist() if isinstance(loaded, pa.Table) else list(loaded["b"])) == ["x", "y"]
        assert of(suffix).n_observations(obj) == (2 if number < len(objects) else None)
        assert of(suffix).preview(obj).columns[1].name == "b"


def test_missing_integers_of_arrow_stay_integers_in_text(tmp_path: Path) -> None:
    write(pa.table({"a": [1, None, 3]}), tmp_path / "x.csv", ".csv")
    assert (tmp_path / "x.csv").read_text() == 'a\n1\n""\n3\n'


def test_annotations_are_understood(tmp_path: Path) -> None:
    path = write(frame(), tmp_path / "x", ".parquet")
    load = of(".parquet").load
    assert isinstance(load(path, suffix=".parquet", as_type=pa.Table | None), pa.Table)
    assert isinstance(load(path, suffix=".parquet", as_type=Annotated[pl.DataFrame, "doc"]), pl.DataFrame)
    assert isinstance(load(path, suffix=".parquet", as_type=Any), pd.DataFrame)
    assert load(path, suffix=".parquet", as_type=Path) == path
    with pytest.raises(errors.UnsupportedObject, match=r"pandas\.DataFrame, pyarrow\.Table"):
        load(path, suffix=".parquet", as_type=dict[str, int])


@pytest.mark.req("R119")
def test_parquet_kwargs_reach_the_writer(tmp_path: Path) -> None:
    df = pd.DataFrame({"a": [3, 1, 4, 2], "b": ["c", "a", "d", "b"]}).sort_values(by=["a", "b"])
    sorting = [pq.SortingColumn(0, descending=False, nulls_first=False), pq.SortingColumn(1)]
    write(df, tmp_path / "x.parquet", ".parquet", parquet_kwargs={"sorting_columns": sorting, "compression": "zstd"})
    dataset = of(".parquet").open(tmp_path / "x.parquet", suffix=".parquet")
    group = next(dataset.get_fragments()).metadata.row_group(0)
    assert list(group.sorting_columns) == sorting
    assert group.column(0).compression == "ZSTD"
    pd.testing.assert_frame_equal(of(".parquet").load(tmp_path / "x.parquet", suffix=".parquet"), df)


@pytest.mark.req("R120")
@pytest.mark.parametrize(
    ("suffix", "options", "named"),
    [
        (".csv", {"parquet_kwargs": {"compression": "zstd"}}, "csv_kwargs"),
        (".parquet", {"csv_kwargs": {"sep": ";"}}, "parquet_kwargs"),
        (".parquet", {"csv_kwargs": {}, "parquet_kwargs": {}}, "csv_kwargs"),
        (".parquet", {"parquet_kwargs": {"compresion": "zstd"}}, "compresion"),
        (".parquet", {"parquet_kwargs": {"partition_cols": ["a"]}}, "partition_cols"),
        (".parquet", {"parquet_kwargs": {"engine": "fastparquet"}}, "engine"),
        (".csv", {"csv_kwargs": {"separator": ";"}}, "separator"),
        (".csv", {"csv_kwargs": {"compression": "gzip"}}, "compression"),
        (".csv", {"csv_kwargs": {"path_or_buf": "/tmp/elsewhere"}}, "path_or_buf"),
        (".feather", {"ipc_kwargs": {"level": 3}}, "level"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_writing(
    suffix: str, options: dict[str, Any], named: str, tmp_path: Path
) -> None:
    with pytest.raises(errors.InvalidArgument, match=named):
        of(suffix).check_options(suffix, options)
    with pytest.raises(errors.InvalidArgument, match=named):
        write(frame(), tmp_path / "x", suffix, **options)
    assert list(tmp_path.iterdir()) == []


def test_none_for_options_is_ignored(tmp_path: Path) -> None:
    write(frame(), tmp_path / "x", ".parquet", parquet_kwargs=None, csv_kwargs=None)
    write(frame(), tmp_path / "y", ".feather", ipc_kwargs={"compression": "zstd", "compression_level": 3})
    pd.testing.assert_frame_equal(of(".feather").load(tmp_path / "y", suffix=".feather"), frame())


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
@pytest.mark.parametrize(
    "df",
    [
        pd.DataFrame({"a": [1, "x"]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": [1j]}),
        pd.DataFrame({"a": [object()]}),
    ],
    ids=["mixed", "duplicate names", "complex", "objects"],
)
def test_frames_that_do_not_fit_are_refused_and_leave_nothing(df: pd.DataFrame, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedObject, match=r"DataFrame|column"):
        write(df, tmp_path / "x", suffix)
    assert list(tmp_path.iterdir()) == []


def test_writing_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("precious")
    with pytest.raises(errors.ObjectExists):
        write(frame(), tmp_path / "x", ".parquet")
    assert (tmp_path / "x").read_text() == "precious"


@pytest.mark.req("R110", "R111")
def test_counting_without_reading(tmp_path: Path) -> None:
    for suffix, expected in (
        (".parquet", 4),
        (".feather", 4),
        (".orc", 4),
        (".csv", None),
        (".tsv.gz", None),
        (".jsonl", None),
    ):
        path = write(frame(), tmp_path / f"x{suffix}", suffix)
        assert for_path(path, suffix).count_observations(path, suffix=suffix) == expected
    path = write(frame().iloc[:0], tmp_path / "empty.feather", ".feather")
    assert of(".feather").count_observations(path, suffix=".feather") == 0


@pytest.mark.req("R238", "R239", "R244")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_open_with_both_engines(suffix: str, tmp_path: Path) -> None:
    df = pd.DataFrame({"a": range(5), "b": list("vwxyz")})
    path = write(df, tmp_path / f"x{suffix}", suffix)
    dataset = of(suffix).open(path, suffix=suffix)
    assert isinstance(dataset, ds.Dataset)
    assert dataset.to_table(filter=ds.field("a") > 2)["b"].to_pylist() == ["y", "z"]
    with of(suffix).open(path, suffix=suffix, engine="polars") as lazy:
        assert isinstance(lazy, pl.LazyFrame)
        assert lazy.filter(pl.col("a") > 2).collect()["b"].to_list() == ["y", "z"]


@pytest.mark.req("R239", "R241")
@pytest.mark.parametrize(
    ("options", "named"), [({"engine": "dask"}, "pyarrow"), ({"mode": "w"}, "'r'"), ({"mode": "r+"}, "'r'")]
)
def test_open_refuses_other_engines_and_modes(options: dict[str, str], named: str, tmp_path: Path) -> None:
    path = write(frame(), tmp_path / "x", ".parquet")
    with pytest.raises(ValueError, match=named):
        of(".parquet").open(path, suffix=".parquet", **options)


@pytest.mark.req("R239", "R244")
def test_tables_are_opened_on_remote_storage() -> None:
    from upath import UPath

    folder = UPath("memory://lamart-formats")
    folder.mkdir(exist_ok=True, parents=True)
    for suffix in (".parquet", ".csv"):
        (folder / f"x{suffix}").write_bytes(frame().to_parquet() if suffix == ".parquet" else b"a,b\n1,x\n")
        remote = folder / f"x{suffix}"
        rows = of(suffix).open(remote, suffix=suffix).count_rows()
        with of(suffix).open(remote, suffix=suffix, engine="polars") as lazy:
            assert len(lazy.collect()) == rows > 0
    assert of(".parquet").count_observations(folder / "x.parquet", suffix=".parquet") == 4


@pytest.mark.req("R245")
def test_options_reach_the_readers(tmp_path: Path) -> None:
    path = write(frame(), tmp_path / "x", ".parquet")
    assert of(".parquet").load(path, suffix=".parquet", columns=["count"]).columns.tolist() == ["count"]
    path = write(frame(), tmp_path / "y", ".csv")
    assert len(of(".csv").load(path, suffix=".csv", nrows=2)) == 2
    with pytest.raises(errors.InvalidArgument, match="nonsense"):
        of(".csv").load(path, suffix=".csv", nonsense=1)
    with pytest.raises(errors.InvalidArgument):
        of(".csv").load(path, suffix=".csv", usecols=["no such column"])


def test_a_single_file_below_a_folder_that_looks_like_a_partition(tmp_path: Path) -> None:
    (tmp_path / "year=2024").mkdir()
    path = write(pd.DataFrame({"a": [1]}), tmp_path / "year=2024" / "x.parquet", ".parquet")
    for kind in (pd.DataFrame, pa.Table, pl.DataFrame):
        loaded = of(".parquet").load(path, suffix=".parquet", as_type=kind)
        assert (loaded.column_names if isinstance(loaded, pa.Table) else list(loaded.columns)) == ["a"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_preview_of_objects_and_files(suffix: str, tmp_path: Path) -> None:
    df = pd.DataFrame({"a": range(100), "b": ["x|y\n<script>"] * 100}, index=[f"r{i}" for i in range(100)])
    shown = of(suffix).preview(df)
    assert shown.row_count == 100
    assert shown.shape == (100, 2)
    assert [(c.name, c.type) for c in shown.columns] == [("a", "int64"), ("b", "object")]
    assert "<script>" not in shown.markdown
    assert len(shown.markdown.splitlines()) == 12
    path = write(df, tmp_path / f"x{suffix}", suffix)
    stored = of(suffix).preview(path, suffix=suffix)
    assert stored.markdown == shown.markdown
    assert [c.name for c in stored.columns] == ["a", "b"]


def test_preview_of_wide_and_of_other_tables() -> None:
    wide = of(".parquet").preview(pd.DataFrame([range(100)]))
    assert "80 more columns" in wide.markdown
    for obj in (pa.table({"a": [1]}), pl.DataFrame({"a": [1]})):
        shown = of(".parquet").preview(obj)
        assert (shown.row_count, shown.shape) == (1, (1, 1))
        assert [(c.name, c.type) for c in shown.columns] == [("a", "int64")]


def test_unreadable_content_is_an_integrity_and_a_value_error(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"no table")
    with pytest.raises(UnreadableContent, match="parquet") as caught:
        of(".parquet").load(tmp_path / "x.parquet", suffix=".parquet")
    assert isinstance(caught.value, errors.IntegrityError)
    assert isinstance(caught.value, ValueError)
