"""Every public verb has a decision: the scenarios that kill it, or why it needs none. A new one without it fails."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

import lamart_core as ln
from lamart_core import care, cli, models
from tests.faults.record_scenarios import SCENARIOS

# By verb: the scenarios of the crash matrix that kill it.
KILLED: dict[str, tuple[str, ...]] = {
    "Artifact.delete": (
        "trash the latest version", "delete the latest version for good", "delete a version of a folder",
        "delete what lies at a real key", "delete a version of a folder that was transferred",
    ),
    "Artifact.open": ("close an edit",),
    "Artifact.replace": ("replace a file", "replace at a real key", "replace a table by one in memory"),
    "Artifact.save": (
        "save a file", "save a version of a file", "save a table", "save a folder", "save a version of a folder",
        "overwrite a folder", "save at a real key", "save a version at a real key",
        "save a version of a folder at a real key", "save content that is stored under another key",
        "rename a family", "rename a real key", "move a family to another storage", "transfer a version of a folder",
        "upload what was saved locally",
    ),
    "ArtifactBlock.save": ("save a block",),
    "ArtifactConstructors.from_dir": ("save many files",),
    "ArtifactConstructors.from_lazy": ("save a lazy artifact",),
    "Branch.merge": ("merge a branch",),
    "Collection.append": ("append to a collection",),
    "Collection.save": ("save a collection",),
    "HasScope.archive": ("archive the latest version",),
    "HasScope.restore": ("restore a version", "restore a label"),
    "LazyArtifact.save": ("save a lazy artifact",),
    "QuerySet.update": ("update what a query finds",),
    "RelatedManager.add": ("add labels",),
    "RelatedManager.clear": ("clear labels",),
    "RelatedManager.remove": ("remove labels",),
    "RelatedManager.set": ("set labels",),
    "SQLRecord.delete": ("delete a collection for good", "delete a label for good"),
    "SQLRecord.save": ("save a label", "save a branch"),
    "SQLRecordList.save": ("save many files",),
    "Storage.save": ("save a storage", "change the root of a storage"),
    "care.check_registry": ("check and repair",),
    "care.collect_garbage": ("collect garbage",),
    "ln.finish": ("finish a run",),
    "ln.flow": ("call a flow",),
    "ln.save": ("save many labels", "save many files"),
    "ln.track": ("track a run",),
}  # fmt: skip

_READS = "reads; what it may write are copies in the cache, and inputs of the current run, once however often"
_DESCRIBES = "makes an object in memory; saving it is a verb of its own"
_QUERY = "describes a query or reads what it finds"

# By verb: why no scenario kills it.
SPARED: dict[str, str] = {
    **dict.fromkeys(["Artifact.cache", "Artifact.load", "Collection.cache", "Collection.load"], _READS),
    **dict.fromkeys(["Collection.open", "Artifact.describe", "Collection.describe"], _READS),
    **dict.fromkeys(["Artifact.view_lineage", "Collection.view_lineage", "ln.lineage_graph"], _READS),
    "Artifact.verify": _READS,
    **dict.fromkeys(["HasParents.ancestors", "HasParents.descendants", "SQLRecord.refresh", "Storage.get"], _READS),
    **dict.fromkeys(["Artifact.filter", "Artifact.get", "SQLRecord.filter", "SQLRecord.get"], _READS),
    **dict.fromkeys(["SQLRecord.field_names", "SQLRecord.to_dataframe", "SQLRecordList.one"], _READS),
    **dict.fromkeys(["SQLRecord.describe", "SQLRecord.lookup", "SQLRecord.search"], _READS),
    "Transform.from_path": _DESCRIBES,
    **dict.fromkeys(["Artifact.key_is_virtual=", "Artifact.overwrite_versions="], "sets a field of what is not saved"),
    **dict.fromkeys(["SQLRecordList.to_dataframe", "SQLRecordList.to_list", "HasOwnName.named"], _READS),
    **dict.fromkeys(["care.iter_findings", "care.iter_garbage", "lamart verify"], _READS),
    **{
        f"ArtifactConstructors.from_{name}": _DESCRIBES
        for name in ("anndata", "dataframe", "mudata", "spatialdata", "tiledbsoma")
    },
    **{
        f"QuerySet.{name}": _QUERY
        for name in (
            "aggregate", "all", "count", "distinct", "exclude", "exists", "filter", "first", "get", "in_bulk",
            "iterator", "last", "lookup", "one", "one_or_none", "order_by", "reverse", "search",
            "select_related", "to_dataframe", "to_list", "values", "values_list",
        )
    },
    **{
        f"RelatedManager.{name}": _QUERY
        for name in (
            "all", "count", "exclude", "exists", "filter", "first", "get", "one", "one_or_none", "order_by",
            "to_dataframe", "to_list",
        )
    },
    **dict.fromkeys(["QuerySet.ids", "Subquery.ids"], _QUERY),
    "Branch.status=": "sets a field; saving it is a verb of its own",
    "HasOwnName.delete": "refuses, or one statement that deletes one row: `SQLRecord.delete`",
    "LazyArtifact.discard": "removes bytes that no record has",
    "QuerySet.delete": "calls `delete` of each record, which a user may repeat",
    "SQLRecord.add_relation": "declares a relation of a class",
    "Storage.delete": "refuses while something refers to it; else it deletes one row and the marker",
    "Storage.reference": "returns or inserts one row in one statement",
    "ln.DB": "opens for reading",
    "ln.connect": "killed while it makes tables: `tests/db/test_schema.py`, eight processes at once",
    "ln.run_context": "sets the current run in this process",
    "ln.step": "is `ln.flow` by another name",
    "care.claim": "writes a row, then a marker; it can be repeated",
    "care.fork": "one transaction, then markers, which `lamart claim` writes: `tests/core/test_copied_databases.py`",
    "care.take_over": "writes rows and markers one by one; it can be repeated",
    "lamart claim": "calls `care.claim`",
    "lamart fork": "calls `care.fork`",
    "lamart take-over": "calls `care.take_over`",
    "lamart fsck": "calls `care.check_registry`",
    "lamart gc": "calls `care.collect_garbage`",
    "lamart migrate": "alembic's migrations, each in one transaction: `tests/db/test_migration.py`",
}  # fmt: skip


def public_verbs() -> Iterator[str]:
    """Give every public function of the face: of classes under the class that defines it, and settable properties."""
    for cls in (value for value in vars(models).values() if inspect.isclass(value)):
        for home in cls.__mro__:
            if not home.__module__.startswith("lamart_core"):
                continue
            for name, value in vars(home).items():
                function = getattr(value, "__func__", getattr(value, "of_record", value))
                if name.startswith("_"):
                    continue
                if isinstance(function, property) and function.fset is not None:
                    yield f"{function.fset.__qualname__}="
                elif getattr(function, "assign", None) is not None:
                    yield f"{home.__name__}.{name}="
                elif inspect.isfunction(function):
                    yield function.__qualname__
    for prefix, room in (("ln", ln), ("care", care)):
        yield from (f"{prefix}.{name}" for name in room.__all__ if inspect.isfunction(getattr(room, name)))
    yield from (f"lamart {name}" for name in cli.main.commands)


def test_every_public_verb_has_a_decision() -> None:
    verbs = set(public_verbs())
    assert len(verbs) > 90
    assert KILLED.keys() & SPARED.keys() == set()
    assert sorted(verbs - KILLED.keys() - SPARED.keys()) == [], "add a scenario or say why there is none"
    assert sorted((KILLED.keys() | SPARED.keys()) - verbs) == [], "these are no public verbs any more"


def test_every_scenario_kills_a_verb() -> None:
    named = {name for names in KILLED.values() for name in names}
    assert named == set(SCENARIOS)


def test_a_new_verb_needs_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    def shred(self: object) -> None: ...

    shred.__qualname__ = "Artifact.shred"
    monkeypatch.setattr(models.Artifact, "shred", shred, raising=False)
    with pytest.raises(AssertionError, match=r"Artifact\.shred"):
        test_every_public_verb_has_a_decision()
