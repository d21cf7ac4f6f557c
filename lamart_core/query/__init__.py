"""Query expressions, their translation to SQL, and query sets."""

from lamart_core.query.language.expressions import And, Clause, Comparison, Expression, Not, Or, Q
from lamart_core.query.language.model import ModelInfo, QueryRegistry, Relation, model_info
from lamart_core.query.language.paths import FieldPath, PathStep, Resolver, register_resolver, resolve
from lamart_core.query.language.virtual import Virtual, virtual
from lamart_core.query.results.autocomplete import Lookup
from lamart_core.query.results.manager import RelatedManager
from lamart_core.query.results.queryset import QuerySet
from lamart_core.query.results.relations import ToMany, ToOne
from lamart_core.query.results.select_fields import Rows

__all__ = [
    "And",
    "Clause",
    "Comparison",
    "Expression",
    "FieldPath",
    "Lookup",
    "ModelInfo",
    "Not",
    "Or",
    "PathStep",
    "Q",
    "QueryRegistry",
    "QuerySet",
    "RelatedManager",
    "Relation",
    "Resolver",
    "Rows",
    "ToMany",
    "ToOne",
    "Virtual",
    "model_info",
    "register_resolver",
    "resolve",
    "virtual",
]
