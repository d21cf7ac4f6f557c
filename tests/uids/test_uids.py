from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamart_core import errors, uids

STEM = "9Kq3mZ0aBcDeFgHi"


@pytest.mark.req("R43", "R44")
def test_a_uid_is_a_random_stem_and_a_counter() -> None:
    stem = uids.new_stem()
    uid = uids.first_uid(stem)
    assert len(uid) == uids.UID_LENGTH == 20
    assert uid == stem + "0000"
    assert set(uid) <= set(uids.ALPHABET)
    assert uids.stem_of(uid) == stem


@pytest.mark.req("R43")
@pytest.mark.parametrize(
    ("counter", "following"),
    [("0000", "0001"), ("0009", "000A"), ("000Z", "000a"), ("000z", "0010"), ("0zzz", "1000"), ("zzzy", "zzzz")],
)
def test_the_counter_runs_through_digits_upper_and_lower_case(counter: str, following: str) -> None:
    assert uids.next_uid(STEM + counter) == STEM + following


@pytest.mark.req("R43")
@given(st.integers(min_value=0, max_value=62**4 - 2))
def test_uids_sort_like_their_version_numbers(number: int) -> None:
    digits = ""
    rest = number
    for _ in range(uids.VERSION_LENGTH):
        rest, digit = divmod(rest, 62)
        digits = uids.ALPHABET[digit] + digits
    uid = STEM + digits
    following = uids.next_uid(uid)
    assert uids.version_number(uid) == number
    assert uids.version_number(following) == number + 1
    assert following.encode() > uid.encode()
    assert uids.stem_of(following) == STEM


def test_a_family_that_used_all_versions_is_an_error() -> None:
    with pytest.raises(errors.InvalidArgument, match="14,776,336"):
        uids.next_uid(STEM + "zzzz")


@pytest.mark.parametrize("uid", ["", "0000", "abc", STEM + "00-0", STEM + "00é0", "a b" + "0000"])
def test_what_is_no_uid_is_refused(uid: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        uids.next_uid(uid)


@pytest.mark.parametrize("stem", ["", "a/b"])
def test_what_is_no_stem_is_refused(stem: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        uids.first_uid(stem)


@pytest.mark.req("R44")
def test_forked_processes_draw_different_ids() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, uids.new_stem().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() != uids.new_stem()
    os.close(reader)
    os.close(writer)


def test_many_ids_are_all_different() -> None:
    assert len({uids.base62(12) for _ in range(2000)}) == 2000
