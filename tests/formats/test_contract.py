"""Every format of the registry passes the tests that are shipped for the formats of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lamart_core.formats import Format, all_formats, for_object
from lamart_core.testing import FormatContract, FormatSample
from tests.formats.format_samples import SAMPLES, WRITABLE, assert_loaded


@pytest.mark.req("R38")
class TestAllFormats(FormatContract):
    hidden_libraries = (*FormatContract.hidden_libraries, "scipy")

    @classmethod
    def samples(cls) -> Sequence[FormatSample]:
        return SAMPLES

    @classmethod
    def formats(cls) -> Sequence[Format]:
        return WRITABLE

    @classmethod
    def format_of(cls, sample: FormatSample) -> Format:
        return for_object(sample.obj, sample.suffix)

    def assert_equal(self, loaded: Any, sample: FormatSample) -> None:
        assert_loaded(loaded, sample)


@pytest.mark.parametrize("each", [f for f in all_formats() if not f.accepts], ids=lambda f: f.name)
class TestReadOnly:
    def test_its_declarations_fit_together(self, each: Format) -> None:
        FormatContract().test_its_declarations_fit_together(each)
