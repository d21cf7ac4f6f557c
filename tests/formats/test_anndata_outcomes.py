"""Each element of an annotated matrix comes back as the documentation says, in every store."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamart_core import errors
from lamart_core.formats import for_path
from tests.formats.anndata_outcomes import COLUMNS, KEYS, NAMES, REFUSED, VALUES, Outcome
from tests.formats.anndata_strategies import Drawn, annotated
from tests.formats.format_samples import write
from tests.formats.identical import assert_identical

EXAMPLES = int(os.environ.get("LAMART_EXAMPLES", "6"))
STORES = pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])


def small() -> ad.AnnData:
    genes = pd.DataFrame(index=pd.Index(["g1", "g2"]))
    return ad.AnnData(np.ones((3, 2), dtype="float32"), obs=pd.DataFrame(index=NAMES.copy()), var=genes)


def changed(change: Callable[[ad.AnnData], Any]) -> ad.AnnData:
    obj = small()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that are repeated
        change(obj)
    return obj


def prove(outcome: Outcome, suffix: str, put: Callable[[Any], ad.AnnData], named: str, tmp_path: Path) -> None:
    """Write an object with the element, and compare what is loaded with one that has what the element becomes."""
    is_hdf5 = suffix == ".h5ad"
    obj = put(outcome.make())
    if outcome.of(is_hdf5) == REFUSED:
        with pytest.raises(errors.UnsupportedObject, match=named):
            write(obj, tmp_path / "x", suffix)
        assert list(tmp_path.iterdir()) == []
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Forward slashes")
        path = write(obj, tmp_path / "x", suffix)
    loaded = for_path(path, suffix).load(path, suffix=suffix)
    assert_identical(loaded, put(outcome.expected(is_hdf5)) if outcome.expected else obj)


@pytest.mark.req("R319")
@STORES
@pytest.mark.parametrize("outcome", COLUMNS, ids=lambda o: o.what)
def test_columns(outcome: Outcome, suffix: str, tmp_path: Path) -> None:
    prove(outcome, suffix, lambda v: changed(lambda obj: obj.obs.__setitem__("k", v)), r"obs\['k'\]", tmp_path)


@pytest.mark.req("R319")
@STORES
@pytest.mark.parametrize("outcome", VALUES, ids=lambda o: o.what)
def test_values(outcome: Outcome, suffix: str, tmp_path: Path) -> None:
    prove(outcome, suffix, lambda v: changed(lambda obj: obj.uns.__setitem__("k", v)), r"uns\['k'\]", tmp_path)


@pytest.mark.req("R319")
@STORES
@pytest.mark.parametrize("outcome", KEYS, ids=lambda o: o.what)
def test_keys(outcome: Outcome, suffix: str, tmp_path: Path) -> None:
    prove(outcome, suffix, changed, r"obs|obsm|uns", tmp_path)


@pytest.mark.req("R319")
@pytest.mark.parametrize("suffix", [".h5mu", ".mudata.zarr", ".spatialdata.zarr"])
def test_containers_hold_the_same(suffix: str, tmp_path: Path) -> None:
    """All of it at once in a modality or table; what is refused is named."""
    is_hdf5 = suffix == ".h5mu"
    obj, expected, refused = small(), small(), small()
    for number, outcome in enumerate(COLUMNS):
        made, name = outcome.make(), f"c{number}"
        if outcome.of(is_hdf5) == REFUSED:
            refused.obs[name] = made
        elif "spatial" in suffix and outcome.what.startswith(("text, some", "members")):
            obj.obs[name], expected.obs[name] = made, pd.Series(list(map(str, made)), index=NAMES, dtype=object)
        else:
            obj.obs[name], expected.obs[name] = made, outcome.expected(is_hdf5) if outcome.expected else made
    for number, outcome in enumerate(VALUES):
        made, name = outcome.make(), f"v{number:02}"
        if outcome.of(is_hdf5) == REFUSED:
            refused.uns[name] = made
        else:
            obj.uns[name] = made
            expected.uns[name] = outcome.expected(is_hdf5) if outcome.expected else made
    path = write(contained(obj, suffix), tmp_path / "x", suffix)
    loaded = for_path(path, suffix).load(path, suffix=suffix)
    assert_identical(loaded.mod["rna"] if hasattr(loaded, "mod") else loaded.tables["rna"], expected)
    for slot in ("obs", "uns"):
        for name in getattr(refused, slot):
            one = small()
            getattr(one, slot)[name] = getattr(refused, slot)[name]
            with pytest.raises(errors.UnsupportedObject, match=re.escape("['rna']") + rf".*{name}"):
                write(contained(one, suffix), tmp_path / "y", suffix)
            assert not (tmp_path / "y").exists()


def contained(obj: ad.AnnData, suffix: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "mu" in suffix:
            import mudata as md

            return md.MuData({"rna": obj})
        import spatialdata as sd

        return sd.SpatialData(tables={"rna": obj})


def check_any(drawn: Drawn, suffix: str, folder: Path) -> None:
    """What is drawn comes back as the documentation says, or is refused with a place named, and nothing is left."""
    path = folder / f"x{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if drawn.refused:
            with pytest.raises(errors.UnsupportedObject) as caught:
                write(drawn.obj, path, suffix)
            assert any(place in str(caught.value) for place in drawn.refused), (drawn.refused, str(caught.value))
            assert list(folder.iterdir()) == []
            return
        write(drawn.obj, path, suffix)
        assert_identical(for_path(path, suffix).load(path, suffix=suffix), drawn.expected)


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_matrix(suffix: str, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        check_any(data.draw(annotated(is_hdf5=suffix == ".h5ad")), suffix, Path(folder))
