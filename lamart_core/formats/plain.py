"""Files as they are: text, pages, pictures, archives, and any other content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from lamart_core.errors import LamartError, NoLoader
from lamart_core.formats.archives import listing
from lamart_core.formats.compression import COMPRESSIONS, create, read_expanded, with_compressions
from lamart_core.formats.documents import PREVIEW_BYTES, beginning, reader_options
from lamart_core.formats.format import Format, Preview
from lamart_core.formats.guards import reading
from lamart_core.formats.libraries import BYTES, PATH, STR, PythonType
from lamart_core.formats.markdown import fenced
from lamart_core.formats.notebook import show
from lamart_core.logging import logger


class _ContentFormat(Format):
    """A file whose content is the object: text, compressed where the suffix says so, or the bytes of the file."""

    def _write(self, obj: Any, path: Path, suffix: str, options: Mapping[str, Any]) -> None:
        if not isinstance(obj, str):
            path.write_bytes(obj)
            return
        with create(path, suffix) as file:
            file.write(obj.encode())

    def _read(self, path: Path, suffix: str, target: PythonType, options: Mapping[str, Any]) -> Any:
        max_bytes = reader_options(suffix, options)
        # Decoded as it is: reading in text mode would change line ends, and text must come back as it was saved.
        return path.read_bytes() if target == BYTES else read_expanded(path, suffix, max_bytes).decode()


class TextFormat(_ContentFormat):
    """Plain text in UTF-8, sequences in FASTA among it."""

    name = "text"
    suffixes: ClassVar[tuple[str, ...]] = with_compressions(
        ".txt", ".md", ".log", ".rst", ".tex", ".py", ".r", ".sql", ".toml", ".xml", ".fasta", ".fa", ".fna", ".faa"
    )
    accepts: ClassVar[tuple[PythonType, ...]] = (STR,)
    returns: ClassVar[tuple[PythonType, ...]] = (STR, BYTES)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The beginning of the text; markdown as it is rendered."""
        with reading(obj_or_path, self.name):
            text = beginning(obj_or_path, suffix) if isinstance(obj_or_path, Path) else str(obj_or_path)[:PREVIEW_BYTES]
        return Preview(text if suffix == ".md" else fenced(text))


class PageFormat(_ContentFormat):
    """HTML pages and SVG drawings: loaded as a path, and shown in a notebook; as text on request."""

    name = "page"
    suffixes: ClassVar[tuple[str, ...]] = (".html", ".htm", ".svg")
    accepts: ClassVar[tuple[PythonType, ...]] = (STR, BYTES)
    returns: ClassVar[tuple[PythonType, ...]] = (PATH, STR, BYTES)

    def load(self, path: Path, *, suffix: str, as_type: Any = None, **options: Any) -> Any:
        """As for other formats; shown in a notebook unless a type was asked for."""
        return _shown(super().load(path, suffix=suffix, as_type=as_type, **options), suffix, as_type)


class ImageFormat(_ContentFormat):
    """Pictures: encoded bytes in; a path out, and shown in a notebook; bytes on request."""

    name = "image"
    suffixes: ClassVar[tuple[str, ...]] = (
        ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ome.tif", ".ome.tiff",
    )  # fmt: skip
    accepts: ClassVar[tuple[PythonType, ...]] = (BYTES,)
    returns: ClassVar[tuple[PythonType, ...]] = (PATH, BYTES)

    def load(self, path: Path, *, suffix: str, as_type: Any = None, **options: Any) -> Any:
        """As for other formats; shown in a notebook unless a type was asked for."""
        return _shown(super().load(path, suffix=suffix, as_type=as_type, **options), suffix, as_type)


class ArchiveFormat(_ContentFormat):
    """Zip and tar archives. They are stored, listed and handed out as they are, and never unpacked."""

    name = "archive"
    suffixes: ClassVar[tuple[str, ...]] = (".zip", ".tgz", ".tar", *(f".tar{c}" for c in COMPRESSIONS))
    accepts: ClassVar[tuple[PythonType, ...]] = (BYTES,)
    returns: ClassVar[tuple[PythonType, ...]] = (BYTES,)

    def load(self, path: Path, *, suffix: str, as_type: Any = None, **options: Any) -> Any:
        """Path or bytes, when asked for; an archive as such is no object."""
        if as_type is None:
            raise NoLoader(
                f"Archives such as {suffix!r} are not unpacked: use .cache() to get a local path, and unpack it with "
                "shutil.unpack_archive(path, folder, filter='data') for tar, zipfile.ZipFile(path).extractall(folder) "
                "for zip"
            )
        return super().load(path, suffix=suffix, as_type=as_type, **options)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The names and sizes of the first members."""
        if not isinstance(obj_or_path, Path):
            return super().preview(obj_or_path, suffix=suffix)
        with reading(obj_or_path, self.name):
            return Preview(listing(obj_or_path, suffix or ""))


class RdsFormat(_ContentFormat):
    """Objects of R, for R: a path, with a hint how to read it there."""

    name = "rds"
    suffixes: ClassVar[tuple[str, ...]] = (".rds",)
    accepts: ClassVar[tuple[PythonType, ...]] = (BYTES,)
    returns: ClassVar[tuple[PythonType, ...]] = (PATH, BYTES)

    def load(self, path: Path, *, suffix: str, as_type: Any = None, **options: Any) -> Any:
        """The path, or bytes when asked for."""
        content = super().load(path, suffix=suffix, as_type=as_type, **options)
        if as_type is None:
            logger.warning("%s holds an object of R: read it there with readRDS(path)", path)
        return content


class FileFormat(_ContentFormat):
    """Any other file. Bytes or text can be saved under any suffix that no other format claims; the default is .bin."""

    name = "file"
    suffixes: ClassVar[tuple[str, ...]] = (".bin",)
    accepts: ClassVar[tuple[PythonType, ...]] = (BYTES, STR)
    returns: ClassVar[tuple[PythonType, ...]] = (BYTES, STR)

    def writes(self, suffix: str) -> bool:
        """Whether no other format claims the suffix."""
        from lamart_core.formats import dispatch

        return dispatch.for_suffix(suffix) in (None, self)

    def load(self, path: Path, *, suffix: str, as_type: Any = None, **options: Any) -> Any:
        """As for other formats, but without a default except for ``.bin``."""
        if as_type is None and suffix not in self.suffixes:
            from lamart_core.formats import dispatch

            raise NoLoader(
                f"Files with suffix {suffix!r} have no loader: use .cache() to get a local path, or as_type=str or "
                f"bytes for the content{dispatch.broken_formats()}"
            )
        return super().load(path, suffix=suffix, as_type=as_type, **options)

    def preview(self, obj_or_path: object, *, suffix: str | None = None) -> Preview:
        """The name of the file, and its beginning where that is text."""
        shown = super().preview(obj_or_path, suffix=suffix)
        if not isinstance(obj_or_path, Path) or not obj_or_path.is_file():
            return shown
        try:
            with reading(obj_or_path, self.name):
                text = beginning(obj_or_path, suffix)
        except LamartError:  # no compressed file in spite of its suffix, which says nothing about such files
            return shown
        is_text = text and "\ufffd" not in text[:-3] and all(c.isprintable() or c.isspace() for c in text)
        return Preview(f"{shown.markdown}\n\n{fenced(text)}") if is_text else shown


def _shown(content: Any, suffix: str, as_type: Any) -> Any:
    if as_type is None:
        show(content, suffix)
    return content
