"""Equal, as the libraries compare, and what the docs say comes back in another form."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from lamart_core.formats.tables.flat import only_counts_rows
from lamart_core.formats.tables.names import levels_of
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


# Formats that know columns only, and fewer types. What docs/formats.md says of them, value by value.


def same_flat(loaded: pd.DataFrame, df: pd.DataFrame, *, is_text: bool) -> None:
    """Equal but for types: named levels of the index are columns, names are text, values are in the documented form."""
    unnamed: list[Any] = []
    expected: list[tuple[str, Any]] = []
    if not only_counts_rows(df):
        for position, name in enumerate(df.index.names):
            level = levels_of(df.index)[position]
            unnamed.append(level) if name is None else expected.append((str(name), level))
    expected += [(str(name), df.iloc[:, position]) for position, name in enumerate(df.columns)]
    assert len(loaded) == len(df)
    assert [name.removesuffix(" 00:00:00") for name in loaded.columns] == [
        name.removesuffix(" 00:00:00") for name, _ in expected
    ]
    for position, (_, values) in enumerate(expected):
        same_values(loaded.iloc[:, position], values, is_text=is_text)
    for position, level in enumerate(unnamed):
        same_values(loaded.index.get_level_values(position), level, is_text=is_text)


def same_values(loaded: Any, values: Any, *, is_text: bool) -> None:
    bits = {"halffloat": 16, "float16": 16, "float": 32, "float32": 32}.get(
        str(values.dtype).lower().removesuffix("[pyarrow]")
    )
    for after, before in zip(loaded, values, strict=True):
        as_stored = np.dtype(f"float{bits}").type(before) if bits and not is_missing(before) else before
        same_value(after, as_stored, is_text=is_text)


def same_value(after: Any, before: Any, *, is_text: bool) -> None:
    if is_missing(before) or (is_text and before == ""):
        assert is_missing(after), f"{before!r} became {after!r}"
        return
    found: Any
    if isinstance(before, list) and isinstance(after, dict):  # of a map
        before = dict(before)
    if isinstance(before, np.ndarray | list | tuple):
        assert len(after) == len(before)
        for one, other in zip(after, before, strict=True):
            same_value(one, other, is_text=is_text)
        return
    if isinstance(before, Mapping):
        assert after.keys() >= before.keys()
        for key, value in after.items():
            same_value(value, before.get(key), is_text=is_text)
        return
    if isinstance(after, np.datetime64):
        after = pd.Timestamp(after)
    if isinstance(before, str) and not isinstance(after, str):
        found = str(after) == before or (isinstance(after, float) and str(after).removesuffix(".0") == before)
        assert is_text
        assert found, f"{before!r} became {after!r}"
    elif isinstance(before, bool | np.bool_):
        assert (str(after) if is_text else after) == (str(before) if is_text else before)
    elif isinstance(before, np.float32 | np.float16):
        assert type(before)(after) == before or np.isnan(before)
    elif isinstance(before, Decimal) and not isinstance(after, Decimal):
        assert float(after) == float(before)
    elif isinstance(before, dt.timedelta) and isinstance(after, str):
        assert pd.Timedelta(after) == before
    elif isinstance(before, dt.datetime) and isinstance(after, str):
        assert pd.Timestamp(after) == pd.Timestamp(before)
    elif isinstance(before, dt.date | dt.time) and isinstance(after, str):
        assert after == str(before)
    elif isinstance(before, pd.Period):
        assert str(after).removesuffix(".0") == str(before)
    elif isinstance(after, str) and not isinstance(before, str):
        assert after == str(before)
    else:
        assert after == before or (is_text and str(after) == str(before)), f"{before!r} became {after!r}"
        assert isinstance(after, str) == isinstance(before, str)
