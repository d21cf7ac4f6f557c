"""The formats whose libraries take long to import pass the shipped tests, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from lamart_core.formats import Format, all_formats, for_object, for_suffix
from lamart_core.testing import FormatContract, FormatSample
from tests.formats.mudata_samples import assert_same_mudata, mudata
from tests.formats.test_spatialdata import tiny as spatialdata


@pytest.mark.req("R38")
class TestMuData(FormatContract):
    @classmethod
    def samples(cls) -> Sequence[FormatSample]:
        return [FormatSample(f"mudata-{s}", mudata(), s) for s in (".h5mu", ".zarr")]

    @classmethod
    def formats(cls) -> Sequence[Format]:
        return [f for f in all_formats() if f.otype == "MuData"]

    @classmethod
    def format_of(cls, sample: FormatSample) -> Format:
        return for_object(sample.obj, sample.suffix)

    def assert_equal(self, loaded: Any, sample: FormatSample) -> None:
        assert_same_mudata(loaded, mudata(text="category"))


@pytest.mark.req("R38")
class TestSpatialData(FormatContract):
    file_format = cast("Format", for_suffix(".spatialdata.zarr"))

    @classmethod
    def samples(cls) -> Sequence[FormatSample]:
        return [FormatSample("spatialdata", spatialdata(), ".spatialdata.zarr")]

    def assert_equal(self, loaded: Any, sample: FormatSample) -> None:
        from spatialdata.testing import assert_spatial_data_objects_are_identical

        assert_spatial_data_objects_are_identical(loaded, sample.obj)
