"""Flow cytometry: FCS 2.0 to 3.1, list mode, read as an AnnData of events and channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.contract import ColumnInfo, Format, Preview
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import ANNDATA, PythonType, require
from lamart_core.formats.markdown import markdown_table

_HEADER_BYTES = 58
_MAX_TEXT_BYTES = 64 << 20
_MAX_CHANNELS = 10_000
_PREVIEWED = 50
_UNSIGNED = {8: "u1", 16: "u2", 32: "u4", 64: "u8"}
_ORDERS = {"1,2,3,4": "<", "4,3,2,1": ">", "1,2": "<", "2,1": ">", "1,2,3,4,5,6,7,8": "<", "8,7,6,5,4,3,2,1": ">"}


class FcsFormat(Format):
    """Events of a flow cytometer: ``X`` as recorded, channels in ``var``, the keywords of the file in ``uns["fcs"]``.

    Only the first data set of a file is read. Values are not compensated or transformed.
    """

    name = "fcs"
    suffixes: ClassVar[tuple[str, ...]] = (".fcs",)
    extra: ClassVar[str | None] = "anndata"
    returns: ClassVar[tuple[PythonType, ...]] = (ANNDATA,)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        raise UnsupportedObject("FCS files are read, not written")

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        if options:
            raise TypeError(f"unexpected keyword argument {', '.join(map(repr, options))}")
        require("anndata", extra="anndata", purpose="Reading an .fcs file")
        import anndata as ad
        import pandas as pd

        found = _read_text(path)
        names = [channel.name for channel in found.channels]
        var = pd.DataFrame({"marker": [channel.marker for channel in found.channels]}, index=pd.Index(names, dtype=str))
        obs = pd.DataFrame(index=pd.RangeIndex(found.n_events).astype(str))
        # HDF5 takes a slash for the name of a group.
        keywords = {key.replace("/", "_"): value for key, value in found.keywords.items()}
        return ad.AnnData(_read_events(path, found), obs=obs, var=var, uns={"fcs": keywords})

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Number of events, and the channels."""
        if not isinstance(obj_or_path, Path):
            return super().preview(obj_or_path, suffix=suffix)
        with reading(obj_or_path, self.name):
            found = _read_text(obj_or_path)
        rows = [(channel.name, channel.marker) for channel in found.channels[:_PREVIEWED]]
        shape = (found.n_events, len(found.channels))
        text = f"**FCS** {shape[0]:,} events × {shape[1]:,} channels\n\n{markdown_table(['channel', 'marker'], rows)}"
        columns = tuple(ColumnInfo(channel.name, channel.dtype) for channel in found.channels)
        return Preview(text, shape[0], shape=shape, slots={"var": columns})


@dataclass(frozen=True)
class _Channel:
    """One parameter of the events: names, type on disk, and the bits of an integer that count."""

    name: str
    marker: str
    dtype: str
    mask: int | None


@dataclass(frozen=True)
class _Text:
    """What the file says of its data."""

    keywords: dict[str, str]
    channels: tuple[_Channel, ...]
    n_events: int
    begin: int


def _read_text(path: Path) -> _Text:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        if not header.startswith(b"FCS") or len(header) < _HEADER_BYTES:
            raise ValueError("no FCS header")
        begin, end = int(header[10:18]), int(header[18:26])
        if not 0 < begin < end < size or end - begin > _MAX_TEXT_BYTES:
            raise ValueError(f"the text segment from {begin} to {end} is not in the file")
        file.seek(begin)
        keywords = _keywords(file.read(end - begin + 1).decode("utf-8", errors="replace"))
    if keywords.get("$MODE", "L") != "L":
        raise UnsupportedObject(f"FCS files in mode {keywords['$MODE']!r} hold no list of events: use cache()")
    n_channels, n_events = int(keywords["$PAR"]), int(keywords["$TOT"])
    if not 0 < n_channels <= _MAX_CHANNELS or n_events < 0:
        raise ValueError(f"{n_events} events of {n_channels} channels")
    channels = tuple(_channel(keywords, number) for number in range(1, n_channels + 1))
    # Offsets beyond 99,999,999 do not fit into the header, which has zeros then.
    data_begin = int(header[26:34]) or int(keywords["$BEGINDATA"])
    if data_begin + n_events * sum(int(channel.dtype[-1]) for channel in channels) > size:
        raise ValueError(f"{n_events:,} events of {n_channels:,} channels are more than the file holds")
    return _Text(keywords, channels, n_events, data_begin)


def _keywords(text: str) -> dict[str, str]:
    """The pairs of a text segment. Its first character separates them; doubled, it stands for itself."""
    separator, escaped = text[0], "\0\0"
    body = text[1:].rstrip()
    body = body.removesuffix(separator)
    parts = [part.replace(escaped, separator) for part in body.replace(separator * 2, escaped).split(separator)]
    return {key.strip().upper(): value.strip() for key, value in zip(parts[::2], parts[1::2], strict=False)}


def _channel(keywords: Mapping[str, str], number: int) -> _Channel:
    kind, bits = keywords["$DATATYPE"].upper(), keywords[f"$P{number}B"]
    order = _ORDERS.get(keywords["$BYTEORD"].replace(" ", ""))
    expected = {"F": "32", "D": "64"}.get(kind, bits)
    if kind not in "FDI" or order is None or bits != expected or (kind == "I" and int(bits) not in _UNSIGNED):
        raise UnsupportedObject(
            f"FCS data of type {kind!r} with {bits} bits in the order {keywords['$BYTEORD']} is not read: use cache()"
        )
    name = keywords.get(f"$P{number}N") or f"P{number}"
    marker = keywords.get(f"$P{number}S", "")
    if kind != "I":
        return _Channel(name, marker, f"{order}f{int(bits) // 8}", None)
    # Bits above the range are noise.
    used = max(int(float(keywords[f"$P{number}R"])) - 1, 0).bit_length()
    return _Channel(name, marker, order + _UNSIGNED[int(bits)], (1 << used) - 1 if used < int(bits) else None)


def _read_events(path: Path, found: _Text) -> Any:
    import numpy as np

    dtype = np.dtype([(f"c{number}", channel.dtype) for number, channel in enumerate(found.channels)])
    with path.open("rb") as file:
        file.seek(found.begin)
        events = np.fromfile(file, dtype=dtype, count=found.n_events)
    columns = [events[name] for name in dtype.names or ()]
    masked = [c if k.mask is None else c & c.dtype.type(k.mask) for c, k in zip(columns, found.channels, strict=True)]
    common = np.result_type(*masked).newbyteorder("=")
    matrix = np.empty((found.n_events, len(masked)), dtype=common)
    for number, column in enumerate(masked):
        matrix[:, number] = column
    return matrix
