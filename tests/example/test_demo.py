"""The demo: what it prints, and what the registry holds afterwards."""

from __future__ import annotations

import pytest

import lamart_core as ln
from example_project.markers import CELL_TYPES
from lamart_core.db import Registry
from lamart_core.lineage import lineage_graph
from tests.example.conftest import Demo

pytestmark = pytest.mark.slow

UNPARTITIONED = {
    "cell_table.parquet",
    "filtered_cells.h5ad",
    "marker_figures",
    "normalised_cells.h5ad",
    "raw_counts.h5ad",
    "report.html",
}
CHANGED_TYPES = {"CD4+/CD45RA+/CD25- Naive T", "CD4+/CD45RO+ Memory"}


def test_it_explains_itself(demo: Demo) -> None:
    for part in ("1. Materialise", "2. Every output", "3. Where the report", "4. Materialise again", "5. Change one"):
        assert part in demo.output
    assert "make ui" in demo.output


@pytest.mark.req("R41", "R47")
def test_only_what_changed_has_a_second_version(registry: Registry) -> None:
    artifacts = ln.Artifact.filter().to_list()
    keys = {artifact.key for artifact in artifacts}
    assert keys >= UNPARTITIONED
    assert len(keys) == len(UNPARTITIONED) + len(CELL_TYPES)
    second = {artifact.key for artifact in artifacts if artifact.version == "0001"}
    assert {"report.html", "marker_figures"} <= second
    assert len(second) == 2 + len(CHANGED_TYPES)
    assert len(artifacts) == len(keys) + len(second)
    assert all(artifact.is_latest for artifact in artifacts if artifact.version == "0001" or artifact.key not in second)


@pytest.mark.req("R86", "R207")
def test_what_was_made_again_is_recorded_beside_it(registry: Registry) -> None:
    raw = ln.Artifact.get(key="raw_counts.h5ad")
    assert raw.recreating_runs.count() == 2
    assert raw.run not in raw.recreating_runs.to_list()
    report = ln.Artifact.get(key="report.html")
    first = report.versions.get(is_latest=False)
    assert first.recreating_runs.count() == 1
    assert report.recreating_runs.count() == 0


@pytest.mark.req("R274", "R276")
def test_each_version_has_its_own_inputs(registry: Registry) -> None:
    report = ln.Artifact.get(key="report.html")
    first = report.versions.get(is_latest=False)
    inputs = {version.uid: set(version.run.input_artifacts.to_list()) for version in (report, first)}
    assert {artifact.key for artifact in inputs[report.uid]} == {artifact.key for artifact in inputs[first.uid]}
    assert len(inputs[report.uid]) == 2 + len(CELL_TYPES)
    assert len(inputs[report.uid] - inputs[first.uid]) == len(CHANGED_TYPES)
    keys = {node.label for node in lineage_graph(report, with_children=False).nodes.values()}
    assert "raw_counts.h5ad" in keys
    assert "marker_figures" not in keys


def test_the_lineage_of_the_report_is_drawn(demo: Demo) -> None:
    assert "raw_counts.h5ad" in (demo.home.folder / "report_lineage.svg").read_text(encoding="utf-8")


@pytest.mark.req("R245", "R60")
def test_everything_can_be_read_again(registry: Registry) -> None:
    assert ln.Artifact.get(key="raw_counts.h5ad").load().shape == (700, 765)
    assert "Blood cells" in ln.Artifact.get(key="report.html").path.read_text(encoding="utf-8")
    table = ln.Artifact.get(key="cell_table.parquet")
    assert len(table.load()) == table.n_observations
    figures = ln.Artifact.get(key="marker_figures")
    assert figures.n_files == 2 * len(CELL_TYPES) == len(list(figures.cache().iterdir()))
