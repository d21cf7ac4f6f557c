"""Parameters of what people really pass: values that can be queried, the same on every database."""

from __future__ import annotations

import argparse
import dataclasses
import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel
from upath import UPath

import lamart_core as ln
from lamart_core.db import Registry


class Method(enum.Enum):
    """A choice."""

    LEIDEN = "leiden"
    NESTED = ("a", 1)


class Level(enum.IntEnum):
    """A choice that is a number."""

    HIGH = 3


@dataclasses.dataclass
class Options:
    """What a function may take."""

    n: Any
    path: Path


class Model(BaseModel):
    """A model of pydantic."""

    resolution: float = 0.5
    method: Method = Method.LEIDEN


# Name → what is passed, and what is stored.
PARAMETERS: dict[str, tuple[Any, Any]] = {
    "np_int": (np.int64(2000), 2000),
    "np_uint": (np.uint64(2**64 - 1), str(2**64 - 1)),
    "np_float32": (np.float32(0.5), 0.5),
    "np_float64": (np.float64(0.1), 0.1),
    "np_float16": (np.float16(1.5), 1.5),
    "np_longdouble": (np.longdouble("0.5"), None),
    "np_nan": (np.float64("nan"), "nan"),
    "np_bool": (np.bool_(True), True),
    "np_str": (np.str_("x"), "x"),
    "np_bytes": (np.bytes_(b"x"), "<bytes of 1 bytes>"),
    "np_complex": (np.complex128(1 + 2j), "(1+2j)"),
    "zero_d": (np.array(3), 3),
    "zero_d_text": (np.array("abc"), "abc"),
    "zero_d_object": (np.array({"a": np.int8(1)}, dtype=object), {"a": 1}),
    "datetime64": (np.datetime64("2024-01-01"), "2024-01-01"),
    "datetime64_ns": (np.datetime64("2024-01-01T00:00:00.000000001"), "2024-01-01T00:00:00.000000001"),
    "timedelta64": (np.timedelta64(5, "D"), "5 days"),
    "np_nat": (np.datetime64("NaT"), None),
    "array": (np.arange(6).reshape(2, 3), "<ndarray (2, 3)>"),
    "timestamp": (pd.Timestamp("2024-01-01", tz="UTC"), "2024-01-01T00:00:00+00:00"),
    "timedelta": (pd.Timedelta(hours=1), "0 days 01:00:00"),
    "nat": (pd.NaT, None),
    "na": (pd.NA, None),
    "series_item": (pd.Series([1, 2], dtype="Int64")[0], 1),
    "category": (pd.Categorical(["a", "b"])[0], "a"),
    "decimal": (Decimal("1.5"), 1.5),
    "decimal_exact": (Decimal("0.1000000000000000000000000001"), "0.1000000000000000000000000001"),
    "fraction": (Fraction(1, 3), "Fraction(1, 3)"),
    "big": (2**70, str(2**70)),
    "large": (2**63 - 1, 2**63 - 1),
    "enum": (Method.LEIDEN, "leiden"),
    "enum_nested": (Method.NESTED, ["a", 1]),
    "int_enum": (Level.HIGH, 3),
    "path": (Path("a/b.csv"), "a/b.csv"),
    "upath": (UPath("s3://bucket/a.csv"), "s3://bucket/a.csv"),
    "uuid": (UUID(int=5), str(UUID(int=5))),
    "date": (date(2024, 1, 2), "2024-01-02"),
    "datetime": (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
    "dataclass": (Options(np.int8(4), Path("x")), {"n": 4, "path": "x"}),
    "pydantic": (Model(), {"resolution": 0.5, "method": "leiden"}),
    "namespace": (argparse.Namespace(n=np.int16(2)), {"n": 2}),
    "nested": ({"a": [np.int64(1), (np.float64(0.5), {np.str_("k"): pd.NA})]}, {"a": [1, [0.5, {"k": None}]]}),
}
UNSTABLE = {"np_longdouble", "array"}


@pytest.mark.req("R278", "R309")
@pytest.mark.parametrize("way", ["track", "flow"])
def test_parameters_are_values(registry: Registry, way: str) -> None:
    given = {name: value for name, (value, _) in PARAMETERS.items()}
    if way == "track":
        run = ln.track("code.py", params=given)
        ln.finish()
    else:

        @ln.flow("code")
        def called(**parameters: Any) -> None:
            pass

        called(**given)
        run = ln.Run.get(transform__key="code", params__isnull=False)
    stored = run.refresh().params
    assert stored is not None
    stored = stored if way == "track" else stored["parameters"]
    for name, (_, wanted) in PARAMETERS.items():
        if name not in UNSTABLE:
            assert stored[name] == wanted, name
            assert type(stored[name]) is type(wanted), name
    keys = "params" if way == "track" else "params__parameters"
    for name, wanted in (
        ("np_int", 2000),
        ("np_float64", 0.1),
        ("enum", "leiden"),
        ("dataclass__n", 4),
        ("big", str(2**70)),
    ):
        assert ln.Run.filter(**{f"{keys}__{name}": wanted}).one() == run, name
    assert ln.Run.filter(**{f"{keys}__np_int__gt": 1999}).count() == 1
    # What was stored can be changed and saved again.
    run.params["more"] = 1
    assert run.save().refresh().params["more"] == 1  # type: ignore[index]


@pytest.mark.req("R309")
def test_calls_with_other_values_can_be_told_apart(sqlite_registry: Registry) -> None:
    @ln.flow("f")
    def called(n: Any) -> None:
        pass

    for number in (np.int64(7), np.int64(8)):
        called(number)
    assert [run.params for run in ln.Run.filter(transform__key="f").order_by("id")] == [{"n": 7}, {"n": 8}]
