"""The code that runs: its name and its source, for scripts, notebooks, interactive sessions and functions."""

from __future__ import annotations

import inspect
import json
import os
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

NOTEBOOK_SUFFIX = ".ipynb"
INTERACTIVE = "interactive"


@dataclass(frozen=True)
class Source:
    """A piece of code.

    Attributes:
        key: Name of the code.
        kind: `script`, `notebook` or `function`.
        code: The code as text; None where it cannot be read.
        entrypoint: What was called to run it.
        grows: Whether more code may follow while it runs: the cells of a notebook, the lines of a session. A script
            is what it was when it started, whatever happens to its file meanwhile.
    """

    key: str
    kind: str
    code: str | None
    entrypoint: str | None = None
    grows: bool = False


def running() -> Source:
    """Return the code of this process: the notebook, the script, or the lines of an interactive session."""
    shell = _shell()
    if shell is not None:
        notebook = _notebook_path(shell)
        return of_file(notebook) if notebook is not None else _session(_cells(shell))
    script = running_script()
    if script is not None:
        return of_file(script)
    if hasattr(sys, "ps1"):
        return _session(_lines())
    return Source(INTERACTIVE, "script", None)


def running_script() -> Path | None:
    """Return the file that Python was started with, where there is one."""
    script = Path(sys.argv[0]) if sys.argv and sys.argv[0] else None
    return script.absolute() if script is not None and script.is_file() else None


def of_file(path: str | os.PathLike[str]) -> Source:
    """Return the code of a file: of a notebook its cells, without outputs and counters.

    Raises:
        OSError: The file cannot be read.
    """
    file = Path(path)
    is_notebook = file.suffix == NOTEBOOK_SUFFIX
    text = _storable(file.read_bytes().decode("utf-8", errors="replace"))
    if is_notebook:
        text = notebook_cells(text)
    kind = "notebook" if is_notebook else "script"
    return Source(file.name, kind, text, entrypoint=str(file), grows=is_notebook)


def of_function(function: Callable[..., Any]) -> Source:
    """Return the code of a function: its lines with the decorators; None where it was not read from a file."""
    inner = inspect.unwrap(function)
    module = inner.__module__
    if module in ("__main__", "__mp_main__"):
        script = running_script()
        module = script.stem if script is not None else INTERACTIVE
    try:
        code = _storable(textwrap.dedent(inspect.getsource(inner)))
    except (OSError, TypeError):  # typed at a prompt, or not in Python
        code = None
    name = f"{module}.{inner.__qualname__}"
    return Source(name, "function", code, entrypoint=f"{inner.__module__}:{inner.__qualname__}")


def notebook_cells(text: str) -> str:
    """Return the cells of a notebook as text, each under a line `# %%`; running it again does not change them."""
    try:
        cells = json.loads(text)["cells"]
        parts: list[str] = []
        for cell in cells:
            source = cell["source"]
            code = source if isinstance(source, str) else "".join(source)
            if cell["cell_type"] == "code":
                parts.append(f"# %%\n{code}")
            else:
                parts.append(f"# %% [{cell['cell_type']}]\n" + textwrap.indent(code, "# ", lambda line: True))
    except (ValueError, KeyError, TypeError):  # not the notebook that its suffix promises: kept as it is
        return text
    return "\n\n".join(parts) + "\n"


def _session(code: str | None) -> Source:
    return Source(INTERACTIVE, "script", code, grows=True)


def _shell() -> Any:
    """Return the IPython shell that runs this code, if one does; never imports IPython."""
    module = sys.modules.get("IPython")
    get_ipython: Callable[[], Any] | None = getattr(module, "get_ipython", None)
    return get_ipython() if get_ipython is not None else None


def _notebook_path(shell: Any) -> Path | None:
    """Return the file of the running notebook, as its front end told the kernel."""
    told = cast("Mapping[str, Any]", getattr(shell, "user_ns", {}))
    for name in (told.get("__vsc_ipynb_file__"), told.get("__session__"), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(name, str) and name.endswith(NOTEBOOK_SUFFIX):
            for path in (Path(name), Path(Path(name).name)):
                if path.is_file():
                    return path.absolute()
    return None


def _cells(shell: Any) -> str | None:
    entered = cast("list[str]", getattr(shell, "user_ns", {}).get("In", []))
    cells = [cell for cell in entered if cell.strip()]
    return _storable("\n\n".join(f"# %%\n{cell}" for cell in cells) + "\n") if cells else None


# How many lines the history had before this session: those are of other days.
_lines_before: int | None = None


def begin_session() -> None:
    """Note where the history of a plain Python prompt begins to be of the tracked session."""
    global _lines_before
    readline = sys.modules.get("readline")
    if readline is not None and hasattr(sys, "ps1") and _lines_before is None:
        # The line that calls is in the history already.
        _lines_before = max(readline.get_current_history_length() - 1, 0)


def _lines() -> str | None:
    readline = sys.modules.get("readline")
    if readline is None or _lines_before is None:
        return None
    numbers = range(_lines_before + 1, readline.get_current_history_length() + 1)
    lines = [line for number in numbers if (line := readline.get_history_item(number)) is not None]
    return _storable("\n".join(lines) + "\n") if lines else None


def _storable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "backslashreplace").decode("utf-8")
