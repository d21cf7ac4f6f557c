"""Every column of every record class, assigned at every moment: written as it is, or refused with its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import JSON, Boolean, Date, Integer, String, Table, select
from sqlalchemy import inspect as sa_inspect
from sqlalchemy.types import TypeDecorator

import lamart_core as ln
from lamart_core import errors
from lamart_core.db import Base, Registry, UtcDateTime
from lamart_core.models import ArtifactBlock, SQLRecord
from lamart_core.records.kinds.link import LinkRow
from tests.registries import contents, write

MOMENT = datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=UTC)

# A value of each type, and what no column of the type takes; None is tried everywhere.
GOOD: dict[str, list[Any]] = {
    "text": ["words", "ß'\"\\ 😀"],
    "integer": [7],
    "boolean": [True, False],
    "time": [MOMENT, MOMENT.astimezone(timezone(timedelta(hours=2)))],
    "date": [date(2024, 2, 29)],
    "json": [{"k": [1, {"deep": None}], "ü": 1.5}],
}
BAD: dict[str, list[Any]] = {
    "text": [5, b"x", "zero \0", "half \ud83d", ["x"], Path("x")],
    "integer": ["7", 1.5, True, 2**63, -(2**70)],
    "boolean": ["yes", 2],
    "time": ["2024-01-01", date(2024, 1, 1), pd.NaT, pd.Timestamp("2024-01-01 00:00:00.000000001")],
    "date": ["2024-01-01", MOMENT, pd.NaT],
    "json": [{"a": {1}}, {"a": math.nan}, {1: 2}, {"a": "\0"}, {"a": 2**63}, "text", [object()]],
}


def kind_of(column: Any) -> str:
    kind = column.type
    if isinstance(kind, UtcDateTime):
        return "time"
    kind = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    kinds = ((JSON, "json"), (String, "text"), (Boolean, "boolean"), (Integer, "integer"), (Date, "date"))
    return next(name for class_, name in kinds if isinstance(kind, class_))


def _artifact(tmp_path: Path) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / "a.txt", "content"), key="a.txt", description="words")


def _collection(tmp_path: Path) -> ln.Collection:
    return ln.Collection([_artifact(tmp_path).save()], key="collected")


MAKE: dict[str, Callable[[Path], Any]] = {
    "Artifact": _artifact,
    "ArtifactBlock": lambda tmp_path: ArtifactBlock(artifact=_artifact(tmp_path).save(), content="text"),
    "Branch": lambda tmp_path: ln.Branch(name="made"),
    "Collection": _collection,
    "Project": lambda tmp_path: ln.Project(name="made"),
    "Reference": lambda tmp_path: ln.Reference(name="made"),
    "Run": lambda tmp_path: ln.Run(transform=ln.Transform(key="t").save()),
    "Space": lambda tmp_path: ln.Space(name="made"),
    "Storage": lambda tmp_path: ln.Storage(root=tmp_path / "made"),
    "Transform": lambda tmp_path: ln.Transform(key="made"),
    "ULabel": lambda tmp_path: ln.ULabel(name="made"),
    "User": lambda tmp_path: ln.User(handle="made"),
}
# Rows that only this library writes.
INTERNAL = {"StoredObject"}


def test_every_record_class_is_in_the_table() -> None:
    models = {mapper.class_ for mapper in Base.registry.mappers}
    names = {model.__name__ for model in models if issubclass(model, SQLRecord) and not issubclass(model, LinkRow)}
    names = {name for name in names if getattr(ln.models, name, None) is not None}
    assert names - INTERNAL == set(MAKE)


def _columns(model: type[Any]) -> Iterator[tuple[str, Any]]:
    for attribute in sa_inspect(model).column_attrs:
        if attribute.key != "id":
            yield attribute.key, attribute.columns[0]


def _row(registry: Registry, record: Any, name: str) -> Any:
    table: Table = record.__table__
    with registry.engine.connect() as connection:
        return connection.execute(select(table.c[name]).where(table.c.id == record.id)).scalar_one()


def _assign(record: Any, name: str, value: Any, save: Callable[[Any], None]) -> None:
    setattr(record, name, value)
    save(record)


def _save(record: Any) -> None:
    record.save()


def _save_many(record: Any) -> None:
    ln.save([record])


@pytest.mark.req("R114", "R306")
@pytest.mark.parametrize("save", [_save, _save_many])
@pytest.mark.parametrize("is_saved", [False, True], ids=["new", "saved"])
@pytest.mark.parametrize("model", MAKE)
def test_what_is_assigned_is_written_or_refused(
    registry: Registry, tmp_path: Path, model: str, is_saved: bool, save: Callable[[Any], None]
) -> None:
    record = MAKE[model](tmp_path)
    frozen = type(record).__frozen__
    if is_saved:
        record.save()
    written = 0
    for name, column in _columns(type(record)):
        kind = kind_of(column)
        if name in frozen:
            for value in (*GOOD[kind], None):
                with pytest.raises(errors.InvalidArgument, match=name):
                    setattr(record, name, value)
            continue
        if column.foreign_keys:
            continue
        for value in BAD[kind]:
            if name == "root" and isinstance(value, Path):
                continue
            before = contents(registry), record.__dict__.get(name)
            with pytest.raises(errors.InvalidArgument, match=name.lstrip("_")):
                _assign(record, name, value, save)
            assert contents(registry) == before[0]
            setattr(record, name, before[1])
        written += 1
    assert written
    save(record)
    assert type(record).get(record.id) == record


@pytest.mark.req("R306")
@pytest.mark.parametrize("is_saved", [False, True], ids=["new", "saved"])
@pytest.mark.parametrize("model", MAKE)
def test_good_values_come_back(registry: Registry, tmp_path: Path, model: str, is_saved: bool) -> None:
    record = MAKE[model](tmp_path)
    if is_saved:
        record.save()
    wanted: dict[str, Any] = {}
    for name, column in _columns(type(record)):
        if name in type(record).__frozen__ or column.foreign_keys or name in ("root", "key", "is_locked", "updated_at"):
            continue
        if (name.startswith("_") and name != "_aux") or name in ("is_type", "n_observations"):
            continue
        if is_saved and name == "source_code":  # which is the next version, see `test_made_twice.py`
            continue
        for value in GOOD[kind_of(column)]:
            setattr(record, name, value)
            wanted[name] = value
    record.save()
    for name, value in wanted.items():
        assert getattr(record, name) == value, name
        assert getattr(type(record).get(record.id), name) == value, name
        assert _row(registry, record, name) == value, name


@pytest.mark.req("R306")
def test_a_name_that_is_no_field_cannot_be_assigned(sqlite_registry: Registry, tmp_path: Path) -> None:
    for make in MAKE.values():
        with pytest.raises(errors.FieldError, match="has no field 'descripton'"):
            make(tmp_path).descripton = "lost"


@pytest.mark.req("R306")
@pytest.mark.parametrize("model", ["ULabel", "Transform", "Run", "Artifact"])
def test_an_update_checks_the_same(registry: Registry, tmp_path: Path, model: str) -> None:
    record = MAKE[model](tmp_path).save()
    queried = type(record).filter(id=record.id)
    for name, column in _columns(type(record)):
        if name in type(record).__frozen__ | type(record).__one_by_one__ or column.foreign_keys:
            continue
        before = _row(registry, record, name)
        for value in BAD[kind_of(column)]:
            with pytest.raises(errors.InvalidArgument, match=name.lstrip("_")):
                queried.update(**{name: value})
        assert _row(registry, record, name) == before


@pytest.mark.req("R306")
@pytest.mark.parametrize("model", ["ULabel", "Project", "Transform", "User", "Run", "Branch"])
def test_a_constructor_checks_at_once(registry: Registry, model: str) -> None:
    cls = getattr(ln, model)
    needed: dict[str, Any] = {"Transform": {"key": "k"}, "User": {"handle": "h"}, "Run": {}}.get(model, {"name": "n"})
    for name, column in _columns(cls):
        if name in cls.__frozen__ or name == "_status_code":
            continue
        for value in BAD[kind_of(column)]:
            with pytest.raises(errors.InvalidArgument, match=name.lstrip("_")):
                cls(**(needed | {name: value}))
    with pytest.raises(errors.InvalidArgument, match=r"takes .*, got"):
        cls("x", "y")
    if model != "Run":
        with pytest.raises(errors.InvalidArgument, match="needs"):
            cls().save()


# ---------------------------------------------------------------------- artifacts and collections between the two


def _new(tmp_path: Path, content: str = "content", **keywords: Any) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / f"{content}.txt", content), **{"key": "a.txt", "run": False, **keywords})


@pytest.mark.req("R306")
@pytest.mark.parametrize("save", [_save, _save_many])
def test_what_the_constructor_takes_can_be_assigned_until_the_save(
    lab: Registry, tmp_path: Path, save: Callable[[Any], None]
) -> None:
    other = ln.Storage(root=tmp_path / "other").save()
    dev = ln.Branch(name="dev").save()
    run = ln.Run(transform=ln.Transform(key="t").save()).save()
    artifact = _new(tmp_path)
    artifact.key, artifact.description, artifact.kind, artifact.otype = "b/ü.txt", "d", "model", "Text"
    artifact.version_tag, artifact.n_observations, artifact.extra_data = "v1", 3, {"k": 1}
    artifact.storage, artifact.branch, artifact.run, artifact.key_is_virtual = other, dev, run, False
    save(artifact)
    found = ln.Artifact.get(artifact.uid)
    for record in (artifact, found):
        assert (record.key, record.description, record.kind, record.otype) == ("b/ü.txt", "d", "model", "Text")
        assert (record.version, record.n_observations, record.extra_data) == ("v1", 3, {"k": 1})
        assert (record.storage, record.branch, record.created_on, record.run) == (other, dev, dev, run)
    assert Path(other.root, "b/ü.txt").read_text() == "content"
    assert found.verify()
    assert run.output_artifacts.to_list() == [artifact]


@pytest.mark.req("R306")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("key", "../x.txt"), ("key", "a.csv"), ("key", None), ("key", ".lamart/x.txt"), ("key", 5),
        ("n_observations", -1), ("extra_data", [1]), ("branch_id", -1), ("key_is_virtual", "no"),
        ("overwrite_versions", 1), ("storage_id", 2**40),
    ],
)  # fmt: skip
def test_what_the_constructor_refuses_cannot_be_saved(
    sqlite_registry: Registry, tmp_path: Path, name: str, value: Any
) -> None:
    artifact = _new(tmp_path)
    before = contents(sqlite_registry)
    with pytest.raises(errors.InvalidArgument):
        _assign(artifact, name, value, _save)
    assert contents(sqlite_registry) == before
    assert not artifact.is_saved


@pytest.mark.req("R306")
def test_a_value_that_was_refused_can_be_taken_back(sqlite_registry: Registry, tmp_path: Path) -> None:
    artifact = _new(tmp_path)
    artifact.key = "wrong.csv"
    with pytest.raises(errors.InvalidArgument, match="suffix"):
        artifact.save()
    artifact.key = "a.txt"
    assert artifact.save().key == ln.Artifact.get(artifact.uid).key == "a.txt"


@pytest.mark.req("R47", "R306")
def test_a_branch_that_is_assigned_leaves_the_latest_of_the_other(registry: Registry, tmp_path: Path) -> None:
    dev = ln.Branch(name="dev").save()
    for make in (lambda text: _new(tmp_path, text), lambda text: ln.Collection([_new(tmp_path, text).save()], key="c")):
        first, second = make("first").save(), make("second")
        second.branch = dev
        second.save()
        versions = type(first).filter(key=first.key, branch=None).order_by("id")
        seen = [(each.branch.name, each.is_latest) for each in versions if each.uid in (first.uid, second.uid)]
        assert seen == [("main", True), ("dev", True)]
        assert second.stem_uid == first.stem_uid
        assert second.created_on == dev


@pytest.mark.req("R306")
def test_a_key_that_is_assigned_decides_the_family(registry: Registry, tmp_path: Path) -> None:
    first = _new(tmp_path, "first").save()
    second = _new(tmp_path, "second", key="b.txt")
    third = _new(tmp_path, "third", key="b.txt")
    second.key = third.key = "a.txt"
    ln.save([second, third])
    assert [each.version for each in first.versions] == ["0002", "0001", "0000"]
    assert [each.is_latest for each in first.versions] == [True, False, False]


@pytest.mark.req("R306")
def test_what_is_assigned_to_files_of_a_folder_is_written(sqlite_registry: Registry, tmp_path: Path) -> None:
    write(tmp_path / "f/q.txt", "q")
    write(tmp_path / "f/r.txt", "r")
    artifacts = ln.Artifact.from_dir(tmp_path / "f", run=False)
    artifacts[0].description = "of q"
    artifacts[1].key = "elsewhere/r.txt"
    artifacts.save()
    assert ln.Artifact.get(key="f/q.txt").description == "of q"
    assert ln.Artifact.get(key="elsewhere/r.txt").load() == "r"
    inside = write(Path(ln.settings.storage.root) / "in.txt", "in place")
    lying = ln.Artifact(inside, run=False)
    lying.key = "named.txt"
    assert (lying.save().path, lying.key_is_virtual) == (inside, True)


# ---------------------------------------------------------------------- JSON in place


@pytest.mark.req("R307")
def test_json_that_is_changed_in_place_is_written(registry: Registry, tmp_path: Path) -> None:
    given = {"k": 1, "deep": [{"x": 1}], "pair": (1, 2)}
    artifact = _new(tmp_path, extra_data=given)
    given["k"] = 99
    given["deep"].append("later")  # type: ignore[attr-defined]
    artifact.save()
    expected = {"k": 1, "deep": [{"x": 1}], "pair": [1, 2]}
    assert artifact.extra_data == ln.Artifact.get(artifact.uid).extra_data == expected
    changes: list[Callable[[Any], Any]] = [
        lambda data: data.update(k=True),  # equal to Python, but not to JSON
        lambda data: data["deep"][0].update(x=2),
        lambda data: data["deep"].append([]),
        lambda data: data.pop("pair"),
    ]
    for record in (artifact, ln.Artifact.get(artifact.uid)):
        for change in changes:
            if record is not artifact and change is changes[-1]:
                continue
            change(record.extra_data)
            change(expected) if record is artifact else expected.update(record.extra_data)
            updated = record.updated_at
            record.save()
            assert record.updated_at > updated
            assert ln.Artifact.get(artifact.uid).extra_data == expected
            assert ln.Artifact.get(artifact.uid).extra_data["k"] is True
    unchanged = ln.Artifact.get(artifact.uid)
    assert unchanged.extra_data == expected
    assert unchanged.save().updated_at == ln.Artifact.get(artifact.uid).updated_at == unchanged.updated_at


@pytest.mark.req("R307")
@pytest.mark.parametrize("save", [_save, _save_many])
def test_parameters_and_assigned_json_are_copies(registry: Registry, save: Callable[[Any], None]) -> None:
    given = {"n": 1}
    run = ln.Run(transform=ln.Transform(key="t").save(), params=given)
    run.params["m"] = 2
    given["n"] = 5
    save(run)
    run.params["n"] = 3
    save(run)
    assert ln.Run.get(run.uid).params == {"n": 3, "m": 2}
    run.params = given
    given["n"] = 6
    save(run)
    run.params["bad"] = {1}
    with pytest.raises(errors.InvalidArgument, match="params"):
        save(run)
    assert ln.Run.get(run.uid).params == {"n": 5}
