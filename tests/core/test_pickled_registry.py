"""A pickled registry opens the same one, as it was opened and set up, in a process that begins anywhere."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.settings import CreationSettings
from lamart_dagster import LamartRegistry

OPTIONS = {"s3://bucket": {"anon": True}}


@dataclass(frozen=True)
class Option:
    """An option of `connect` and `LamartRegistry`: a value for it, and what an open registry shows of it."""

    value: Any
    shown: Callable[[Registry], Any]


def _name(kind: str, id_name: str) -> Callable[[Registry], Any]:
    return lambda registry: getattr(registry, kind).get(getattr(registry, id_name)).name


TABLE = {
    "storage": Option("second", lambda registry: registry.storage_id),
    "local_storage": Option("kept", lambda registry: registry.local_storage_id),
    "cache_dir": Option("cached", lambda registry: registry.settings.cache_dir),
    "branch": Option("staging", _name("Branch", "branch_id")),
    "space": Option("team", _name("Space", "space_id")),
    "user": Option("somebody", lambda registry: registry.User.get(registry.user_id).handle),
    "hash_algorithm": Option("blake3", lambda registry: registry.hash_algorithm),
    "storage_options": Option(OPTIONS, lambda registry: dict(registry.storage_options)),
    "read_only": Option(True, lambda registry: registry.is_read_only),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with a registry that has a space `team`."""
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("LAMART_USER", raising=False)
    with ln.connect("sqlite:///lab.db", storage="first", make_default=False) as registry:
        ln.Space(name="team").save()
        registry.close()
    return tmp_path


def _copy(registry: Registry, place: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    content = pickle.dumps(registry)
    monkeypatch.chdir(place / "elsewhere")
    return pickle.loads(content)


@pytest.mark.parametrize("name", TABLE)
def test_each_option_of_connect_is_kept(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = ln.connect("sqlite:///lab.db", make_default=False, **{name: TABLE[name].value})
    plain = TABLE[name].shown(ln.connect("sqlite:///lab.db", make_default=False))
    copy = _copy(registry, place, monkeypatch)
    assert copy == registry
    assert TABLE[name].shown(copy) == TABLE[name].shown(registry)
    assert name == "hash_algorithm" or TABLE[name].shown(copy) != plain


def test_the_table_has_all_options() -> None:
    assert TABLE.keys() | {"url", "make_default"} == set(ln.connect.__kwdefaults__) | {"url"}


@pytest.mark.parametrize("name", sorted(TABLE.keys() & LamartRegistry.model_fields.keys()))
def test_each_option_of_the_resource_is_kept(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = LamartRegistry(url="sqlite:///lab.db", **{name: TABLE[name].value}).connect()
    copy = _copy(registry, place, monkeypatch)
    assert TABLE[name].shown(copy) == TABLE[name].shown(registry)
    assert TABLE[name].shown(copy) != TABLE[name].shown(ln.connect(registry.url, make_default=False))


def test_the_resource_has_no_other_options() -> None:
    assert LamartRegistry.model_fields.keys() <= TABLE.keys() | {"url"}


def test_the_user_of_the_environment_and_settings_are_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMART_USER", "somebody")
    registry = ln.connect("sqlite:///lab.db", make_default=False)
    registry.settings.verify_on_read = True
    registry.settings.track_run_inputs = False
    registry.settings.creation = CreationSettings(artifact_silence_missing_run_warning=True)
    monkeypatch.delenv("LAMART_USER")
    copy = _copy(registry, place, monkeypatch)
    assert copy.User.get(copy.user_id).handle == "somebody"
    assert copy.settings == registry.settings
