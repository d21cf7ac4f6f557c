"""The table of formats in the docs, made from the registry: ``python -m tests.docs.formats_table`` writes it."""

from __future__ import annotations

from pathlib import Path

from lamart_core.formats import Format, PythonType, all_formats
from lamart_core.formats.compression import COMPRESSIONS
from tests.docs import formats_of_arrays, formats_of_tables

PATH = Path(__file__).parents[2] / "docs" / "formats.md"
HEAD = """# Formats

What can be stored, under which suffixes, and what comes back. Other files and folders are stored as they are, and read
through their path. The [guide](guide.md) shows them at work, and how to add a format of your own.

- **otype** is the field of the artifact; empty for unstructured content.
- **From memory**: objects that an asset may return, or a constructor takes. Any format takes a path.
- **load()** gives the first type by default and the others with `as_type=…`, or by the annotation of an asset's input;
  every format gives a path too.
- **open()** gives lazy access in these modes.
- **Extra**: what to install, `pip install "lamart-dagster[…]"`; empty where nothing is needed.

| format | suffixes | otype | from memory | load() | open() | extra |
|---|---|---|---|---|---|---|
"""


def table() -> str:
    """The whole page."""
    rows = [_row(each) for each in all_formats() if each.suffixes or each.is_folder]
    return HEAD + "\n".join(rows) + "\n" + formats_of_tables.section() + formats_of_arrays.section()


def _row(each: Format) -> str:
    # A type that stands for "whatever it holds" is none that a user could name.
    types = [_type(t) for t in each.returns if not t.module.startswith("lamart_core.formats.f")]
    cells = [
        each.name,
        _suffixes(each),
        each.otype or "",
        ", ".join(f"`{t}`" for t in each.accepts),
        ", ".join(f"`{t}`" for t in types),
        ", ".join(f'`"{mode}"`' for mode in each.modes),
        f"`{each.extra}`" if each.extra else "",
    ]
    return f"| {' | '.join(cells)} |"


def _type(named: PythonType) -> str:
    # Those of ours are found in the package.
    return f"lamart_core.formats.{named.name}" if named.module.startswith("lamart_core.") else str(named)


def _suffixes(each: Format) -> str:
    plain = [s for s in each.suffixes if not (s.endswith(COMPRESSIONS) and s.rpartition(".")[0] in each.suffixes)]
    packed = [s.rpartition(".")[2] for s in each.suffixes if s not in plain]
    text = ", ".join(f"`{s}`" for s in plain) or "(folders)"
    if each.shared_suffixes:
        text += f"; by content {', '.join(f'`{s}`' for s in each.shared_suffixes)}"
    return f"{text}; also `.{'`, `.'.join(dict.fromkeys(packed))}`" if packed else text


if __name__ == "__main__":
    PATH.write_text(table(), encoding="utf-8")
