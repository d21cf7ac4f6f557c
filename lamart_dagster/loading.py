"""What an input asks for: the annotation of a parameter as a request to the registry."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upath import UPath

from lamart_core.errors import NoLoader

if TYPE_CHECKING:
    from lamart_core.artifact import Artifact

# Types that documents hold: an annotation with them alone never says that there are several partitions.
_PLAIN = (str, bytes, int, float, bool, list, dict, tuple, set, type(None), object)
_MAPPINGS = (dict, Mapping)


class Shape(Enum):
    """What is handed to the step."""

    OBJECT = "object"
    PATH = "path"
    RECORD = "record"


@dataclass(frozen=True)
class LoadRequest:
    """What one input wants.

    Attributes:
        shape: An object in memory, a local path, or the artifact itself.
        as_type: Annotation that the format follows; None for its own default.
        is_optional: Whether None is fine where there is nothing to load.
        values: For `dict[str, T]`, what is wanted of each partition.
        annotation: The annotation, for messages.
    """

    shape: Shape = Shape.OBJECT
    as_type: Any = None
    is_optional: bool = False
    values: LoadRequest | None = None
    annotation: Any = None

    @property
    def takes_none(self) -> bool:
        """Whether None is a value for it."""
        return self.is_optional or (self.shape is Shape.OBJECT and self.as_type is None)

    @property
    def is_mapping(self) -> bool:
        """Whether a dict of partitions satisfies it."""
        return self.shape is Shape.OBJECT and _bare(self.as_type) in _MAPPINGS

    @property
    def is_plain(self) -> bool:
        """Whether it is satisfied by the JSON-like value of a document."""
        return self.shape is Shape.OBJECT and (self.as_type is None or _bare(self.as_type) in _PLAIN)


def request_of(annotation: Any) -> LoadRequest:
    """Return what an annotation asks for.

    Args:
        annotation: The type of a parameter; `typing.Any` or None where it has none.

    Example:
        >>> from pathlib import Path
        >>> request_of(dict[str, Path]).values.shape
        <Shape.PATH: 'path'>
    """
    bare, is_optional = _without_none(annotation)
    request = _plain_request(bare)
    origin, arguments = typing.get_origin(bare), typing.get_args(bare)
    if origin in _MAPPINGS and len(arguments) == 2:
        request = replace(request, values=request_of(arguments[1]))
    return replace(request, is_optional=is_optional, annotation=annotation)


def item_request_of(annotation: Any) -> LoadRequest:
    """Return what an annotation such as `list[T]` asks for of each item, where several outputs are collected.

    Args:
        annotation: The type of a parameter; `typing.Any` or None where it has none.
    """
    bare, _ = _without_none(annotation)
    arguments = typing.get_args(bare)
    return request_of(arguments[0] if arguments else None)


def fetch(artifact: Artifact, request: LoadRequest) -> Any:
    """Return an artifact in the form that was asked for.

    Does not record it as an input of any run: who calls it knows which.

    Args:
        artifact: A saved artifact.
        request: What is wanted.

    Raises:
        UnsupportedObject: The format cannot return the annotated type; the message lists what it can.
        IntegrityError: The stored bytes are not what the record says.
    """
    if request.shape is Shape.RECORD:
        return artifact
    if request.shape is Shape.PATH:
        path = artifact.cache(is_run_input=False)
        return UPath(path) if _bare(request.as_type) is UPath else Path(path)
    try:
        return artifact.load(as_type=request.as_type, is_run_input=False)
    except NoLoader:
        if request.as_type is not None:
            raise
        return Path(artifact.cache(is_run_input=False))


def _plain_request(annotation: Any) -> LoadRequest:
    if annotation in (None, Any, object):
        return LoadRequest()
    bare = _bare(annotation)
    if isinstance(bare, type):
        if issubclass(bare, Path | UPath):
            return LoadRequest(Shape.PATH, annotation)
        if _is_record(bare):
            return LoadRequest(Shape.RECORD, annotation)
    elif not _names_classes(annotation):
        return LoadRequest()  # a type variable, a literal, …: nothing that a format could follow
    return LoadRequest(Shape.OBJECT, annotation)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _without_none(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        members = typing.get_args(annotation)
        others = tuple(member for member in members if member is not type(None))
        union = others[0] if len(others) == 1 else typing.Union[others]  # noqa: UP007  # built at run time
        return union, len(others) < len(members)
    return annotation, annotation is type(None)


def _bare(annotation: Any) -> Any:
    return typing.get_origin(annotation) or annotation


def _names_classes(annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return all(_names_classes(member) for member in typing.get_args(annotation))
    return isinstance(_bare(annotation), type)


def _is_record(cls: type) -> bool:
    # By name, so that annotations are understood without importing the record classes.
    return any((base.__module__, base.__name__) == ("lamart_core.artifact", "Artifact") for base in cls.__mro__)
