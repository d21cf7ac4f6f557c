"""Stored objects: bytes in a storage with a row, shared by whoever names them, removed when nobody does."""
