"""Whether two values are the same, element by element: values, types, names, and where values are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

SLOTS = ("layers", "obsm", "varm", "obsp", "varp", "uns")


def assert_identical(left: Any, right: Any, where: str = "") -> None:
    """Fail with the place of the first difference."""
    if isinstance(right, ad.AnnData):
        _assert_matrices(left, right, where)
    elif isinstance(right, Mapping):
        members = cast("Mapping[str, Any]", right)
        assert set(left) == set(members), where
        for key in members:
            assert_identical(left[key], members[key], f"{where}[{key!r}]")
    elif isinstance(right, pd.DataFrame):
        assert list(left.columns) == list(right.columns), where
        _assert_arrays(left.index, right.index, f"{where}.index")
        assert left.index.name == right.index.name, where
        for position, name in enumerate(right.columns):
            _assert_arrays(left.iloc[:, position], right.iloc[:, position], f"{where}[{name!r}]")
    elif isinstance(right, pd.Series | pd.Index | pd.api.extensions.ExtensionArray):
        assert type(left) is type(right), where
        _assert_arrays(left, right, where)
    elif sp.issparse(right):
        assert (type(left), left.dtype, left.shape) == (type(right), right.dtype, right.shape), where
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(left, part), getattr(right, part), err_msg=where)
    elif isinstance(right, np.ndarray):
        assert type(left) is np.ndarray, f"{where}: {type(left)}"
        assert (left.dtype, left.shape) == (right.dtype, right.shape), where
        np.testing.assert_array_equal(left, right, err_msg=where, strict=True)
    else:
        assert type(left) is type(right), f"{where}: {left!r} is no {type(right)}"
        assert left == right or (left != left and right != right), f"{where}: {left!r}, not {right!r}"


def _assert_matrices(left: Any, right: Any, where: str) -> None:
    for slot in ("obs", "var"):
        assert_identical(getattr(left, slot), getattr(right, slot), f"{where}{slot}")
    for slot in SLOTS:
        assert_identical(dict(getattr(left, slot)), dict(getattr(right, slot)), f"{where}{slot}")
    assert_identical(left.X, right.X, f"{where}X")
    assert (left.raw is None) == (right.raw is None), f"{where}raw"
    if right.raw is not None:
        assert_identical(left.raw.X, right.raw.X, f"{where}raw.X")
        assert_identical(left.raw.var, right.raw.var, f"{where}raw.var")
        assert_identical(dict(left.raw.varm), dict(right.raw.varm), f"{where}raw.varm")


def _assert_arrays(left: Any, right: Any, where: str) -> None:
    assert left.dtype == right.dtype, f"{where}: {left.dtype}, not {right.dtype}"
    if isinstance(right.dtype, pd.CategoricalDtype):
        assert left.dtype.ordered == right.dtype.ordered, where
        _assert_arrays(left.dtype.categories, right.dtype.categories, f"{where}.categories")
        assert list(pd.Categorical(left).codes) == list(pd.Categorical(right).codes), where
        return
    assert list(pd.isna(left)) == list(pd.isna(right)), where
    for one, other in zip(left, right, strict=True):
        assert pd.isna(other) or one == other, f"{where}: {one!r}, not {other!r}"
