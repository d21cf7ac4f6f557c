"""Fixtures of the tests of lineage."""

from tests.registries import registry, sqlite_registry

__all__ = ["registry", "sqlite_registry"]
