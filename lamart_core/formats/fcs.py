"""Flow cytometry: FCS 2.0 to 3.1, list mode, read by FlowIO as an AnnData of events and channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.format import ColumnInfo, Format, Preview
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import ANNDATA, PythonType, require
from lamart_core.formats.markdown import markdown_table

_PREVIEWED = 50
_ORDERS = ("1,2,3,4", "4,3,2,1", "1,2", "2,1")
_TYPES = {"F": ("32",), "D": ("64",), "I": ("8", "16", "32")}


class FcsFormat(Format):
    """Events of a flow cytometer: ``X`` as recorded, channels in ``var``, the keywords of the file in ``uns["fcs"]``.

    Only the first data set of a file is read. Values are not compensated or transformed.
    """

    name = "fcs"
    suffixes: ClassVar[tuple[str, ...]] = (".fcs",)
    extra: ClassVar[str | None] = "fcs"
    returns: ClassVar[tuple[PythonType, ...]] = (ANNDATA,)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        raise UnsupportedObject("FCS files are read, not written")

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        if options:
            raise TypeError(f"unexpected keyword argument {', '.join(map(repr, options))}")
        require("anndata", extra="fcs", purpose="Reading an .fcs file")
        import anndata as ad
        import numpy as np
        import pandas as pd

        _flow(path, only_text=True)  # what cannot be read is told before it is tried
        found = _flow(path, only_text=False)
        events = np.asarray(found.events).reshape(found.event_count, found.channel_count)
        var = pd.DataFrame({"marker": found.pns_labels}, index=pd.Index(found.pnn_labels, dtype=str))
        obs = pd.DataFrame(index=pd.RangeIndex(found.event_count).astype(str))
        # HDF5 takes a slash for the name of a group.
        keywords = {key.replace("/", "_"): value for key, value in found.text.items()}
        return ad.AnnData(events, obs=obs, var=var, uns={"fcs": keywords})

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Number of events, and the channels."""
        if not isinstance(obj_or_path, Path):
            return super().preview(obj_or_path, suffix=suffix)
        with reading(obj_or_path, self.name):
            found = _flow(obj_or_path, only_text=True)
        rows = list(zip(found.pnn_labels, found.pns_labels, strict=True))[:_PREVIEWED]
        shape = (found.event_count, found.channel_count)
        text = f"**FCS** {shape[0]:,} events × {shape[1]:,} channels\n\n{markdown_table(['channel', 'marker'], rows)}"
        columns = tuple(ColumnInfo(str(name), found.data_type) for name in found.pnn_labels)
        return Preview(text, shape[0], shape=shape, slots={"var": columns})


def _flow(path: Path, *, only_text: bool) -> Any:
    """The file as FlowIO reads it, if that is all that it holds.

    Raises:
        UnsupportedObject: FlowIO would misread it, or does not read it.
        ValueError: What the file says of itself cannot be true.
    """
    require("flowio", extra="fcs", purpose="Reading an .fcs file")
    from flowio import FlowData

    with path.open("rb") as file:
        # The offsets in the text are right where the two disagree; offset 0: the first of several data sets.
        found: Any = FlowData(file, only_text=only_text, ignore_offset_discrepancy=True, nextdata_offset=0)
    text, kind, channels = found.text, str(found.data_type).upper(), range(1, len(found.channels) + 1)
    if found.event_count < 0 or found.channel_count != len(found.channels) or set(found.channels) != {*channels}:
        raise ValueError(f"{found.event_count} events of {found.channel_count} channels")
    bits = {text[f"p{number}b"] for number in channels}
    order = text["byteord"].replace(" ", "")
    if text.get("mode", "L").upper() != "L" or order not in _ORDERS or not bits <= {*_TYPES.get(kind, ())}:
        raise UnsupportedObject(
            f"FCS data in mode {text.get('mode')!r}, of type {kind!r} with {', '.join(sorted(bits))} bits in the order "
            f"{order} are not read: use cache()"
        )
    n_bytes = sum(int(text[f"p{number}b"]) // 8 for number in channels) * found.event_count
    if n_bytes > found.file_size:
        raise ValueError(f"{found.event_count:,} events of {len(channels):,} channels are more than the file holds")
    return found
