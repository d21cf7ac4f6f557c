"""Find one record, and say well what is wrong where there is none or are several."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import String

from lamart_core import errors
from lamart_core.query.language.expressions import And, Comparison, conjunction, describe
from lamart_core.query.language.model import ModelInfo
from lamart_core.query.sql.scope import MAIN_BRANCH_ID
from lamart_core.query.sql.statement import Statement
from lamart_core.uids import VERSION_LENGTH

# How many records are looked at for the latest one.
_NEAR = 50


def load(statement: Statement, limit: int) -> list[Any]:
    """Return at most `limit` records, in no particular order unless the statement has one."""
    statement = replace(statement, limit=limit if statement.limit is None else min(limit, statement.limit))
    with statement.registry.read() as session:
        records = list(session.scalars(statement.select(statement.info.model, ordered=bool(statement.order))))
    for record in records:
        record.__dict__["_registry"] = statement.registry
    return records


def get(statement: Statement, idlike: int | str | None, expressions: dict[str, Any]) -> Any:
    """Return the record that is meant: the only one that matches.

    Of records with versions, whatever finds them, the latest one is meant of the versions of one family that match:
    that of the current branch first, then that of main, then the newest of the others. An id and a whole uid name one
    version, and `version` the one that is called so, by its tag or by its number.

    Args:
        statement: What is asked so far.
        idlike: An id, a uid, the beginning of a uid, or None.
        expressions: Fields and values, as for `filter`.

    Raises:
        ObjectDoesNotExist: There is none.
        MultipleObjectsReturned: There are several.
        InvalidArgument: `idlike` is neither an integer nor text.
        FieldError: A field, relation or lookup does not exist.
    """
    info, version = statement.info, expressions.get("version")
    asked = _with_idlike(statement, idlike)
    matching = asked.narrowed(conjunction((), expressions)) if expressions else asked
    is_versioned = "is_latest" in info.fields
    has_stub = isinstance(idlike, str) and len(idlike) < _uid_length(info)
    stem_length = _uid_length(info) - VERSION_LENGTH if is_versioned else 0
    # More characters than the stem has say something of the version.
    names_version = isinstance(idlike, int) or (isinstance(idlike, str) and len(idlike) > stem_length)
    if is_versioned and version is None and not names_version and expressions.keys().isdisjoint(("id", "uid")):
        found = _latest(matching, stem_length)
    else:
        found = load(matching, 2)
    if not found and isinstance(version, str) and len(version) == VERSION_LENGTH and "version" in info.virtuals:
        by_number = {name: value for name, value in expressions.items() if name != "version"}
        found = load(asked.narrowed(conjunction((), by_number | {"uid__endswith": version})), 2)
    whole = [record for record in found if has_stub and record.uid == idlike]
    return _only(matching, whole or found, idlike if isinstance(idlike, str) else None)


def get_one(statement: Statement) -> Any:
    """Return the only record.

    Raises:
        ObjectDoesNotExist: There is none.
        MultipleObjectsReturned: There are several.
    """
    return _only(statement, load(statement, 2), None)


def _only(statement: Statement, found: list[Any], stub: str | None) -> Any:
    if len(found) == 1:
        return found[0]
    raise several(statement, stub) if found else none(statement, stub)


def _with_idlike(statement: Statement, idlike: int | str | None) -> Statement:
    if idlike is None:
        return statement
    if isinstance(idlike, int) and not isinstance(idlike, bool):
        return statement.narrowed(Comparison(("id",), "exact", idlike))
    if not isinstance(idlike, str) or not idlike:
        raise errors.InvalidArgument(f"a record is found by its id or uid, got {idlike!r}")
    is_whole = len(idlike) >= _uid_length(statement.info)
    return statement.narrowed(Comparison(("uid",), "exact" if is_whole else "startswith", idlike))


def _latest(statement: Statement, stem_length: int) -> list[Any]:
    """Return the latest of the versions that match; some of each family, where they are of several."""
    heads = load(statement.narrowed(Comparison(("is_latest",), "exact", True)), _NEAR)
    found = heads or load(replace(statement, order=("-uid",)), _NEAR)
    if len({getattr(record, "_family", record.uid[:stem_length]) for record in found}) > 1:
        return found
    current = statement.registry.branch_id

    def rank(record: Any) -> tuple[bool, bool, int, str]:
        # A family has one latest version per branch. The archive and the trash come last.
        branch: int = record.branch_id
        return branch == current, branch == MAIN_BRANCH_ID, min(branch, MAIN_BRANCH_ID), record.uid

    return [max(found, key=rank)] if found else []


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
    return errors.MultipleObjectsReturned(
        f"more than one {name} matches {describe(And(statement.filters))}; narrow the query, or use filter()"
    )


def _uid_length(info: ModelInfo) -> int:
    type_: Any = info.field("uid").column.type
    return int(type_.length) if isinstance(type_, String) and type_.length else 0
