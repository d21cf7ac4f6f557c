"""Pages and pictures, shown in notebooks."""

from __future__ import annotations

import base64
import html
import sys
from pathlib import Path
from typing import Any

_PICTURES = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".bmp": "image/bmp", ".svg": "image/svg+xml",
}  # fmt: skip
_PAGES = (".html", ".htm")
# A notebook keeps what it shows.
_MAX_BYTES = 20 << 20


def show(path: Path, suffix: str) -> None:
    """Show a page or picture in the notebook that runs this code; outside of one, do nothing.

    Its scripts cannot reach the notebook: drawings are shown as pictures, pages in a frame of their own.

    Args:
        path: A local file.
        suffix: Which kind it is.
    """
    display = notebook_display()
    if display is None or path.stat().st_size > _MAX_BYTES:
        return
    if suffix in _PICTURES:
        encoded = base64.b64encode(path.read_bytes()).decode()
        markup = f'<img style="max-width: 100%" src="data:{_PICTURES[suffix]};base64,{encoded}">'
    elif suffix in _PAGES:
        page = html.escape(path.read_text(encoding="utf-8", errors="replace"))
        markup = f'<iframe sandbox="allow-scripts" width="100%" height="600" srcdoc="{page}"></iframe>'
    else:
        return
    # The bare bundle of MIME types: IPython's own class for markup warns of frames.
    display({"text/html": markup, "text/plain": str(path)}, raw=True)


def notebook_display() -> Any:
    """What draws in a notebook; None outside of one, where IPython is not imported."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display  # pyright: ignore[reportMissingImports]  # there, where a notebook runs

    return display
