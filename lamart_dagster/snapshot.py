"""Which version of an artifact a run sees.

In this order: a version that was pinned; what the upstream step made or made again in the run that it ran in; the
latest version that existed when the Dagster run was first seen. So all steps of a run, and a re-execution from
failure, see one state of the registry, whatever other runs write meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lamart_core import errors
from lamart_core.db import MAIN_BRANCH_ID, Registry
from lamart_core.query import Q
from lamart_dagster.keys import ArtifactName

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact

SHOWN = 10
_HASH_PREFIX = 8


@dataclass(frozen=True)
class View:
    """What a run sees of the registry.

    Attributes:
        run: External id of the Dagster run whose steps come before what others made.
        until: Highest id of an artifact that counts; None without a limit.
    """

    run: str | None = None
    until: int | None = None


class _Row(NamedTuple):
    id: int
    key: str
    branch_id: int


def resolve(registry: Registry, names: Sequence[ArtifactName], view: View) -> dict[ArtifactName, Artifact]:
    """Return the artifact that a run sees under each name; names without one are left out.

    Args:
        registry: The registry.
        names: Names of artifacts, best those of one asset: they are read by one or two statements.
        view: What the run sees.

    Example:
        >>> import lamart_core as ln
        >>> registry = ln.connect()
        >>> resolve(registry, [ArtifactName("lab/cells")], View(until=1200))
        {}
    """
    seen: dict[ArtifactName, Artifact] = {}
    for condition in _in_order(view):
        for choose in (_heads, _newest):
            left = [name for name in names if name not in seen]
            if left:
                seen |= choose(registry, left, condition)
    return seen


def made_by(registry: Registry, names: Sequence[ArtifactName], step: str) -> dict[ArtifactName, Artifact]:
    """Return what one step made or made again under each name.

    Args:
        registry: The registry.
        names: Names of artifacts.
        step: External id of the run of the step.
    """
    condition = _Condition(Q(run__external_id=step) | Q(recreating_runs__external_id=step))
    heads = _heads(registry, names, condition)
    left = [name for name in names if name not in heads]
    return heads | _newest(registry, left, condition) if left else heads


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
    versions = [artifact for artifact in _visible(registry, [name]).order_by("-id") if name.matches(artifact.key)]
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


@dataclass(frozen=True)
class _Condition:
    """What counts: made by somebody, or up to an id."""

    made: Q | None = None
    until: int | None = None

    @property
    def query(self) -> Q:
        if self.made is not None:
            return self.made
        return Q() if self.until is None else Q(id__lte=self.until)


def _in_order(view: View) -> Iterable[_Condition]:
    if view.run is not None:
        made = Q(run__initiated_by_run__external_id=view.run)
        yield _Condition(made | Q(recreating_runs__initiated_by_run__external_id=view.run))
    yield _Condition(until=view.until)


def _heads(registry: Registry, names: Sequence[ArtifactName], condition: _Condition) -> dict[ArtifactName, Artifact]:
    """Return latest versions where they are the answer: one family under a name, and its head counts.

    The usual case, and one statement however long the history is.
    """
    query = _visible(registry, names).filter(is_latest=True)
    if condition.made is not None:
        query = query.filter(condition.made)
    name_of = _Names(names)
    found: dict[ArtifactName, list[Artifact]] = {}
    for artifact in query:
        name = name_of(artifact.key)
        if name is not None:
            found.setdefault(name, []).append(artifact)
    return {
        name: artifacts[0]
        for name, artifacts in found.items()
        if len(artifacts) == 1 and (condition.until is None or artifacts[0].id <= condition.until)
    }


def _newest(registry: Registry, names: Sequence[ArtifactName], condition: _Condition) -> dict[ArtifactName, Artifact]:
    """Return the newest versions that count."""
    rows = _visible(registry, names).filter(condition.query).values_list("id", "key", "branch_id")
    candidates: dict[ArtifactName, dict[str, _Row]] = {}
    name_of = _Names(names)
    for row in map(_Row._make, rows):
        name = name_of(row.key)
        if name is None:
            continue
        # One candidate per key: versions of a family count up, those of the current branch come before main's.
        best = candidates.setdefault(name, {})
        if row.key not in best or _rank(registry, row) > _rank(registry, best[row.key]):
            best[row.key] = row
    chosen = {name: _latest_of(registry, list(by_key.values())) for name, by_key in candidates.items()}
    if not chosen:
        return {}
    artifacts = {artifact.id: artifact for artifact in registry.Artifact.filter(id__in=list(chosen.values()))}
    return {name: artifacts[id_] for name, id_ in chosen.items() if id_ in artifacts}


def _rank(registry: Registry, row: _Row) -> tuple[bool, int]:
    return row.branch_id == registry.branch_id, row.id


def _latest_of(registry: Registry, rows: list[_Row]) -> int:
    """Choose between families: an asset that was stored in several formats over time."""
    if len(rows) == 1:
        return rows[0].id
    own = [row for row in rows if row.branch_id == registry.branch_id]
    artifacts = registry.Artifact.filter(id__in=[row.id for row in own or rows])

    def last_made(artifact: Artifact) -> int:
        # Equal content that was made again is the older row, but the newer state.
        return max([artifact.run_id or 0, *(run.id for run in artifact.recreating_runs)])

    return max(artifacts, key=lambda artifact: (last_made(artifact), artifact.id)).id


class _Names:
    """Finds the name that a key belongs to."""

    def __init__(self, names: Sequence[ArtifactName]) -> None:
        self._by_key = {name.key: name for name in names if name.key is not None}
        self._by_stem = {name.stem: name for name in names if name.key is None}

    def __call__(self, key: str) -> ArtifactName | None:
        if key in self._by_key:
            return self._by_key[key]
        folder, slash, last = key.rpartition("/")
        return self._by_stem.get(f"{folder}{slash}{last.partition('.')[0]}")


def _visible(registry: Registry, names: Sequence[ArtifactName]) -> Any:
    # Branches are named, because conditions on ids would lift the default scope.
    query = registry.Artifact.filter(branch_id__in=sorted({MAIN_BRANCH_ID, registry.branch_id}))
    if len(names) > 1:
        return query.filter(key__startswith=os.path.commonprefix([name.stem for name in names]))  # noqa: RUF071  # text, no paths
    name = names[0]
    if name.key is not None:
        return query.filter(key=name.key)
    return query.filter(Q(key=name.stem) | Q(key__startswith=f"{name.stem}."))


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
