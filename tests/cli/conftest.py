"""Fixtures of the tests of the command line."""

from tests.registries import lab, registry, sqlite_registry

__all__ = ["lab", "registry", "sqlite_registry"]
