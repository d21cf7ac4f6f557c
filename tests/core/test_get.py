"""What `get` means is one rule for all that can be asked, and paths mean the same in all queries for artifacts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lamart_core as ln
from lamart_core import Q
from lamart_core.db import Registry
from tests.registries import write


def save(tmp_path: Path, content: str, key: str = "a.txt", **keywords: object) -> ln.Artifact:
    return ln.Artifact(write(tmp_path / "a.txt", content), key=key, **keywords).save()


WAYS: list[Callable[..., ln.Artifact]] = [
    lambda *stub, **expressions: ln.Artifact.get(*stub, **expressions),
    lambda *stub, **expressions: ln.Artifact.filter().get(*stub, **expressions),
    lambda *stub, **expressions: ln.Artifact.filter(size__gt=0).exclude(kind="none").get(*stub, **expressions),
]


@pytest.mark.req("R215", "R216")
@pytest.mark.parametrize("get", WAYS)
def test_a_family_means_its_latest_version(registry: Registry, tmp_path: Path, get: Callable[..., Any]) -> None:
    main, other, third = (save(tmp_path, name) for name in ("on main", "new", "other"))
    here, there = ln.Branch(name="here").save(), ln.Branch(name="there").save()
    for version, branch in ((other, there), (third, here)):
        version.branch = branch
        version.save()
    stem = main.stem_uid
    assert get(stem) == get(stem[:9]) == get(key="a.txt") == main, "main before other branches"
    assert get(main.uid) == get(stem, version="0000") == get(stem_uid=stem, branch=1) == main
    assert get(key="a.txt", version="0001") == other, "a number is of one version, wherever it is"
    main.delete()
    assert get(stem) == third, "the newest one, where none is on main or here; the trash comes last"
    registry.branch_id = there.id
    assert get(stem) == get(key="a.txt") == other, "the current branch first"
    for trashed in (other, third):
        trashed.delete()
    assert get(stem).branch_id == -1
    with pytest.raises(ln.errors.ObjectDoesNotExist, match="3 that match are in the trash"):
        get(key="a.txt")


@pytest.mark.req("R216", "R217", "R220")
@pytest.mark.parametrize("get", WAYS)
def test_keys_and_versions(registry: Registry, tmp_path: Path, get: Callable[..., Any]) -> None:
    first = save(tmp_path, "1", version="1", description="words")
    second = save(tmp_path, "2", description="words")
    other = save(tmp_path, "3", key="b.txt")
    assert get(key="a.txt") == get(key="a.txt", description="words") == get(key="a.txt", suffix=".txt") == second
    assert get(key="a.txt", is_latest=False) == get(key="a.txt", version="1") == first
    assert get(key="a.txt", version="0000") == first, "a tag does not take the number away"
    assert get(version="0001") == second
    for version in ("1", "0001", "00000"):
        with pytest.raises(ln.errors.ObjectDoesNotExist):
            get(key="b.txt", version=version)
    assert get(description="words") == get(run=None, key__startswith="a") == second
    assert get(storage=first.storage, key__endswith="a.txt") == second
    with pytest.raises(ln.errors.MultipleObjectsReturned):
        get(key__endswith=".txt", is_latest=True)
    with pytest.raises(ln.errors.InvalidArgument):
        get("")
    assert get(id=other.id, key="b.txt") == other


@pytest.mark.req("R220")
def test_other_records_with_versions_follow_the_same_rule(registry: Registry, tmp_path: Path) -> None:
    first, second = save(tmp_path, "1"), save(tmp_path, "2")
    ln.Collection([first], key="c").save()
    both = ln.Collection([first, second], key="c").save()
    assert ln.Collection.get(key="c") == ln.Collection.get(both.stem_uid) == both
    assert ln.Collection.get(artifacts=first) == ln.Collection.get(hash__isnull=False) == both
    code = [ln.Transform(key="t", source_code=text).save() for text in ("1", "2")]
    assert ln.Transform.get(kind="pipeline") == ln.Transform.get(code[0].stem_uid) == code[1]
    assert ln.Transform.get(hash=code[0].hash) == code[0]
    assert ln.Collection.get(key="c", version="0000").ordered_artifacts.to_list() == [first]


@pytest.mark.req("R210", "R221", "R225", "R226")
def test_aliases_and_virtual_fields_are_known_to_all_queries(registry: Registry, tmp_path: Path) -> None:
    run = ln.track("code.py", path=write(tmp_path / "code.py", "pass"))
    first = save(tmp_path, "1", version="v")
    second = save(tmp_path, "2")
    ln.finish()
    no_run = save(tmp_path, "3", key="b.txt", run=False)
    transform, mine = run.transform, {"transform__key": run.transform.key}
    every = ln.Artifact.filter
    for found in (
        every(**mine),
        every(transform=transform),
        every().filter(**mine),
        every(Q(**mine) | Q(size=99)),
        every(~Q(transform__isnull=True)),
        every().exclude(transform=None),
        run.output_artifacts.filter(**mine),
        run.output_artifacts.all(),
        ln.Artifact.filter(run__in=ln.Run.filter(output_artifacts__transform=transform)),
    ):
        assert found.to_list() == [first, second]
    assert ln.Run.filter(output_artifacts__transform=transform, output_artifacts__version="v").one() == run
    assert every().get(transform=transform, version="v") == first
    assert every(version="v").one() == every(stem_uid=first.stem_uid, version__in=["v", "x"]).one() == first
    assert every(stem_uid=first.stem_uid).exclude(version="v").one() == second
    assert every().order_by("-transform__key", "-version").to_list() == [first, second, no_run]
    assert every(key_is_virtual=True).to_list("version") == ["v", "0001", "0000"]
    frame = ln.Artifact.to_dataframe(include=["transform__key", "version"], order_by="version")
    assert frame["version"].tolist() == ["0000", "0001", "v"]
    assert frame["transform__key"].fillna("").tolist() == ["", transform.key, transform.key]
    loaded = every(**mine).select_related("transform").to_list()
    assert [each.transform for each in loaded] == [transform, transform]
    assert every(**mine, version="v").update(description="x") == 1
    assert first.refresh().description == "x"
    for wrong in ({"transform": transform}, {"version": "x"}, {"stem_uid": "x"}):
        with pytest.raises(ln.errors.InvalidArgument):
            every(**mine).update(**wrong)


@pytest.mark.req("R222")
def test_asking_for_a_family_sees_all_branches(registry: Registry, tmp_path: Path) -> None:
    artifact = save(tmp_path, "1")
    artifact.delete()
    assert ln.Artifact.filter(stem_uid=artifact.stem_uid).one() == artifact
    assert not ln.Artifact.filter(version="0000").exists()
