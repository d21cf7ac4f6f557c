"""Errors of the Dagster side, members of the tree in `lamart_core.errors`."""

from __future__ import annotations

from lamart_core.errors import InvalidArgument, ObjectDoesNotExist, PathNotFound


class MissingMaterialization(PathNotFound, ObjectDoesNotExist):
    """No artifact holds the asset or partition that should be loaded. Also a `FileNotFoundError`."""


class NoValue(MissingMaterialization):
    """The upstream step ran and returned None: there is nothing to load."""


class SeveralPartitions(InvalidArgument):
    """Several partitions where one object is expected."""


class SharedKey(InvalidArgument):
    """Two assets, or two partitions, have one key."""
