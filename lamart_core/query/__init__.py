"""Query expressions, their translation to SQL, and query sets."""

from lamart_core.query.language.expressions import And, Clause, Comparison, Expression, Not, Or, Q
from lamart_core.query.language.model import QueryRegistry, Relation, model_info
from lamart_core.query.results.autocomplete import Lookup
from lamart_core.query.results.manager import RelatedManager
from lamart_core.query.results.queryset import QuerySet
from lamart_core.query.results.relations import ToMany, ToOne
from lamart_core.query.results.rows import Rows

__all__ = [
    "And",
    "Clause",
    "Comparison",
    "Expression",
    "Lookup",
    "Not",
    "Or",
    "Q",
    "QueryRegistry",
    "QuerySet",
    "RelatedManager",
    "Relation",
    "Rows",
    "ToMany",
    "ToOne",
    "model_info",
]
