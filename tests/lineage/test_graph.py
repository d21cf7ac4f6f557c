"""The lineage graph: complete, however deep, wide or tangled, in a fixed number of statements."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.errors import DrawingError, InvalidArgument
from lamart_core.lineage import EdgeKind, Graph, lineage_graph, pictures, view
from tests.lineage.worlds import World, counted
from tests.tools import hide_renderers, require_tool

DEEP = 2_000
WIDE = 3_000


def labels(graph: Graph) -> set[str]:
    return {node.label for node in graph.nodes.values() if node.kind != "run"}


def by_kind(graph: Graph, kind: EdgeKind) -> set[tuple[str, str]]:
    """Edges as pairs of labels; runs of a world all have one label, so they are named by their uid."""
    name = {node.name: node.uid if node.kind == "run" else node.label for node in graph.nodes.values()}
    return {(name[edge.source], name[edge.target]) for edge in graph.edges if edge.kind is kind}


@pytest.mark.req("R273", "R274")
def test_a_deep_chain(registry: Registry, tmp_path: Path) -> None:
    world = World.make(registry, tmp_path)
    made = [(n, n) for n in range(DEEP)]
    chain = world.build(DEEP, DEEP, made=made, read=[(n, n - 1) for n in range(1, DEEP)])
    middle = chain[DEEP // 2]
    limit = sys.getrecursionlimit()
    assert limit < DEEP
    with counted(registry) as statements:
        graph = lineage_graph(middle)
    assert len(statements) <= 12
    assert labels(graph) == {artifact.key for artifact in chain}
    assert len(graph.edges) == 2 * DEEP - 1
    with counted(registry) as statements:
        ancestors = lineage_graph(middle, with_children=False)
    assert len(statements) <= 12
    assert labels(ancestors) == {artifact.key for artifact in chain[: DEEP // 2 + 1]}
    assert graph.to_graphviz().source.count(" -> ") == len(graph.edges)
    assert graph.to_mermaid().count("-->") == len(graph.edges)
    lines = ancestors.to_text(depth=None).splitlines()
    assert len(lines) == DEEP // 2 + 1
    assert chain[0].uid in lines[-1]
    cut = ancestors.to_text().splitlines()
    assert len(cut) == 101
    assert cut[-1].endswith("…")


@pytest.mark.req("R273", "R274")
def test_a_wide_fan(registry: Registry, tmp_path: Path) -> None:
    world = World.make(registry, tmp_path)
    made = [(n, n + 1) for n in range(WIDE)]
    # Two runs read every leaf, so that in and out are wide.
    read = [(n, 0) for n in range(WIDE)] + [(WIDE, n + 1) for n in range(WIDE)]
    root, *leaves, end = world.build(WIDE + 2, WIDE + 1, made=[*made, (WIDE, WIDE + 1)], read=read)
    with counted(registry) as statements:
        graph = lineage_graph(root)
    assert len(statements) <= 12
    assert labels(graph) == {artifact.key for artifact in (root, *leaves, end)}
    with counted(registry) as statements:
        backwards = lineage_graph(end, with_children=False)
    assert len(statements) <= 12
    assert set(backwards.edges) == set(graph.edges)
    assert len(graph.edges) == 3 * WIDE + 1
    one = lineage_graph(leaves[7], with_children=False)
    assert labels(one) == {root.key, leaves[7].key}


@pytest.mark.req("R273", "R274")
def test_diamonds_are_visited_once(registry: Registry, tmp_path: Path) -> None:
    """Forty diamonds in a row have 2^40 paths."""
    world = World.make(registry, tmp_path)
    n_diamonds = 40
    # Artifact 3n opens diamond n, 3n+1 and 3n+2 are its sides, 3n+3 closes it and opens the next.
    made, read = [], []
    for n in range(n_diamonds):
        left, right, close = 3 * n, 3 * n + 1, 3 * n + 2
        made += [(left, 3 * n + 1), (right, 3 * n + 2), (close, 3 * n + 3)]
        read += [(left, 3 * n), (right, 3 * n), (close, 3 * n + 1), (close, 3 * n + 2)]
    artifacts = world.build(3 * n_diamonds + 1, 3 * n_diamonds, made=made, read=read)
    with counted(registry) as statements:
        graph = lineage_graph(artifacts[-1])
    assert len(statements) <= 12
    assert labels(graph) == {artifact.key for artifact in artifacts}
    assert len(graph.edges) == len(made) + len(read)
    assert len(graph.to_text().splitlines()) == 1 + 4 * n_diamonds
    assert set(lineage_graph(artifacts[0]).edges) == set(graph.edges)


@pytest.mark.req("R274")
def test_more_artifacts_than_a_statement_takes_values(sqlite_registry: Registry, tmp_path: Path) -> None:
    world = World.make(sqlite_registry, tmp_path)
    many = 33_000
    [artifact] = world.build(many, 1, made=[(0, n) for n in range(many)], returned=1)
    run = artifact.run

    def allow_what_every_sqlite_does(connection: sqlite3.Connection, _: Any) -> None:
        connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)

    sqlite_registry.close()
    event.listen(sqlite_registry.engine, "connect", allow_what_every_sqlite_does)
    graph = lineage_graph(run)
    assert len(graph.edges) == many
    assert graph.focal == (f"run_{artifact.run.uid}",)


@pytest.mark.req("R274")
def test_a_cycle_through_several_runs_ends(registry: Registry, tmp_path: Path) -> None:
    world = World.make(registry, tmp_path)
    size = 5
    ring = world.build(size, size, made=[(n, n) for n in range(size)], read=[(n, (n - 1) % size) for n in range(size)])
    graph = lineage_graph(ring[0])
    assert labels(graph) == {artifact.key for artifact in ring}
    assert len(graph.edges) == 2 * size
    assert len(graph.to_text().splitlines()) > size
    assert set(lineage_graph(ring[0], with_children=False).edges) == set(graph.edges)


@pytest.mark.req("R275")
def test_the_trash_is_neither_shown_nor_passed(registry: Registry, tmp_path: Path) -> None:
    world = World.make(registry, tmp_path)
    made = [(n, n) for n in range(5)]
    chain = world.build(5, 6, made=made, read=[(n, n - 1) for n in range(1, 5)], again=[(5, 1)])
    for trashed in (chain[1], chain[3]):
        trashed.delete()
    assert labels(lineage_graph(chain[2])) == {chain[2].key}
    assert labels(lineage_graph(chain[1])) == {chain[0].key, chain[1].key, chain[2].key}
    assert by_kind(lineage_graph(chain[1]), EdgeKind.RECREATION)
    assert labels(lineage_graph(chain[4])) == {chain[4].key}
    chain[2].delete()
    graph = lineage_graph(chain[2])
    assert labels(graph) == {chain[2].key}
    assert graph.focal == (f"artifact_{chain[2].uid}",)


@pytest.mark.req("R275")
def test_re_creations_are_dashed_everywhere(registry: Registry, tmp_path: Path) -> None:
    world = World.make(registry, tmp_path)
    first, second = world.build(2, 3, made=[(0, 0), (1, 1)], read=[(1, 0), (2, 1)], again=[(2, 0)])
    graph = lineage_graph(second)
    again = second.registry.Run.get(recreated_artifacts=first)
    assert by_kind(graph, EdgeKind.RECREATION) == {(again.uid, first.key)}
    assert f"run_{again.uid} -> artifact_{first.uid} [style=dashed]" in graph.to_graphviz().source
    assert f"run_{again.uid} -. again .-> artifact_{first.uid}" in graph.to_mermaid()
    assert "↻ template.py" in graph.to_text().splitlines()[1]


@pytest.mark.req("R273", "R274", "R275")
def test_collections_are_nodes(registry: Registry, tmp_path: Path) -> None:
    world = World.make(registry, tmp_path)
    keys = {0: "raw", 1: "part 1", 2: "part 2", 3: "report", 4: "other"}
    # The collection is made by run 2, read by run 3, and made again by run 4.
    raw, one, two, report, other = world.build(
        5, 5, made=[(0, 1), (1, 2), (3, 3)], read=[(0, 0), (1, 0), (2, 1)], keys=keys
    )
    runs = {run.id: run for run in registry.Run.filter().order_by("id").to_list()}
    maker, reader, again = [runs[i] for i in sorted(runs)[-3:]]
    assert report.run == reader

    collection = ln.Collection([one, two, other], key="parts", run=maker).save()
    collection.cache(is_run_input=reader)
    assert ln.Collection([one, two, other], key="parts", run=again).save() == collection

    graph = lineage_graph(report)
    assert f"collection_{collection.uid}" in graph.nodes
    assert labels(graph) == {"raw", "part 1", "part 2", "other", "parts", "report"}
    assert by_kind(graph, EdgeKind.MEMBER) == {("part 1", "parts"), ("part 2", "parts"), ("other", "parts")}
    assert ("parts", reader.uid) in by_kind(graph, EdgeKind.INPUT)
    assert (maker.uid, "parts") in by_kind(graph, EdgeKind.OUTPUT)
    assert (again.uid, "parts") in by_kind(graph, EdgeKind.RECREATION)
    assert f"artifact_{one.uid} -> collection_{collection.uid} [style=dotted]" in graph.to_graphviz().source
    assert f"artifact_{one.uid} -. in .-> collection_{collection.uid}" in graph.to_mermaid()
    assert [line.strip("└├─│ ").split(" (")[0] for line in graph.to_text().splitlines()] == [
        *("report", "collection parts", "part 1", "raw", "other", "part 1", "part 2", "raw")
    ]

    assert labels(lineage_graph(raw)) == {"raw", "part 1", "part 2", "parts", "report"}
    assert labels(lineage_graph(other)) == {"other", "parts", "report"}
    assert lineage_graph(collection).focal == (f"collection_{collection.uid}",)
    assert f"collection_{collection.uid}" in collection.view_lineage(return_graph=True).source
    assert labels(lineage_graph(collection, with_children=False)) == labels(graph) - {"report"}

    collection.delete()
    assert labels(lineage_graph(report)) == {"report"}
    assert labels(lineage_graph(raw)) == {"raw", "part 1", "part 2"}


@pytest.mark.req("R273")
def test_runs_and_transforms_have_a_lineage(registry: Registry, tmp_path: Path) -> None:
    world = World.make(registry, tmp_path)
    first, second, third = world.build(3, 3, made=[(0, 0), (1, 1), (2, 2)], read=[(1, 0), (2, 1)])
    graph = lineage_graph(second.run)
    assert labels(graph) == {first.key, second.key, third.key}
    lines = graph.to_text().splitlines()
    assert lines[0] == f"run template.py ({second.run.uid})"
    assert first.uid in lines[1]
    assert lines[2] == "used by"
    assert second.uid in lines[3]
    of_transform = lineage_graph(second.transform)
    assert len(of_transform.focal) == 4
    assert labels(of_transform) == {first.key, second.key, third.key, "template.txt"}
    with pytest.raises(ln.errors.InvalidArgument, match="lineage"):
        lineage_graph(first.storage)
    (tmp_path / "new.txt").write_text("new")
    with pytest.raises(ln.errors.InvalidArgument, match="save"):
        lineage_graph(ln.Artifact(tmp_path / "new.txt", key="new.txt"))


HOSTILE = [
    'say "hello"',
    "back\\slash\\n and \\N \\",
    "<b>html</b>",
    "<",
    "[square] {curly} (round) |pipe|",
    "a & b &lt;c&gt; &quot;",
    "two\nlines\r\nor three",
    "naïve 日本語 🧬",
    "end; style click %% comment",
    "`markdown` **bold** _it_ # 1. x",
    "1. a list",
    "- a list",
    "#quot; #35;",
    "tab\tand\x07bell and \u202e right-to-left",
    "-->",
    "]] )) }}",
]


@pytest.fixture
def hostile(sqlite_registry: Registry, tmp_path: Path) -> Graph:
    """A chain of artifacts and one fan of runs with labels that try to break out."""
    before: ln.Artifact | None = None
    for number, label in enumerate(HOSTILE):
        ln.track(label.replace("\0", ""))
        path = tmp_path / f"{number}.txt"
        path.write_text(label)
        if before is not None:
            before.load()
        before = ln.Artifact(path, description=label).save()
        ln.finish()
    assert before is not None
    return lineage_graph(before)


@pytest.mark.req("R274")
@pytest.mark.parametrize("renderer", ["wheel", "dot"])
def test_hostile_labels_in_graphviz(hostile: Graph, renderer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if renderer == "dot":
        require_tool("dot")
        monkeypatch.setattr(pictures, "_of_wheel", lambda: None)
    drawn = ET.fromstring(hostile.draw().decode("utf-8"))
    namespace = {"svg": "http://www.w3.org/2000/svg"}
    groups = drawn.findall(".//svg:g[@class='node']", namespace)
    found = {
        group.findtext("svg:title", namespaces=namespace): [
            "".join(text.itertext()) for text in group.findall("svg:text", namespace)
        ]
        for group in groups
    }
    assert found.keys() == hostile.nodes.keys()
    replaced = str.maketrans({"\t": "�", "\x07": "�", "\u202e": "�"})
    for node in hostile.nodes.values():
        expected = [line.translate(replaced) for line in node.label.splitlines()]
        shown = [line.replace("\N{NO-BREAK SPACE}", " ") for line in found[node.name]]
        assert shown == (expected if node.kind == "run" else [*expected, node.uid]), node
    edges = {
        edge.findtext("svg:title", namespaces=namespace) for edge in drawn.findall(".//svg:g[@class='edge']", namespace)
    }
    assert edges == {f"{edge.source}->{edge.target}" for edge in hostile.edges}


@pytest.mark.req("R274")
def test_hostile_labels_in_mermaid(hostile: Graph) -> None:
    """In quotes, and with all that could end them or be read as Markdown or HTML as numbered entities."""
    head, *lines = hostile.to_mermaid().splitlines()
    assert head == "flowchart LR"
    nodes = [line.strip() for line in lines if re.match(r" +\w+[\[(]", line)]
    assert len(nodes) == len(hostile.nodes)
    entity = re.compile(r"#(\d+);")
    for line in nodes:
        name, text = re.fullmatch(r'(\w+)(?:\["|\(\[")([^"]*)(?:"\]|"\]\))', line).groups()
        parts = text.split("<br/>")
        assert all(re.fullmatch(r"(?:[\w /.-]|#\d+;)*", part) for part in parts), line
        assert not any(re.match(r"\s*(\d+\.|[-+*])\s", part) for part in parts), line
        node = hostile.nodes[name]
        read = [entity.sub(lambda match: chr(int(match[1])), part).replace("\u2060", "") for part in parts]
        assert "#92;n" not in line
        replaced = str.maketrans({"\t": "�", "\x07": "�", "\u202e": "�"})
        expected = [part.translate(replaced) for part in node.label.splitlines()]
        assert read == (expected if node.kind == "run" else [*expected, node.uid])


@pytest.mark.req("R274")
def test_hostile_labels_stay_in_their_line_of_text(hostile: Graph) -> None:
    lines = hostile.to_text().splitlines()
    assert len(lines) == len(HOSTILE)
    assert all(char.isprintable() for line in lines for char in line)


@pytest.mark.req("R273")
def test_without_a_notebook_text_is_printed(
    sqlite_registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World.make(sqlite_registry, tmp_path)
    first, second = world.build(2, 2, made=[(0, 0), (1, 1)], read=[(1, 0)])
    assert first.view_lineage() is None
    shown = capsys.readouterr().out
    assert first.uid in shown
    assert second.uid in shown
    assert first.view_lineage(with_children=False) is None
    assert second.uid not in capsys.readouterr().out


@pytest.mark.req("R273")
def test_a_picture_is_drawn_and_what_is_missing_is_said(
    sqlite_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (artifact,) = World.make(sqlite_registry, tmp_path).build(1, 1, made=[(0, 0)], read=[])
    graph = lineage_graph(artifact)
    assert graph.draw("png").startswith(b"\x89PNG")
    with pytest.raises(InvalidArgument, match="svg or png, not as 'pdf'"):
        graph.draw("pdf")  # pyright: ignore[reportArgumentType]
    broken = tmp_path / "dot"
    broken.write_text("#!/bin/sh\necho cannot draw >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(pictures, "_of_wheel", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DrawingError, match="failed with status 3: cannot draw"):
        graph.draw()
    hide_renderers(monkeypatch)
    with pytest.raises(DrawingError, match=r"pip install 'lamart-dagster\[pictures\]', or install Graphviz"):
        graph.draw()


@pytest.mark.req("R273")
def test_in_a_notebook_the_lineage_is_drawn_else_written(
    sqlite_registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (artifact,) = World.make(sqlite_registry, tmp_path).build(1, 1, made=[(0, 0)], read=[])
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(view, "notebook_display", lambda: lambda bundle, raw: shown.append(bundle))
    artifact.view_lineage()
    (bundle,) = shown
    assert artifact.uid in bundle["image/svg+xml"]
    assert artifact.uid in bundle["text/plain"]
    assert capsys.readouterr().out == ""
    hide_renderers(monkeypatch)
    artifact.view_lineage()
    assert artifact.uid in capsys.readouterr().out
    assert "lamart-dagster[pictures]" in caplog.text


@pytest.mark.req("R274")
def test_the_graph_loads_neither_graphviz_nor_data_libraries() -> None:
    code = "import sys, lamart_core.lineage; print([n for n in ('graphviz', 'pandas', 'IPython') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
