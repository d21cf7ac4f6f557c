"""Names that people know from elsewhere: what is planned, and what does the same here. Errors say it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

_FEATURES = "features and schemas are not built yet; extra_data holds what is known of an artifact, as JSON"
_CURATION = "validation is not built yet; extra_data and labels say what is known of an artifact"
_ONTOLOGIES = "ontologies are not built yet; ULabel holds terms of all kinds, with parents"

# By the name of the class, "" for the module; of the classes that a class inherits from too.
_NAMES: Mapping[str, Mapping[str, str]] = {
    "": {
        **dict.fromkeys(("Feature", "FeatureSet", "FeatureManager", "Schema", "JsonValue", "features"), _FEATURES),
        **dict.fromkeys(("Curator", "curators", "DataFrameCurator", "AnnDataCurator"), _CURATION),
        **dict.fromkeys(("bionty", "bt", "wetlab", "Registry"), _ONTOLOGIES),
        "Record": "records of free form are not built yet; ULabel with a type holds what has a name",
        "RecordType": "records of free form are not built yet; ULabel(is_type=True) is a type of labels",
        "Param": "parameters need no registry: track(params=…), and Run.filter(params__n=5)",
        "Person": "people are users: User",
        "File": "files are artifacts: Artifact",
        "Dataset": "datasets are artifacts: Artifact, and sets of them Collection",
        "Label": "labels are ULabel",
        "Notebook": "notebooks are transforms: Transform(kind='notebook')",
        "Pipeline": "pipelines are transforms: Transform(kind='pipeline')",
        "Block": "texts about artifacts are models.ArtifactBlock",
        "SQLRecord": "the base class of records is models.SQLRecord",
        "UPath": "from upath import UPath",
        "setup": "there is nothing to set up: connect(…) makes a registry at its first use",
        "init": "connect(…) makes a registry at its first use",
        "login": "there are no accounts: connect(…, user=…) says who makes records",
        "load": "connect(…) opens a registry, artifact.load() a dataset",
        "close": "registry.close(), of what connect(…) returned",
        "delete": "record.delete(), or delete() of a query",
        "view": "Artifact.to_dataframe(), and so of each registry",
        "integrations": "the plugin for Dagster is the package lamart_dagster",
        "core": "classes are in models, errors in errors",
        "base": "classes are in models, errors in errors",
        "logger": "logging.getLogger('lamart'); settings.verbosity says what it shows",
    },
    "SQLRecord": {
        **dict.fromkeys(
            ("from_values", "inspect", "validate", "standardize", "add_synonym", "public", "from_source"), _ONTOLOGIES
        ),
        "features": _FEATURES,
        "objects": "queries begin with filter(): Artifact.filter(key__startswith='raw/')",
        "all": "filter() without conditions gives all records",
        "df": "to_dataframe()",
        "using": "DB(url).Artifact reads another registry, connect(…) opens one",
        "create": "make the record and save it: ULabel(name='x').save()",
        "get_or_create": "making a record that is there gives the existing one: ULabel(name='x').save()",
        "update_or_create": "making a record that is there gives the existing one, and save() writes what differs",
        "bulk_create": "save([…])",
        "pk": "id",
    },
    "ArtifactRecord": {
        **dict.fromkeys(("schema", "schemas", "json_values", "feature_sets"), _FEATURES),
        **dict.fromkeys(("labels",), "artifact.ulabels, artifact.projects and artifact.references hold the labels"),
        "records": "records of free form are not built yet; ulabels holds labels",
        "backed": "open()",
        "stage": "cache()",
        "mapped": "open() streams; batches for training are left to libraries made for that",
        "params": "artifact.run.params",
        "add_to_version_family": "a new version is Artifact(…, revises=artifact), or another content under its key",
        "from_croissant": "not built yet; Artifact(path) stores the folder",
        "from_vitessce": "not built yet; Artifact(path) stores the configuration, as .vitessce.json",
        "from_df": "from_dataframe()",
    },
    "CollectionRecord": {
        **dict.fromkeys(("schema", "schemas", "features"), _FEATURES),
        "mapped": "open() streams; batches for training are left to libraries made for that",
        "labels": "collection.ulabels, collection.projects and collection.references hold the labels",
        "data_artifact": "meta_artifact",
    },
    "Transform": {
        "from_git": "not built yet; Transform(key=…, source_code=…, reference=…) says where the code is",
        "latest_run": "transform.runs.order_by('-id').first()",
        "view_lineage": "lineage_graph(transform)",
        "type": "kind",
        "name": "key, or description",
    },
    "Run": {
        "features": _FEATURES,
        "json_values": _FEATURES,
        "records": "records of free form are not built yet; ulabels holds labels",
        "input_files": "input_artifacts",
        "output_files": "output_artifacts",
    },
    "QuerySet": {
        "annotate": "to_dataframe(include=…) adds columns, aggregate(…) counts and sums",
        "none": "filter(id__in=[])",
        "only": "values(…) and values_list(…) read some fields only",
        "defer": "values(…) and values_list(…) read some fields only",
        "union": "one | other",
        "intersection": "one & other",
        "latest": "order_by('-created_at').first()",
        "earliest": "order_by('created_at').first()",
        "create": "make the record and save it",
        "bulk_create": "save([…])",
        "get_or_create": "making a record that is there gives the existing one",
        "prefetch_related": "select_related(…), or to_dataframe(include=…) for relations to many",
        "df": "to_dataframe()",
        "list": "to_list()",
        "mapped": "open() streams; batches for training are left to libraries made for that",
    },
}


def planned(owners: Iterable[str], name: str) -> str | None:
    """Return what is said of a name that does not exist: what is planned, or what does the same; None: nothing.

    Args:
        owners: Name of the class and of those that it inherits from; "" for the module.
        name: The name.
    """
    return next((_NAMES[owner][name] for owner in owners if name in _NAMES.get(owner, {})), None)


def no_attribute(title: str, owners: Iterable[str], name: str, names: Iterable[str]) -> AttributeError:
    """Return the error for a name that does not exist.

    Args:
        title: What was asked for it.
        owners: As for `planned`.
        name: The name.
        names: Names that exist.
    """
    reason = planned(owners, name)
    if reason is None:
        close = difflib.get_close_matches(name, [each for each in names if not each.startswith("_")], n=1)
        reason = f"did you mean {close[0]!r}?" if close else None
    return AttributeError(f"{title} has no attribute {name!r}" + (f": {reason}" if reason is not None else ""))


def planned_names(owner: str) -> list[str]:
    """Return the names of a class, or of the module for "", of which something is said."""
    return sorted(_NAMES[owner])
