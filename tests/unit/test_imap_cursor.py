"""The saved position survives being saved, and keeps a few marks spread over age."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import CursorExpired
from connectors.imap.cursor import Mark, Place, Position
from connectors.model import Cursor

NUMBER = st.integers(0, 2**40)
PLACES = st.dictionaries(
    st.text(max_size=20), st.builds(Place, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER, NUMBER), max_size=5
)
MARKS = st.lists(st.builds(Mark, st.text(max_size=9), NUMBER, NUMBER, NUMBER), max_size=30)


@given(PLACES, MARKS, st.text(max_size=30))
def test_a_position_survives_saving(places: dict[str, Place], marks: list[Mark], identity: str) -> None:
    position = Position(places, marks, identity)
    again = Position.load(position.save(), "imap")
    assert again == position
    assert again.save() == position.save()


@given(MARKS, MARKS)
def test_few_marks_are_kept_and_the_oldest_and_newest_among_them(first: list[Mark], second: list[Mark]) -> None:
    position = Position()
    position.remember(first)
    position.remember(second)
    assert len(position.marks) <= 8
    everything = [*first, *second]
    if everything:
        ages = [mark.at for mark in everything]
        assert (position.marks[0].at, position.marks[-1].at) == (min(ages), max(ages))


@given(st.text(max_size=60))
def test_any_other_text_has_expired(text: str) -> None:
    with pytest.raises(CursorExpired):
        Position.load(Cursor(text), "imap")
