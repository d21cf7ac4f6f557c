"""Files of flow cytometers, made here byte by byte after the standard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamart_core.errors import UnsupportedObject
from lamart_core.formats import UnreadableContent, for_path

ORDER = {"<": "1,2,3,4", ">": "4,3,2,1"}
LETTER = {"f4": "F", "f8": "D", "u1": "I", "u2": "I", "u4": "I"}


def fcs(events: np.ndarray, path: Path, *, in_header: bool = True, separator: str = "/", **changed: Any) -> Path:
    """An FCS 3.1 file of a matrix; keywords can be changed, to wrong ones too."""
    kind = events.dtype.str[1:]
    keywords: dict[str, Any] = {
        "$MODE": "L", "$DATATYPE": LETTER[kind], "$BYTEORD": ORDER[events.dtype.str[0].replace("|", "<")],
        "$PAR": events.shape[1], "$TOT": events.shape[0], "$NEXTDATA": 0, "$CYT": f"a{separator}b",
    }  # fmt: skip
    for number in range(1, events.shape[1] + 1):
        keywords |= {
            f"$P{number}B": events.dtype.itemsize * 8,
            f"$P{number}R": 1024,
            f"$P{number}N": f"FL{number}-A",
            f"$P{number}S": f"CD{number}",
        }
    begin = 4096
    keywords |= {"$BEGINDATA": begin, "$ENDDATA": begin + events.nbytes - 1, **changed}
    escaped = (str(part).replace(separator, separator * 2) for pair in keywords.items() for part in pair)
    text = separator + separator.join(escaped) + separator
    offsets = (58, 58 + len(text) - 1, *((begin, begin + events.nbytes - 1) if in_header else (0, 0)), 0, 0)
    header = b"FCS3.1    " + b"".join(str(offset).rjust(8).encode() for offset in offsets)
    path.write_bytes((header + text.encode()).ljust(begin) + events.tobytes())
    return path


def load(path: Path) -> Any:
    return for_path(path, ".fcs").load(path, suffix=".fcs")


@pytest.mark.req("R246")
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<u2", ">u4", "|u1"])
@pytest.mark.parametrize("in_header", [True, False])
def test_events_channels_and_keywords(dtype: str, in_header: bool, tmp_path: Path) -> None:
    events = np.arange(12).reshape(4, 3).astype(dtype)
    path = fcs(events, tmp_path / "x.fcs", in_header=in_header)
    adata = load(path)
    np.testing.assert_array_equal(adata.X, events)
    assert adata.X.dtype == np.dtype(dtype).newbyteorder("=")
    assert adata.var_names.to_list() == ["FL1-A", "FL2-A", "FL3-A"]
    assert adata.var["marker"].to_list() == ["CD1", "CD2", "CD3"]
    assert adata.uns["fcs"]["cyt"] == "a/b"
    adata.write_h5ad(tmp_path / "x.h5ad")
    shown = for_path(path, ".fcs").preview(path)
    assert (shown.shape, shown.row_count) == ((4, 3), 4)
    assert "FL2-A" in shown.markdown


def test_integers_beyond_their_range_are_noise(tmp_path: Path) -> None:
    events = np.array([[1023, 1024 + 5], [0, 0]], dtype="<u2")
    assert load(fcs(events, tmp_path / "x.fcs")).X.tolist() == [[1023, 5], [0, 0]]


def test_no_events(tmp_path: Path) -> None:
    assert load(fcs(np.zeros((0, 2), dtype="<f4"), tmp_path / "x.fcs", separator="|")).shape == (0, 2)


@pytest.mark.parametrize("changed", [{"$MODE": "C"}, {"$DATATYPE": "A"}, {"$BYTEORD": "3,4,1,2"}, {"$P1B": "10"}])
def test_what_is_not_read_says_so(changed: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UnsupportedObject, match=r"cache\(\)"):
        load(fcs(np.zeros((2, 2), dtype="<u2"), tmp_path / "x.fcs", **changed))


@pytest.mark.parametrize(
    "changed", [{"$TOT": 1 << 50}, {"$TOT": -1}, {"$PAR": 1 << 40}, {"$PAR": 3}, {"$TOT": "many"}, {"$P1R": "x"}]
)
def test_claims_that_cannot_be_true_are_damage(changed: dict[str, Any], tmp_path: Path) -> None:
    path = fcs(np.zeros((2, 2), dtype="<u2"), tmp_path / "x.fcs", **changed)
    for use in (for_path(path, ".fcs").load, for_path(path, ".fcs").preview):
        with pytest.raises(UnreadableContent):
            use(path, suffix=".fcs")


@pytest.mark.parametrize("content", [b"", b"FCS3.1", b"\xff" * 200, b"FCS3.1    " + b"99999999" * 6 + b" " * 100])
def test_other_content_is_damage(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.fcs").write_bytes(content)
    with pytest.raises(UnreadableContent):
        load(tmp_path / "x.fcs")


def test_a_file_that_is_cut_off_is_damage(tmp_path: Path) -> None:
    path = fcs(np.zeros((10, 2), dtype="<f4"), tmp_path / "x.fcs")
    content = path.read_bytes()
    for share in (0.3, 0.9, 0.999):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(UnreadableContent):
            load(path)
