"""What the stores of anndata give back of a value: as it is, changed in a documented way, or not at all.

anndata's writers store much as something else without a word: a mask is dropped, a missing value in a column of Python
objects becomes the text "None" in zarr, a slash in a key makes a group that no reader expects. So each element is
looked at before anything is written. ``docs/formats.md`` says what comes back, type by type.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.arrays.masked import count_masked
from lamart_core.formats.containers.objects import (
    as_categories,
    first_other,
    holds_list,
    inferred,
    is_object,
    is_text,
    plain_text,
)

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 5
_MAX_NAME = 255  # bytes, of a file
_OF_ZARR = frozenset({"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"})
_STEPS = frozenset({"", ".", ".."})

# What to do with columns of Python objects, by what pandas says they hold.
_OBJECTS = {
    "boolean": "astype('boolean')",
    "integer": "astype('Int64')",
    "integer-na": "astype('Int64')",
    "floating": "astype('float64')",
    "mixed-integer-float": "astype('float64')",
    "decimal": "astype('float64') or astype(str)",
    "complex": "astype('complex128')",
    "bytes": "str.decode('utf-8')",
}
# The same for types of pandas that anndata has no writer for, by the beginning of their names.
_TYPES = {
    "datetime64": "astype(str), or astype('int64') for nanoseconds",
    "timedelta64": "dt.total_seconds()",
    "period": "astype(str)",
    "interval": "astype(str)",
    "Float": "astype('float64')",
    "Sparse": "sparse.to_dense()",
}
# And for values in uns.
_VALUES = {
    "tuple": "a list",
    "set": "a sorted list",
    "frozenset": "a sorted list",
    "bytes": "text, or numpy.frombuffer(…, 'uint8')",
    "Timestamp": "text, as of isoformat()",
    "datetime": "text, as of isoformat()",
    "date": "text, as of isoformat()",
    "datetime64": "text, as of str()",
    "Timedelta": "a number of seconds",
    "timedelta": "a number of seconds",
    "Series": "a table, as of to_frame()",
    "Index": "an array, as of to_numpy()",
    "Decimal": "a float or text",
    "matrix": "an array, as of numpy.asarray()",
    "coo_matrix": "its tocsr()",
    "coo_array": "its tocsr()",
}


@dataclass(frozen=True)
class Store:
    """A kind of store, and how it is written.

    Attributes:
        name: Name of the format, for messages.
        is_hdf5: Whether it is an HDF5 file; else a zarr folder.
        makes_categories: Whether columns of text may become categorical.
    """

    name: str
    is_hdf5: bool
    makes_categories: bool = True


@dataclass
class Contents:
    """Looks at what is to be written, element by element, and says what to write instead.

    Nothing is changed in place: what comes out shares its data with what was passed. What the store cannot give back is
    collected, so that one error names all of it.
    """

    store: Store
    problems: list[str] = field(default_factory=list[str])
    _within: set[int] = field(default_factory=set[int])

    def check(self, what: str) -> None:
        """Raise UnsupportedObject if something was found that would not come back.

        Args:
            what: What all of it is, e.g. ``"AnnData"``.
        """
        if not self.problems:
            return
        more = f"; and {len(self.problems) - _SHOWN} more" if len(self.problems) > _SHOWN else ""
        raise UnsupportedObject(f"{self.store.name} cannot hold this {what}: {'; '.join(self.problems[:_SHOWN])}{more}")

    def mapping(self, members: Mapping[Any, Any], where: str) -> dict[str, Any]:
        """A mapping with its keys in order: which one was set first is no content, and would decide on the bytes."""
        result: dict[str, Any] = {}
        with self._entering(members, where) as is_new:
            self.names(members, where)
            for key in sorted(members, key=str) if is_new else ():
                result[str(key)] = self.value(members[key], f"{where}[{key!r}]")
        return result

    def names(self, members: Mapping[Any, Any], where: str) -> None:
        """The keys of a mapping whose order is content."""
        for key in members:
            problem = self._key_problem(key)
            if problem is not None:
                self._refuse(f"{where} has the key {key!r}, {problem}")

    def value(self, value: Any, where: str) -> Any:
        """Any element: of a slot of matrices, or of ``uns``."""
        import numpy as np
        import pandas as pd

        if isinstance(value, np.ndarray):
            return self._array(cast(Any, value), where)
        if isinstance(value, pd.DataFrame):
            return self.frame(value, where)
        if isinstance(value, pd.Categorical):
            return self._categorical(value, where)
        if isinstance(value, dict) or (type(value).__module__.startswith("anndata") and isinstance(value, Mapping)):
            return self.mapping(cast("Mapping[Any, Any]", value), where)
        if isinstance(value, list):
            return self._list(cast("list[Any]", value), where)
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            self._refuse(f"{where} is an integer of more than 64 bits: store it as text")
        elif isinstance(value, str) and value.endswith("\0"):
            self._refuse(f"{where} is text that ends in NUL, which would be lost: strip it")
        elif type(value).__name__ in _VALUES:
            self._refuse(f"{where} is a {type(value).__name__}: store {_VALUES[type(value).__name__]}")
        elif type(value).__name__ == "AnnData":
            from lamart_core.formats.containers.prepared import parts_of

            parts = parts_of(cast(Any, value), self, f"{where}.")
            return value if self.problems else parts.build()
        return value

    def frame(self, df: pd.DataFrame, where: str, *, has_names: bool = False) -> pd.DataFrame:
        """A table.

        Args:
            df: The table; it is not changed.
            where: What to call it.
            has_names: Whether its index are names, as those of ``obs``: readers make text of all others.
        """
        if df.columns.nlevels > 1:
            self._refuse(f"{where} has columns of {df.columns.nlevels} levels: join their names")
            return df
        for name in df.columns[df.columns.duplicated()].unique():
            self._refuse(f"{where} has two columns {name!r}: rename one")
        if not df.columns.is_unique:
            return df
        result = df.copy(deep=False)
        result.index = self._index(df.index, f"{where}.index", has_names=has_names)
        names = [name for name in df.columns if self._is_column_name(name, df.columns, where)]
        for name in names:
            column = self._column(cast(Any, df[name]), f"{where}[{name!r}]")
            if column is not None:
                result[name] = column
        return result

    # Names

    def _key_problem(self, key: object, *, is_column: bool = False) -> str | None:
        if not isinstance(key, str):
            return f"of type {type(key).__name__}: keys are text"
        try:
            length = len(key.encode())
        except UnicodeEncodeError:
            return "which is no valid Unicode"
        if key in _STEPS or "\0" in key or (not self.store.is_hdf5 and key in _OF_ZARR):
            return "which the store cannot use as a name"
        if ("/" in key and not (is_column and self.store.is_hdf5)) or ("\\" in key and not self.store.is_hdf5):
            return "and a slash would make a group of it: use another sign"
        if not self.store.is_hdf5 and length > _MAX_NAME:
            return f"which is longer than {_MAX_NAME} bytes, as a name of a file can be"
        return None

    def _is_column_name(self, name: object, columns: Any, where: str) -> bool:
        problem = self._key_problem(name, is_column=True)
        if problem is None and name == "_index":
            problem = "which is where the index is stored: rename it"
        if problem is None and "/" in cast("str", name):
            # A path in HDF5, which its reader follows, unless it is not the only one that leads there.
            steps = cast("str", name).split("/")
            above = {"/".join(steps[:n]) for n in range(1, len(steps))}
            if _STEPS & set(steps) or above & set(columns) or "_index" in above:
                problem = "and its slashes do not lead to a place of its own: rename it"
        if problem is not None:
            self._refuse(f"{where} has a column {name!r}, {problem}")
        return problem is None

    # Tables

    def _index(self, index: pd.Index, where: str, *, has_names: bool) -> pd.Index:
        import pandas as pd

        if index.nlevels > 1:
            self._refuse(f"{where} has {index.nlevels} levels: use reset_index() to make columns of them")
            return index
        if index.name is not None:
            problem = self._key_problem(index.name, is_column=True)
            if problem is not None:
                self._refuse(f"{where} is named {index.name!r}, {problem}")
        if not len(index):
            return index
        if isinstance(index.dtype, pd.StringDtype | pd.CategoricalDtype) and not index.hasnans and has_names:
            index = index.astype(object)
        elif isinstance(index.dtype, pd.StringDtype) and not index.hasnans:
            return index.astype(object)
        kind = "string" if isinstance(index, pd.RangeIndex) and not has_names else inferred(index, skipna=False)
        is_objects = is_object(index.dtype)
        if (has_names or is_objects) and kind not in ("string", "empty"):
            missing = " has missing names" if index.hasnans else f" holds {first_other(index)}, and no text"
            self._refuse(f"{where}{missing}, which would come back as other text: use astype(str)")
        elif isinstance(index.dtype, pd.CategoricalDtype):
            return pd.CategoricalIndex(self._categorical(index.array, where), name=index.name)
        elif is_objects:
            plain = plain_text(index)
            return index if plain is None else pd.Index(plain, name=index.name)
        else:
            self._refuse_type(index.dtype, where)
        return index

    def _column(self, column: pd.Series, where: str) -> Any:
        """What to write instead of a column; None: the column itself."""
        import pandas as pd

        dtype = column.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            made = self._categorical(column.array, where)
            return None if made is column.array else made
        if isinstance(dtype, pd.StringDtype):
            from anndata import settings

            if getattr(settings, "allow_write_nullable_strings", False):
                return None
        elif not is_object(dtype):
            self._refuse_type(dtype, where)
            return None
        kind = inferred(column)
        if kind not in ("string", "empty"):
            hint = f"{where}.{_OBJECTS[kind]}" if kind in _OBJECTS else f"one type of values, or {where}.astype(str)"
            self._refuse(f"{where} is a column of Python objects that holds {first_other(column)}: use {hint}")
            return None
        plain = plain_text(column)
        if plain is not None:
            column = pd.Series(plain, index=column.index, dtype=object)
        if not column.hasnans:
            return None if is_object(dtype) and plain is None else column.astype(object)
        if not self.store.makes_categories:
            self._refuse(f"{where} is text with missing values, which only a category can hold: fill them")
            return None
        return as_categories(column)

    def _categorical(self, values: Any, where: str) -> Any:
        import pandas as pd

        categories = values.categories
        dtype = categories.dtype
        if isinstance(dtype, pd.StringDtype):
            return values.rename_categories(categories.astype(object))
        if is_object(dtype):
            if inferred(categories) not in ("string", "empty"):
                self._refuse(
                    f"{where} has categories of Python objects, among them {first_other(categories)}: use "
                    f"{where}.cat.rename_categories(str)"
                )
            plain = plain_text(categories)
            return values if plain is None else values.rename_categories(plain)
        if getattr(dtype, "kind", "O") not in "biuf" or not hasattr(dtype, "newbyteorder"):
            self._refuse(f"{where} has categories of {dtype}: use {where}.cat.rename_categories(str)")
        return values

    def _refuse_type(self, dtype: Any, where: str) -> None:
        name = str(dtype)
        hint = next((hint for start, hint in _TYPES.items() if name.startswith(start)), None)
        if hint is None and name.endswith("[pyarrow]"):
            hint = "convert_dtypes(dtype_backend='numpy_nullable')"
        if hint is not None:
            self._refuse(f"{where} is of {name}, for which there is no encoding: use {where}.{hint}")

    # Arrays

    def _array(self, array: Any, where: str) -> Any:
        import numpy as np

        if isinstance(array, np.ma.MaskedArray):
            if count_masked(array):
                self._refuse(
                    f"{where} is a masked array, whose mask would be lost: use filled(), or a column of a nullable type"
                )
                return array
            array = cast(Any, array).data
        elif type(array).__name__ in _VALUES:
            self._refuse(f"{where} is a {type(array).__name__}: store {_VALUES[type(array).__name__]}")
        elif array.dtype.kind == "O":
            if not is_text(array):
                self._refuse(f"{where} is an array of Python objects, among them {first_other(array.ravel())}")
            plain = plain_text(array.ravel())
            return array if plain is None else np.array(plain, dtype=object).reshape(array.shape)
        elif array.dtype.names is not None:
            self._records(array, where)
        elif array.dtype.kind in "Mm":
            self._refuse(f"{where} is an array of {array.dtype}: use astype('int64'), or astype(str)")
        elif array.dtype.kind == "V":
            self._refuse(f"{where} is an array of {array.dtype}, bytes without a meaning: use view('uint8')")
        return array

    def _records(self, array: Any, where: str) -> None:
        for name in array.dtype.names:
            problem = self._key_problem(name, is_column=True)
            kind = array.dtype[name]
            if problem is not None:
                self._refuse(f"{where} has a field {name!r}, {problem}")
            elif kind.names is not None or kind.subdtype is not None or kind.kind in "MmVS":
                self._refuse(f"{where}[{name!r}] is a field of {kind}: store it as an array of its own")
            elif kind.kind == "O" and not is_text(array[name]):
                self._refuse(f"{where}[{name!r}] is a field of Python objects that are not text")

    def _list(self, values: list[Any], where: str) -> Any:
        import numpy as np

        with self._entering(values, where) as is_new:
            if not is_new:
                return values
            try:
                array = np.array(values)
            except (ValueError, OverflowError, TypeError):
                array = np.array(None)
            if not holds_list(array, values):
                self._refuse(
                    f"{where} is a list that an array of one type cannot hold: store a dictionary, or JSON as text"
                )
        return values

    # Remembering

    def _refuse(self, problem: str) -> None:
        self.problems.append(problem)

    @contextmanager
    def _entering(self, container: Any, where: str) -> Generator[bool]:
        """Tells whether this is not within itself."""
        if id(container) in self._within:
            self._refuse(f"{where} contains itself")
            yield False
            return
        self._within.add(id(container))
        try:
            yield True
        finally:
            self._within.discard(id(container))
