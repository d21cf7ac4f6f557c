"""Relations between record classes, as class attributes."""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar, overload

from sqlalchemy import select

from lamart_core import errors
from lamart_core.query.language.model import Prepare, QueryRegistry, Relation, cache_name, check_registry, model_info
from lamart_core.query.results.manager import RelatedManager

T = TypeVar("T")


class ToOne(Relation, Generic[T]):
    """The one record that a foreign key refers to.

    On an instance: the record or None, loaded when it is first asked for and kept; assigning one assigns the
    foreign key too.

    Args:
        target: Name of the related class.
        column: Foreign key of the owner.

    Example, in the body of a record class (the type says what reading it gives):

        run = ToOne["Run | None"]("Run", "run_id")
    """

    many = False

    def __init__(self, target: str, column: str) -> None:
        self.target = target
        self.column = column

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any]) -> T: ...

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        if instance is None:
            return self
        key = getattr(instance, str(self.column))
        cached = instance.__dict__.get(cache_name(self.name))
        if key is None:
            return None
        # The foreign key decides: it may have been assigned after the record was kept.
        if cached is None or cached.id != key:
            cached = self._load(instance, key)
            instance.__dict__[cache_name(self.name)] = cached
        return cached

    def __set__(self, instance: Any, value: T) -> None:
        record: Any = value
        target = model_info(type(instance)).target(self).model
        if record is not None and not isinstance(record, target):
            raise errors.InvalidArgument(
                f"{type(instance).__name__}.{self.name} is a record of {self.target}, got {record!r}"
            )
        if record is not None and record.id is None:
            raise errors.InvalidArgument(f"{record!r} is not saved yet, so that nothing can refer to it; save it first")
        if record is not None:
            check_registry(record, _registry_of(instance))
        setattr(instance, str(self.column), None if record is None else record.id)
        instance.__dict__[cache_name(self.name)] = record

    def _load(self, instance: Any, key: int) -> Any:
        target = model_info(type(instance)).target(self)
        registry = _registry_of(instance)
        with registry.read() as session:
            record: Any = session.scalars(select(target.model).where(target.id == key)).first()
        if record is not None:
            record.__dict__["_registry"] = registry
        return record


class ToMany(Relation, Generic[T]):
    """The records that refer to a record, or are linked to it.

    On an instance: a `RelatedManager`.

    Args:
        target: Name of the related class.
        column: Foreign key of the target that refers to the owner.
        link: Name of the link table; instead of `column`.
        source: Column of the link table that refers to the owner.
        target_column: Column of the link table that refers to the target.
        fixed: Why it cannot be changed by hand; None: it can.
        prepare: Completes and checks rows of the link table before they are inserted.

    Example, in the body of a record class:

        output_artifacts = ToMany["Artifact"]("Artifact", column="run_id")
    """

    many = True

    def __init__(
        self,
        target: str,
        *,
        column: str | None = None,
        link: str | None = None,
        source: str | None = None,
        target_column: str | None = None,
        fixed: str | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        if (column is None) == (link is None) or (link is not None and None in (source, target_column)):
            raise errors.InvalidArgument("ToMany takes either column, or link with source and target_column")
        self.target = target
        self.column = column
        self.link = link
        self.source = source
        self.target_column = target_column
        self.fixed = fixed
        self.prepare = prepare

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any]) -> RelatedManager[Any]: ...

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        if instance is None:
            return self
        return RelatedManager(instance, self, _registry_of(instance))

    def __set__(self, instance: Any, value: Any) -> None:
        raise errors.InvalidArgument(
            f"{type(instance).__name__}.{self.name} holds many records; use {self.name}.add(…) or {self.name}.set([…])"
        )


def _registry_of(instance: Any) -> QueryRegistry:
    # `registry` also finds the current one for a record that has none yet.
    registry = getattr(instance, "_registry", None)
    return registry if registry is not None else instance.registry
