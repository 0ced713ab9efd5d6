"""Hashes of mails in Graph's saved position: a set, whatever is done to it, and a text that stays readable."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.graph.hashes import Hashes, hash_of

SMALL = st.integers(min_value=0, max_value=40)
WIDE = st.integers(min_value=0, max_value=(1 << 64) - 1)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "discard"]), SMALL | WIDE))


@given(STEPS)
def test_it_holds_what_a_set_would_hold(steps: list[tuple[str, int]]) -> None:
    hashes, model = Hashes(), set[int]()
    for name, one in steps:
        getattr(hashes, name)(one)
        getattr(model, name)(one)
    assert len(hashes) == len(model)
    assert all(one in hashes for one in model)
    assert all((one in hashes) == (one in model) for one in range(41))
    assert hashes == Hashes(model)


@given(st.sets(SMALL), st.sets(SMALL))
def test_keeping_is_the_intersection(ours: set[int], theirs: set[int]) -> None:
    hashes = Hashes(ours)
    hashes.keep(Hashes(theirs))
    assert hashes == Hashes(ours & theirs)


@given(st.sets(WIDE))
def test_the_text_gives_the_same_set_and_equal_sets_give_equal_texts(ours: set[int]) -> None:
    text = Hashes(ours).pack()
    assert Hashes.unpack(text) == Hashes(ours)
    assert text == Hashes(sorted(ours, reverse=True)).pack()


def test_positions_of_earlier_versions_can_be_read() -> None:
    """They were the hashes' bytes in order, in base64."""
    refs = [f"AAkALgAA{number}" for number in range(50)]
    old = sorted(hashlib.blake2b(ref.encode(), digest_size=8).digest() for ref in refs)
    text = base64.b64encode(b"".join(old)).decode()
    assert Hashes.unpack(text) == Hashes(map(hash_of, refs))
    assert Hashes(map(hash_of, refs)).pack() == text


@pytest.mark.parametrize("text", ["AAA", "AAAA", "!!!!", base64.b64encode(b"\1" * 16).decode()])
def test_what_is_no_such_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Hashes.unpack(text)


def test_a_mail_costs_eight_bytes() -> None:
    hashes = Hashes(range(10_000))
    assert len(base64.b64decode(hashes.pack())) == 80_000
    assert hashes._sorted.itemsize == 8
