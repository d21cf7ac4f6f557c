"""List the requirements that no passing test proves, and where those that are proved were tried.

    python -m tests.requirements_report build/requirements.json [--check] [--all]

A line of the specification that ends in `[storage]` depends on the kind of storage: it needs a test on a local disk
and one on S3. A line that ends in `[any database]` depends on no database. All others of the sections on artifacts
need a test on each database.

With `--check` the exit status is 1 if a requirement that is not marked *not built yet* has no passing test, lacks a
database or a storage, or if one of its tests did not pass. `--all` also prints where each requirement was proved.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.databases import BACKENDS

SPECIFICATION = Path(__file__).parent.parent / "docs" / "specification.md"
STORAGES = ("local", "s3")
# The sections on artifacts: the constructor, keys, hashes, storage, collections, relations, replace to lineage.
SECTIONS = frozenset({1, 2, 3, 4, 9, 13, 15, 16, 17, 18, 19})
_LINE = re.compile(r"^- \*\*(?P<id>[RD]\d+)\*\*(?P<waits> \*\(not built yet\)\*)? (?P<text>.+)$")
_SECTION = re.compile(r"^## (?P<number>\d+)\. ")
_TAGS = ("storage", "any database")


@dataclass(frozen=True)
class Requirement:
    """One numbered line of the specification.

    Attributes:
        needs: Databases and storages that it must be proved on.
    """

    id: str
    text: str
    is_built: bool
    needs: tuple[str, ...] = ()


@dataclass
class Proof:
    """What the tests of one requirement did."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)

    @property
    def is_whole(self) -> bool:
        """Whether tests passed, and none did not."""
        return bool(self.passed) and not self.failed and not self.skipped


def read_specification(path: Path) -> dict[str, Requirement]:
    """Return the requirements of the specification by id, in its order; raise ValueError for a repeated id."""
    found: dict[str, Requirement] = {}
    section = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := _SECTION.match(line):
            section = int(match["number"])
        if match := _LINE.match(line):
            if match["id"] in found:
                raise ValueError(f"{path.name} has {match['id']} twice")
            text, needs = match["text"], _needs(match["text"], section)
            found[match["id"]] = Requirement(match["id"], text, is_built=not match["waits"], needs=needs)
    return found


def _needs(text: str, section: int) -> tuple[str, ...]:
    tags = {tag for tag in _TAGS if f"[{tag}]" in text}
    databases = BACKENDS if section in SECTIONS and "any database" not in tags else ()
    return (*databases, *(STORAGES if "storage" in tags else ()))


def read_results(path: Path) -> dict[str, Proof]:
    """Return what the tests did, from the file that `pytest --requirements-results` wrote."""
    results: dict[str, dict[str, dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    proofs: dict[str, Proof] = {}
    for id, tests in results.items():
        proof = proofs.setdefault(id, Proof())
        for test, result in tests.items():
            getattr(proof, result["outcome"]).append(test)
            if result["outcome"] == "passed":
                proof.places.update(result["places"])
    return proofs


def main(arguments: list[str]) -> int:
    """Print the report; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="file that pytest --requirements-results wrote")
    parser.add_argument("--check", action="store_true", help="exit status 1 if something is missing")
    parser.add_argument("--all", action="store_true", help="print where every requirement was proved")
    options = parser.parse_args(arguments)
    requirements = read_specification(SPECIFICATION).values()
    proofs = read_results(options.results)
    problems = list(_problems(requirements, proofs))
    for problem in problems:
        print(problem)
    built = [requirement for requirement in requirements if requirement.is_built]
    proved = [requirement for requirement in built if requirement.id in proofs and proofs[requirement.id].is_whole]
    if options.all:
        for requirement in proved:
            places = proofs[requirement.id].places
            print(f"{requirement.id:>5}  proved on     {', '.join(_in_order(places)) or 'no database'}")
    print(f"{len(proved)} of {len(built)} built requirements proved; {len(requirements) - len(built)} not built yet")
    return int(options.check and bool(problems))


def _problems(requirements: Iterable[Requirement], proofs: dict[str, Proof]) -> Iterable[str]:
    for requirement in requirements:
        proof = proofs.get(requirement.id, Proof())
        if not requirement.is_built:
            if proof.is_whole:
                yield f"{requirement.id:>5}  has a passing test, but is marked as not built yet"
        elif not (proof.passed or proof.failed or proof.skipped):
            yield f"{requirement.id:>5}  no test       {_shorten(requirement.text)}"
        elif missing := [place for place in requirement.needs if place not in proof.places]:
            yield f"{requirement.id:>5}  no test on    {', '.join(missing)}: {_shorten(requirement.text, 70)}"
        if proof.failed:
            yield f"{requirement.id:>5}  test failed   {', '.join(proof.failed)}"
        if proof.skipped:
            yield f"{requirement.id:>5}  test skipped  {', '.join(proof.skipped)}"


def _in_order(places: Iterable[str]) -> list[str]:
    return [place for place in (*BACKENDS, *STORAGES) if place in set(places)]


def _shorten(text: str, width: int = 90) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
