"""Collection: an immutable, ordered, hashed and versioned set of artifacts."""

from __future__ import annotations

from lamart_core.records import CollectionRecord


class Collection(CollectionRecord):
    """An immutable, ordered, hashed and versioned set of artifacts."""

    __tablename__ = "lamart_collection"
