"""Collection: an immutable, ordered, hashed and versioned set of artifacts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from sqlalchemy import inspect, select

from lamart_core import errors
from lamart_core.artifact import Artifact
from lamart_core.db import current_registry
from lamart_core.describe import describe_collection
from lamart_core.lineage import view_lineage
from lamart_core.lineage.edges import track_collection_input
from lamart_core.reading.artifact_set import ArtifactSet
from lamart_core.records import Branch, CollectionArtifact, CollectionRecord, Run, Space
from lamart_core.records.kinds.described import class_or_record, describe_class
from lamart_core.saving import collect
from lamart_core.saving.collect import CollectionRequest

if TYPE_CHECKING:
    from graphviz import Digraph

_FIELDS = ("reference", "reference_type", "version_tag")


class Collection(CollectionRecord):
    """An immutable, ordered, hashed and versioned set of artifacts.

    `Collection(artifacts, key=…)` returns the existing collection if the key has one with the same content already,
    in whatever order; otherwise saving makes the next version of the key. Other members are another version: `append`
    makes one. What was collected stays, whatever is added under the keys of the members later.

    Args:
        artifacts: Saved artifacts of one registry, each once: a list, a query set, or a single one.
        key: Name of the collection, a relative path; collections of one key form a version family.
        description: Free text.
        run: Run that makes the collection; None takes the current run, False takes none.
        revises: Version to revise, instead of a key.
        branch: Branch of the collection. Default: the current one.
        space: Space of the collection. Default: the current one.
        version: Name of this version, at most 30 characters.
        reference: Link or id for people.
        reference_type: What kind of reference it is.

    Raises:
        InvalidArgument: No artifacts, one twice, one that is not saved, in the trash, or of another registry; no key.
        InvalidKey: The key is no clean relative path.
        UnsupportedObject: Something else than artifacts.
        FieldValidationError: Unknown keyword.

    Examples:
        >>> import lamart_core as ln
        >>> from pathlib import Path
        >>> for name in ("a.txt", "b.txt"):
        ...     _ = Path(name).write_text(name)
        >>> a, b = (ln.Artifact(name, key=f"in/{name}").save() for name in ("a.txt", "b.txt"))
        >>> inputs = ln.Collection([a], key="inputs").save()
        >>> both = inputs.append(b).save()
        >>> both.version, both.ordered_artifacts.to_list("key"), inputs.artifacts.count()
        ('0001', ['in/a.txt', 'in/b.txt'], 1)
        >>> ln.Collection([b, a], key="inputs") == both
        True
    """

    __tablename__ = "lamart_collection"

    def __init__(
        self,
        artifacts: Iterable[Artifact] | Artifact,
        *,
        key: str | None = None,
        description: str | None = None,
        run: Run | bool | None = None,
        revises: Collection | None = None,
        branch: Branch | None = None,
        space: Space | None = None,
        version: str | None = None,
        **others: Any,
    ) -> None:
        is_append = bool(others.pop("_is_append", False))
        unknown = sorted(set(others) - set(_FIELDS))
        if unknown:
            raise errors.FieldValidationError(
                f"Collection() got unknown keywords {unknown}; it takes: artifacts, key, description, run, revises, "
                f"branch, space, version, {', '.join(_FIELDS)}"
            )
        tag = others.get("version_tag") if version is None else version
        if tag is not None and len(tag) > 30:
            raise errors.InvalidArgument(f"version {tag!r} has more than 30 characters")
        request = CollectionRequest(
            key=key,
            description=description,
            run=run,
            revises=revises,
            branch=branch,
            space=space,
            version_tag=tag,
            reference=others.get("reference"),
            reference_type=others.get("reference_type"),
            is_append=is_append,
        )
        registry = revises._registry if isinstance(revises, Collection) else None
        collect.construct(self, registry or current_registry(), artifacts, request)

    @property
    def ordered_artifacts(self) -> ArtifactSet[Artifact]:
        """The members in the order in which they were collected, as a query set."""
        link = CollectionArtifact.table
        artifact = inspect(Artifact).local_table
        position = (
            select(link.c.position)
            .where(link.c.collection_id == self.__dict__.get("id"), link.c.artifact_id == artifact.c.id)
            .correlate(artifact)
            .scalar_subquery()
        )
        return cast("ArtifactSet[Artifact]", self.artifacts.order_by(position))

    def append(self, artifacts: Iterable[Artifact] | Artifact, *, run: Run | bool | None = None) -> Collection:
        """Return the next version of this collection, with more members. It is not saved yet.

        Args:
            artifacts: One or several saved artifacts that are not in the collection.
            run: Run that makes the new version; None takes the current run, False takes none.

        Returns:
            The new version; this collection stays what it is.

        Raises:
            InvalidArgument: An artifact is in the collection already, or cannot be collected.
            IntegrityError: This is not the latest version on the branch, whose members would be missing; raised by
                `save()` too.
        """
        new = [artifacts] if isinstance(artifacts, Artifact) else list(artifacts)
        if not self.is_saved:
            raise errors.InvalidArgument(f"{self!r} is not saved yet; save it before appending to it")
        if not new:
            raise errors.InvalidArgument("there is nothing to append; the list is empty")
        return Collection([*self.ordered_artifacts, *new], run=run, revises=self, _is_append=True)

    def cache(self, *, is_run_input: bool | Run | None = None) -> list[Path]:
        """Return local paths of the members in their order; remote ones are downloaded when needed.

        Args:
            is_run_input: Whether to record the collection as an input of the current, or of the given, run.
        """
        return collect.cache(self, is_run_input=is_run_input)

    def load(
        self, *, join: str = "outer", is_run_input: bool | Run | None = None, mute: bool = False, **kwargs: Any
    ) -> Any:
        """Return the contents of the members in memory, put together in their order; see `ArtifactSet.load`.

        Args:
            join: Columns of the result, for AnnData variables: `"outer"` all, `"inner"` those that all members have.
            is_run_input: Whether to record the collection as an input of the current, or of the given, run.
            mute: Whether to draw no progress.
            **kwargs: Keywords for the reader.
        """
        content = self.ordered_artifacts.load(join=join, is_run_input=False, mute=mute, **kwargs)
        track_collection_input(self, is_run_input)
        return content

    def open(self, engine: str = "pyarrow", is_run_input: bool | Run | None = None, **kwargs: Any) -> Any:
        """Open members that are tables as one dataset, in their order; see `ArtifactSet.open`.

        Args:
            engine: `"pyarrow"` or `"polars"`.
            is_run_input: Whether to record the collection as an input of the current, or of the given, run.
            **kwargs: Go to `pyarrow.dataset.dataset`.
        """
        opened = self.ordered_artifacts.open(engine=engine, is_run_input=False, **kwargs)
        track_collection_input(self, is_run_input)
        return opened

    def save(self) -> Self:
        """Write the collection and its members in one transaction.

        Returns:
            The collection itself; the existing one if another writer saved equal content under the key.

        Raises:
            IntegrityError: A member was deleted meanwhile, or the version that is revised is not the latest any more.
            NameTaken: The key, after a change, belongs to another collection.
        """
        collect.save(self)
        return self

    def view_lineage(self, with_children: bool = True, return_graph: bool = False) -> Digraph | None:
        """Show what leads to the collection, its members among it, and what follows; see `Artifact.view_lineage`.

        Args:
            with_children: Whether to include what follows.
            return_graph: Whether to return the graph instead of showing it.
        """
        return view_lineage(self, with_children=with_children, return_graph=return_graph)

    @class_or_record(describe_class)
    def describe(self, return_str: bool = False) -> str | None:
        """Print what is known about the collection, or return it as plain text."""
        return describe_collection(self, return_str=return_str)
