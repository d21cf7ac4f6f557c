"""NumPy arrays in the library's own file format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import InvalidArgument, UnsupportedObject
from lamart_core.formats.arrays.masked import count_masked
from lamart_core.formats.format import ColumnInfo, Format, Preview, ReadablePath
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import PythonType
from lamart_core.formats.markdown import fenced

_ARRAY = PythonType("numpy", "ndarray")
_SCALAR = PythonType("numpy", "generic")
_MAX_CHARS = 1000


class NpyFormat(Format):
    """One array as ``.npy``; opened, it stays on disk. A scalar becomes an array without dimensions.

    Refused are arrays of objects, which would be pickled, masked values, and arrays of other libraries with more to
    them than values.
    """

    name = "npy"
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)
    accepts: ClassVar[tuple[PythonType, ...]] = (_ARRAY, _SCALAR)
    returns: ClassVar[tuple[PythonType, ...]] = (_ARRAY,)
    modes: ClassVar[tuple[str, ...]] = ("r",)

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        import numpy as np

        if obj.dtype.hasobject:
            raise UnsupportedObject(
                f"An array of {obj.dtype} holds Python objects, which only pickle could store: convert it to numbers "
                "or fixed-width text"
            )
        if isinstance(obj, np.ma.MaskedArray):
            n_masked = count_masked(obj)
            if n_masked:
                raise UnsupportedObject(
                    f"{n_masked:,} values of the array are masked, which .npy cannot say: use filled(…), or store "
                    "values and mask as two artifacts"
                )
            obj = obj.data
        elif type(obj).__module__.partition(".")[0] != "numpy":
            raise UnsupportedObject(
                f"A {type(obj).__module__}.{type(obj).__qualname__} is more than its values (units, say), and .npy "
                "would lose that: store numpy.asarray(…) of it"
            )
        with path.open("wb") as file:
            np.lib.format.write_array(file, np.asarray(obj), allow_pickle=False)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        import numpy as np

        if options:
            raise TypeError(f"unexpected keyword argument {', '.join(map(repr, options))}")
        # Mapped first: this compares the size that the header claims with that of the file, before memory is taken.
        return np.array(_mapped(path), order="K", subok=False)

    def _open(self, path: ReadablePath, suffix: str, mode: str, engine: str, options: Mapping[str, Any]) -> Any:
        if options:
            raise TypeError(f"unexpected keyword argument {', '.join(map(repr, options))}")
        if not isinstance(path, Path):
            raise InvalidArgument(f"{suffix!r} can be opened on local disk only: use cache() or load()")
        return _mapped(path)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Shape, type and the first values."""
        with reading(obj_or_path, self.name):
            array: Any = _mapped(obj_or_path) if isinstance(obj_or_path, Path) else obj_or_path
        shape = tuple(int(n) for n in array.shape)
        first = array[tuple(slice(5) for _ in shape)]
        text = f"**array** of {array.dtype}, {' × '.join(f'{n:,}' for n in shape) or 'one value'}"
        return Preview(
            f"{text}\n\n{fenced(str(first), max_chars=_MAX_CHARS)}",
            shape=shape,
            slots={"fields": tuple(ColumnInfo(n, str(array.dtype[n])) for n in array.dtype.names or ())},
        )


def _mapped(path: Path) -> Any:
    import numpy as np

    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise UnreadableContent(f"{path} holds pickled Python objects: they are never loaded")
    if 0 in shape:  # nothing to map
        return np.load(path, allow_pickle=False)
    return np.load(path, mmap_mode="r", allow_pickle=False)
