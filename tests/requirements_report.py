"""List the requirements that no passing test proves.

    python -m tests.requirements_report build/requirements.json [--check]

With `--check` the exit status is 1 if a requirement that is not marked *not built yet* has no passing test, or if one
of its tests did not pass.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

SPECIFICATION = Path(__file__).parent.parent / "docs" / "specification.md"
_LINE = re.compile(r"^- \*\*(?P<id>R\d+)\*\*(?P<waits> \*\(not built yet\)\*)? (?P<text>.+)$")


@dataclass(frozen=True)
class Requirement:
    """One numbered line of the specification."""

    id: str
    text: str
    is_built: bool


def read_specification(path: Path) -> dict[str, Requirement]:
    """Return the requirements of the specification by id, in its order; raise ValueError for a repeated id."""
    found: dict[str, Requirement] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := _LINE.match(line):
            if match["id"] in found:
                raise ValueError(f"{path.name} has {match['id']} twice")
            found[match["id"]] = Requirement(match["id"], match["text"], is_built=not match["waits"])
    return found


def main(arguments: list[str]) -> int:
    """Print the report; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="file that pytest --requirements-results wrote")
    parser.add_argument("--check", action="store_true", help="exit status 1 if something is missing")
    options = parser.parse_args(arguments)
    requirements = read_specification(SPECIFICATION).values()
    outcomes: dict[str, dict[str, str]] = json.loads(options.results.read_text(encoding="utf-8"))

    proved = {id for id, tests in outcomes.items() if set(tests.values()) == {"passed"}}
    broken = {id for id, tests in outcomes.items() if "failed" in tests.values()}
    skipped = outcomes.keys() - proved - broken
    built = [requirement for requirement in requirements if requirement.is_built]
    missing = [requirement for requirement in built if requirement.id not in outcomes]
    early = [requirement for requirement in requirements if not requirement.is_built and requirement.id in proved]

    for requirement in missing:
        print(f"{requirement.id:>5}  no test       {_shorten(requirement.text)}")
    for id in sorted(broken, key=_number):
        print(f"{id:>5}  test failed   {', '.join(t for t, o in outcomes[id].items() if o == 'failed')}")
    for id in sorted(skipped, key=_number):
        print(f"{id:>5}  test skipped  {', '.join(t for t, o in outcomes[id].items() if o == 'skipped')}")
    for requirement in early:
        print(f"{requirement.id:>5}  has a passing test, but is marked as not built yet")
    n_proved = sum(requirement.id in proved for requirement in built)
    print(f"{n_proved} of {len(built)} built requirements proved; {len(requirements) - len(built)} not built yet")
    return int(options.check and bool(missing or broken or skipped or early))


def _number(id: str) -> int:
    return int(id[1:])


def _shorten(text: str, width: int = 90) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
