"""Fixtures of the tests of db."""

from tests.registries import registry, sqlite_registry

__all__ = ["registry", "sqlite_registry"]
