"""What is known about an artifact, as text for people."""

from __future__ import annotations

from typing import Any

from rich.filesize import decimal

from lamart_core.records import ArtifactRecord, CollectionRecord, latest_readme
from lamart_core.records.kinds.described import print_outline

_MEMBERS_SHOWN = 5


def describe(record: ArtifactRecord, *, return_str: bool = False) -> str | None:
    """Print, or return as plain text, the fields, the storage path and the lineage of an artifact."""
    name = record.key or record.description or record.uid
    run = record.run if record.is_saved else None
    shown: list[tuple[str, Any]] = [
        ("uid", record.uid),
        ("run", f"{run.uid} ({run.transform.key})" if run is not None else None),
        ("kind", record.kind),
        ("otype", record.otype),
        ("hash", f"{record.hash} ({record._hash_type})" if record.hash else None),
        ("size", decimal(record.size) if record.size is not None else None),
        ("n_files", record.n_files),
        ("n_observations", record.n_observations),
        ("description", record.description),
    ]
    if record.is_saved:
        shown += [
            *_place(record),
            ("storage path", getattr(record, "path", None)),
            ("inputs", ", ".join(str(item.key or item.uid) for item in run.input_artifacts.all()) if run else None),
            ("recreated by", record.recreating_runs.count() or None),
            *_labels(record),
            ("notes", notes.splitlines()[0] if (notes := latest_readme(record)) else None),
        ]
    return print_outline(f"Artifact: {name} ({record.uid[-4:]})", shown, return_str=return_str)


def describe_collection(record: CollectionRecord, *, return_str: bool = False) -> str | None:
    """Print, or return as plain text, the fields, the lineage and the first members of a collection."""
    run = record.run if record.is_saved else None
    shown: list[tuple[str, Any]] = [
        ("uid", record.uid),
        ("run", f"{run.uid} ({run.transform.key})" if run is not None else None),
        ("hash", record.hash),
        ("description", record.description),
        ("reference", record.reference),
    ]
    if record.is_saved:
        members = record.artifacts.count()
        names = [str(item.key or item.uid) for item in record.artifacts.all()[:_MEMBERS_SHOWN]]
        shown += [
            *_place(record),
            ("n_artifacts", members),
            *_labels(record),
            ("artifacts", ", ".join([*names, "…"] if members > len(names) else names)),
            ("recreated by", record.recreating_runs.count() or None),
        ]
    return print_outline(f"Collection: {record.key} ({record.uid[-4:]})", shown, return_str=return_str)


def _labels(record: ArtifactRecord | CollectionRecord) -> list[tuple[str, str | None]]:
    """Return what it is labelled with."""
    labels = (("ulabels", record.ulabels), ("projects", record.projects), ("references", record.references))
    return [(name, ", ".join(related.to_list("name")) or None) for name, related in labels]


def _place(record: ArtifactRecord | CollectionRecord) -> list[tuple[str, Any]]:
    """Return which version it is, where it is seen, and who made it when."""
    return [
        ("version", record.version),
        ("is_latest", record.is_latest),
        ("branch", record.branch.name),
        ("space", record.space.name),
        ("created_at", f"{record.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("created_by", record.created_by.handle),
    ]
