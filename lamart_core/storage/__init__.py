"""Storage: where bytes lie, and how they get there."""

from lamart_core.storage import ownership
from lamart_core.storage.backend import Backend
from lamart_core.storage.backends import backend_at
from lamart_core.storage.cache import Cache
from lamart_core.storage.content_addressed import ContentAddressedFolder
from lamart_core.storage.copying import check_state, content_state, state_at_rest
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.local.backend import Local
from lamart_core.storage.names.keys import (
    RESERVED,
    check_key,
    check_path,
    check_suffix,
    clean_key,
    epoch_of,
    is_reserved,
    is_stored_name,
    normal_form,
    object_path,
    register_suffixes,
    suffix_of,
    suffix_under,
)
from lamart_core.storage.names.roots import (
    MARKER,
    PROTOCOLS,
    address_of,
    bucket_of,
    match_root,
    normalise_root,
    normalise_source,
    path_below,
    relative_to,
    seen_from_root,
    storage_type,
)
from lamart_core.storage.objectstore.backend import ObjectStore
from lamart_core.storage.objectstore.options import OptionsSource, StorageOptions, given_options
from lamart_core.storage.progress import NO_BAR, Bar, progress
from lamart_core.storage.staging import Staging, maker_lives
from lamart_core.storage.values import (
    FilePut,
    KnownFile,
    Marker,
    ObjectStat,
    ReservedName,
    StoredFile,
    StoredName,
    UnfinishedUpload,
)
from lamart_core.storage.verdicts import Depth, Expected, State, Verdict

__all__ = [
    "MARKER",
    "NO_BAR",
    "PROTOCOLS",
    "RESERVED",
    "Backend",
    "Bar",
    "Cache",
    "ContentAddressedFolder",
    "Depth",
    "Expected",
    "FilePut",
    "KnownFile",
    "Local",
    "Marker",
    "ObjectStat",
    "ObjectStore",
    "OptionsSource",
    "ReservedName",
    "Staging",
    "State",
    "StorageOptions",
    "StoredFile",
    "StoredName",
    "UnfinishedUpload",
    "Verdict",
    "address_of",
    "backend_at",
    "bucket_of",
    "check_key",
    "check_path",
    "check_state",
    "check_suffix",
    "clean_key",
    "content_state",
    "epoch_of",
    "given_options",
    "is_reserved",
    "is_stored_name",
    "maker_lives",
    "match_root",
    "normal_form",
    "normalise_root",
    "normalise_source",
    "object_path",
    "ownership",
    "path_below",
    "progress",
    "reading",
    "register_suffixes",
    "relative_to",
    "seen_from_root",
    "state_at_rest",
    "storage_type",
    "suffix_of",
    "suffix_under",
    "writing",
]
