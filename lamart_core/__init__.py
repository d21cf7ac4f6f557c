"""An artifact registry: versioned, hashed, queryable artifacts with lineage.

`import lamart_core as ln` loads names only when they are used: it touches no disk, no database and no data library.

Examples:
    >>> import lamart_core as ln
    >>> sorted(ln.__all__)[:3]
    ['Artifact', 'Branch', 'Collection']
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamart_core import errors, examples, models
    from lamart_core.connect import DB, connect
    from lamart_core.current import context, settings
    from lamart_core.lineage import finish, flow, lineage_graph, run_context, step, track
    from lamart_core.models import (
        Artifact,
        Branch,
        Collection,
        Project,
        Reference,
        Run,
        Space,
        SQLRecordList,
        Storage,
        Transform,
        ULabel,
        User,
    )
    from lamart_core.query import Q, QuerySet
    from lamart_core.saving.bulk import save

__version__ = "0.1.0"

# Where each public name lives; a test holds this against the documented face.
_HOMES = {
    "Artifact": "lamart_core.models",
    "Branch": "lamart_core.models",
    "Collection": "lamart_core.models",
    "DB": "lamart_core.connect",
    "Project": "lamart_core.models",
    "Q": "lamart_core.query",
    "QuerySet": "lamart_core.query",
    "Reference": "lamart_core.models",
    "Run": "lamart_core.models",
    "SQLRecordList": "lamart_core.models",
    "Space": "lamart_core.models",
    "Storage": "lamart_core.models",
    "Transform": "lamart_core.models",
    "ULabel": "lamart_core.models",
    "User": "lamart_core.models",
    "connect": "lamart_core.connect",
    "context": "lamart_core.current",
    "finish": "lamart_core.lineage",
    "flow": "lamart_core.lineage",
    "lineage_graph": "lamart_core.lineage",
    "run_context": "lamart_core.lineage",
    "save": "lamart_core.saving.bulk",
    "settings": "lamart_core.current",
    "step": "lamart_core.lineage",
    "track": "lamart_core.lineage",
}
_MODULES = ("examples", "errors", "models")

__all__ = [
    "DB",
    "Artifact",
    "Branch",
    "Collection",
    "Project",
    "Q",
    "QuerySet",
    "Reference",
    "Run",
    "SQLRecordList",
    "Space",
    "Storage",
    "Transform",
    "ULabel",
    "User",
    "connect",
    "context",
    "errors",
    "examples",
    "finish",
    "flow",
    "lineage_graph",
    "models",
    "run_context",
    "save",
    "settings",
    "step",
    "track",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"lamart_core.{name}")
    if name not in _HOMES:
        from lamart_core.planned import no_attribute  # only for the error

        raise no_attribute("module 'lamart_core'", [""], name, __all__)
    # The connector must be known before any record class asks for the current registry.
    import_module("lamart_core.connect")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Face(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # Importing a submodule binds it to its package; `connect` and `settings` mean other things here.
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
