"""Registries, database engines and transactions."""

from lamart_core.db.base import Base, BigId, Json, KeyText, UtcDateTime, model_class, model_names, now, uid_type
from lamart_core.db.batches import batches
from lamart_core.db.registration import registration_table
from lamart_core.db.registry import (
    ANONYMOUS_USER_ID,
    ARCHIVE_BRANCH_ID,
    DEFAULT_SPACE_ID,
    MAIN_BRANCH_ID,
    TRASH_BRANCH_ID,
    Registry,
    add_host,
    current_registry,
    remove_host,
    set_connector,
    set_default_registry,
)
from lamart_core.db.retry import attempting

__all__ = [
    "ANONYMOUS_USER_ID",
    "ARCHIVE_BRANCH_ID",
    "DEFAULT_SPACE_ID",
    "MAIN_BRANCH_ID",
    "TRASH_BRANCH_ID",
    "Base",
    "BigId",
    "Json",
    "KeyText",
    "Registry",
    "UtcDateTime",
    "add_host",
    "attempting",
    "batches",
    "current_registry",
    "model_class",
    "model_names",
    "now",
    "registration_table",
    "remove_host",
    "set_connector",
    "set_default_registry",
    "uid_type",
]
