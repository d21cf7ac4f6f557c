"""Which version of an artifact a run sees.

In this order: a version that was pinned; what the upstream step made or made again; what the Dagster run made, or the
runs that it continues; the version that was made last of those that existed when the first of these runs was first
seen. So all steps of a run, and a re-execution from failure, see one state of the registry, whatever other runs write
meanwhile. To make again counts as making, and what no run made counts like the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, Select, Table, bindparam, case, func, null, or_, select

from lamart_core import errors
from lamart_core.db import MAIN_BRANCH_ID, Registry, model_class
from lamart_core.lineage import Snapshot
from lamart_core.lineage.runs import bounded_id
from lamart_core.query.sql.dialects import dialect_of
from lamart_core.records import Recreation, Run
from lamart_dagster.keys import ArtifactName

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact

SHOWN = 10
_HASH_PREFIX = 8
_ALL = 2**62


@dataclass(frozen=True)
class View:
    """What a run sees of the registry.

    Attributes:
        runs: External ids of the Dagster runs whose steps come before what others made.
        until: What counts of what others made; None without a limit.
    """

    runs: tuple[str, ...] = ()
    until: Snapshot | None = None


@dataclass(frozen=True)
class _Version:
    """A version that may be the one that is seen.

    Attributes:
        by_step: When the upstream step made it last.
        by_runs: When the runs of the view made it last.
        again: When it was last made again, as far as that counts.
    """

    artifact: Artifact
    by_step: datetime | None
    by_runs: datetime | None
    again: datetime | None


def resolve(
    registry: Registry, names: Sequence[ArtifactName], view: View | None = None, *, step: str | None = None
) -> dict[ArtifactName, Artifact]:
    """Return the artifact that a run sees under each name; names without one are left out.

    Args:
        registry: The registry.
        names: Names of artifacts, best those of one asset: all are read by one statement.
        view: What the run sees; everything, if not given.
        step: External id of the run of the step that makes them; what it made comes first.

    Example:
        >>> import lamart_core as ln
        >>> registry = ln.connect()
        >>> resolve(registry, [ArtifactName("lab/cells")])
        {}
    """
    view = view or View()
    found = _by_name(names, _versions(registry, names, view, step))
    if view.until is not None:
        # Somebody wrote since: of these families, what was the latest version then is another one.
        late = [name for name, versions in found.items() if any(_is_late_head(each, view.until) for each in versions)]
        if late:
            earlier = _by_name(late, _versions(registry, late, view, step, of_the_time=True))
            for name, versions in earlier.items():
                found[name] += versions
    seen = {name: _choose(registry, versions, view) for name, versions in found.items()}
    return {name: artifact for name, artifact in seen.items() if artifact is not None}


def pinned(registry: Registry, name: ArtifactName, pin: str) -> Artifact:
    """Return one particular version.

    Args:
        registry: The registry.
        name: Name of the artifact.
        pin: A version (tag or the last four characters of the uid), a whole uid, or a hash or its beginning.

    Raises:
        ObjectDoesNotExist: No version under this name matches; the message lists those that exist.
        MultipleObjectsReturned: Versions of several formats match.
    """
    query = registry.Artifact.filter(_has_name(registry, _artifacts(), [name]))
    on_branch = query.filter(branch_id__in=sorted({MAIN_BRANCH_ID, registry.branch_id}))
    versions = [artifact for artifact in on_branch.order_by("-id") if name.matches(artifact.key)]
    for exact in (_is_uid, _is_version, _is_hash):
        matching = [artifact for artifact in versions if exact(artifact, pin)]
        if len({artifact.key for artifact in matching}) > 1:
            known = ", ".join(f"{artifact.key} {artifact.uid}" for artifact in matching)
            raise errors.MultipleObjectsReturned(f"{pin!r} is a version of several artifacts: pin a uid of {known}")
        if matching:
            return matching[0]
    raise errors.ObjectDoesNotExist(
        f"there is no version {pin!r} of {name.key or name.stem!r}; it has {_listed(versions)}"
    )


def names_below(registry: Registry, stem: str) -> list[str]:
    """Return a few keys that begin with a stem, newest first, to say what exists."""
    rows = registry.Artifact.filter(key__startswith=stem, is_latest=True).order_by("-id").values_list("key", flat=True)
    return list(rows[:SHOWN])


# ---------------------------------------------------------------------- what is chosen


def _by_name(names: Sequence[ArtifactName], versions: Iterable[_Version]) -> dict[ArtifactName, list[_Version]]:
    found: dict[ArtifactName, list[_Version]] = {}
    name_of = _Names(names)
    for version in versions:
        name = name_of(version.artifact.key or "")
        if name is not None:
            found.setdefault(name, []).append(version)
    return found


def _is_late_head(version: _Version, until: Snapshot) -> bool:
    return version.artifact.is_latest and version.artifact.id > until.artifacts


def _choose(registry: Registry, versions: Sequence[_Version], view: View) -> Artifact | None:
    for made in (
        [(version.by_step, version.artifact) for version in versions if version.by_step is not None],
        [(version.by_runs, version.artifact) for version in versions if version.by_runs is not None],
    ):
        if made:
            return _made_last(made)
    until = view.until
    counting = [version for version in versions if until is None or version.artifact.id <= until.artifacts]
    # What the branch has comes before what main has.
    counting = [version for version in counting if version.artifact.branch_id == registry.branch_id] or counting
    return _made_last(list(_states(counting))) if counting else None


def _made_last(made: Iterable[tuple[datetime, Artifact]]) -> Artifact:
    return max(made, key=lambda pair: (pair[0], pair[1].id))[1]


def _states(versions: Sequence[_Version]) -> Iterable[tuple[datetime, Artifact]]:
    """Give the latest version of each family, and what was made again, with the time when it was made last."""
    latest: dict[str | None, Artifact] = {}
    for version in versions:
        key, artifact = version.artifact.key, version.artifact
        if key not in latest or (artifact.is_latest, artifact.id) > (latest[key].is_latest, latest[key].id):
            latest[key] = artifact
    for version in versions:
        made = version.artifact.created_at
        if version.again is not None:
            yield max(made, version.again), version.artifact
        elif latest[version.artifact.key] is version.artifact:
            yield made, version.artifact


# ---------------------------------------------------------------------- what is read


@dataclass(frozen=True)
class _Shape:
    """What is asked for; questions of one shape share one statement, which is built once."""

    has_step: bool
    has_runs: bool
    is_limited: bool
    of_the_time: bool


def _versions(
    registry: Registry, names: Sequence[ArtifactName], view: View, step: str | None, *, of_the_time: bool = False
) -> list[_Version]:
    """Read the versions among which the one that is seen must be: a few of each name, however long its history.

    Args:
        of_the_time: Whether the latest versions that count are wanted, and not those that are the latest now.
    """
    until = view.until
    values: dict[str, Any] = {
        "branches": sorted({MAIN_BRANCH_ID, registry.branch_id}),
        "step": bounded_id(step) if step is not None else "",
        "runs": list(view.runs),
        "artifacts": until.artifacts if until is not None else 0,
        "recreations": until.recreations if until is not None and until.recreations is not None else _ALL,
    }
    shape = _Shape(step is not None, bool(view.runs), until is not None, of_the_time)
    query = _statement(shape).where(_has_name(registry, _artifacts(), names))
    if of_the_time:
        other = _artifacts().alias()
        newest = select(func.max(other.c.id)).where(_has_name(registry, other, names), _is_visible(other))
        newest = newest.where(other.c.id <= bindparam("artifacts")).group_by(other.c.key, other.c.branch_id)
        query = query.where(_artifacts().c.id.in_(newest))
    with registry.read() as session:
        rows = [_Version(*row) for row in session.execute(query, values)]
    for version in rows:
        vars(version.artifact)["_registry"] = registry
    return rows


@lru_cache(maxsize=16)
def _statement(shape: _Shape) -> Select[Any, Any, Any, Any]:
    columns, made_again = _artifacts().c, Recreation.table.c
    again = select(made_again.created_at).where(made_again.artifact_id == columns.id)
    if shape.is_limited:
        again = again.where(made_again.id <= bindparam("recreations"))
    runs = select(Run.id).where(Run.external_id == bindparam("step"))
    by_step = [runs, select(Run.id).where(Run.initiated_by_run_id.in_(runs))] if shape.has_step else []
    runs = select(Run.id).where(Run.external_id.in_(bindparam("runs", expanding=True)))
    steps = select(Run.id).where(Run.initiated_by_run_id.in_(runs))
    by_runs = [steps, select(Run.id).where(Run.initiated_by_run_id.in_(steps))] if shape.has_runs else []
    last = again.order_by(made_again.id.desc()).limit(1).scalar_subquery()
    query = select(model_class("Artifact"), _made_at(by_step), _made_at(by_runs), last).where(_is_visible(_artifacts()))
    if shape.of_the_time:
        return query
    return query.where(or_(columns.is_latest, again.exists(), *_is_made(by_step), *_is_made(by_runs)))


def _is_made(runs: Sequence[Select[Any]]) -> list[ColumnElement[bool]]:
    """Return the conditions for what runs made or made again."""
    if not runs:
        return []
    columns, made_again = _artifacts().c, Recreation.table.c
    by = or_(*(made_again.run_id.in_(each) for each in runs))
    again = select(made_again.id).where(made_again.artifact_id == columns.id, by)
    return [*(columns.run_id.in_(each) for each in runs), again.exists()]


def _made_at(runs: Sequence[Select[Any]]) -> ColumnElement[Any]:
    """Return when runs made an artifact last; null where they did not."""
    if not runs:
        return null()
    columns, made_again = _artifacts().c, Recreation.table.c
    by = or_(*(made_again.run_id.in_(each) for each in runs))
    again = select(func.max(made_again.created_at)).where(made_again.artifact_id == columns.id, by)
    made = case((or_(*(columns.run_id.in_(each) for each in runs)), columns.created_at))
    return func.coalesce(again.scalar_subquery(), made)


def _is_visible(table: FromClause) -> ColumnElement[bool]:
    return table.c.branch_id.in_(bindparam("branches", expanding=True))


def _has_name(registry: Registry, table: FromClause, names: Sequence[ArtifactName]) -> ColumnElement[bool]:
    key, dialect = table.c.key, dialect_of(registry.engine.dialect.name)
    if len(names) > 1:
        return dialect.startswith(key, os.path.commonprefix([name.stem for name in names]))  # noqa: RUF071  # text
    name = names[0]
    if name.key is not None:
        return key.in_([name.key, name.none_key])
    return or_(key == name.stem, dialect.startswith(key, f"{name.stem}."))


def _artifacts() -> Table:
    return model_class("Artifact").__table__  # pyright: ignore[reportReturnType]


class _Names:
    """Finds the name that a key belongs to."""

    def __init__(self, names: Sequence[ArtifactName]) -> None:
        fixed = [name for name in names if name.key is not None]
        self._by_key = {key: name for name in fixed for key in (name.key, name.none_key)}
        self._by_stem = {name.stem: name for name in names if name.key is None}

    def __call__(self, key: str) -> ArtifactName | None:
        if key in self._by_key:
            return self._by_key[key]
        folder, slash, last = key.rpartition("/")
        return self._by_stem.get(f"{folder}{slash}{last.partition('.')[0]}")


def _is_uid(artifact: Artifact, pin: str) -> bool:
    return artifact.uid == pin


def _is_version(artifact: Artifact, pin: str) -> bool:
    return pin in (artifact.version, artifact.uid.removeprefix(artifact.stem_uid))


def _is_hash(artifact: Artifact, pin: str) -> bool:
    return len(pin) >= _HASH_PREFIX and (artifact.hash or "").startswith(pin)


def _listed(versions: Sequence[Artifact]) -> str:
    if not versions:
        return "no versions"
    shown: Mapping[str, None] = dict.fromkeys(f"{artifact.version} ({artifact.uid})" for artifact in versions[:SHOWN])
    return ", ".join(shown) + (", …" if len(versions) > SHOWN else "")
