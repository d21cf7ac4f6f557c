"""Universal ids: random base62 strings, and the counter that tells the versions of a family apart.

A versioned uid is a random stem that all versions share, followed by a counter of four base62 digits. The digits are
ordered `0-9 < A-Z < a-z`, which is the order of their bytes, so uids of one family sort like their versions.
"""

from __future__ import annotations

import os
import string

from lamart_core.errors import InvalidArgument

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
STEM_LENGTH = 16
VERSION_LENGTH = 4
UID_LENGTH = STEM_LENGTH + VERSION_LENGTH

_VALUES = {character: value for value, character in enumerate(ALPHABET)}
# Random bytes become digits; the last ones, which would make some digits likelier, are left out.
_FAIR = 256 - 256 % len(ALPHABET)
_DIGITS = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
_UNFAIR = bytes(range(_FAIR, 256))


def base62(length: int) -> str:
    """Return a random string of `length` base62 characters, from the operating system's secure source.

    Examples:
        >>> len(base62(12))
        12
    """
    characters = b""
    while len(characters) < length:
        characters += os.urandom(length + 8).translate(_DIGITS, _UNFAIR)
    return characters[:length].decode()


def digits(number: int, length: int) -> str:
    """Return the last digits of a number in base62.

    Examples:
        >>> digits(62, 4)
        '0010'
    """
    written = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        written = ALPHABET[digit] + written
    return written


def number(digits: str) -> int:
    """Return the number that base62 digits mean.

    Examples:
        >>> number("0010")
        62
    """
    value = 0
    for digit in digits:
        value = value * len(ALPHABET) + _VALUES[digit]
    return value


def new_stem() -> str:
    """Return the random stem of a new version family: 95 bits, so two never meet."""
    return base62(STEM_LENGTH)


def first_uid(stem: str) -> str:
    """Return the uid of the first version of a family.

    Args:
        stem: The random part that all versions of the family share.

    Raises:
        InvalidArgument: The stem is empty or not base62.

    Examples:
        >>> first_uid("9Kq3mZ0aBcDeFgHi")
        '9Kq3mZ0aBcDeFgHi0000'
    """
    _check_base62(stem, "stem")
    return stem + ALPHABET[0] * VERSION_LENGTH


def next_uid(highest_uid: str) -> str:
    """Return the uid that follows the highest one of a family.

    Args:
        highest_uid: Highest uid over the whole family, the trash and other branches included.

    Raises:
        InvalidArgument: The uid is malformed, or its family has used all 14,776,336 versions.

    Examples:
        >>> next_uid("9Kq3mZ0aBcDeFgHi000Z")
        '9Kq3mZ0aBcDeFgHi000a'
    """
    following = version_number(highest_uid) + 1
    if following >= len(ALPHABET) ** VERSION_LENGTH:
        raise InvalidArgument(
            f"the family of {highest_uid!r} has used all {len(ALPHABET) ** VERSION_LENGTH:,} version numbers; "
            "save the content under another key"
        )
    return stem_of(highest_uid) + digits(following, VERSION_LENGTH)


def version_number(uid: str) -> int:
    """Return the position of a version in its family, counted from 0.

    Raises:
        InvalidArgument: The uid is malformed.

    Examples:
        >>> version_number("9Kq3mZ0aBcDeFgHi0010")
        62
    """
    return number(_checked(uid)[-VERSION_LENGTH:])


def stem_of(uid: str) -> str:
    """Return the part of a uid that all versions of its family share.

    Raises:
        InvalidArgument: The uid is malformed.

    Examples:
        >>> stem_of("9Kq3mZ0aBcDeFgHi0001")
        '9Kq3mZ0aBcDeFgHi'
    """
    return _checked(uid)[:-VERSION_LENGTH]


def _checked(uid: str) -> str:
    if len(uid) <= VERSION_LENGTH:
        raise InvalidArgument(f"{uid!r} is no versioned uid: it must be a stem followed by {VERSION_LENGTH} characters")
    return _check_base62(uid, "uid")


def _check_base62(text: str, what: str) -> str:
    if not text or not _VALUES.keys() >= set(text):
        raise InvalidArgument(f"{text!r} is no {what}: it must consist of the characters 0-9, A-Z and a-z")
    return text
