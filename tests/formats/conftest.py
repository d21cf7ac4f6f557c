"""Fixtures of the tests of formats."""

import pytest

from tests.storage.s3_server import s3

__all__ = ["s3"]


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark that anndata's module of test helpers uses."""
    config.addinivalue_line("markers", "gpu: of anndata.tests.helpers")
