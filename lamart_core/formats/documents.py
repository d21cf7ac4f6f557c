"""Documents: JSON, YAML, text, pictures, and any other file."""

from __future__ import annotations

import json
import sys
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from lamart_core.errors import NoLoader, UnsupportedObject
from lamart_core.formats.contract import Format, Preview
from lamart_core.formats.guards import UnreadableContent, reading
from lamart_core.formats.libraries import BOOL, BYTES, DICT, FLOAT, INT, LIST, PATH, STR, PythonType
from lamart_core.formats.markdown import fenced

# Whatever the document holds: the default of formats whose content decides on the type.
VALUE = PythonType("builtins", "object")
_PREVIEW_BYTES = 20_000


class _ValueFormat(Format):
    """A document that holds a JSON-like value: mappings with text keys, lists, text, numbers, truth values, null."""

    accepts: ClassVar[tuple[PythonType, ...]] = (DICT, LIST, STR, BOOL, INT, FLOAT)
    returns: ClassVar[tuple[PythonType, ...]] = (VALUE, DICT, LIST, STR, BOOL, INT, FLOAT, BYTES)

    @abstractmethod
    def _dump(self, value: Any) -> str:
        """The value as text, mappings sorted by key."""

    @abstractmethod
    def _parse(self, text: str) -> Any:
        """The value of a text."""

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        path.write_text(self._dump(_plain(obj, "value")), encoding="utf-8", newline="\n")

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        _no_options(options)
        if target == BYTES:
            return path.read_bytes()
        value = self._parse(path.read_text(encoding="utf-8"))
        if target == VALUE or (target.matches(value) and not (target in (INT, FLOAT) and isinstance(value, bool))):
            return value
        if target == FLOAT and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        raise UnsupportedObject(f"{path} holds a {type(value).__name__}, which cannot be loaded as {target}")

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The beginning of the text."""
        if isinstance(obj_or_path, Path):
            with reading(obj_or_path, self.name):
                return Preview(fenced(_beginning(obj_or_path), self.name))
        return Preview(fenced(self._dump(_plain(obj_or_path, "value")), self.name))


class JsonFormat(_ValueFormat):
    """JSON. Keys are sorted, so that equal mappings are equal bytes; NaN and infinity are no JSON and are refused."""

    name = "json"
    suffixes: ClassVar[tuple[str, ...]] = (".json", ".vitessce.json")

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
    suffixes: ClassVar[tuple[str, ...]] = (".yaml", ".yml")

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
        return yaml.safe_load(text)


class _ContentFormat(Format):
    """A file whose content is the object: text or bytes as they are."""

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        path.write_bytes(obj.encode("utf-8") if isinstance(obj, str) else obj)

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        _no_options(options)
        if target == BYTES:
            return path.read_bytes()
        # Decoded as it is: reading in text mode would change line ends, and text must come back as it was saved.
        return path.read_bytes().decode("utf-8") if target == STR else path


class TextFormat(_ContentFormat):
    """Plain text in UTF-8."""

    name = "text"
    suffixes: ClassVar[tuple[str, ...]] = (".txt", ".md", ".log", ".rst", ".tex", ".py", ".r", ".sql", ".toml", ".xml")
    accepts: ClassVar[tuple[PythonType, ...]] = (STR,)
    returns: ClassVar[tuple[PythonType, ...]] = (STR, BYTES)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The beginning of the text; markdown as it is rendered."""
        with reading(obj_or_path, self.name):
            text = _beginning(obj_or_path) if isinstance(obj_or_path, Path) else str(obj_or_path)[:_PREVIEW_BYTES]
        return Preview(text if suffix == ".md" else fenced(text))


class PageFormat(_ContentFormat):
    """HTML pages and SVG drawings: loaded as a path to show, as text on request."""

    name = "page"
    suffixes: ClassVar[tuple[str, ...]] = (".html", ".svg")
    accepts: ClassVar[tuple[PythonType, ...]] = (STR, BYTES)
    returns: ClassVar[tuple[PythonType, ...]] = (PATH, STR, BYTES)


class ImageFormat(_ContentFormat):
    """Pictures: encoded bytes in, a path to show out, bytes on request."""

    name = "image"
    suffixes: ClassVar[tuple[str, ...]] = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp")
    accepts: ClassVar[tuple[PythonType, ...]] = (BYTES,)
    returns: ClassVar[tuple[PythonType, ...]] = (PATH, BYTES)


class FileFormat(_ContentFormat):
    """Any other file. Bytes or text can be saved under any suffix that no other format claims; the default is .bin."""

    name = "file"
    suffixes: ClassVar[tuple[str, ...]] = (".bin",)
    accepts: ClassVar[tuple[PythonType, ...]] = (BYTES, STR)
    returns: ClassVar[tuple[PythonType, ...]] = (BYTES, STR)

    def writes(self, suffix: str) -> bool:
        """Whether no other format claims the suffix."""
        from lamart_core.formats import registry

        return registry.for_suffix(suffix) in (None, self)

    def load(self, path: Path, *, suffix: str, as_type: Any = None, **options: Any) -> Any:
        """As for other formats, but without a default except for ``.bin``."""
        if as_type is None and suffix not in self.suffixes:
            raise NoLoader(f"Files with suffix {suffix!r} have no loader: use .cache() to get a local path")
        return super().load(path, suffix=suffix, as_type=as_type, **options)


def _no_options(options: Mapping[str, Any]) -> None:
    if options:
        raise TypeError(f"unexpected keyword argument {', '.join(map(repr, options))}")


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
        return {str(key): _plain(member, f"{where}[{key!r}]") for key, member in members.items()}
    if isinstance(value, list | tuple):
        return [_plain(m, f"{where}[{i}]") for i, m in enumerate(cast("list[Any] | tuple[Any, ...]", value))]
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return _plain(value.item(), where)
    for base in (str, bool, int, float):  # enumerations and other subclasses
        if isinstance(value, base):
            return base(value)
    raise UnsupportedObject(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which JSON and YAML documents cannot hold"
    )


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_PREVIEW_BYTES).decode("utf-8", errors="replace")
