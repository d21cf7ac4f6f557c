"""Equal, as the libraries compare, and what the docs say comes back in another form."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lamart_core.formats.tables.objects import is_missing, is_of_objects


def same_frame(loaded: pd.DataFrame, df: pd.DataFrame) -> None:
    """Equal in values, dtypes, names, index and attributes, but for the forms of objects that the docs name."""
    nested = [position for position, dtype in enumerate(df.dtypes) if is_of_objects(dtype)]
    assert loaded.shape == df.shape
    for position in nested:
        assert is_of_objects(loaded.dtypes.iloc[position]), f"column {position} became {loaded.dtypes.iloc[position]}"
        for before, after in zip(df.iloc[:, position], loaded.iloc[:, position], strict=True):
            same_object(after, before)
    assert_columns(loaded.columns, df.columns)
    others = [position for position in range(df.shape[1]) if position not in nested]
    same_index(loaded.index, df.index)
    left, right = loaded.iloc[:, others], df.iloc[:, others]
    numbers = range(len(others))
    left, right = left.set_axis(numbers, axis=1), right.set_axis(numbers, axis=1)
    left, right = (each.reset_index(drop=True) for each in (left, right))
    pd.testing.assert_frame_equal(left, right, check_exact=True, check_flags=False)
    assert loaded.attrs == df.attrs
    assert loaded.flags.allows_duplicate_labels == df.flags.allows_duplicate_labels


def assert_columns(loaded: Any, columns: Any) -> None:
    same_index(loaded, columns, exact="equiv")


def same_index(loaded: Any, index: Any, exact: Any = "equiv") -> None:
    assert [(type(name), name) for name in loaded.names] == [(type(name), name) for name in index.names]
    assert getattr(loaded, "freq", None) == getattr(index, "freq", None)
    if index.nlevels > 1:
        assert loaded.nlevels == index.nlevels
        for level in range(index.nlevels):
            one, other = loaded.get_level_values(level), index.get_level_values(level)
            same_index(
                one._with_freq(None) if hasattr(one, "_with_freq") else one,
                other._with_freq(None) if hasattr(other, "_with_freq") else other,
            )
        return
    if index.dtype == object:
        assert loaded.dtype == object, f"index became {loaded.dtype}"
        for before, after in zip(index, loaded, strict=True):
            assert type(after) is type(before), f"{before!r} became {after!r}"
            if not isinstance(before, tuple) or after != before:
                same_object(after, before)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        pd.testing.assert_index_equal(loaded, index, exact=exact, check_exact=True)


def same_object(loaded: Any, value: Any) -> None:
    """A value of a column of objects: lists, tuples and arrays are arrays; what a dict does not have is None in it."""
    if is_missing(value):
        assert is_missing(loaded)
    elif isinstance(value, list | tuple | np.ndarray):
        assert isinstance(loaded, np.ndarray | list), type(loaded)
        assert len(loaded) == len(value)
        for after, before in zip(loaded, value, strict=True):
            same_object(after, before)
    elif isinstance(value, Mapping):
        assert isinstance(loaded, dict)
        assert value.keys() <= loaded.keys()
        for key, after in loaded.items():
            same_object(after, value.get(key))
    else:
        assert loaded == value, f"{value!r} became {loaded!r}"
        for kind in (str, bytes, bool | np.bool_):
            assert isinstance(loaded, kind) == isinstance(value, kind), f"{value!r} became {loaded!r}"
        if hasattr(value, "utcoffset"):
            assert loaded.utcoffset() == value.utcoffset()
