"""Secrets out of what is written down: parameters and command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, cast

REDACTED = "***"

# Parts of names, written together and in lower case, whose values are never recorded.
_SECRET_PARTS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authorization",
    "connectionstring",
)
_SECRET_WORDS = {"token", "tokens", "pwd", "auth", "bearer", "cookie", "sig", "signature"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_USER_INFO = re.compile(r"(?<=://)([^/\s:@]*):([^/\s]*)@")
# name=value and "name": value inside of a text: a query string, a connection string, the repr of an object.
_ASSIGNED = re.compile(
    r"""(?P<name>[\w.-]{2,64})(?P<sign>["']?\s*[=:]\s*)(?!//)(?P<value>"[^"]*"|'[^']*'|[^\s,;&"'(){}\[\]]+)"""
)
_SHAPES = re.compile(
    r"""
    \b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b                    # AWS access key ids
    | \bgh[pousr]_[A-Za-z0-9]{36,}\b | \bgithub_pat_\w{20,}\b  # GitHub
    | \bxox[abeoprs]-[\w-]{10,}                                # Slack
    | \bsk-[\w-]{20,}                                          # OpenAI and those who took its form
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                        # JSON web tokens
    | \b[Bb]earer\s+[\w.~+/=-]{8,}
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?(?:-----END\ [A-Z ]*PRIVATE\ KEY-----|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
_FORTY = re.compile(r"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")


def is_secret_name(name: str) -> bool:
    """Return whether a value of this name should not be recorded.

    Example:
        >>> is_secret_name("DB_PASSWORD"), is_secret_name("apiKey"), is_secret_name("tokenizer")
        (True, True, False)
    """
    joined = re.sub(r"[^a-z0-9]", "", name.lower())
    if any(part in joined for part in _SECRET_PARTS) or joined.endswith("token"):
        return True
    return any(word.lower() in _SECRET_WORDS for word in _WORDS.findall(name))


def redacted(value: Any) -> Any:
    """Return JSON with secrets replaced: values of names that tell, and texts of a form that tells.

    Example:
        >>> redacted({"n": 5, "db": {"password": "x"}, "url": "postgresql://ann:x@host/lab"})
        {'n': 5, 'db': {'password': '***'}, 'url': 'postgresql://ann:***@host/lab'}
    """
    if isinstance(value, Mapping):
        members = cast("Mapping[Any, Any]", value)
        return {key: _of_name(str(key), member) for key, member in members.items()}
    if isinstance(value, list | tuple):
        return [redacted(member) for member in cast("Sequence[Any]", value)]
    return redacted_text(value) if isinstance(value, str) else value


def redacted_text(text: str) -> str:
    """Return a text without the secrets that its form gives away."""
    text = _SHAPES.sub(REDACTED, text)
    text = _USER_INFO.sub(rf"\1:{REDACTED}@", text)
    text = _FORTY.sub(_without_key, text)
    return _ASSIGNED.sub(_without_value, text)


def redacted_arguments(arguments: Sequence[str]) -> str:
    """Return a command line as one text, without the values of options such as `--password`.

    Example:
        >>> redacted_arguments(["--n", "5", "--token", "x", "--password=y"])
        "--n 5 --token '***' '--password=***'"
    """
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        is_option = argument.startswith("-")
        if hide_next and not is_option:
            shown.append(REDACTED)
        else:
            shown.append(redacted_text(argument))
        hide_next = is_option and "=" not in argument and is_secret_name(argument)
    return shlex.join(shown)


def _of_name(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool) or not is_secret_name(name):
        return redacted(value)
    # How many tokens there are is no secret: `max_tokens=512`.
    is_count = isinstance(value, int | float) and "token" in name.lower()
    return value if is_count else REDACTED


def _without_key(match: re.Match[str]) -> str:
    # A secret key of AWS is 40 characters of base64. A git hash has 40 characters too, but no capitals.
    kinds = (str.isupper, str.islower, str.isdigit)
    return REDACTED if all(any(map(kind, match[0])) for kind in kinds) else match[0]


def _without_value(match: re.Match[str]) -> str:
    if not is_secret_name(match["name"]) or match["value"] in ("None", "True", "False", REDACTED):
        return match[0]
    quote = match["value"][0] if match["value"][0] in "\"'" else ""
    return f"{match['name']}{match['sign']}{quote}{REDACTED}{quote}"
