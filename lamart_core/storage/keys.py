"""Keys, suffixes and the names of objects: text only, no access to any storage."""

from __future__ import annotations

from lamart_core import errors, uids

RESERVED = ".lamart"
MAX_KEY_LENGTH = 1024
MAX_SUFFIX_LENGTH = 30

# Suffixes of several parts that say one thing together.
COMPOSITE = (
    ".anndata.zarr",
    ".mudata.zarr",
    ".spatialdata.zarr",
    ".ome.zarr",
    ".ome.h5",
    ".ome.hdf5",
    ".ome.tif",
    ".ome.tiff",
    ".vitessce.json",
)
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
# Suffixes under which a compression stays visible: `counts.csv.gz` is a table.
COMPRESSIBLE = {
    ".tar", ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".h5ad", ".fasta", ".fastq", ".fa", ".fq", ".vcf",
    ".bed", ".gff", ".gtf", ".mtx", ".parquet", ".yaml", ".yml", ".md", ".html", ".xml", ".sam", ".nii",
}  # fmt: skip
# Folders are full of dots that mean nothing (`run.2024.01`); only these name a format.
FOLDER_SUFFIXES = {".zarr", ".tiledbsoma", ".tiledb", ".parquet", ".csv", ".tsv", ".ipc", ".feather", ".arrow"}


def check_key(key: str) -> None:
    """Check that a key is a clean relative path.

    Raises:
        InvalidKey: It is empty, absolute or too long, has empty, `.` or `..` segments, backslashes or control
            characters, or lies in the reserved folder.
    """

    def refuse(reason: str) -> errors.InvalidKey:
        return errors.InvalidKey(f"the key {key!r} {reason}; a key is a relative path such as 'folder/name.parquet'")

    if not key:
        raise refuse("is empty")
    if len(key) > MAX_KEY_LENGTH:
        raise refuse(f"has {len(key)} characters, more than {MAX_KEY_LENGTH}")
    if "\\" in key:
        raise refuse("has a backslash")
    if any(ord(character) < 32 or ord(character) == 127 for character in key):
        raise refuse("has a control character")
    if key.startswith("/"):
        raise refuse("is absolute")
    for segment in key.split("/"):
        if segment == "":
            raise refuse("has an empty segment")
        if segment in (".", ".."):
            raise refuse(f"has the segment {segment!r}")
    if is_reserved(key):
        raise refuse(f"lies in {RESERVED}/, which is reserved for the version store")


def is_reserved(path: str) -> bool:
    """Return whether a relative path lies in the folder of the version store."""
    return RESERVED in path.split("/")


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
    base = name.rstrip("/").rsplit("/", 1)[-1].lower()
    stem = base.lstrip(".")
    for composite in COMPOSITE:
        if stem.endswith(composite) and len(stem) > len(composite):
            return composite
    parts = stem.split(".")
    if len(parts) < 2 or not parts[-1]:
        return ""
    last = "." + parts[-1]
    if is_folder:
        return last if last in FOLDER_SUFFIXES else ""
    if last in COMPRESSIONS and len(parts) > 2 and "." + parts[-2] in COMPRESSIBLE:
        inner = "." + parts[-2]
        if inner == ".tar" and len(parts) > 3 and "." + parts[-3] in COMPRESSIBLE:
            return f".{parts[-3]}{inner}{last}"
        return inner + last
    return last if len(last) <= MAX_SUFFIX_LENGTH and " " not in last else ""


def object_path(stem: str, suffix: str) -> str:
    """Return a new path in the version store that no other save can choose.

    Args:
        stem: Stem of the uid of the first artifact that names the object, for people who look at the storage.
        suffix: Suffix of the object.
    """
    return f"{RESERVED}/{stem}{uids.base62(8)}{suffix}"
