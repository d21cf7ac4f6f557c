"""Masked arrays of NumPy, whose masks most files have no place for."""

from __future__ import annotations

from typing import Any


def count_masked(array: Any) -> int:
    """How many values of a masked array are masked; each field of a structure counts."""
    import numpy as np

    mask: Any = np.ma.getmask(array)
    return 0 if mask is np.ma.nomask else _count(mask)


def _count(mask: Any) -> int:
    import numpy as np

    if mask.dtype.names is None:
        return int(np.count_nonzero(mask))
    return sum(_count(mask[name]) for name in mask.dtype.names)
