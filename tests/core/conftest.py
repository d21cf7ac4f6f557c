"""Fixtures of the tests of artifacts."""

from tests.registries import registry, sqlite_registry

__all__ = ["registry", "sqlite_registry"]
