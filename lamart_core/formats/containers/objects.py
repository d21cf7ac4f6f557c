"""Values of Python in columns, arrays and lists: whether they are text, and whether an array holds them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd


def inferred(values: Any, *, skipna: bool = True) -> str:
    """What pandas says that values are, e.g. ``"string"``."""
    import pandas as pd

    return str(pd.api.types.infer_dtype(values, skipna=skipna))


def is_object(dtype: Any) -> bool:
    """Whether this is the type of Python objects."""
    return str(dtype) == "object"


def is_text(array: Any) -> bool:
    """Whether all values of an array are text."""
    return array.size == 0 or inferred(array.ravel(), skipna=False) == "string"


def plain_text(values: Any) -> list[Any] | None:
    """The same values with text of other classes, such as members of an Enum, as plain text; None if there are none."""
    import numpy as np

    objects = np.asarray(values, dtype=object)  # pandas iterates ten times as slowly
    if not any(issubclass(kind, str) and kind is not str for kind in set(map(type, objects))):
        return None
    return [str.__str__(value) if isinstance(value, str) else value for value in objects]


def first_other(values: Any) -> str:
    """The first value that is no text, as a message shows it."""
    import pandas as pd

    for value in itertools.islice(iter(values), 1_000_000):
        is_missing = value is None or value is pd.NA or (isinstance(value, float) and value != value)
        if not isinstance(value, str) and not is_missing:
            shown = repr(value)
            return f"{shown if len(shown) < 40 else shown[:40] + '…'} ({type(value).__name__})"
    return "missing values"


def as_categories(column: pd.Series) -> Any:
    """Text as categories in the order that anndata gives them; missing values stay that."""
    import pandas as pd
    from natsort import natsorted

    made = pd.Categorical(column.astype(object))
    return made.reorder_categories(natsorted(made.categories))


def holds_list(array: Any, values: list[Any]) -> bool:
    """Whether an array that was made of a list holds what is in it; beside floats, whole numbers become floats."""
    if array.dtype.kind == "O" or (array.size and array.dtype.kind == "f" and not _has_float(values)):
        return False
    return _is_same(array.tolist(), values)


def _has_float(values: Any) -> bool:
    if hasattr(values, "dtype"):
        return values.dtype.kind not in "iub"
    if isinstance(values, list | tuple):
        return any(map(_has_float, cast("list[Any]", values)))
    return not isinstance(values, int)


def _is_same(stored: Any, given: Any) -> bool:
    if isinstance(stored, list):
        items = given.tolist() if hasattr(given, "tolist") else given
        if not isinstance(items, list | tuple):
            return False
        pairs = zip(cast("list[Any]", stored), cast("list[Any]", items), strict=False)
        return len(cast("list[Any]", items)) == len(cast("list[Any]", stored)) and all(_is_same(a, b) for a, b in pairs)
    plain = given.item() if hasattr(given, "item") else given
    if type(stored) is not type(plain) and (isinstance(plain, bool) or not isinstance(plain, int | float | complex)):
        return False
    return stored == plain or (stored != stored and plain != plain)
