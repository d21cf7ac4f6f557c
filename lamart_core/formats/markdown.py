"""Small tables in markdown, for previews."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_ROWS = 10
MAX_COLUMNS = 20
MAX_CELL = 60


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A pipe table; cells are shortened and cannot break out of the table.

    Example:
        >>> print(markdown_table(["a", "b"], [[1, "x|y"]]))
        | a | b |
        | --- | --- |
        | 1 | x\\|y |
    """
    lines = [_row(header), _row(["---"] * len(header)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def code(text: object) -> str:
    """Text as inline code on one line."""
    return f"`{str(text).replace('`', chr(39))}`"


def fenced(text: str, language: str = "", *, max_chars: int = 2000) -> str:
    """A fenced block of at most ``max_chars`` characters."""
    shown = text if len(text) <= max_chars else text[:max_chars] + "\n…"
    fence = "```"
    while fence in shown:
        fence += "`"
    return f"{fence}{language}\n{shown}\n{fence}"


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(_cell(c) for c in cells) + " |"


def _cell(value: object) -> str:
    text = " ".join(str(value).split())
    if len(text) > MAX_CELL:
        text = text[: MAX_CELL - 1] + "…"
    # Escaped HTML: user interfaces render markdown, and data must not become markup.
    for character, escaped in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\\", "\\\\"),
        ("|", "\\|"),
        ("`", "\\`"),
    ):
        text = text.replace(character, escaped)
    return text
