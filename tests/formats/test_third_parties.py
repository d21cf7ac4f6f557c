"""Formats of other distributions: the one of the guide, installed, and broken ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


@dataclass(frozen=True)
class Installed:
    """A folder with a module and the metadata of its distribution, as pip leaves it in site-packages."""

    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(self.folder), os.environ["PYTHONPATH"]])
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def python(self, *lines: str) -> subprocess.CompletedProcess[str]:
        return self.run("-c", "\n".join(lines))


def install(folder: Path, distribution: str, entry_points: dict[str, str], **modules: str) -> Installed:
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    metadata = folder / f"{distribution.replace('-', '_')}-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[lamart_core.formats]", *lines, ""]))
    return Installed(folder)


@pytest.fixture
def gmt(tmp_path: Path) -> Installed:
    """The example of the guide."""
    section = GUIDE.read_text().partition("\n## Write your own format\n")[2].partition("\n## ")[0]
    module, test = re.findall(r"^```python\n(.*?)^```", section, re.M | re.S)
    declared = re.findall(r'^(\w+) = "(lamart_gmt:\w+)"$', section, re.M)
    return install(tmp_path, "lamart-gmt", dict(declared), lamart_gmt=module, test_gmt=test)


def test_the_example_of_the_guide_passes_the_contract(gmt: Installed) -> None:
    done = gmt.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gmt.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b\d{2} passed", done.stdout)


def test_it_is_a_format_like_any_other(gmt: Installed) -> None:
    done = gmt.python(
        "import lamart_core as ln, lamart_gmt",
        "from lamart_core.saving import create",
        "registry = ln.connect('lab.db', storage='lab')",
        "sets = lamart_gmt.GeneSets({'T cell': ['CD4']})",
        "artifact = create(registry, sets, key='sets/mine.gmt').artifact",
        "stored = ln.Artifact.get(artifact.uid)",
        "print(stored.suffix, stored.load(), stored.cache().read_text())",
    )
    assert done.stdout.strip() == ".gmt GeneSets(genes={'T cell': ['CD4']}) T cell\t\tCD4", done.stderr


BROKEN = """
import lamart_core.formats
class NoFormat: pass
class Incomplete(lamart_core.formats.Format): name = "incomplete"
class Thief(lamart_core.formats.Format):
    name, suffixes = "thief", (".csv",)
    def _write(self, obj, path, suffix, options): pass
    def _read(self, path, suffix, target, options): pass
class Good(Thief):
    name, suffixes = "good", (".good", ".very.good")
"""


def test_formats_that_cannot_be_loaded_keep_no_other_from_working(tmp_path: Path) -> None:
    broken = {
        "absent": "no_such_module:X",
        "misspelt": "broken:X",
        "no_format": "broken:NoFormat",
        "incomplete": "broken:Incomplete",
        "thief": "broken:Thief",
    }
    installed = install(tmp_path, "lamart-broken", {**broken, "good": "broken:Good"}, broken=BROKEN)
    done = installed.python(
        "import lamart_core, pathlib",
        "from lamart_core import errors, formats, storage",
        "print(formats.for_suffix('.good').name, formats.for_suffix('.csv').name)",
        "print(storage.suffix_of('x.very.good'), storage.suffix_of('x.good.gz'))",
        "for use in (lambda: formats.for_object(object()), lambda: formats.for_object({}, '.absent'),",
        "            lambda: formats.for_path(pathlib.Path('x'), '.x').load(pathlib.Path('x'), suffix='.x')):",
        "    try: use()",
        "    except errors.LamartError as error: print(type(error).__name__, error)",
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["good csv", ".very.good .good.gz"]
    assert [line.partition(" ")[0] for line in lines[2:]] == ["UnsupportedObject", "InvalidArgument", "NoLoader"]
    for name in broken:
        assert f"the format '{name}' of lamart-broken cannot be used" in done.stderr
        assert all(f"'{name}' of lamart-broken" in line for line in lines[2:])
    assert "No module named 'no_such_module'" in lines[2]
    assert "'good' of" not in done.stderr
