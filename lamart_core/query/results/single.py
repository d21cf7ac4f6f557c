"""Find one record, and say well what is wrong where there is none or are several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import String

from lamart_core import errors
from lamart_core.query.language.expressions import And, Comparison, describe
from lamart_core.query.sql.scope import MAIN_BRANCH_ID
from lamart_core.query.sql.statement import Statement

# The last characters of the uid of a versioned record count the versions.
_VERSION_LENGTH = 4
_NEAR = 50


def load(statement: Statement, limit: int) -> list[Any]:
    """Return at most `limit` records, in no particular order unless the statement has one."""
    statement = replace(statement, limit=limit if statement.limit is None else min(limit, statement.limit))
    with statement.registry.read() as session:
        records = list(session.scalars(statement.select(statement.info.model, ordered=bool(statement.order))))
    for record in records:
        record.__dict__["_registry"] = statement.registry
    return records


def get_one(statement: Statement) -> Any:
    """Return the only record.

    Raises:
        ObjectDoesNotExist: There is none.
        MultipleObjectsReturned: There are several.
    """
    found = load(statement, 2)
    if len(found) == 1:
        return found[0]
    raise several(statement) if found else none(statement)


def get_by_idlike(statement: Statement, idlike: int | str) -> Any:
    """Return the record with an id, a uid, or a uid that starts with a stub.

    A stub of a versioned record means the latest version of the family, in the current branch first.

    Raises:
        ObjectDoesNotExist: There is none.
        MultipleObjectsReturned: Several start with the stub.
        InvalidArgument: It is neither an integer nor text.
    """
    if isinstance(idlike, int) and not isinstance(idlike, bool):
        return get_one(statement.narrowed(Comparison(("id",), "exact", idlike)))
    if not isinstance(idlike, str) or not idlike:
        raise errors.InvalidArgument(f"a record is found by its id or uid, got {idlike!r}")
    length = _uid_length(statement)
    if len(idlike) >= length:
        found = load(statement.narrowed(Comparison(("uid",), "exact", idlike)), 2)
    else:
        found = _by_stub(statement, idlike, stem_length=length - _VERSION_LENGTH)
    if len(found) == 1:
        return found[0]
    raise several(statement, idlike) if found else none(statement, idlike)


def none(statement: Statement, idlike: str | None = None) -> errors.ObjectDoesNotExist:
    """Return the error that says that nothing was found, and what may help."""
    name = statement.info.name
    if idlike is not None:
        explain = getattr(statement.info.model, "_explain_missing", None)
        reason = explain(statement.registry, idlike) if explain is not None else None
        if reason is not None:
            return errors.ObjectDoesNotExist(reason)
        field = statement.info.naming_field()
        advice = "" if field in ("uid", "id") else f"; to find it by its {field}: {name}.get({field}={idlike!r})"
        return errors.ObjectDoesNotExist(f"no {name} has a uid that starts with {idlike!r}{advice}")
    hidden = ""
    if statement.is_scoped and statement.info.is_scoped:
        count = replace(statement, is_scoped=False).count()
        if count:
            hidden = (
                f"; {count} that match are in the trash, the archive or on another branch, "
                "pass branch=None to look there too"
            )
    return errors.ObjectDoesNotExist(f"no {name} matches {describe(And(statement.filters))}{hidden}")


def several(statement: Statement, idlike: str | None = None) -> errors.MultipleObjectsReturned:
    """Return the error that says that more than one record was found."""
    name = statement.info.name
    if idlike is not None:
        return errors.MultipleObjectsReturned(
            f"more than one {name} has a uid that starts with {idlike!r}; pass more of it"
        )
    advice = ", for example with is_latest=True" if "is_latest" in statement.info.fields else ""
    return errors.MultipleObjectsReturned(
        f"more than one {name} matches {describe(And(statement.filters))}; narrow the query{advice}, or use filter()"
    )


def _by_stub(statement: Statement, stub: str, *, stem_length: int) -> list[Any]:
    by_stub = statement.narrowed(Comparison(("uid",), "startswith", stub))
    if "is_latest" not in statement.info.fields or len(stub) > stem_length:
        found = load(by_stub, 2)
        return [record for record in found if record.uid == stub] or found
    heads = load(by_stub.narrowed(Comparison(("is_latest",), "exact", True)), _NEAR)
    found = heads or load(replace(by_stub, order=("-uid",)), _NEAR)
    if len({record.uid[:stem_length] for record in found}) > 1:
        return found
    current = statement.registry.branch_id

    def rank(record: Any) -> tuple[bool, bool, int]:
        # A family has one latest version per branch: the current branch first, then main, the trash last.
        return record.branch_id == current, record.branch_id == MAIN_BRANCH_ID, record.branch_id

    return sorted(found, key=rank, reverse=True)[:1]


def _uid_length(statement: Statement) -> int:
    type_: Any = statement.info.field("uid").column.type
    return int(type_.length) if isinstance(type_, String) and type_.length else 0
