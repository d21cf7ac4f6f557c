"""Digests of files and folders over every byte; equal exact digests mean equal content."""

from lamart_core.hashing.digests import (
    ALGORITHMS,
    DEFAULT_ALGORITHM,
    Digest,
    Hasher,
    HashFactory,
    HashState,
    algorithm_names,
    check_algorithm,
    encode,
    hash_bytes,
    register_algorithm,
)
from lamart_core.hashing.files import (
    FileState,
    check_regular,
    hash_file,
    measure_file,
    open_regular,
    reading_source,
    state_of,
)
from lamart_core.hashing.trees import FileEntry, FoundFile, TreeDigest, hash_tree, list_files, tree_digest

__all__ = [
    "ALGORITHMS",
    "DEFAULT_ALGORITHM",
    "Digest",
    "FileEntry",
    "FileState",
    "FoundFile",
    "HashFactory",
    "HashState",
    "Hasher",
    "TreeDigest",
    "algorithm_names",
    "check_algorithm",
    "check_regular",
    "encode",
    "hash_bytes",
    "hash_file",
    "hash_tree",
    "list_files",
    "measure_file",
    "open_regular",
    "reading_source",
    "register_algorithm",
    "state_of",
    "tree_digest",
]
