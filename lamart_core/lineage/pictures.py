"""The lineage graph as a picture: drawn by a program that comes as a wheel, or by Graphviz's own `dot`."""

from __future__ import annotations

import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lamart_core.errors import DrawingError, InvalidArgument

if TYPE_CHECKING:
    from lamart_core.lineage.graph import Graph

PictureFormat = Literal["svg", "png"]
FORMATS: tuple[PictureFormat, ...] = ("svg", "png")

_WHEEL = "graphviz-pure"
_TIMEOUT = 60.0  # seconds; a graph of 3,000 nodes takes one or two


def draw(graph: Graph, format: PictureFormat) -> bytes:
    """Return the graph as a picture; see `Graph.draw`."""
    if format not in FORMATS:
        raise InvalidArgument(f"a lineage is drawn as {' or '.join(FORMATS)}, not as {format!r}")
    program = renderer()
    source = graph.to_graphviz().source.encode()
    try:
        done = subprocess.run([program, f"-T{format}"], input=source, capture_output=True, check=True, timeout=_TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise DrawingError(
            f"{program} did not draw {len(graph.nodes):,} nodes within {_TIMEOUT:.0f} s; "
            "to_graphviz() and to_mermaid() return the graph for other programs, to_text() as text"
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise DrawingError(f"{program} failed with status {error.returncode}: {said}") from error
    except OSError as error:
        raise DrawingError(f"{program} cannot be run: {error}") from error
    return done.stdout


def renderer() -> str:
    """Return the path of the program that draws: the one of the wheel, which draws alike everywhere, else `dot`.

    Raises:
        DrawingError: There is neither.
    """
    found = _of_wheel() or shutil.which("dot")
    if found is None:
        raise DrawingError(
            "nothing here draws pictures: pip install 'lamart-dagster[pictures]', or install Graphviz, "
            "so that its program dot is on the PATH"
        )
    return found


def _of_wheel() -> str | None:
    # The scripts of an environment are often not on the PATH: Python is called by its path there.
    try:
        files = metadata.distribution(_WHEEL).files or []
    except metadata.PackageNotFoundError:
        return None
    programs = (Path(str(file.locate())) for file in files if file.stem == _WHEEL and file.suffix in ("", ".exe"))
    return next((str(program.resolve()) for program in programs if program.is_file()), None)
