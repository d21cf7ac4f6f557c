"""Assets that are containers of several matrices or images, in and out by annotation."""

from __future__ import annotations

import dagster as dg
import mudata as md
import pytest

import lamart_core as ln
from tests.dagster.conftest import Lab


@pytest.mark.filterwarnings("ignore:.*will not pull obs/var columns:FutureWarning")
def test_multi_modal_data_comes_back_and_is_summarised(lab: Lab) -> None:
    @dg.asset
    def screen() -> md.MuData:
        return ln.examples.datasets.mudata_papalexi21_subset()

    @dg.asset
    def guides(screen: md.MuData) -> list:
        return [screen["gdo"].n_vars, screen.n_obs]

    lab.run(screen, guides)
    assert lab.latest("guides.json").load() == [111, 200]
    assert lab.latest("screen.h5mu").otype == "MuData"
    shown = lab.metadata("screen")
    assert shown["dagster/row_count"] == 200
    assert "`gdo`: 200 × 111" in shown["lamart/preview"]
    assert "gene_target" in shown["lamart/preview"]


def test_spatial_data_comes_back_and_is_summarised(lab: Lab) -> None:
    import spatialdata as sd

    from tests.formats.test_spatialdata import tiny

    def slide():
        return tiny()

    def spots(slide):
        return [len(slide["spots"]), slide["cells"].shape[0], slide.path is None]

    # The annotations are set here: spatialdata is imported by this test alone.
    slide.__annotations__ = {"return": sd.SpatialData}
    spots.__annotations__ = {"slide": sd.SpatialData, "return": list}
    lab.run(dg.asset(slide), dg.asset(spots))
    assert lab.latest("spots.json").load() == [3, 2, True]
    assert lab.latest("slide.zarr").otype == "SpatialData"
    shown = lab.metadata("slide")
    assert "| images | größe_测 | 3 × 4 × 4 | c, y, x | global |" in shown["lamart/preview"]
