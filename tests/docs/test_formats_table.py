"""The table of formats in the docs is that of the registry."""

from tests.docs.formats_table import PATH, table


def test_the_table_is_current() -> None:
    assert PATH.read_text(encoding="utf-8") == table(), "run: python -m tests.docs.formats_table"
