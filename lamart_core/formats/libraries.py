"""Libraries that are imported only when a format needs them, and the types that they define."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

from lamart_core.errors import MissingExtra


def require(library: str, *, extra: str, purpose: str, distribution: str = "lamart-dagster") -> None:
    """Import an optional library, so that the ``import`` statement that follows cannot fail.

    Args:
        library: Name of the importable module, e.g. ``"anndata"``.
        extra: The extra that installs it.
        purpose: What needs it, as the beginning of a sentence.
        distribution: The distribution that has the extra, where the format is not one of this library.

    Raises:
        MissingExtra: The library is not installed.

    Example:
        >>> require("pandas", extra="all", purpose="Reading a table")
    """
    try:
        importlib.import_module(library)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == library:
            raise MissingExtra(library, extra, purpose, distribution) from error
        raise


@dataclass(frozen=True)
class PythonType:
    """A type named without importing the library that defines it.

    Attributes:
        module: Module that has the type as an attribute, e.g. ``"pandas"``.
        name: Name of the attribute, e.g. ``"DataFrame"``.
    """

    module: str
    name: str

    def __str__(self) -> str:
        return self.name if self.module == "builtins" else f"{self.module}.{self.name}"

    def resolve(self) -> type | None:
        """The class, if its library is imported already, else None."""
        found = getattr(sys.modules.get(self.module), self.name, None)
        return found if isinstance(found, type) else None

    def matches(self, obj: object) -> bool:
        """Whether ``obj`` is an instance. Imports nothing: an instance proves that its library is imported."""
        cls = self.resolve()
        return cls is not None and isinstance(obj, cls)

    def is_class(self, candidate: object) -> bool:
        """Whether ``candidate`` is this very class."""
        return candidate is not None and candidate is self.resolve()


PATH = PythonType("pathlib", "Path")
UPATH = PythonType("upath", "UPath")
DICT = PythonType("builtins", "dict")
LIST = PythonType("builtins", "list")
STR = PythonType("builtins", "str")
BYTES = PythonType("builtins", "bytes")
BOOL = PythonType("builtins", "bool")
INT = PythonType("builtins", "int")
FLOAT = PythonType("builtins", "float")
PANDAS = PythonType("pandas", "DataFrame")
GEOPANDAS = PythonType("geopandas", "GeoDataFrame")
ARROW = PythonType("pyarrow", "Table")
DATASET = PythonType("pyarrow.dataset", "Dataset")
POLARS = PythonType("polars", "DataFrame")
LAZY = PythonType("polars", "LazyFrame")
ANNDATA = PythonType("anndata", "AnnData")
MUDATA = PythonType("mudata", "MuData")
SPATIALDATA = PythonType("spatialdata", "SpatialData")
ZARR_GROUP = PythonType("zarr", "Group")
ZARR_ARRAY = PythonType("zarr", "Array")
H5_FILE = PythonType("h5py", "File")
H5_GROUP = PythonType("h5py", "Group")
H5_DATASET = PythonType("h5py", "Dataset")
EXPERIMENT = PythonType("tiledbsoma", "Experiment")
MEASUREMENT = PythonType("tiledbsoma", "Measurement")
SOMA_COLLECTION = PythonType("tiledbsoma", "Collection")

# pyarrow comes without type information: to a type checker its classes are Any, by names that tell the reader more.
ArrowTable: TypeAlias = Any
ArrowSchema: TypeAlias = Any
ArrowArray: TypeAlias = Any
ArrowDataset: TypeAlias = Any
