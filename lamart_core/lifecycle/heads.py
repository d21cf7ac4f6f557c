"""Which version of a family is the latest on a branch; all versioned records share the rule."""

from lamart_core.records.heads import promote_newest

__all__ = ["promote_newest"]
