"""Outputs of runs that cover several partitions: a dict by partition key, or pairs that are made one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from lamart_core import hashing
from lamart_core.errors import InvalidArgument
from lamart_dagster.errors import SeveralPartitions
from lamart_dagster.targets import Target

_FORM = "return a dict {partition key: object}, or an iterator of such pairs: dg.Output((key, make(key)) for key in …)"


def has_parts(obj: Any, targets: Sequence[Target], *, can_be_several: bool) -> bool:
    """Return whether an output is a dict, or an iterator, of partitions.

    Where a run covers one partition, but those of the asset can cover several, a dict with just that key is one.

    Args:
        obj: What the step returned.
        targets: What it is stored as.
        can_be_several: Whether one run of the asset can cover several partitions.
    """
    if len(targets) != 1:
        return True
    if not can_be_several or targets[0].partition is None:
        return False
    return isinstance(obj, Iterator) or (isinstance(obj, Mapping) and _keys(obj) == [targets[0].partition])


def parts_of(obj: Any, targets: Sequence[Target], asset: dg.AssetKey) -> Iterator[tuple[Target, Any]]:
    """Give each partition with its object, one after the other.

    The keys of a dict are checked before anything is given; those of an iterator as they come, so that no more than one
    object is in memory.

    Args:
        obj: What the step returned.
        targets: The partitions that the run covers.
        asset: The asset, for messages.

    Raises:
        SeveralPartitions: It is neither a dict nor an iterator.
        InvalidArgument: A partition is missing, is not one that the run covers, or comes twice.
    """
    by_key = {str(target.partition): target for target in targets}
    name = asset.to_user_string()
    if isinstance(obj, Mapping):
        _check(_keys(obj), by_key, name)
        yield from ((by_key[str(key)], value) for key, value in obj.items())
    elif isinstance(obj, Iterator):
        seen: list[str] = []
        for pair in obj:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise InvalidArgument(f"{name} gave {type(pair).__name__} where a pair (partition key, object) is due")
            key = str(pair[0])
            if key not in by_key or key in seen:
                _check([*seen, key], by_key, name, is_whole=False)
            seen.append(key)
            yield by_key[key], pair[1]
            del pair
        _check(seen, by_key, name)
    else:
        raise SeveralPartitions(
            f"this run covers {len(targets)} partitions of {name} ({_few(list(by_key))}), each of them an artifact of "
            f"its own, and {name} returned one {type(obj).__name__}: {_FORM}; or run one partition per run, that is, "
            "leave out BackfillPolicy.single_run()"
        )


def data_version(versions: Mapping[str, str]) -> str:
    """Return the data version of several partitions: it changes when that of any of them does.

    Example:
        >>> data_version({"a": "1", "b": "2"}) == data_version({"b": "2", "a": "1"})
        True
    """
    lines = "\n".join(f"{key}\t{version}" for key, version in sorted(versions.items()))
    return hashing.hash_bytes(lines.encode("utf-8", errors="surrogatepass")).value


def outcomes(made: Iterable[str]) -> str:
    """Return what storing many did, in words.

    Example:
        >>> outcomes(["created", "re-created", "created"])
        '2 created, 1 re-created'
    """
    return ", ".join(f"{number:,} {outcome}" for outcome, number in Counter(made).items())


def _keys(obj: Mapping[Any, Any]) -> list[str]:
    return [str(key) for key in obj]


def _check(given: Sequence[str], wanted: Mapping[str, Target], name: str, *, is_whole: bool = True) -> None:
    twice = [key for key, number in Counter(given).items() if number > 1]
    unknown = [key for key in given if key not in wanted]
    missing = [key for key in wanted if key not in given] if is_whole else []
    found = (("lacks", missing), ("has partitions that are not of this run:", unknown), ("repeats", twice))
    problems = [f"{words} {_few(keys)}" for words, keys in found if keys]
    if problems:
        raise InvalidArgument(f"what {name} returned for {len(wanted)} partitions {'; '.join(problems)}; {_FORM}")


def _few(keys: Sequence[str]) -> str:
    return ", ".join(map(repr, keys[:3])) + (", …" if len(keys) > 3 else "")
