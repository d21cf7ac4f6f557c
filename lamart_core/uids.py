"""Universal ids: random base62 stems with a version counter behind them."""

from __future__ import annotations

import secrets

from lamart_core import errors

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
STEM_LENGTH = 16
VERSION_LENGTH = 4
_VALUE = {character: value for value, character in enumerate(ALPHABET)}


def base62(length: int) -> str:
    """Return a random id of `length` characters from `0-9A-Za-z`, about 5.95 bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_stem() -> str:
    """Return the random stem of a new version family."""
    return base62(STEM_LENGTH)


def first_uid(stem: str) -> str:
    """Return the uid of the first version of a family."""
    return stem + ALPHABET[0] * VERSION_LENGTH


def stem_of(uid: str) -> str:
    """Return the part of a uid that all versions of a family share."""
    return uid[:-VERSION_LENGTH]


def version_number(uid: str) -> int:
    """Return the version counter of a uid as a number, 0 for the first version."""
    number = 0
    for character in uid[-VERSION_LENGTH:]:
        number = number * len(ALPHABET) + _VALUE[character]
    return number


def next_uid(highest_uid: str) -> str:
    """Return the uid that follows the highest one of a family.

    Raises:
        InvalidArgument: The family has used up its 62⁴ versions.
    """
    number = version_number(highest_uid) + 1
    if number >= len(ALPHABET) ** VERSION_LENGTH:
        raise errors.InvalidArgument(f"the family of {highest_uid} has no version numbers left; begin a new key")
    counter = ""
    for _ in range(VERSION_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        counter = ALPHABET[digit] + counter
    return stem_of(highest_uid) + counter
