"""Storage locations: where bytes lie, and how they get there."""

from lamart_core.storage.cache import Cache
from lamart_core.storage.copying import check_state, content_state
from lamart_core.storage.filesystem import PROTOCOLS, Location
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
from lamart_core.storage.objects import FilePut, ObjectStat, ReservedName, StoredName, UnfinishedUpload
from lamart_core.storage.progress import NO_BAR, Bar, progress
from lamart_core.storage.roots import (
    Marker,
    address_of,
    bucket_of,
    match_root,
    normalise_root,
    normalise_source,
    read_marker,
    relative_to,
    storage_type,
    write_marker,
)
from lamart_core.storage.staging import abandoned_staging, clear_staging, maker_lives, remove_staged, staging_folder
from lamart_core.storage.survey import abort_upload, is_stored_name, iter_reserved, iter_uploads, list_stored, measure
from lamart_core.storage.transfer import delete, exists, get, put_file, put_files, put_folder, staging_path, stat

__all__ = [
    "NO_BAR",
    "PROTOCOLS",
    "RESERVED",
    "Bar",
    "Cache",
    "FilePut",
    "Location",
    "Marker",
    "ObjectStat",
    "ReservedName",
    "StoredName",
    "UnfinishedUpload",
    "abandoned_staging",
    "abort_upload",
    "address_of",
    "bucket_of",
    "check_key",
    "check_place",
    "check_state",
    "check_suffix",
    "clean_key",
    "clear_staging",
    "content_state",
    "delete",
    "exists",
    "get",
    "is_reserved",
    "is_stored_name",
    "iter_reserved",
    "iter_uploads",
    "list_stored",
    "maker_lives",
    "match_root",
    "measure",
    "normal_form",
    "normalise_root",
    "normalise_source",
    "object_path",
    "progress",
    "put_file",
    "put_files",
    "put_folder",
    "read_marker",
    "register_suffixes",
    "relative_to",
    "remove_staged",
    "staging_folder",
    "staging_path",
    "stat",
    "storage_type",
    "suffix_of",
    "write_marker",
]
