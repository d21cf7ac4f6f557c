"""Content hashes of files and folders."""

from lamart_core.hashing.digests import ALGORITHMS, DEFAULT_ALGORITHM, Digest, Hasher, encode
from lamart_core.hashing.files import hash_bytes, hash_file
from lamart_core.hashing.trees import FileEntry, TreeDigest, hash_tree, tree_digest

__all__ = [
    "ALGORITHMS",
    "DEFAULT_ALGORITHM",
    "Digest",
    "FileEntry",
    "Hasher",
    "TreeDigest",
    "encode",
    "hash_bytes",
    "hash_file",
    "hash_tree",
    "tree_digest",
]
