"""Fixtures of the tests of artifacts."""

from tests.registries import lab, registry, sqlite_registry
from tests.storage.s3_server import s3

__all__ = ["lab", "registry", "s3", "sqlite_registry"]
