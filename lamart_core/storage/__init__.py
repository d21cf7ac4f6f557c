"""Storage locations: where bytes lie, and how they get there."""

from lamart_core.storage.backend import Backend, Local, ObjectStore, Staging, backend_at
from lamart_core.storage.cache import Cache
from lamart_core.storage.content_addressed import ContentAddressedFolder
from lamart_core.storage.copying import begin_flush, check_state, content_state, state_at_rest
from lamart_core.storage.failures import reading, writing
from lamart_core.storage.filesystem import PROTOCOLS
from lamart_core.storage.keys import (
    RESERVED,
    check_key,
    check_place,
    check_suffix,
    clean_key,
    is_reserved,
    normal_form,
    object_path,
    register_suffixes,
    suffix_of,
)
from lamart_core.storage.objects import (
    FilePut,
    KnownFile,
    ObjectStat,
    ReservedName,
    StoredFile,
    StoredName,
    UnfinishedUpload,
)
from lamart_core.storage.options import OptionsSource, StorageOptions, given_options
from lamart_core.storage.progress import NO_BAR, Bar, progress
from lamart_core.storage.roots import (
    MARKER,
    Marker,
    address_of,
    bucket_of,
    match_root,
    normalise_root,
    normalise_source,
    relative_to,
    storage_type,
)
from lamart_core.storage.staging import maker_lives
from lamart_core.storage.survey import is_stored_name
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
    "begin_flush",
    "bucket_of",
    "check_key",
    "check_place",
    "check_state",
    "check_suffix",
    "clean_key",
    "content_state",
    "given_options",
    "is_reserved",
    "is_stored_name",
    "maker_lives",
    "match_root",
    "normal_form",
    "normalise_root",
    "normalise_source",
    "object_path",
    "progress",
    "reading",
    "register_suffixes",
    "relative_to",
    "state_at_rest",
    "storage_type",
    "suffix_of",
    "writing",
]
