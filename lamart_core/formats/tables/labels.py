"""Names of columns and rows as JSON, whatever pandas allows there: numbers, dates, intervals, several levels.

pandas' own metadata of Arrow tables knows text and some other types; the rest comes back as text, or ends in an error
when it is read.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.libraries import ArrowTable
from lamart_core.formats.tables.canonical import empty_batch
from lamart_core.formats.tables.objects import is_of_objects

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Labels:
    """Writes labels as JSON values, and reads them.

    Attributes:
        to_arrow: Makes an Arrow table of a frame without a loss.
        to_pandas: Its inverse.
    """

    to_arrow: Callable[[pd.DataFrame], ArrowTable]
    to_pandas: Callable[[ArrowTable], pd.DataFrame]

    def write(self, label: Any) -> Any:
        """One label.

        Raises:
            UnsupportedObject: It has no form.
        """
        if label is None or type(label) in (str, bool, int):
            return label
        if isinstance(label, tuple):
            return {"tuple": [self.write(part) for part in cast("Sequence[Any]", label)]}
        if isinstance(label, float):
            return {"float": float(label).hex()}
        import pandas as pd

        try:
            column = pd.Series([label])
            written = _encode(self.to_arrow(column.to_frame("label")))
            found = self.to_pandas(_decode(written))["label"].iloc[0]
            is_same = type(found) is type(label) and (found == label or (label != label and found != found))
        except Exception as error:
            raise UnsupportedObject(f"the name {label!r} has no form: use text for it") from error
        if not is_same:
            raise UnsupportedObject(f"the name {label!r} would come back as {found!r}: use text for it")
        return {"value": written}

    def read(self, written: Any) -> Any:
        """The inverse of `write`."""
        if not isinstance(written, dict):
            return written
        ((kind, value),) = cast("dict[str, Any]", written).items()
        if kind == "tuple":
            return tuple(self.read(part) for part in value)
        return float.fromhex(value) if kind == "float" else self.to_pandas(_decode(value))["label"].iloc[0]

    def write_index(self, index: pd.Index) -> dict[str, Any]:
        """All labels of an axis, with their type.

        Raises:
            UnsupportedObject: A label has no form.
        """
        import pandas as pd

        if isinstance(index, pd.MultiIndex):
            levels = [self.write_index(level) for level in index.levels]
            codes: list[Any] = [code.tolist() for code in index.codes]
            return {"levels": levels, "codes": codes, "names": [self.write(name) for name in index.names]}
        name = self.write(index.name)
        if isinstance(index, pd.RangeIndex):
            return {"range": [index.start, index.stop, index.step], "name": name}
        if is_of_objects(index.dtype):
            return {"labels": [self.write(label) for label in index], "name": name}
        frame = index.rename("label").to_frame(index=False)
        freq = getattr(index, "freqstr", None) if getattr(index, "freq", None) is not None else None
        return {"typed": _encode(self.to_arrow(frame)), "freq": freq, "name": name}

    def read_index(self, written: dict[str, Any]) -> pd.Index:
        """The inverse of `write_index`."""
        import pandas as pd

        if "levels" in written:
            levels = [self.read_index(level) for level in written["levels"]]
            names = [self.read(name) for name in written["names"]]
            return pd.MultiIndex(levels=levels, codes=written["codes"], names=names)
        name = self.read(written["name"])
        if "range" in written:
            return pd.RangeIndex(*written["range"], name=name)
        if "labels" in written:
            labels = [self.read(label) for label in written["labels"]]
            return pd.Index(labels, dtype=object, name=name, tupleize_cols=False)
        index: Any = pd.Index(self.to_pandas(_decode(written["typed"]))["label"])
        return with_frequency(index.rename(name), written["freq"])


def with_frequency(index: Any, freq: str | None) -> Any:
    """An index of times with the step that it had, unless it lost it, as with rows that are left out."""
    import pandas as pd

    if freq is None or not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        return index
    try:
        index.freq = freq
    except ValueError:
        return index
    return index


def _encode(table: ArrowTable) -> str:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        if table.num_rows == 0:
            stream.write_batch(empty_batch(table))  # no batch at all would lose the categories
        stream.write_table(table)
    return base64.b64encode(sink.getvalue().to_pybytes()).decode()


def _decode(text: str) -> ArrowTable:
    import pyarrow as pa

    with pa.ipc.open_stream(base64.b64decode(text)) as stream:
        return stream.read_all()
