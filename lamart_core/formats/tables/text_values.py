"""What delimited text can say, so that its readers understand what was meant.

Text has no types: a reader takes what looks like a number for one, and some words for missing values. A table whose
values would become *others* is refused; one whose values come back in another type is written, see the docs on formats.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import io
import pathlib
import re
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.tables.exact import EXACT_IN_FLOAT
from lamart_core.formats.tables.names import levels_of, listed
from lamart_core.formats.tables.objects import is_missing, is_of_objects

if TYPE_CHECKING:
    import pandas as pd

# What `pandas.read_csv` takes for a missing value, besides the empty text.
MISSING_WORDS = frozenset(
    {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
     "NaN", "None", "n/a", "nan", "null"}
)  # fmt: skip
# How the text of a number or truth value begins; a column is one of numbers only if all its texts are.
_LIKE_A_NUMBER = re.compile(r"\s*[+-]?(\d|\.\d|inf|nan|true|false)", re.IGNORECASE)
_WAYS_OUT = "use .parquet, or write the file yourself and save its path: load(dtype=…) says how to read it"
# Objects whose text says what they are; that of others would be Python code or an address in memory.
_WITH_TEXT = (
    str, bool, int, float, decimal.Decimal, fractions.Fraction, dt.date, dt.time, dt.timedelta, uuid.UUID,
    pathlib.PurePath,
)  # fmt: skip
_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)


def check_text(df: pd.DataFrame, what: str, *, with_index: bool) -> None:
    """Refuse a frame of which delimited text would give back other names or values.

    Args:
        df: The frame.
        what: Name of the format, for messages.
        with_index: Whether the index is written.

    Raises:
        UnsupportedObject: The message names the column.
    """
    import pandas as pd

    if df.shape[1] == 0:
        raise UnsupportedObject(f"{what} cannot hold a table without columns: use .parquet")
    if isinstance(df.columns, pd.MultiIndex):
        raise UnsupportedObject(f"{what} has no columns of several levels: use .parquet, or join their names")
    levels = list(df.index.names) if with_index else []
    named = [name for name in levels if name is not None]
    if len(named) < len(levels) > 1:
        raise UnsupportedObject(f"{what} needs a name for each of the {len(levels)} levels of the index: rename_axis()")
    _check_names([*named, *df.columns], what)
    for name, level in zip(levels, levels_of(df.index), strict=False):
        _check_values(level, f"the index {name!r}" if name is not None else "the index", what)
    for position, name in enumerate(df.columns):
        _check_values(df.iloc[:, position], f"column {name!r}", what)


def _check_names(names: list[Any], what: str) -> None:
    texts = [str(name) for name in names]
    repeated = sorted({text for text in texts if texts.count(text) > 1}) if len(set(texts)) < len(texts) else []
    if repeated:
        raise UnsupportedObject(f"{what}: the index has the name of a column: {listed(repeated)}; rename one of them")
    for name, text in zip(names, texts, strict=True):
        if is_missing(name) or not text:
            raise UnsupportedObject(f"{what} needs a name for each column: one has the name {name!r}")
        if "\0" in text or text.startswith("\ufeff"):
            raise UnsupportedObject(f"{what} cannot hold the name {name!r}: it has a character that readers drop")


def _check_values(values: Any, where: str, what: str) -> None:
    import numpy as np
    import pandas as pd

    dtype = values.dtype
    has_missing = bool(values.isna().any())
    if isinstance(dtype, pd.CategoricalDtype):
        values = dtype.categories
        dtype = values.dtype
    if dtype.kind == "c":
        raise UnsupportedObject(f"{what} has no text for {where} of complex numbers: use .parquet, or two columns")
    if dtype.kind not in "biufmM" and not isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        objects = values.to_numpy(dtype=object)
        _check_kinds(objects, where, what)
        integers = [int(v) for v in objects if isinstance(v, int | np.integer) and not isinstance(v, bool)]
        if integers:
            has_fractions = has_missing or any(isinstance(v, float | np.floating) for v in objects)
            _check_integers(integers, where, what, has_fractions)
        _check_texts([v for v in pd.unique(objects) if isinstance(v, str)], where, what, has_missing)
    elif dtype.kind in "iu" and has_missing:
        _check_integers([int(v) for v in (values.min(), values.max()) if not is_missing(v)], where, what, True)


def _check_kinds(objects: Any, where: str, what: str) -> None:
    import numpy as np
    import pandas as pd

    for kind in set(map(type, objects)):
        is_number = issubclass(kind, np.generic) and not issubclass(kind, np.void | np.complexfloating)
        known = (*_WITH_TEXT, type(None), type(pd.NaT), type(pd.NA), pd.Period, pd.Interval)
        if not is_number and not issubclass(kind, known):
            raise UnsupportedObject(f"{what} has no text for {where} of {kind.__name__}: {_WAYS_OUT}")


def _check_integers(numbers: list[int], where: str, what: str, has_missing: bool) -> None:
    """Refuse whole numbers that readers would round: beside missing ones, they read all as floats."""
    if not numbers:
        return
    least, most = min(numbers), max(numbers)
    if has_missing and max(most, -least) > EXACT_IN_FLOAT:
        number = most if most > EXACT_IN_FLOAT else least
        raise UnsupportedObject(
            f"{what}: {number} in {where} would be rounded, as readers make floats of numbers beside missing values "
            f"or fractions: {_WAYS_OUT}"
        )
    if least < _SMALLEST or most > _LARGEST or (least < 0 and most >= -_SMALLEST):
        raise UnsupportedObject(f"{what}: numbers in {where} are too large for readers: {_WAYS_OUT}")


def _check_texts(texts: list[str], where: str, what: str, has_missing: bool) -> None:
    for text in texts:
        if "\0" in text:
            raise UnsupportedObject(f"{what}: {text!r} in {where} has a NUL, at which readers end: {_WAYS_OUT}")
        if text in MISSING_WORDS:
            raise UnsupportedObject(f"{what}: the text {text!r} in {where} would come back as missing: {_WAYS_OUT}")
    given = [text for text in texts if text]
    if not given or not _LIKE_A_NUMBER.match(given[0]):
        return
    changed = _first_changed(given, has_missing or len(given) < len(texts))
    if changed is not None:
        text, value = changed
        raise UnsupportedObject(f"{what}: the text {text!r} in {where} would come back as {value!r}: {_WAYS_OUT}")


def _first_changed(texts: list[str], has_missing: bool) -> tuple[str, Any] | None:
    """The first of some texts that is read as a number, or truth value, which is spelled in another way."""
    import csv

    import pandas as pd

    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([text] for text in ([*texts, ""] if has_missing else texts))
    file.seek(0)
    read = pd.read_csv(file, header=None, skip_blank_lines=False, **exact_reading()).iloc[: len(texts), 0]
    if is_of_objects(read.dtype) and not has_missing:
        return next(((t, v) for t, v in zip(texts, read, strict=True) if not isinstance(v, str | bool)), None)
    return next(((text, value) for text, value in zip(texts, read, strict=True) if text not in _spellings(value)), None)


def _spellings(value: Any) -> Iterable[str]:
    text = str(value)
    return (text, text.removesuffix(".0")) if isinstance(value, float) and abs(value) < EXACT_IN_FLOAT else (text,)


def exact_reading() -> dict[str, Any]:
    """Options of ``pandas.read_csv`` with which numbers are exact, and a column has one type from beginning to end.

    Its default for floats is wrong in the last place, and ends the process where an exponent is large.
    """
    return {"float_precision": "round_trip", "low_memory": False}
