import base64
import re
from pathlib import Path
from typing import Any

import anndata as ad
import dagster as dg
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from upath import UPath

import lamart_core as ln
from lamart_core.errors import InvalidArgument, PathNotFound, UnsupportedObject
from lamart_core.formats import AnnDataAccessor, BackedAnnData
from lamart_dagster import LamartIOManager, LamartRegistry
from tests.dagster.conftest import Lab
from tests.registries import write
from tests.tools import FULL, hide_renderers

TABLE = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]})


def test_a_materialization_is_a_version_made_by_the_run_of_its_step(lab: Lab) -> None:
    @dg.asset(description="The raw counts.")
    def raw() -> pd.DataFrame:
        return TABLE

    result = lab.run(raw)
    artifact = lab.latest("raw.parquet")
    assert artifact.run == lab.step_run(result, "raw")
    assert artifact.run.initiated_by_run.external_id == result.run_id
    assert artifact.transform.key == "raw"
    assert artifact.description == "The raw counts."
    assert artifact.n_observations == 3
    pd.testing.assert_frame_equal(artifact.load(), TABLE)


@pytest.mark.req("R276")
def test_what_a_step_loads_becomes_its_input(lab: Lab) -> None:
    @dg.asset
    def raw() -> pd.DataFrame:
        return TABLE

    @dg.asset
    def rows(raw: pd.DataFrame) -> int:
        return len(raw)

    result = lab.run(raw, rows)
    assert lab.step_run(result, "rows").input_artifacts.to_list() == [lab.latest("raw.parquet")]
    assert lab.latest("rows.json").load() == 3


def test_the_ui_gets_identity_columns_rows_preview_and_inputs(lab: Lab) -> None:
    @dg.asset
    def raw() -> pd.DataFrame:
        return TABLE

    @dg.asset
    def doubled(raw: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([raw, raw], ignore_index=True)

    lab.run(raw, doubled)
    shown = lab.metadata("doubled")
    artifact, upstream = lab.latest("doubled.parquet"), lab.latest("raw.parquet")
    assert shown["dagster/row_count"] == 6
    assert [column.name for column in shown["dagster/column_schema"].columns] == ["a", "b"]
    assert shown["dagster/uri"] == str(artifact.path)
    assert (shown["lamart/uid"], shown["lamart/version"]) == (artifact.uid, "0000")
    assert (shown["lamart/hash"], shown["lamart/size"]) == (artifact.hash, artifact.size)
    assert shown["lamart/outcome"] == "created"
    assert "| a | b |" in shown["lamart/preview"].replace("  ", " ")
    (row,) = shown["lamart/inputs"].records
    assert row.data == {
        "input": "raw",
        "partition": "",
        "version": "0000",
        "uid": upstream.uid,
        "key": "raw.parquet",
        "pinned": False,
    }


def test_what_the_asset_says_of_itself_wins(lab: Lab) -> None:
    @dg.asset
    def raw() -> dg.Output[pd.DataFrame]:
        return dg.Output(TABLE, metadata={"dagster/row_count": 99}, data_version=dg.DataVersion("mine"))

    lab.run(raw)
    assert lab.metadata("raw")["dagster/row_count"] == 99
    assert lab.data_version("raw") == "mine"


def test_a_data_version_set_in_the_body_wins(lab: Lab) -> None:
    @dg.asset
    def raw(context: dg.AssetExecutionContext) -> pd.DataFrame:
        context.set_data_version(dg.AssetKey("raw"), dg.DataVersion("set inside"))
        return TABLE

    lab.run(raw)
    assert lab.data_version("raw") == "set inside"


def test_column_lineage_that_an_asset_states_is_shown_with_versions(lab: Lab) -> None:
    @dg.asset
    def raw() -> pd.DataFrame:
        return TABLE

    lineage = dg.TableColumnLineage({"n": [dg.TableColumnDep(dg.AssetKey("raw"), "a")]})

    @dg.asset(metadata={"dagster/column_lineage": lineage})
    def counts(raw: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"n": raw["a"]})

    lab.run(raw, counts)
    (row,) = lab.metadata("counts")["lamart/column_lineage"].records
    assert row.data["column"] == "n"
    assert row.data["of artifact"].startswith(lab.latest("raw.parquet").uid)


# ---------------------------------------------------------------------- versions


RUNS = 100 if FULL else 12


def test_equal_output_many_times_is_one_artifact_and_as_many_runs(lab: Lab) -> None:
    @dg.asset
    def raw() -> pd.DataFrame:
        return TABLE

    results = [lab.run(raw) for _ in range(RUNS)]
    (artifact,) = lab.versions("raw.parquet")
    assert artifact.run == lab.step_run(results[0], "raw")
    assert artifact.recreating_runs.count() == RUNS - 1
    assert lab.metadata("raw")["lamart/outcome"] == "re-created"
    assert lab.registry.Run.filter(name="raw").count() == RUNS
    assert len(_stored_files(lab)) == 1


def test_different_output_is_a_version_each_with_its_own_inputs(lab: Lab) -> None:
    state = {"n": 0}

    @dg.asset
    def number() -> int:
        return state["n"]

    @dg.asset
    def square(number: int) -> int:
        return number**2

    for state["n"] in range(RUNS):
        lab.run(number, square)
    squares, numbers = lab.versions("square.json"), lab.versions("number.json")
    assert [artifact.load() for artifact in squares] == [n**2 for n in range(RUNS)]
    assert [artifact.run.input_artifacts.to_list() for artifact in squares] == [[number] for number in numbers]
    assert [artifact.is_latest for artifact in squares] == [False] * (RUNS - 1) + [True]


def test_content_that_comes_back_is_a_third_version(lab: Lab) -> None:
    state = {"value": ""}

    @dg.asset
    def letter() -> str:
        return state["value"]

    for state["value"] in ("A", "B", "A"):
        lab.run(letter)
    assert [artifact.load() for artifact in lab.versions("letter.txt")] == ["A", "B", "A"]
    assert len(_stored_files(lab)) == 2
    assert lab.metadata("letter")["lamart/outcome"] == "new version"


def test_two_assets_with_equal_content_are_two_artifacts_and_the_bytes_of_one(lab: Lab) -> None:
    @dg.asset
    def one() -> pd.DataFrame:
        return pd.DataFrame({"a": pd.Series(dtype=float)})

    @dg.asset
    def two() -> pd.DataFrame:
        return pd.DataFrame({"a": pd.Series(dtype=float)})

    lab.run(one, two)
    first, second = lab.latest("one.parquet"), lab.latest("two.parquet")
    assert first.hash == second.hash
    assert first.stem_uid != second.stem_uid
    assert len(_stored_files(lab)) == 1
    first.delete(permanent=True)
    assert second.load().empty


def test_an_asset_that_changes_its_format_keeps_one_history_of_values(lab: Lab) -> None:
    state: dict[str, Any] = {"value": TABLE}

    @dg.asset
    def thing():  # type: ignore[no-untyped-def]
        return state["value"]

    @dg.asset
    def seen(thing) -> str:  # type: ignore[no-untyped-def]
        return type(thing).__name__

    for value, name in ((TABLE, "DataFrame"), ({"a": 1}, "dict"), (TABLE, "DataFrame")):
        state["value"] = value
        lab.run(thing, seen)
        assert lab.latest("seen.txt").load() == name
        lab.run(thing, seen, only="seen")  # from the registry, not from a step of the same run
        assert lab.latest("seen.txt").load() == name


# ---------------------------------------------------------------------- what can be stored and loaded


def _folder(path: Path) -> Path:
    (path / "sub").mkdir(parents=True)
    (path / "a.txt").write_text("a")
    (path / "sub" / "b.txt").write_text("b")
    return path


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"a": [1, 2.5, None, True]}, "thing.json"),
        ([1, 2], "thing.json"),
        (7, "thing.json"),
        (0.5, "thing.json"),
        (False, "thing.json"),
        ("text", "thing.txt"),
        ("", "thing.txt"),
        (b"\x00bytes", "thing.bin"),
    ],
)
def test_values_come_back_as_they_were(lab: Lab, value: Any, key: str) -> None:
    seen: list[Any] = []

    @dg.asset
    def thing():  # type: ignore[no-untyped-def]
        return value

    @dg.asset
    def reader(thing) -> None:  # type: ignore[no-untyped-def]
        seen.append(thing)

    lab.run(thing, reader)
    assert seen == [value]
    assert type(seen[0]) is type(value)
    assert lab.latest(key).hash


def test_an_array_is_stored_as_one(lab: Lab) -> None:
    seen: list[np.ndarray] = []

    @dg.asset
    def weights() -> np.ndarray:
        return np.array([[1.5, 2.0]])

    @dg.asset
    def reader(weights: np.ndarray) -> None:
        seen.append(weights)

    lab.run(weights, reader)
    np.testing.assert_array_equal(seen[0], [[1.5, 2.0]])
    assert lab.latest("weights.npy").load().dtype == "float64"
    assert "1 × 2" in lab.metadata("weights")["lamart/preview"]


def test_a_document_is_compressed_as_its_key_says(lab: Lab) -> None:
    seen: list[dict[str, int]] = []

    @dg.asset(metadata={"lamart/key": "small/config.json.gz"})
    def small() -> dict[str, int]:
        return {"a": 1}

    @dg.asset
    def reader(small: dict[str, int]) -> None:
        seen.append(small)

    lab.run(small, reader)
    assert seen == [{"a": 1}]
    assert lab.latest("small/config.json.gz").cache().read_bytes()[:2] == b"\x1f\x8b"


def test_a_table_is_loaded_as_the_annotated_type(lab: Lab) -> None:
    seen: dict[str, Any] = {}

    @dg.asset
    def raw() -> pa.Table:
        return pa.table({"a": [1, 2]})

    @dg.asset
    def default(raw) -> None:  # type: ignore[no-untyped-def]
        seen["default"] = raw

    @dg.asset
    def table(raw: pa.Table) -> None:
        seen["table"] = raw

    @dg.asset
    def dataset(raw: ds.Dataset) -> None:
        seen["dataset"] = raw.count_rows()

    @dg.asset
    def path(raw: Path) -> None:
        seen["path"] = pd.read_parquet(raw)["a"].tolist()

    @dg.asset
    def upath(raw: UPath) -> None:
        seen["upath"] = raw.exists()

    @dg.asset
    def record(raw: ln.Artifact) -> None:
        seen["record"] = raw

    lab.run(raw, default, table, dataset, path, upath, record)
    assert isinstance(seen["default"], pd.DataFrame)
    assert seen["table"].column("a").to_pylist() == [1, 2]
    assert (seen["dataset"], seen["path"], seen["upath"]) == (2, [1, 2], True)
    assert seen["record"] == lab.latest("raw.parquet")


_TABLES: dict[str, type] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "arrow": pa.Table,
    "dataset": ds.Dataset,
}


def _rows(table: Any) -> list[str]:
    if isinstance(table, pl.LazyFrame):
        table = table.collect()
    if isinstance(table, ds.Dataset):
        table = table.to_table()
    return list(table["b"].to_pylist() if isinstance(table, pa.Table) else table["b"])


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".orc", ".csv.zst", ".jsonl"])
def test_tables_of_every_type_go_in_and_out(lab: Lab, suffix: str) -> None:
    seen: dict[str, Any] = {}
    polars, arrow = pl.DataFrame(TABLE), pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    given = {"pandas": TABLE, "polars": polars, "lazy": polars.lazy(), "arrow": arrow, "dataset": ds.dataset(arrow)}

    def made(name: str) -> Any:
        @dg.asset(name=name, metadata={"lamart/key": f"{name}{suffix}"})
        def table():  # type: ignore[no-untyped-def]
            return given[name]

        return table

    def reader(name: str, kind: str) -> Any:
        def read(context, table) -> None:  # type: ignore[no-untyped-def]
            seen[f"{name} as {kind}"] = table

        read.__annotations__["table"] = _TABLES[kind]
        return dg.asset(name=f"{name}_as_{kind}", ins={"table": dg.AssetIn(name)})(read)

    readers = [reader(name, kind) for name, kind in zip(given, reversed(_TABLES), strict=True)]
    lab.run(*map(made, given), *readers)
    assert len(seen) == len(_TABLES)
    for what, table in seen.items():
        assert isinstance(table, _TABLES[what.rpartition(" ")[2]])
        assert _rows(table) == ["x", "y", "z"]
    for name in given:
        shown = lab.metadata(name)
        assert [column.name for column in shown["dagster/column_schema"].columns] == ["a", "b"]
        computed_in_text = name in ("lazy", "dataset") and suffix in (".csv.zst", ".jsonl")
        assert shown.get("dagster/row_count") == (None if computed_in_text else 3)
        assert "y" in shown["lamart/preview"]


def test_an_annotated_matrix_comes_back_and_is_summarised(lab: Lab) -> None:
    @dg.asset
    def cells() -> ad.AnnData:
        return ad.AnnData(np.eye(4, 3, dtype="float32"), obs=pd.DataFrame({"phase": list("aabb")}, index=list("wxyz")))

    @dg.asset
    def phases(cells: ad.AnnData) -> list:
        return sorted(set(cells.obs["phase"]))

    @dg.asset
    def picked(cells: BackedAnnData) -> BackedAnnData:
        assert cells.isbacked
        return cells[cells.obs["phase"] == "a"]

    @dg.asset
    def diagonal(cells: AnnDataAccessor) -> float:
        with cells:
            return float(cells["w":"x", 1:].X.sum())

    lab.run(cells, phases, picked, diagonal)
    assert lab.latest("phases.json").load() == ["a", "b"]
    assert lab.latest("picked.h5ad").load().obs_names.tolist() == ["w", "x"]
    assert lab.latest("diagonal.json").load() == 1
    shown = lab.metadata("cells")
    assert shown["dagster/row_count"] == 4
    assert "phase" in shown["lamart/preview"]
    assert "category of 1: a" in lab.metadata("picked")["lamart/preview"]


def test_a_file_and_a_folder_are_stored_as_they_are(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "plot.PNG"
    file.write_bytes(b"png")

    @dg.asset
    def plot() -> Path:
        return file

    @dg.asset
    def folder() -> Path:
        return _folder(tmp_path / "made" / "out")

    @dg.asset
    def listing(folder: Path, plot: Path) -> list:
        return [*sorted(str(p.relative_to(folder)) for p in folder.rglob("*.txt")), plot.suffix]

    lab.run(plot, folder, listing)
    assert lab.latest("listing.json").load() == ["a.txt", "sub/b.txt", ".png"]
    assert lab.latest("folder").n_files == 2
    assert file.exists()


def test_every_version_of_a_folder_stays_readable(lab: Lab, tmp_path: Path) -> None:
    state = {"n": 0}

    @dg.asset
    def folder() -> Path:
        path = _folder(tmp_path / f"made{state['n']}")
        (path / "a.txt").write_text(str(state["n"]))
        return path

    for state["n"] in range(2):
        lab.run(folder)
    contents = [(artifact.cache() / "a.txt").read_text() for artifact in lab.versions("folder")]
    assert contents == ["0", "1"]


def test_an_asset_can_return_an_artifact_that_it_saved(lab: Lab, tmp_path: Path) -> None:
    source = tmp_path / "x.csv"

    @dg.asset
    def own() -> ln.Artifact:
        source.write_text("a\n1\n")
        with lab.registry:
            return ln.Artifact(source, key="own.csv", run=False).save()

    @dg.asset
    def other() -> ln.Artifact:
        with lab.registry:
            return ln.Artifact.get(key="own.csv")

    @dg.asset
    def rows(other: pd.DataFrame) -> int:
        return len(other)

    result = lab.run(own)
    assert lab.latest("own.csv").run == lab.step_run(result, "own")
    result = lab.run(other, rows)
    assert lab.latest("rows.json").load() == 1
    assert lab.latest("other.csv").run == lab.step_run(result, "other")
    assert lab.latest("other.csv").hash == lab.latest("own.csv").hash
    assert len([path for path in _stored_files(lab) if path.suffix == ".csv"]) == 1
    result = lab.run(own)
    assert lab.metadata("own")["lamart/outcome"] == "re-created"
    assert lab.latest("own.csv").recreating_runs.to_list() == [lab.step_run(result, "own")]


def test_a_version_that_an_asset_saved_is_new_although_the_one_before_was_deleted(lab: Lab, tmp_path: Path) -> None:
    source = tmp_path / "x.csv"

    @dg.asset
    def own() -> ln.Artifact:
        source.write_text("a\n2\n")
        with lab.registry:
            made = ln.Artifact(source, key="own.csv", run=False).save()
            ln.Artifact.get(f"{made.stem_uid}0000").delete(permanent=True)
            return made

    with lab.registry:
        ln.Artifact(write(source, "a\n1\n"), key="own.csv", run=False).save()
    lab.run(own)
    assert lab.metadata("own")["lamart/outcome"] == "new version"


def test_an_artifact_that_is_not_saved_is_refused(lab: Lab, tmp_path: Path) -> None:
    source = tmp_path / "x.csv"
    source.write_text("a\n1\n")

    @dg.asset
    def own() -> ln.Artifact:
        with lab.registry:
            return ln.Artifact(source, key="own.csv", run=False)

    with pytest.raises(InvalidArgument, match="not saved"):
        lab.run(own)


def test_a_key_template_places_the_asset_and_chooses_its_format(lab: Lab) -> None:
    @dg.asset(metadata={"lamart/key": "exports/{name}.csv"})
    def raw() -> pd.DataFrame:
        return TABLE

    @dg.asset
    def rows(raw: pd.DataFrame) -> int:
        return len(raw)

    lab.run(raw, rows)
    lab.run(raw, rows, only="rows")
    assert lab.latest("exports/raw.csv").path.read_text().startswith("a,b")
    assert lab.latest("rows.json").load() == 3


def test_a_prefix_comes_before_all_keys(lab: Lab) -> None:
    @dg.asset(key_prefix=["sc"])
    def raw() -> int:
        return 1

    lab.run(raw, io={"key_prefix": "lab/one"})
    assert lab.latest("lab/one/sc/raw.json").load() == 1


@pytest.mark.parametrize(
    ("value", "template", "error", "message"),
    [
        (object(), None, UnsupportedObject, r"thing cannot be stored.*register a format"),
        ({1: "a"}, None, UnsupportedObject, "keys must be text"),
        (TABLE, "thing.h5ad", InvalidArgument, r"\.h5ad"),
        (TABLE, "../thing.csv", InvalidArgument, r"\.\."),
        (Path("/nowhere/x.csv"), None, PathNotFound, "/nowhere/x.csv"),
        (1, "{wrong}", InvalidArgument, "unknown fields"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(
    lab: Lab, value: Any, template: str | None, error: type[Exception], message: str
) -> None:
    @dg.asset(metadata={"lamart/key": template} if template else {})
    def thing():  # type: ignore[no-untyped-def]
        return value

    with pytest.raises(error, match=message):
        lab.run(thing)
    assert lab.registry.Artifact.filter().count() == 0
    assert _stored_files(lab) == []


class Anything:
    """An object that no format takes."""

    def __init__(self, value: int) -> None:
        self.value = value


def test_other_objects_are_pickled_only_where_that_is_allowed(lab: Lab) -> None:
    @dg.asset
    def thing():  # type: ignore[no-untyped-def]
        return Anything(5)

    @dg.asset
    def value(thing) -> int:  # type: ignore[no-untyped-def]
        return thing.value

    lab.run(thing, value, io={"allow_pickle": True})
    assert lab.latest("value.json").load() == 5
    with pytest.raises(InvalidArgument, match="allow_pickle"):
        lab.run(thing, value, only="value")


# ---------------------------------------------------------------------- dependencies and graphs


def test_assets_without_a_value_take_part_in_lineage_by_their_dependencies(lab: Lab) -> None:
    @dg.asset
    def raw() -> int:
        return 1

    @dg.asset
    def side_effect() -> None: ...

    @dg.asset(deps=[raw, side_effect])
    def report() -> str:
        return "done"

    result = lab.run(raw, side_effect, report)
    run = lab.step_run(result, "report")
    assert run.input_artifacts.to_list() == [lab.latest("raw.json")]
    (row,) = lab.metadata("report")["lamart/inputs"].records
    assert row.data["input"] == "raw"


def test_a_graph_asset_and_several_outputs_of_one_step(lab: Lab) -> None:
    @dg.op
    def load() -> int:
        return 2

    @dg.op
    def square(number: int) -> int:
        return number**2

    @dg.graph_asset
    def squared() -> int:
        return square(load())

    @dg.multi_asset(outs={"small": dg.AssetOut(), "large": dg.AssetOut()})
    def both(squared: int) -> tuple[int, int]:
        return squared, squared * 100

    result = lab.run(squared, both)
    assert lab.latest("squared.json").load() == 4
    assert (lab.latest("small.json").load(), lab.latest("large.json").load()) == (4, 400)
    run = lab.step_run(result, "both")
    assert {artifact.key for artifact in run.output_artifacts} == {"small.json", "large.json"}
    assert run.status == "completed"
    inner = lab.step_run(result, "squared.square").input_artifacts.to_list()
    assert [artifact.key for artifact in inner] == [
        f"__runs__/{run.initiated_by_run.name}/{result.run_id}/squared%2Eload/result.json"
    ]


def test_the_picture_of_the_lineage_is_drawn_on_request(lab: Lab) -> None:
    @dg.asset
    def raw() -> int:
        return 1

    lab.run(raw, io={"draw_lineage": True})
    link = re.fullmatch(r"!\[lineage\]\(data:image/svg\+xml;base64,(.*)\)", lab.metadata("raw")["lamart/lineage"])
    assert link is not None
    assert "raw.json" in base64.b64decode(link[1]).decode()


def test_without_a_renderer_the_asset_is_stored_and_a_warning_says_what_to_install(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hide_renderers(monkeypatch)

    @dg.asset
    def raw() -> int:
        return 1

    lab.run(raw, io={"draw_lineage": True})
    assert "lamart/lineage" not in lab.metadata("raw")
    assert lab.latest("raw.json").load() == 1
    assert "pip install 'lamart-dagster[pictures]'" in caplog.text


def test_without_arguments_the_registry_is_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    @dg.asset
    def raw() -> int:
        return 1

    dg.materialize([raw], resources={"io_manager": LamartIOManager(registry=LamartRegistry())})
    assert (tmp_path / ".lamart" / "lamart.db").exists()
    assert LamartRegistry().connect().Artifact.get(key="raw.json").load() == 1


def test_an_asset_can_use_the_registry_itself(lab: Lab) -> None:
    @dg.asset
    def raw() -> int:
        return 1

    @dg.asset(deps=[raw])
    def n_artifacts(lamart: LamartRegistry) -> int:
        return lamart.connect().Artifact.filter(key="raw.json").count()

    dg.materialize(
        [raw, n_artifacts], instance=lab.instance, resources={"io_manager": lab.io(), "lamart": lab.resource}
    )
    assert lab.latest("n_artifacts.json").load() == 1


def _stored_files(lab: Lab) -> list[Path]:
    store = lab.folder / "storage" / ".lamart"
    files = [path for path in store.rglob("*") if path.is_file()] if store.exists() else []
    return [path for path in files if path.name != "storage_uid.txt"]
