"""Check the documents: links between them lead somewhere, pictures exist, headings are unique within a file.

    python -m scripts.check_docs

Links to the outside are not followed. That the code blocks run is a matter of the tests (tests/docs).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
_FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(?P<title>.+?)\s*$", re.MULTILINE)


def main() -> int:
    """Print every problem; return the exit status."""
    problems = [problem for path in documents() for problem in check(path)]
    print("\n".join(problems) if problems else f"{len(documents())} documents, no broken link")
    return int(bool(problems))


def documents() -> list[Path]:
    """Return the Markdown files of the project."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def check(path: Path) -> Iterator[str]:
    """Yield the problems of one document."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    name = path.relative_to(ROOT)
    anchors = anchors_of(path)
    for repeated in sorted({anchor for anchor in anchors if anchors.count(anchor) > 1}):
        # A change log repeats its headings under every release.
        if path.name != "CHANGELOG.md":
            yield f"{name}: heading #{repeated} stands there twice"
    for match in _LINK.finditer(text):
        target, _, fragment = match["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists():
            yield f"{name}: link to {match['target']}, which does not exist"
        elif fragment and file.suffix == ".md" and fragment not in anchors_of(file):
            yield f"{name}: link to {match['target']}, which has no such heading"


def anchors_of(path: Path) -> list[str]:
    """Return the anchors that GitHub makes of the headings of a document."""
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    return [re.sub(r"[^\w\- ]", "", m["title"].lower()).replace(" ", "-") for m in _HEADING.finditer(text)]


if __name__ == "__main__":
    sys.exit(main())
