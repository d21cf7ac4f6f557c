"""Links: one declaration gives the table, both ends, and what checks and type checkers know."""

from __future__ import annotations

import ast
import inspect
import pickle
from pathlib import Path

import pytest

import lamart_core as ln
from lamart_core import models
from lamart_core.db import Base, Registry, model_class, model_names
from lamart_core.query import QuerySet, ToMany
from lamart_core.records import link_tables
from lamart_core.records.ulabel import TransformULabel
from tests.processes import answers, start
from tests.registries import write


def test_checks_know_the_links() -> None:
    assert {"lamart_runinput", "lamart_artifactuser", "lamart_collectionartifact"} <= link_tables()


@pytest.mark.parametrize("name", sorted(link_tables()))
def test_a_link_goes_with_its_source(name: str) -> None:
    table = Base.metadata.tables[name]
    assert "CASCADE" in {key.ondelete for key in table.foreign_keys}
    unique = [index for index in table.indexes if index.unique]
    assert unique
    assert all(not column.nullable for index in unique for column in index.columns if column.name != "feature_id")


def test_type_checkers_know_both_ends_of_each_link() -> None:
    """A new link needs a line in each class at its ends: `projects: RelatedManager[Project]`, below TYPE_CHECKING."""
    missing: list[str] = []
    for name in model_names():
        model = model_class(name)
        ends = {
            end: relation.target
            for end, relation in getattr(model, "__relations__", {}).items()
            if isinstance(relation, ToMany) and relation.link in link_tables()
        }
        known = _annotated(model)
        missing += [
            f"{name}.{end}: RelatedManager[{target}]"
            for end, target in ends.items()
            if known.get(end) not in (f"RelatedManager[{target}]", "RelatedManager[Self]")
        ]
    assert missing == []


UNDER_FEATURES = """
from sqlalchemy.orm import mapped_column
from lamart_core.db import Base, KeyText, uid_type
from lamart_core.models import Named
from lamart_core.records import End, TrackedRecord, link
class Feature(Named, TrackedRecord):
    __tablename__ = "lamart_feature"
    uid = mapped_column(uid_type(12), unique=True)
    name = mapped_column(KeyText(150), nullable=False)
Marked = link(End("Artifact", names=("marked",)), End("ULabel", names=("marks",)), name="Marked", feature=True)
Base.metadata.create_all(registry.engine, tables=[Feature.__table__, Marked.table])
artifact = ln.Artifact(arguments["path"], key="a.txt").save()
label = ln.ULabel(name="x").save()
one, two = Feature(name="one").save(), Feature(name="two").save()
def mark(feature):
    try:
        pair = {"artifact_id": artifact.id, "ulabel_id": label.id, "feature_id": feature and feature.id}
        Marked.model(**pair).save()
        return True
    except ln.errors.IntegrityError:
        return False
artifact.marks.add(label)
artifact.marks.add(label)
told = [Marked.model.filter().count(), mark(None), mark(one), mark(two), mark(one), artifact.marks.count()]
try:
    one.delete(permanent=True)
except ln.errors.ProtectedError:
    told.append("protected")
artifact.delete(permanent=True)
tell([*told, Marked.model.filter().count()])
"""


def test_a_pair_is_linked_once_under_each_feature(registry: Registry, tmp_path: Path) -> None:
    # In a process of its own: what is declared stays declared.
    process = start(registry, UNDER_FEATURES, path=write(tmp_path / "a.txt", "a"))
    assert answers([process]) == [[1, False, True, True, False, 1, "protected", 0]]


def _annotated(model: type[Base]) -> dict[str, str]:
    """Return what a class and its bases say of their attributes to type checkers only."""
    found: dict[str, str] = {}
    for base in model.__mro__:
        if not base.__module__.startswith("lamart_core."):
            continue
        module = ast.parse(inspect.getsource(inspect.getmodule(base) or models))
        for item in ast.walk(module):
            if isinstance(item, ast.ClassDef) and item.name == base.__name__:
                blocks = [part for part in item.body if isinstance(part, ast.If)]
                for line in (line for block in blocks for line in block.body):
                    if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                        found[line.target.id] = ast.unparse(line.annotation)
    return found


def test_rows_of_links_can_be_pickled(sqlite_registry: Registry) -> None:
    transform = ln.Transform(key="t").save()
    transform.ulabels.add(ln.ULabel(name="x").save())
    for model in (models.RunInput, TransformULabel.model):
        assert pickle.loads(pickle.dumps(model)) is model
    (row,) = QuerySet(TransformULabel.model, sqlite_registry).filter().to_list()
    copy = pickle.loads(pickle.dumps(row))
    assert (copy.id, copy.transform_id) == (row.id, transform.id)
