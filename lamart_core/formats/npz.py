"""Sparse matrices in the file format of SciPy, and archives of NumPy arrays that were made elsewhere."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.compression import ALWAYS_ALLOWED, MAX_RATIO
from lamart_core.formats.format import Format, Preview
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import DICT, PythonType, require

_MATRIX = PythonType("scipy.sparse", "spmatrix")
_SPARSE_ARRAY = PythonType("scipy.sparse", "sparray")
_WRITTEN = ("csr", "csc", "coo", "bsr", "dia")
_PREVIEWED = 50


class NpzFormat(Format):
    """A sparse matrix as SciPy's ``.npz``; other archives of arrays are loaded as a dictionary.

    What is written is not compressed: loading is bounded, and must not refuse what was saved.
    """

    name = "npz"
    suffixes: ClassVar[tuple[str, ...]] = (".npz",)
    extra: ClassVar[str | None] = "anndata"
    accepts: ClassVar[tuple[PythonType, ...]] = (_MATRIX, _SPARSE_ARRAY)
    returns: ClassVar[tuple[PythonType, ...]] = (
        PythonType("scipy.sparse", "matrix, array or dict"),
        _MATRIX,
        _SPARSE_ARRAY,
        DICT,
    )

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        from scipy import sparse

        if obj.format not in _WRITTEN:
            raise UnsupportedObject(
                f"A sparse matrix in the form {obj.format!r} cannot be written: use tocsr(), or one of "
                f"{', '.join(_WRITTEN)}"
            )
        with path.open("wb") as file:  # SciPy would add its own suffix to a name
            sparse.save_npz(file, obj, compressed=False)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        left = dict(options)
        max_bytes = left.pop("max_bytes", None)
        if left:
            raise TypeError(f"unexpected keyword argument {', '.join(map(repr, left))}")
        names = _checked_names(path, max_bytes)
        if target == DICT or not _is_sparse(names):
            found: Any = _arrays(path)
        else:
            require("scipy", extra="anndata", purpose="Reading a sparse matrix")
            found = _sparse(path)
        if target == self.returns[0] or target.matches(found):
            return found
        raise UnsupportedObject(f"{path} holds a {type(found).__name__}, not a {target}")

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """Shape, type and number of stored values of a sparse matrix; names, shapes and types of arrays."""
        if not isinstance(obj_or_path, Path):
            return _preview(obj_or_path)
        with reading(obj_or_path, self.name):
            names = _checked_names(obj_or_path, None)
            if _is_sparse(names):
                require("scipy", extra="anndata", purpose="Reading a sparse matrix")
                return _preview(_sparse(obj_or_path))
            return Preview("\n".join(f"- {name}" for name in names[:_PREVIEWED]) or "no arrays")


def _preview(matrix: Any) -> Preview:
    shape = tuple(int(n) for n in matrix.shape)
    size = " × ".join(f"{n:,}" for n in shape)
    return Preview(f"**{type(matrix).__name__}** of {matrix.dtype}, {size}, {matrix.nnz:,} values stored", shape=shape)


def _is_sparse(names: list[str]) -> bool:
    return {"format", "shape", "data"} <= set(names)


def _checked_names(path: Path, max_bytes: int | None) -> list[str]:
    """The names of the arrays in an archive, after a look at what they claim to hold.

    Raises:
        UnreadableContent: It expands to too much, or an array claims more values than there are bytes.
    """
    import numpy as np

    names: list[str] = []
    limit = max_bytes if max_bytes is not None else max(ALWAYS_ALLOWED, MAX_RATIO * path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > limit:
            raise UnreadableContent(f"{path} expands to more than {limit:,} bytes: load it with max_bytes=…")
        for member in members:
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise UnreadableContent(f"{member.filename} in {path} claims to hold more than it does")
            names.append(member.filename.removesuffix(".npy"))
    return names


def _arrays(path: Path) -> dict[str, Any]:
    import numpy as np

    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _sparse(path: Path) -> Any:
    from scipy import sparse

    matrix = sparse.load_npz(path)
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)  # indices that lead out of the matrix would be followed
    return matrix
