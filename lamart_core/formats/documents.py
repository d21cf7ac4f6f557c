"""Documents that hold values: JSON and YAML."""

from __future__ import annotations

import json
import sys
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from lamart_core.errors import UnsupportedObject
from lamart_core.formats.compression import create, read_beginning, read_expanded, take_max_bytes, with_compressions
from lamart_core.formats.format import Format, Preview
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import BOOL, BYTES, DICT, FLOAT, INT, LIST, STR, PythonType
from lamart_core.formats.markdown import fenced

# Whatever the document holds: the default of formats whose content decides on the type.
VALUE = PythonType("builtins", "object")
# Single numbers of NumPy, which come back as those of Python.
_NUMPY_NUMBERS = (PythonType("numpy", "integer"), PythonType("numpy", "floating"), PythonType("numpy", "bool"))
PREVIEW_BYTES = 20_000
# Values of a YAML document whose aliases are written out.
_MAX_ALIASED = 1_000_000


class _ValueFormat(Format):
    """A document that holds a JSON-like value: mappings with text keys, lists, text, numbers, truth values, null."""

    accepts: ClassVar[tuple[PythonType, ...]] = (DICT, LIST, STR, BOOL, INT, FLOAT, *_NUMPY_NUMBERS)
    returns: ClassVar[tuple[PythonType, ...]] = (VALUE, DICT, LIST, STR, BOOL, INT, FLOAT, BYTES)

    @abstractmethod
    def _dump(self, value: Any) -> str:
        """The value as text, mappings sorted by key."""

    @abstractmethod
    def _parse(self, text: str) -> Any:
        """The value of a text."""

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        text = self._dump(_plain(obj, "value"))
        with create(path, suffix) as file:
            file.write(text.encode())

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        max_bytes = reader_options(suffix, options)
        if target == BYTES:
            return path.read_bytes()
        value = self._parse(read_expanded(path, suffix, max_bytes).decode())
        if target == VALUE or (target.matches(value) and not (target in (INT, FLOAT) and isinstance(value, bool))):
            return value
        if target == FLOAT and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        raise UnsupportedObject(f"{path} holds a {type(value).__name__}, which cannot be loaded as {target}")

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The beginning of the text."""
        if isinstance(obj_or_path, Path):
            with reading(obj_or_path, self.name):
                return Preview(fenced(beginning(obj_or_path, suffix), self.name))
        return Preview(fenced(self._dump(_plain(obj_or_path, "value")), self.name))


class JsonFormat(_ValueFormat):
    """JSON. Keys are sorted, so that equal mappings are equal bytes; NaN and infinity are no JSON and are refused."""

    name = "json"
    suffixes: ClassVar[tuple[str, ...]] = with_compressions(".json", ".vitessce.json")

    def _dump(self, value: Any) -> str:
        try:
            return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        except ValueError as error:
            raise UnsupportedObject(f"json cannot hold this value: {error}. Use None for missing numbers.") from error

    def _parse(self, text: str) -> Any:
        return json.loads(text)


class YamlFormat(_ValueFormat):
    """YAML, without the tags that construct Python objects."""

    name = "yaml"
    suffixes: ClassVar[tuple[str, ...]] = with_compressions(".yaml", ".yml")

    def _dump(self, value: Any) -> str:
        import yaml

        text = yaml.safe_dump(value, sort_keys=True, allow_unicode=True)
        # The library writes these line ends of Unicode as they are, and reads them back as spaces.
        if any(line_end in text for line_end in "\x85\u2028\u2029"):
            return yaml.safe_dump(value, sort_keys=True, allow_unicode=False)
        return text

    def _parse(self, text: str) -> Any:
        import yaml

        if not text.strip():
            raise UnreadableContent("A YAML file without content holds no value")
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_aliases(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()


def reader_options(suffix: str, options: Mapping[str, Any]) -> int | None:
    """What a reader of documents may be told: ``max_bytes``, for compressed ones; other options are refused."""
    left = dict(options)
    max_bytes = take_max_bytes(suffix, left)
    if left:
        raise TypeError(f"unexpected keyword argument {', '.join(map(repr, left))}")
    return max_bytes


def beginning(path: Path, suffix: str | None) -> str:
    """The first kilobytes of a text file, as text."""
    return read_beginning(path, suffix or "", PREVIEW_BYTES).decode("utf-8", errors="replace")


def _check_aliases(root: Any) -> None:
    """Refuse aliases that stand for more values than memory holds once somebody writes them out, or for themselves.

    Args:
        root: A node of a YAML document, as parsed: aliases are further references to the same node.
    """
    import yaml

    sizes: dict[int, int] = {}
    under_way: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in under_way:
            raise UnreadableContent("A YAML document that contains itself holds no JSON-like value")
        if id(node) not in sizes:
            under_way.add(id(node))
            children: list[Any] = []
            if isinstance(node, yaml.SequenceNode):
                children = list(node.value)
            elif isinstance(node, yaml.MappingNode):
                children = [each for pair in node.value for each in pair]
            sizes[id(node)] = 1 + sum(size(child) for child in children)
            under_way.discard(id(node))
        return sizes[id(node)]

    total = size(root)
    if total > max(_MAX_ALIASED, 10 * len(sizes)):
        raise UnreadableContent(
            f"Its {len(sizes):,} values stand for {total:,} once their aliases are written out: refused, since that "
            "many are made to fill memory"
        )


def _plain(value: Any, where: str) -> Any:
    """The value with tuples as lists and NumPy scalars as Python numbers.

    Raises:
        UnsupportedObject: Something in it is not JSON-like; the message says where.
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        members = cast("Mapping[Any, Any]", value)
        for key in members:
            if not isinstance(key, str):
                raise UnsupportedObject(f"{where} has the key {key!r}: keys must be text")
        # Not by str(): that of an enumeration is its name.
        return {str.__str__(key): _plain(member, f"{where}[{key!r}]") for key, member in members.items()}
    if isinstance(value, list | tuple):
        return [_plain(m, f"{where}[{i}]") for i, m in enumerate(cast("list[Any] | tuple[Any, ...]", value))]
    numpy = sys.modules.get("numpy")
    is_number = numpy is not None and isinstance(value, numpy.number | numpy.bool_)  # the item of a moment is one, too
    if numpy is not None and is_number and not isinstance(value.item(), numpy.generic):
        return _plain(value.item(), where)  # what stays one has more digits than a float
    if isinstance(value, str):
        return str.__str__(value)
    for base in (bool, int, float):  # enumerations and other subclasses
        if isinstance(value, base):
            return base(value)
    raise UnsupportedObject(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which JSON and YAML documents cannot hold"
    )
