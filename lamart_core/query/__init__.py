"""Query expressions, their translation to SQL, and query sets."""

from lamart_core.query.autocomplete import Lookup
from lamart_core.query.expressions import And, Clause, Comparison, Expression, Not, Or, Q
from lamart_core.query.manager import RelatedManager
from lamart_core.query.model import QueryRegistry, Relation, model_info
from lamart_core.query.queryset import QuerySet
from lamart_core.query.relations import ToMany, ToOne
from lamart_core.query.rows import Rows

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
