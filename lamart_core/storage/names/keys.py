"""Keys, suffixes and the names of objects: text only, no access to any storage."""

from __future__ import annotations

import mimetypes
import re
import unicodedata

from lamart_core import errors, formats, uids

RESERVED = ".lamart"
MAX_KEY_LENGTH = 1024
MAX_KEY_BYTES = 2048  # what the index of every database takes, whatever the script
MAX_PATH_LENGTH = 1024
MAX_NAME_BYTES = 255  # of one segment, in all common file systems
MAX_SUFFIX_LENGTH = 30

RANDOM_LENGTH = 8

# Suffixes of several parts that say one thing together.
_composite = {
    ".anndata.zarr", ".mudata.zarr", ".spatialdata.zarr", ".ome.zarr", ".ome.h5", ".ome.hdf5", ".ome.tif", ".ome.tiff",
    ".vitessce.json",
}  # fmt: skip
COMPRESSIONS = formats.COMPRESSIONS
# Suffixes that name a format, beside those of `formats`. They stay visible under a compression (`reads.bam.gz`), and
# only they are suffixes of folders, whose names are full of dots that mean nothing (`run.2024.01`).
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


def clean_key(key: object) -> str:
    """Return a key as it is stored: checked, and in the composed normal form (NFC).

    Names that look the same are the same key: what a Mac writes as `u` and two dots, and a keyboard as `ü`. File names
    are never changed.

    Raises:
        InvalidKey: It is no text, or no clean relative path (see `check_key`).

    Examples:
        >>> clean_key("u\u0308.csv") == "ü.csv"
        True
    """
    if not isinstance(key, str):
        raise errors.InvalidKey(f"a key is text, such as 'folder/name.parquet', got {type(key).__name__}")
    normal = normal_form(key)
    check_key(normal)
    return normal


def normal_form(text: str) -> str:
    """Return text in the normal form of keys."""
    return unicodedata.normalize("NFC", str.__str__(text))


def check_key(key: str) -> None:
    """Check that a key is a clean relative path.

    Raises:
        InvalidKey: It is empty, absolute or too long, has empty, `.` or `..` segments, backslashes, line breaks or
            control characters, is not UTF-8, or lies in the reserved folder.

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
        # Nothing that breaks is printable, and asking that is quick.
        if not segment.isprintable() and any(unicodedata.category(character) in _BREAKING for character in segment):
            raise refuse(f"has a control character, line break or half a character in the segment {segment!r}")
        if segment in (".", ".."):
            raise refuse(f"has the segment {segment!r}")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise refuse(f"has {len(key.encode()):,} bytes in UTF-8, more than {MAX_KEY_BYTES:,}")
    if key.startswith("/"):
        raise refuse("is absolute")
    if "" in key.split("/"):
        raise refuse("has an empty segment")
    if is_reserved(key):
        raise refuse(f"lies in {RESERVED}/, which is reserved for the version store")


# Control characters, halves of characters, and what breaks a line.
_BREAKING = ("Cc", "Cs", "Zl", "Zp")


def check_inside(relpath: str) -> None:
    """Check that a path leads to something below the folder that it is relative to, wherever the path came from.

    Raises:
        InvalidArgument: It is absolute, empty, or has empty, `.` or `..` segments or a zero byte.
    """
    if "\0" in relpath or any(segment in ("", ".", "..") for segment in relpath.split("/")):
        raise errors.InvalidArgument(f"{relpath!r} is no path below a storage root")


def check_path(relpath: str) -> None:
    """Check that an object can lie at a path below the root of a storage: what a database records.

    Raises:
        InvalidArgument: It is the root itself, leads outside, is too long or not UTF-8.
    """
    if not relpath:
        raise errors.InvalidArgument("the root of a storage location is not an artifact; pass something below it")
    check_inside(relpath)
    try:
        size = len(relpath.encode())
    except UnicodeEncodeError:
        raise errors.InvalidArgument(f"the path {relpath!r} is not UTF-8; rename it") from None
    if len(relpath) > MAX_PATH_LENGTH or size > MAX_KEY_BYTES:
        raise errors.InvalidArgument(
            f"the path {relpath[:100]!r}… has {len(relpath):,} characters and {size:,} bytes below the root of its "
            f"storage location, more than {MAX_PATH_LENGTH:,} and {MAX_KEY_BYTES:,}"
        )


def check_names(relpath: str) -> None:
    """Check that a file system takes each part of a path as a name.

    Raises:
        InvalidArgument: One is too long.
    """
    longest = max(relpath.split("/"), key=lambda segment: len(segment.encode()))
    if len(longest.encode()) > MAX_NAME_BYTES:
        raise errors.InvalidArgument(
            f"the name {longest[:100]!r}… has {len(longest.encode()):,} bytes, file systems take {MAX_NAME_BYTES}"
        )


def check_suffix(suffix: str) -> None:
    """Check that a suffix, of one or several parts, is one that `suffix_of` gives.

    Raises:
        InvalidArgument: It is not.
    """
    if suffix_of("x" + suffix) != suffix and (len(suffix) > MAX_SUFFIX_LENGTH or not _SUFFIX.fullmatch(suffix)):
        raise errors.InvalidArgument(
            f"{suffix!r} is no suffix: lower case, beginning with a dot, at most {MAX_SUFFIX_LENGTH} characters"
        )


_SUFFIX = re.compile(r"(\.[^\W_A-Z][\w+~-]*)+")


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
    base = normal_form(name.rstrip("/").rsplit("/", 1)[-1].lower()).lstrip(".")
    parts = ["." + part for part in base.split(".")[1:]]
    if not parts or not _is_suffix(parts[-1]):
        return ""
    for start in range(len(parts) - 1):
        several = "".join(parts[start:])
        if several in _composite or several in formats.known_suffixes() or _is_compressed(parts[start:]):
            return several
    if is_folder:
        return parts[-1] if parts[-1] in _known or parts[-1] in formats.known_suffixes(of_folders=True) else ""
    return parts[-1]


def suffix_under(key: str | None, suffix: str, *, is_folder: bool = False) -> str:
    """Return the suffix that content has under a key.

    A file name may end in a version or a date (`model-1.0`, `counts.2024-01-31`): what does not name a kind of content
    gives way to what the key says.

    Args:
        key: The key; None leaves the suffix as it is.
        suffix: Suffix of the name that the content has so far.
        is_folder: Whether it is a folder.

    Raises:
        InvalidArgument: Key and content have two suffixes, of which one names a kind of content.

    Examples:
        >>> suffix_under("models/mine", ".0"), suffix_under("exports/counts.v2", ".2024-01-31")
        ('', '.v2')
    """
    if key is None:
        return suffix
    of_key = suffix_of(key, is_folder=is_folder)
    if of_key != suffix and (_names_content(suffix) or _names_content(of_key)):
        raise errors.InvalidArgument(
            f"the key {key!r} has the suffix {of_key!r}, but the data has {suffix!r}; they must be equal"
        )
    return of_key


def _names_content(suffix: str) -> bool:
    last = suffix.rpartition(".")[2]
    if not last:
        return False
    own = (*_composite, *_known, *formats.known_suffixes(), *COMPRESSIONS)
    return suffix in own or f".{last}" in own or f".{last}" in _OTHERS or bool(_guess.guess_type(f"x.{last}")[0])


# The standard library's own list, not that of the machine; and what is common where data are.
_guess = mimetypes.MimeTypes(filenames=())
_OTHERS = {
    ".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".pb", ".keras", ".tflite", ".model",
    ".weights", ".npz", ".mat", ".rda", ".rdata", ".sav", ".dta", ".sas7bdat", ".avro", ".duckdb", ".msgpack", ".log",
    ".ini", ".cfg", ".conf", ".rst", ".ipynb", ".r", ".rmd", ".jl", ".cpp", ".java", ".sh", ".7z", ".rar", ".docx",
    ".pptx", ".odt", ".ods", ".tab", ".dat", ".raw", ".czi", ".nd2", ".lif", ".svs", ".ndpi", ".dcm", ".mrc", ".edf",
    ".wig", ".bw", ".bigwig", ".bb", ".bedgraph", ".maf", ".ped", ".bim", ".fam", ".bgen", ".gb", ".gbk", ".embl",
    ".nwk", ".phy", ".pod5", ".fast5", ".cool", ".mcool", ".hic", ".bai", ".crai", ".tbi", ".csi", ".fai", ".webp",
    ".geojson", ".gpkg", ".shp", ".las", ".laz", ".obo", ".owl", ".ttl", ".mgf", ".d",
}  # fmt: skip


def _is_suffix(part: str) -> bool:
    # "Dr. Smith" has a dot and no suffix.
    return len(part) <= MAX_SUFFIX_LENGTH and re.fullmatch(r"\.[\w+~-]+", part) is not None


def _is_compressed(parts: list[str]) -> bool:
    """Whether a known suffix is followed by a compression, or by `.tar` and a compression."""
    if parts[-1] not in COMPRESSIONS:
        return False
    inner = parts[:-2] if len(parts) > 2 and parts[-2] == ".tar" else parts[:-1]
    suffix = "".join(inner)
    return suffix in _composite or suffix in formats.known_suffixes() or (len(inner) == 1 and suffix in _known)


def object_path(stem: str, suffix: str, epoch: int | None = None) -> str:
    """Return a new path in the version store that no other save can choose.

    Args:
        stem: Stem of the uid of the first artifact that names the object, for people who look at the storage.
        suffix: Suffix of the object.
        epoch: The largest id of a stored object that the saver saw; see `records.epochs`.
    """
    seen = f"-{epoch}" if epoch is not None else ""
    return f"{RESERVED}/{stem}{uids.base62(RANDOM_LENGTH)}{seen}{suffix}"


def epoch_of(relpath: str) -> int | None:
    """Return the epoch that the path of a stored object tells; None for one that tells none, and for other paths.

    Examples:
        >>> epoch_of(object_path("A" * 16, ".csv", 12)), epoch_of(object_path("A" * 16, ".csv"))
        (12, None)
    """
    folder, _, name = relpath.partition("/")
    found = _STORED.fullmatch(name) if folder == RESERVED else None
    return int(found["epoch"]) if found is not None and found["epoch"] else None


# Only names that `object_path` makes: the reserved folder may hold other things, such as the embedded database.
_STORED = re.compile(
    rf"[0-9A-Za-z]{{{uids.STEM_LENGTH + RANDOM_LENGTH}}}(-(?P<epoch>[0-9]{{1,18}}))?(\..*)?", re.DOTALL
)


def is_stored_name(relpath: str) -> bool:
    """Return whether `object_path` may have made a path: whether it is an object of a version store."""
    folder, _, name = relpath.partition("/")
    return folder == RESERVED and _STORED.fullmatch(name) is not None
