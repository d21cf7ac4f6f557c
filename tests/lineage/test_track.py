"""`track` and `finish`: the code that runs, its versions, and how its run ended."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import lamart_core as ln
from lamart_core import source_code
from lamart_core.db import Registry
from lamart_core.records import RunStatus
from tests.registries import write

PRELUDE = """
import json, sys
import lamart_core as ln
registry = ln.connect({url!r}, storage={storage!r}, cache_dir={cache_dir!r}, user="tester")
"""


def prelude(registry: Registry) -> str:
    return PRELUDE.format(
        url=registry.url.render_as_string(hide_password=False),
        storage=registry.options["storage"],
        cache_dir=registry.options["cache_dir"],
    )


def run_script(registry: Registry, path: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    write(path, prelude(registry) + textwrap.dedent(code))
    return subprocess.run(
        [sys.executable, str(path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=path.parent,
    )


def only_run(registry: Registry, key: str) -> ln.Run:
    return registry.Run.filter(transform__key=key).one()


@pytest.mark.req("R276", "R278")
def test_a_script_is_recorded(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "analysis.py"
    code = """
    run = ln.track(params={"n": 3, "api_key": "hunter2"}, name="first", description="What it does")
    open("data.txt", "w").write(sys.argv[1])
    ln.Artifact("data.txt", key="data.txt").save()
    assert ln.context.run == run and run.status == "started"
    ln.finish()
    assert ln.context.run is None
    """
    done = run_script(registry, path, code, "7", "--password", "hunter2", "postgresql://ann:hunter2@host/db")
    assert done.returncode == 0, done.stderr
    run = only_run(registry, "analysis.py")
    assert (run.status, run.name, run.params) == ("completed", "first", {"n": 3, "api_key": "***"})
    assert run.cli_args == "7 --password '***' 'postgresql://ann:***@host/db'"
    assert run.entrypoint == str(path)
    assert [artifact.key for artifact in run.output_artifacts.to_list()] == ["data.txt"]
    transform = run.transform
    assert (transform.kind, transform.description) == ("script", "What it does")
    assert transform.source_code == path.read_text()
    assert (len(run.uid), len(transform.uid)) == (16, 16)
    assert "hunter2" not in str(run.params) + str(run.cli_args)


@pytest.mark.req("R278")
def test_other_code_is_another_version_of_the_script(registry: Registry, tmp_path: Path) -> None:
    file = write(tmp_path / "code.py", "a = 1")
    used: list[ln.Transform] = []
    for code in ("a = 1", "a = 1", "a = 2", "a = 1"):
        file.write_text(code)
        used.append(ln.track(path=file).transform)
        ln.finish()
    first, second = ln.Transform.filter(key="code.py").order_by("uid").to_list()
    # Taken back, it is the first version again.
    assert used == [first, first, second, first]
    assert (first.is_latest, second.is_latest) == (True, False)
    assert first.stem_uid == second.stem_uid
    assert (first.source_code, second.source_code) == ("a = 1", "a = 2")


@pytest.mark.req("R278")
@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("raise ValueError('no token=hunter2')", "errored", "ValueError: no token=***"),
        ("sys.exit(3)", "aborted", None),
        ("raise KeyboardInterrupt", "aborted", None),
        ("pass", "aborted", None),
        ("ln.finish(); raise ValueError('later')", "completed", None),
        # The user's own hook is called, and nothing of ours is lost by it.
        ("sys.excepthook = lambda *a: print('own hook'); raise ValueError('x')", "errored", "ValueError: x"),
        # A child that exits does not end the run of its parent.
        ("import os\npid = os.fork()\nif pid == 0: sys.exit(0)\nos.waitpid(pid, 0)\nln.finish()", "completed", None),
        ("import os\npid = os.fork()\nif pid == 0: raise ValueError('child')\nos.waitpid(pid, 0)", "aborted", None),
        ("ln.track('second'); ln.finish()", "aborted", None),
    ],
)
def test_how_a_script_ends(
    sqlite_registry: Registry, tmp_path: Path, code: str, status: str, error: str | None
) -> None:
    done = run_script(sqlite_registry, tmp_path / "s.py", "ln.track('ending')\n" + code)
    run = only_run(sqlite_registry, "ending")
    assert run.status == status, done.stderr
    assert (run.extra_data or {}).get("error") == error
    assert run.finished_at is not None
    assert ("own hook" in done.stdout) == ("own hook" in code)
    assert ("Traceback" in done.stderr) == ("raise" in code and "own hook" not in code)


@pytest.mark.req("R278")
def test_a_failed_script_on_each_database(registry: Registry, tmp_path: Path) -> None:
    done = run_script(registry, tmp_path / "s.py", "ln.track('ending')\nraise ValueError('x')")
    assert (done.returncode, only_run(registry, "ending").status) == (1, "errored")
    assert done.stderr.count("Traceback") == 1


@pytest.mark.req("R278")
def test_a_killed_script_stays_started_until_it_is_continued(sqlite_registry: Registry, tmp_path: Path) -> None:
    code = "run = ln.track(new_run=False, params={'n': int(sys.argv[1])})\n"
    kill = code + "import os\nif sys.argv[1] == '1': os.kill(os.getpid(), 9)\nln.finish()\n"
    assert run_script(sqlite_registry, tmp_path / "s.py", kill, "1").returncode == -signal.SIGKILL
    run = only_run(sqlite_registry, "s.py")
    assert (run.status, run.finished_at) == ("started", None)
    assert run_script(sqlite_registry, tmp_path / "s.py", kill, "2").returncode == 0
    assert only_run(sqlite_registry, "s.py").refresh().status == "completed"
    assert only_run(sqlite_registry, "s.py").params == {"n": 2}


@pytest.mark.req("R278")
def test_continuing_a_run(registry: Registry, tmp_path: Path) -> None:
    file = write(tmp_path / "code.py", "a = 1")
    first = ln.track(path=file, params={"a": 1, "b": 1})
    ln.finish()
    second = ln.track(path=file)
    assert second != first
    ln.finish(RunStatus.ERRORED)
    assert second.refresh().status == "errored"
    again = ln.track(path=file, new_run=False, params={"b": 2}, name="again")
    assert again == second
    assert (again.status, again.finished_at, again.name, again.params) == ("restarted", None, "again", {"b": 2})
    ln.finish()
    assert again.refresh().status == "completed"
    assert ln.track(path=file, new_run=False, params={"c": 3}).params == {"b": 2, "c": 3}
    ln.finish()
    file.write_text("a = 2")
    changed = ln.track(path=file, new_run=False)
    assert changed not in (first, second)
    assert changed.transform.stem_uid == first.transform.stem_uid
    ln.finish()
    # What another user ran is another's.
    other = ln.connect(
        registry.url.render_as_string(hide_password=False),
        storage=registry.options["storage"],
        user="somebody",
        make_default=False,
    )
    with other:
        assert ln.track(path=file, new_run=False) != changed
        ln.finish()
    other.close()


@pytest.mark.req("R278")
def test_status_codes() -> None:
    assert {status.name.lower(): int(status) for status in RunStatus} == {
        "scheduled": -3,
        "restarted": -2,
        "started": -1,
        "completed": 0,
        "errored": 1,
        "aborted": 2,
    }


@pytest.mark.req("R278")
def test_a_transform_can_be_passed(registry: Registry) -> None:
    transform = ln.Transform(key="made by hand", kind="pipeline").save()
    for run in (ln.track(transform=transform), ln.track(transform)):
        assert run.transform == transform
    ln.finish()
    assert transform.runs.count() == 2


@pytest.mark.req("R278")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"key": "a", "transform": "unsaved"}, ValueError),
        ({"transform": "unsaved"}, ValueError),
        ({"key": ""}, ValueError),
        ({"key": 3}, ValueError),
        ({"params": [1]}, ValueError),
        ({"path": "nowhere.py"}, FileNotFoundError),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    sqlite_registry: Registry, arguments: dict[str, Any], error: type[Exception]
) -> None:
    if arguments.get("transform") == "unsaved":
        arguments = arguments | {"transform": ln.Transform(key="x")}
    with pytest.raises(error) as raised:
        ln.track(**arguments)
    assert isinstance(raised.value, ln.errors.LamartError)
    assert ln.Transform.filter().count() == 0
    assert ln.context.run is None


@pytest.mark.req("R278")
def test_nothing_to_finish(sqlite_registry: Registry) -> None:
    with pytest.raises(RuntimeError, match="track"):
        ln.finish()


@pytest.mark.req("R278")
def test_tracking_within_a_flow_is_a_part_of_it(sqlite_registry: Registry) -> None:
    @ln.flow("outer")
    def outer() -> ln.Run:
        run = ln.track("inner")
        ln.finish()
        return run

    assert outer().initiated_by_run == only_run(sqlite_registry, "outer")


# ---------------------------------------------------------------------- notebooks and sessions


def notebook(*cells: str) -> Any:
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    made.cells.insert(1, nbformat.v4.new_markdown_cell("# Title\n\nText"))
    return made


def execute(made: Any, path: Path | None, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Run a notebook in a real kernel; `path` is told to it as Jupyter's server does."""
    if path is not None:
        nbformat.write(made, path)
        monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    else:
        monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    NotebookClient(made, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    if path is not None:
        nbformat.write(made, path)


@pytest.mark.req("R278")
def test_a_notebook(sqlite_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "explore.ipynb"
    cells = [prelude(sqlite_registry), "first = ln.track()", "assert ln.track() == first", "1 / 2", "ln.finish()"]
    made = notebook(*cells)
    execute(made, path, monkeypatch, tmp_path)
    run = only_run(sqlite_registry, "explore.ipynb")
    transform = run.transform
    assert (run.status, transform.kind, run.cli_args) == ("completed", "notebook", None)
    parts = [cells[0], "[markdown]", *cells[1:]]
    expected = "\n\n".join(f"# %%\n{part}" for part in parts)
    assert transform.source_code == expected.replace("\n[markdown]", " [markdown]\n# # Title\n# \n# Text") + "\n"
    assert "0.5" not in transform.source_code
    # The outputs that are in the file by now make no other version.
    assert any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)
    assert source_code.of_file(path).code == transform.source_code
    # A cell that is added while the notebook runs is a part of what ran.
    more = "from pathlib import Path\np = Path('explore.ipynb'); p.write_text(p.read_text().replace('1 / 2', '1 / 4'))"
    made = notebook(*cells[:2], "1 / 2", more, "ln.finish()")
    execute(made, path, monkeypatch, tmp_path)
    latest = sqlite_registry.Run.filter(transform__key="explore.ipynb").order_by("-id").first()
    assert "1 / 4" in latest.transform.source_code
    assert latest.transform.is_latest


@pytest.mark.req("R278")
def test_a_notebook_that_nobody_finishes(
    sqlite_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    sys.last_exc = sys.last_value = e"
    made = notebook(prelude(sqlite_registry), "ln.track('cells')", failing)
    execute(made, None, monkeypatch, tmp_path)
    run = only_run(sqlite_registry, "cells")
    # An exception in a cell ends nothing; the kernel was shut down.
    assert run.status == "aborted"
    assert "1 / 0" in run.transform.source_code
    assert run.transform.source_code.startswith("# %%\n")


@pytest.mark.req("R278")
def test_an_interactive_session(sqlite_registry: Registry, tmp_path: Path) -> None:
    """A real prompt on a terminal: what was typed is the code."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHON_BASIC_REPL"] = "1"
        os.environ["HOME"] = str(tmp_path)
        os.execv(sys.executable, [sys.executable, "-q"])
    setup = "; ".join(line for line in prelude(sqlite_registry).strip().splitlines())
    lines = ["import readline; readline.add_history('of another day')", setup, "run = ln.track()", "x = 1 + 1", "1 / 0"]
    for line in [*lines, "ln.finish()", "exit()"]:
        os.write(terminal, line.encode() + b"\n")
    seen = b""
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:  # the terminal is gone with its process
        pass
    _, code = os.waitpid(pid, 0)
    assert code == 0, seen.decode()
    run = only_run(sqlite_registry, "interactive")
    assert run.status == "completed", seen.decode()
    assert run.transform.kind == "script"
    assert run.transform.source_code.splitlines() == ["run = ln.track()", "x = 1 + 1", "1 / 0", "ln.finish()"]


@pytest.mark.req("R278")
def test_what_is_no_notebook_is_kept_as_it_is(tmp_path: Path) -> None:
    for text in ("", "{}", "[1]", '{"cells": [{}]}', '{"cells": 3}', "not json \0"):
        path = write(tmp_path / "odd.ipynb", text)
        assert source_code.of_file(path).code == text.replace("\0", "�")
    assert source_code.of_file(write(tmp_path / "latin.py", "é".encode("latin-1"))).code == "�"
    cells = [{"cell_type": "code", "source": ["a = 1\n", "b"]}, {"cell_type": "raw", "source": "r"}]
    path = write(tmp_path / "nb.ipynb", json.dumps({"cells": cells}))
    assert source_code.of_file(path).code == "# %%\na = 1\nb\n\n# %% [raw]\n# r\n"
