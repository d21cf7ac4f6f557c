"""Fixtures of the tests of artifacts."""

from tests.registries import lab, registry, sqlite_registry

__all__ = ["lab", "registry", "sqlite_registry"]
