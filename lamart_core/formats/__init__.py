"""File formats and the objects that they hold.

Importing this package imports no library that reads or writes data.
"""

from __future__ import annotations

from lamart_core.formats.anndata.accessor import AnnDataAccessor
from lamart_core.formats.anndata.backed import BackedAnnData
from lamart_core.formats.arrays.accessor import BackedAccessor
from lamart_core.formats.compression import COMPRESSIONS
from lamart_core.formats.dispatch import (
    all_formats,
    for_object,
    for_path,
    for_remote,
    for_suffix,
    known_suffixes,
    register,
)
from lamart_core.formats.format import ColumnInfo, Format, Options, Preview
from lamart_core.formats.guards import UnreadableContent
from lamart_core.formats.libraries import PythonType
from lamart_core.formats.soma.experiment_location import experiment_source

__all__ = [
    "COMPRESSIONS",
    "AnnDataAccessor",
    "BackedAccessor",
    "BackedAnnData",
    "ColumnInfo",
    "Format",
    "Options",
    "Preview",
    "PythonType",
    "UnreadableContent",
    "all_formats",
    "experiment_source",
    "for_object",
    "for_path",
    "for_remote",
    "for_suffix",
    "known_suffixes",
    "register",
]
