"""Equal content gives equal bytes, whoever writes it, when, and under which name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.formats.format_samples import SAMPLES, Sample, fingerprint, write


@pytest.fixture(scope="module")
def other_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[int, dict[str, str]]]:
    """The fingerprints of all samples as two further processes wrote them."""
    found: list[dict[int, dict[str, str]]] = []
    here = Path(__file__).parent
    for seed, prefix in (("1", "first"), ("2", "another-name")):
        folder = tmp_path_factory.mktemp(prefix)
        program = [sys.executable, "-m", "tests.formats.format_samples", str(folder), prefix]
        subprocess.run(program, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=here.parents[1], check=True)
        paths = {n: folder / f"{prefix}{n}{s.suffix}" for n, s in enumerate(SAMPLES)}
        found.append({n: fingerprint(path) for n, path in paths.items()})
    return found


@pytest.mark.parametrize("number", range(len(SAMPLES)), ids=[s.name for s in SAMPLES])
def test_in_other_processes(number: int, other_processes: list[dict[int, dict[str, str]]], tmp_path: Path) -> None:
    sample = SAMPLES[number]
    here = fingerprint(write(sample.obj, tmp_path / "here", sample.suffix))
    assert here == other_processes[0][number] == other_processes[1][number]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_writing_again_what_was_loaded_or_written(sample: Sample, tmp_path: Path) -> None:
    first = fingerprint(write(sample.obj, tmp_path / "a", sample.suffix))
    assert fingerprint(write(sample.obj, tmp_path / "b", sample.suffix)) == first
