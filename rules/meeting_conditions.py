"""Conditions on the meeting at hand: its title, who takes part and what they answered, how long, where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from config.nodes import Node
from rules.addresses import address_set
from rules.condition import HASHED, Condition, clip, listed
from rules.mail_conditions import Build
from rules.moments import parse_age
from rules.occasion import MeetingFacts
from rules.patterns import Searchable
from rules.reader import Reader, entries
from rules.text_conditions import TextSource, text_condition, written
from rules.text_match import folded
from rules.view import View

ANSWERS = ("accepted", "declined", "tentative", "nothing")
"""What somebody invited may have answered; "nothing" = not yet."""


def _text(part: Callable[[MeetingFacts], str]) -> Build:
    def given(view: View) -> str:
        return part(view.meeting) if view.meeting else ""

    source = TextSource(
        lambda view: (folded(given(view)),),
        lambda view: (Searchable(given(view)),),
        lambda view: f'"{given(view)}"' if view.meeting else "no meeting",
        indexed=False,
    )
    return lambda name, node, reader: text_condition(name, source, node, reader)


def _attendee(name: str, node: Node, reader: Reader) -> Condition | None:
    items = reader.items(node, f"`{name}`")
    some = any(item.wanted for item in items)
    wanted = address_set(reader.patterns(item for item in items if item.wanted))
    unwanted = address_set(reader.patterns(item for item in items if not item.wanted))

    def keys(view: View) -> list[str]:
        return [one.address.key for one in view.meeting.attendees] if view.meeting else []

    def holds(view: View) -> bool:
        found = keys(view)
        if some and not any(wanted.covers(key) for key in found):
            return False
        return view.meeting is not None and not any(unwanted.covers(key) for key in found)

    return Condition(
        name=name,
        wanted=written(node),
        holds=holds,
        seen=lambda view: clip(", ".join(keys(view))) or "nobody",
        cost=HASHED,
    )


def _answered(name: str, node: Node, reader: Reader) -> Condition | None:
    items = [(item.wanted, reader.item_choice(item, ANSWERS, f"`{name}`")) for item in reader.items(node, f"`{name}`")]
    said = listed(
        name,
        [word for wanted, word in items if wanted and word],
        [word for wanted, word in items if not wanted and word],
        lambda view, word: word in _answers(view),
        lambda view: ", ".join(_answers(view)) or "nobody is invited",
        written=written(node),
    )
    return replace(said, holds=lambda view: view.meeting is not None and said.holds(view))


def _answers(view: View) -> list[str]:
    return [one.answer or "nothing" for one in view.meeting.attendees] if view.meeting else []


def _length(name: str, node: Node, reader: Reader) -> Condition | None:
    mapping = reader.mapping(node, f"`{name}`", "{min: 15 minutes}")
    if mapping is None:
        return None
    limits: dict[str, timedelta] = {}
    for key, value in entries(mapping, reader, ("min", "max"), f"test of `{name}`"):
        scalar = reader.scalar(value, f"`{key.text}`")
        length = reader.parsed(scalar, parse_age, "E202") if scalar else None
        if length is not None:
            limits[key.text] = length
    least, most = limits.get("min", timedelta()), limits.get("max", timedelta.max)
    return Condition(
        name=name,
        wanted=written(node),
        holds=lambda view: view.meeting is not None and least <= view.meeting.length <= most,
        seen=lambda view: f"{view.meeting.length.total_seconds() / 60:.0f} minutes" if view.meeting else "no meeting",
    )


MEETING: dict[str, Build] = {
    "title": _text(lambda meeting: meeting.title),
    "attendee": _attendee,
    "answered": _answered,
    "length": _length,
    "place": _text(lambda meeting: meeting.place),
}
"""Conditions on the meeting by name."""
