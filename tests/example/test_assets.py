"""The assets of the example as plain functions."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import dagster as dg
import numpy as np
import pandas as pd
import pytest

from example_project import cells, markers, plots, report, ui
from example_project.home import PROJECT, Home, home


@pytest.fixture(scope="module")
def raw() -> ad.AnnData:
    return cells.raw_counts()


@pytest.fixture(scope="module")
def filtered(raw: ad.AnnData) -> ad.AnnData:
    return cells.filtered_cells(raw, cells.QualityControl())


@pytest.fixture(scope="module")
def normalised(filtered: ad.AnnData) -> ad.AnnData:
    return cells.normalised_cells(filtered, cells.Normalisation())


def find_markers(normalised: ad.AnnData, cell_type: str, **config: float) -> pd.DataFrame:
    with dg.build_asset_context(partition_key=cell_type) as context:
        return markers.marker_genes(context, normalised, markers.MarkerSearch(**config))


def test_counts_are_whole_molecules(raw: ad.AnnData) -> None:
    assert raw.shape == (700, 765)
    assert np.array_equal(raw.X.data, np.round(raw.X.data))
    assert raw.X.data.min() == 1
    # The panel is a part of the cell; no cell has more molecules in it than altogether.
    assert (np.asarray(raw.X.sum(axis=1)).ravel() <= raw.obs["n_molecules"]).all()


def test_the_partitions_are_the_types_of_the_data(raw: ad.AnnData) -> None:
    assert sorted(raw.obs["cell_type"].unique()) == list(markers.CELL_TYPES)


def test_quality_control_follows_its_parameters(raw: ad.AnnData) -> None:
    config = cells.QualityControl(min_genes=1100, max_genes=1500, max_percent_mito=0.02, min_cells=50)
    kept = cells.filtered_cells(raw, config)
    assert kept.obs["n_genes"].between(1100, 1500).all()
    assert kept.obs["percent_mito"].max() <= 0.02
    assert 0 < kept.n_obs < raw.n_obs
    assert np.asarray((kept.X > 0).sum(axis=0)).min() >= 50


def test_the_table_has_a_row_per_cell(filtered: ad.AnnData) -> None:
    table = cells.cell_table(filtered)
    assert list(table.index) == list(filtered.obs_names)
    assert table["n_molecules_in_panel"].sum() == filtered.X.sum()


def test_normalised_cells_keep_their_counts_and_are_the_same_again(
    filtered: ad.AnnData, normalised: ad.AnnData
) -> None:
    again = cells.normalised_cells(filtered, cells.Normalisation())
    assert np.array_equal(normalised.layers["counts"].toarray(), filtered.X.toarray())
    assert np.array_equal(normalised.X.toarray(), again.X.toarray())
    assert np.array_equal(normalised.obsm["X_pca"], again.obsm["X_pca"])
    scaled = filtered.X[0].toarray() * 10_000 / filtered.obs["n_molecules"].iloc[0]
    assert np.allclose(normalised.X[0].toarray(), np.log1p(scaled))


def test_known_markers_are_found(normalised: ad.AnnData) -> None:
    genes = find_markers(normalised, "CD19+ B")
    assert {"CD79A", "MS4A1"} <= set(genes["gene"].head(5))
    assert genes["score"].is_monotonic_decreasing
    assert genes["score"].between(0.5, 1).all()
    assert (genes["adjusted_p_value"] <= 0.05).all()
    assert len(find_markers(normalised, "CD19+ B", n_genes=3)) == 3


def test_too_few_cells_give_an_empty_table_of_the_same_columns(normalised: ad.AnnData) -> None:
    others = normalised[normalised.obs["cell_type"] != "CD34+"]
    empty = find_markers(others, "CD34+")
    full = find_markers(normalised, "CD34+")
    assert empty.empty
    assert list(empty.columns) == list(full.columns)


def test_figures_have_equal_bytes_for_equal_content(normalised: ad.AnnData) -> None:
    genes = find_markers(normalised, "Dendritic")
    assert plots.png(plots.marker_bars(genes, "a")) == plots.png(plots.marker_bars(genes, "a"))
    assert plots.png(plots.marker_bars(genes, "a")) != plots.png(plots.marker_bars(genes.head(3), "a"))


def test_report_and_figures(filtered: ad.AnnData, normalised: ad.AnnData, tmp_path: Path) -> None:
    found = {cell_type: find_markers(normalised, cell_type) for cell_type in markers.CELL_TYPES}
    text = report.write_page(tmp_path / "r.html", cells.cell_table(filtered), normalised, found).read_text("utf-8")
    assert f"{filtered.n_obs} cells of 10 types" in text
    assert all(cell_type in text for cell_type in ("CD34+", "CD4+/CD45RA+/CD25- Naive T"))
    assert "data:image/png;base64,iVBOR" in text
    folder = report.write_figures(tmp_path / "figures", found)
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 2 * len(markers.CELL_TYPES)
    assert "CD4+_CD45RA+_CD25-_Naive_T.csv" in names


def test_the_scratch_folder_goes_with_the_resource() -> None:
    with report.ScratchFolder().yield_for_execution(dg.build_init_resource_context()) as scratch:
        path = scratch.new("a.txt")
        path.write_text("a")
        assert scratch.new("a.txt") != path
    assert not path.exists()


def test_definitions_are_complete() -> None:
    from example_project.definitions import defs

    dg.Definitions.validate_loadable(defs)
    assert {job.name for job in defs.resolve_all_job_defs()} >= {"prepare_cells", "find_markers", "write_report"}
    assert defs.resolve_schedule_def("nightly").job_name == "prepare_cells"
    assert defs.resolve_job_def("find_markers").partitions_def == markers.cell_types


def test_a_demo_starts_in_an_empty_folder(tmp_path: Path) -> None:
    place = home(tmp_path / "demo")
    place.start_afresh()
    (place.folder / "left over").touch()
    place.start_afresh()
    assert not (place.folder / "left over").exists()
    assert not place.exists
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="no demo made"):
        home(tmp_path / "mine").start_afresh()
    assert (tmp_path / "mine" / "thesis.txt").exists()
    assert home() == Home(PROJECT / ".demo")


def test_the_ui_says_that_there_is_nothing_to_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ui.main(["--folder", str(tmp_path)]) == 1
    assert "make demo" in capsys.readouterr().err
