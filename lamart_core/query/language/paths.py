"""Where the paths of queries lead: the one walk over relations, fields, virtual fields and aliases.

Filters, orders, values, data frames, prefetching and updates all ask `resolve`. Rooms above, which know names that no
class declares (features, for example), join in by `register_resolver`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from lamart_core import errors
from lamart_core.db import TRASH_BRANCH_ID
from lamart_core.query.language.expressions import EVERYTHING, Comparison, Expression, Not
from lamart_core.query.language.lookups import split_path
from lamart_core.query.language.model import Field, FieldKind, ModelInfo, QueryRegistry, Relation


@dataclass(frozen=True, slots=True)
class PathStep:
    """One step of a path, over a relation.

    Two steps are equal where they lead to the same records: conditions through equal steps of one call of `filter` are
    about one and the same related record.

    Attributes:
        relation: The relation.
        source: Model that it leads from.
        target: Model that it leads to.
        where: What only counts of the related records, in names of the target.
        is_single: Whether at most one related record counts, although the relation is to many.
    """

    relation: Relation
    source: ModelInfo = field(compare=False)
    target: ModelInfo = field(compare=False)
    where: Expression = EVERYTHING
    is_single: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is the step from a foreign key to the one record that it refers to."""
        return not self.relation.many and self.where is EVERYTHING

    @property
    def has_many(self) -> bool:
        """Whether a record may have several values behind it."""
        return self.relation.many and not self.is_single


@dataclass(frozen=True, slots=True, eq=False)
class FieldPath:
    """Where a path leads.

    Attributes:
        names: The path as it was asked for.
        steps: Relations on the way.
        info: Model at the end.
        field: Field of that model; its id where the path ends at a relation.
        keys: What follows: keys inside a JSON value, or a part of a date.
        is_relation: Whether the path ends at a relation.
    """

    names: tuple[str, ...]
    steps: tuple[PathStep, ...]
    info: ModelInfo
    field: Field
    keys: tuple[str, ...] = ()
    is_relation: bool = False

    @property
    def text(self) -> str:
        """The path as people write it."""
        return "__".join(self.names)

    @property
    def has_many(self) -> bool:
        """Whether a record has a set of these values."""
        return any(step.has_many for step in self.steps)

    def shortened(self) -> FieldPath:
        """Return the path that ends at the foreign key, where this one ends at the id which that refers to."""
        if not self.steps or self.field.name != "id" or not self.steps[-1].is_plain:
            return self
        *before, last = self.steps
        column = last.source.field(str(last.relation.column))
        return replace(self, steps=tuple(before), info=last.source, field=column)


class Resolver(Protocol):
    """Knows names of a record class that the class does not declare."""

    def resolve(self, registry: QueryRegistry, info: ModelInfo, names: tuple[str, ...]) -> FieldPath | None:
        """Return where names lead from a model; None: they are not known here.

        It may ask the database, and is asked only for a first name that is no field, relation or alias of the class.
        What can be compared and sorted by is a `FieldPath` to a field, for example

            step = PathStep(relation, info, info.target(relation), where=Comparison(("name",), "exact", names[0]))
            FieldPath(names[:1], (step,), step.target, step.target.field("value"), keys=names[1:])

        or one without steps to `info.computed(names[0], Virtual(…))`. An expression object, which is anything with an
        attribute `expression`, may hold names in a `Comparison` that no keyword could spell.

        Args:
            registry: Registry that is asked.
            info: Model that the names are looked for in.
            names: The rest of the path.
        """
        ...

    def names(self, registry: QueryRegistry, info: ModelInfo) -> Iterable[str]:
        """Return the names that are known, for the error that suggests some."""
        ...


_resolvers: dict[type[Any], list[Resolver]] = {}


def register_resolver(model: type[Any], resolver: Resolver) -> Callable[[], None]:
    """Let a resolver give names to a record class and to those that inherit from it, in all that queries do.

    A field, relation or alias of the class wins over it, and an earlier resolver over a later one.

    Args:
        model: Record class.
        resolver: The resolver.

    Returns:
        A function that takes it back.
    """
    registered = _resolvers.setdefault(model, [])
    registered.append(resolver)
    return lambda: registered.remove(resolver)


def resolve(info: ModelInfo, names: tuple[str, ...], registry: QueryRegistry | None = None) -> FieldPath:
    """Return where a path leads.

    Args:
        info: Model that it starts from.
        names: The path.
        registry: Registry that resolvers of other rooms are asked about; None: they are not asked.

    Raises:
        FieldError: There is no such field; the message lists what exists.
    """
    path = _walk(info, names, registry)
    if isinstance(path, FieldPath):
        return path
    end, name = path
    found = [found for each in _resolvers_of(end) for found in each.names(registry, end)] if registry else []
    raise end.unknown(name, found)


def find(info: ModelInfo, names: tuple[str, ...], registry: QueryRegistry | None = None) -> FieldPath | None:
    """Return where a path leads, None where it leads nowhere; the arguments are those of `resolve`."""
    path = _walk(info, names, registry)
    return path if isinstance(path, FieldPath) else None


def resolve_value(info: ModelInfo, text: str, registry: QueryRegistry | None = None) -> FieldPath:
    """Return where a path leads whose values are wanted.

    Args:
        info: Model that it starts from.
        text: For example `run__uid`, `ulabels__name` or `extra_data__author`; a relation alone means the ids of its
            records.
        registry: As for `resolve`.

    Raises:
        FieldError: There is no such field.
    """
    path = resolve(info, split_path(text), registry)
    if path.keys and path.field.kind is not FieldKind.JSON:
        kind, name = path.field.kind.value, path.field.name
        raise errors.FieldError(f"{text!r}: the {kind} field {name!r} has no member {path.keys[0]!r}")
    return path


def _walk(info: ModelInfo, names: tuple[str, ...], registry: QueryRegistry | None) -> FieldPath | tuple[ModelInfo, str]:
    """Return where a path leads, else the model in which there is no such name, and the name."""
    found: FieldPath | None = info.walked.get(names)
    if found is not None:
        return found
    start, steps, rest = info, list[PathStep](), names
    while rest:
        name = rest[0]
        if relation := info.relations.get(name):
            step = PathStep(relation, info, info.target(relation), where=seen_of(info, relation))
            steps.append(step)
            info, rest = step.target, rest[1:]
        elif own := info.fields.get(name) or info.virtuals.get(name):
            path = FieldPath(names, tuple(steps), info, own, keys=rest[1:])
            return path if path.keys else start.walked.setdefault(names, path)
        elif alias := info.aliases.get(name):
            rest = (*split_path(alias), *rest[1:])
        else:
            further = _elsewhere(info, rest, registry)
            return replace(further, names=names, steps=(*steps, *further.steps)) if further else (info, name)
    return FieldPath(names, tuple(steps), info, info.field("id"), is_relation=True)


def seen_of(info: ModelInfo, relation: Relation) -> Expression:
    """Return what a record shows of the many that it is related to: of labels, not those that lie in the trash."""
    is_label = relation.many and getattr(info.target(relation).model, "__hidden_in_trash__", False)
    return _NOT_IN_TRASH if is_label else EVERYTHING


_NOT_IN_TRASH = Not(Comparison(("branch_id",), "exact", TRASH_BRANCH_ID))


def _elsewhere(info: ModelInfo, names: tuple[str, ...], registry: QueryRegistry | None) -> FieldPath | None:
    if registry is None:
        return None
    found = (resolver.resolve(registry, info, names) for resolver in _resolvers_of(info))
    return next((path for path in found if path is not None), None)


def _resolvers_of(info: ModelInfo) -> list[Resolver]:
    return [resolver for base in info.model.__mro__ for resolver in _resolvers.get(base, ())]
