"""No secret reaches the database: neither by its name nor by its form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

import lamart_core as ln
from lamart_core.db import Registry
from lamart_core.lineage.params import MAX_TEXT, json_params
from lamart_core.lineage.redact import is_secret_name, redacted, redacted_arguments, redacted_text

SECRET = "hunter2hunter2"
AWS_ID = "AKIAIOSFODNN7EXAMPLE"
AWS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.req("R278")
@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "dbPassword", "passwd", "passphrase", "pwd", "token", "api_token", "accessToken"),
        *("authtoken", "secret", "client-secret", "AWS_SECRET_ACCESS_KEY", "aws_access_key_id", "api_key", "apiKey"),
        *("APIKEY", "private_key", "credentials", "Authorization", "auth", "connection_string", "hf_token"),
    ],
)
def test_names_that_tell(name: str) -> None:
    assert is_secret_name(name)
    assert json_params({"a": [{name: SECRET}]}) == {"a": [{name: "***"}]}
    assert json_params({name: {"user": "ann", "value": [SECRET]}}) == {name: "***"}
    assert SECRET not in redacted_arguments([f"--{name}", SECRET, f"--{name}={SECRET}"])
    assert SECRET not in redacted_text(f"Client({name}='{SECRET}', n=1) {{'{name}': '{SECRET}'}} x?{name}={SECRET}")


@pytest.mark.req("R278")
@pytest.mark.parametrize("name", ["tokenizer", "author", "design", "key", "keys", "n_cells", "passes", "compass"])
def test_names_that_only_look_like_it(name: str) -> None:
    assert json_params({name: "value"}) == {name: "value"}


@pytest.mark.req("R278")
def test_numbers_of_tokens_are_no_secret() -> None:
    assert json_params({"max_tokens": 512, "token": None, "use_auth": True, "password": 1234}) == {
        "max_tokens": 512,
        "token": None,
        "use_auth": True,
        "password": "***",
    }


@pytest.mark.req("R278")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"postgresql://ann:{SECRET}@host:5432/lab", "postgresql://ann:***@host:5432/lab"),
        (f"https://:{SECRET}@host/a and s3://b/c", "https://:***@host/a and s3://b/c"),
        ("https://ann:p@ss:w0rd@host/a", "https://ann:***@host/a"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        (f"id {AWS_ID}.", "id ***."),
        (AWS_KEY, "***"),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (
            "https://b.s3.amazonaws.com/k?X-Amz-Signature=ab12&x=1",
            "https://b.s3.amazonaws.com/k?X-Amz-Signature=***&x=1",
        ),
        ("ghp_" + "a1B2" * 9, "***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN", "***"),
        ("Bearer abcdef0123456789", "***"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "***"),
        ("host=h password=x1 dbname=d", "host=h password=*** dbname=d"),
    ],
)
def test_values_that_tell(text: str, shown: str) -> None:
    assert redacted_text(text) == shown
    assert redacted({"a": (text,)}) == {"a": [shown]}
    assert json_params({"a": {"b": [text]}}) == {"a": {"b": [shown]}}


@pytest.mark.req("R278")
def test_command_lines() -> None:
    arguments = ["run", "--password", SECRET, "--verbose", f"--token={SECRET}", f"pg://a:{SECRET}@h", "-n", "3", "a b"]
    line = redacted_arguments(arguments)
    assert line == "run --password '***' --verbose '--token=***' 'pg://a:***@h' -n 3 'a b'"
    assert redacted_arguments(["--password", "--next", "x"]) == "--password --next x"


@dataclass
class Config:
    host: str
    password: str


class Opaque:
    def __repr__(self) -> str:
        return f"Opaque(token='{SECRET}', n=3)"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.req("R278")
def test_any_value_becomes_short_json(registry: Registry) -> None:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    values = {
        "config": Config("h", SECRET),
        "opaque": Opaque(),
        "broken": Broken(),
        "path": Path("a/b.csv"),
        "day": date(2026, 1, 2),
        "nan": float("nan"),
        "huge": 10**400,
        "long": "x" * 10**6,
        "many": list(range(10**5)),
        "table": pd.DataFrame({"password": [SECRET] * 3}),
        "bytes": b"x" * 100,
        "function": len,
        "cyclic": cyclic,
        "nul": "a\0b",
        "half": "\ud800",
        "set": frozenset({1}),
        "odd": {1: "a", (2, 3): "b", "\0": "c"},
        # The end of the secret lies behind the cut.
        "edge": "x" * (MAX_TEXT - 25) + f" https://ann:{SECRET}@host",
    }
    run = ln.track("values", params=values)
    ln.finish()
    with registry.read() as session:
        params = session.scalars(select(ln.Run.params).where(ln.Run.id == run.id)).one()
    text = json.dumps(params, allow_nan=False)
    assert SECRET not in text
    assert "hunter2" not in text
    assert len(text) < 20_000
    assert params["config"] == {"host": "h", "password": "***"}
    assert params["opaque"] == "Opaque(token='***', n=3)"
    assert (params["broken"], params["path"], params["day"], params["nan"]) == (
        "<Broken>",
        "a/b.csv",
        "2026-01-02",
        "nan",
    )
    assert params["table"] == "<DataFrame (3, 1)>"
    assert params["bytes"] == "<bytes of 100 bytes>"
    assert len(params["long"]) == MAX_TEXT
    assert len(params["many"]) == 101
    assert params["odd"]["1"] == "a"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
@pytest.mark.req("R278")
def test_parameters_are_always_json(value: Any) -> None:
    made = json_params({"value": value})
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert "\0" not in json.dumps(made, ensure_ascii=False)
