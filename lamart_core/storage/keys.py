"""Keys, suffixes and the names of objects: text only, no access to any storage."""

from __future__ import annotations

import re
import unicodedata

from lamart_core import errors, uids

RESERVED = ".lamart"
MAX_KEY_LENGTH = 1024
MAX_SUFFIX_LENGTH = 30

RANDOM_LENGTH = 8

# Suffixes of several parts that say one thing together.
_composite = {
    ".anndata.zarr", ".mudata.zarr", ".spatialdata.zarr", ".ome.zarr", ".ome.h5", ".ome.hdf5", ".ome.tif", ".ome.tiff",
    ".vitessce.json",
}  # fmt: skip
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
# Suffixes that name a format. They stay visible under a compression (`counts.csv.gz` is a table), and only they are
# suffixes of folders, whose names are full of dots that mean nothing (`run.2024.01`).
_known = {
    ".tar", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".feather", ".arrow", ".ipc", ".xlsx",
    ".yaml", ".yml", ".toml", ".xml", ".md", ".html", ".svg", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".pdf",
    ".h5", ".hdf5", ".h5ad", ".h5mu", ".loom", ".mtx", ".npy", ".npz", ".zarr", ".n5", ".tiledb", ".tiledbsoma",
    ".lance", ".rds", ".sql", ".sqlite", ".db", ".fasta", ".fastq", ".fa", ".fq", ".faa", ".fna", ".vcf", ".bcf",
    ".bed", ".gff", ".gff3", ".gtf", ".sam", ".bam", ".cram", ".fcs", ".nii", ".mzml", ".pdb", ".cif", ".sdf", ".gmt",
}  # fmt: skip


def register_suffixes(*suffixes: str) -> None:
    """Make suffixes known, so that folders can have them and a compression after them is kept; several parts too.

    Raises:
        InvalidArgument: One is no suffix: lower case, beginning with a dot, at most 30 characters.
    """
    for suffix in suffixes:
        if (
            not re.fullmatch(r"(\.[^\W_][\w+-]*)+", suffix)
            or suffix != suffix.lower()
            or len(suffix) > MAX_SUFFIX_LENGTH
        ):
            raise errors.InvalidArgument(
                f"{suffix!r} is no suffix: lower case, beginning with a dot, at most {MAX_SUFFIX_LENGTH} characters"
            )
        (_composite if suffix.count(".") > 1 else _known).add(suffix)


def check_key(key: str) -> None:
    """Check that a key is a clean relative path.

    Raises:
        InvalidKey: It is empty, absolute or too long, has empty, `.` or `..` segments, backslashes or control
            characters, is not UTF-8, or lies in the reserved folder.

    Examples:
        >>> check_key("raw/counts.parquet")
    """

    def refuse(reason: str) -> errors.InvalidKey:
        shown = key if len(key) <= 100 else key[:100] + "…"
        return errors.InvalidKey(f"the key {shown!r} {reason}; a key is a relative path such as 'folder/name.parquet'")

    if not key:
        raise refuse("is empty")
    if len(key) > MAX_KEY_LENGTH:
        raise refuse(f"has {len(key):,} characters, more than {MAX_KEY_LENGTH:,}")
    for segment in key.split("/"):
        if "\\" in segment:
            raise refuse(f"has a backslash in the segment {segment!r}")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in segment):
            raise refuse(f"has a control character or half a character in the segment {segment!r}")
        if segment in (".", ".."):
            raise refuse(f"has the segment {segment!r}")
    if key.startswith("/"):
        raise refuse("is absolute")
    if "" in key.split("/"):
        raise refuse("has an empty segment")
    if is_reserved(key):
        raise refuse(f"lies in {RESERVED}/, which is reserved for the version store")


def is_reserved(path: str) -> bool:
    """Return whether a relative path lies in the folder of the version store."""
    # Some file systems take names that differ in case only for the same.
    return any(segment.lower() == RESERVED for segment in path.split("/"))


def suffix_of(name: str, *, is_folder: bool = False) -> str:
    """Return the suffix of a file or folder name, in lower case, or "" when it has none.

    Composite suffixes stay whole (`.anndata.zarr`, `.csv.gz`); other names with several dots use the last part.

    Args:
        name: A name or path with `/`.
        is_folder: Folders have a suffix only when it names a format.

    Examples:
        >>> suffix_of("data/x.2022.CSV"), suffix_of("a.tar.gz"), suffix_of("run.2024", is_folder=True)
        ('.csv', '.tar.gz', '')
    """
    base = name.rstrip("/").rsplit("/", 1)[-1].lower().lstrip(".")
    parts = ["." + part for part in base.split(".")[1:]]
    if not parts or not _is_suffix(parts[-1]):
        return ""
    for start in range(len(parts) - 1):
        several = "".join(parts[start:])
        if several in _composite or _is_compressed(parts[start:]):
            return several
    if is_folder:
        return parts[-1] if parts[-1] in _known else ""
    return parts[-1]


def _is_suffix(part: str) -> bool:
    # "Dr. Smith" has a dot and no suffix.
    return len(part) <= MAX_SUFFIX_LENGTH and re.fullmatch(r"\.[\w+~-]+", part) is not None


def _is_compressed(parts: list[str]) -> bool:
    """Whether a known suffix is followed by a compression, or by `.tar` and a compression."""
    if parts[-1] not in COMPRESSIONS:
        return False
    inner = parts[:-2] if len(parts) > 2 and parts[-2] == ".tar" else parts[:-1]
    return "".join(inner) in _composite or (len(inner) == 1 and inner[0] in _known)


def object_path(stem: str, suffix: str) -> str:
    """Return a new path in the version store that no other save can choose.

    Args:
        stem: Stem of the uid of the first artifact that names the object, for people who look at the storage.
        suffix: Suffix of the object.
    """
    return f"{RESERVED}/{stem}{uids.base62(RANDOM_LENGTH)}{suffix}"
