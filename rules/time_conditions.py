"""Conditions on the time of arrival, by the office's clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from config.nodes import Node, Scalar
from rules.clock import parse_clock_range, parse_weekdays
from rules.condition import SLOW, Condition, listed
from rules.mail_conditions import Build
from rules.moments import parse_date_range
from rules.reader import Item, Reader
from rules.text_conditions import written
from rules.view import View

_WORDS = ("business_hours", "outside_hours")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
Ask = Callable[[View], bool]


def _asked(
    name: str, node: Node, reader: Reader, read: Callable[[Item], Ask | None], seen: Callable[[View], str]
) -> Condition:
    asks = [(item.wanted, read(item)) for item in reader.items(node, f"`{name}`")]
    return listed(
        name,
        [ask for wanted, ask in asks if wanted and ask],
        [ask for wanted, ask in asks if not wanted and ask],
        lambda view, ask: ask(view),
        seen,
        written=written(node),
        cost=SLOW,
    )


def _time(name: str, node: Node, reader: Reader) -> Condition | None:
    def read(item: Item) -> Ask | None:
        if item.text == "business_hours":
            return lambda view: view.is_open
        if item.text == "outside_hours":
            return lambda view: not view.is_open
        scalar = Scalar(item.text, item.place)
        if item.text[:1].isalpha():
            reader.choice(scalar, _WORDS, "`time`")
            return None
        span = reader.parsed(scalar, parse_clock_range, "E203")
        return None if span is None else lambda view: span.holds(view.at, view.office.zone)

    return _asked(name, node, reader, read, lambda view: f"{view.at.astimezone(view.office.zone):%H:%M}")


def _day(name: str, node: Node, reader: Reader) -> Condition | None:
    def read(item: Item) -> Ask | None:
        days = reader.parsed(Scalar(item.text, item.place), parse_weekdays, "E203")
        return None if days is None else lambda view: _date_of(view).weekday() in days

    return _asked(name, node, reader, read, lambda view: _DAYS[_date_of(view).weekday()])


def _date(name: str, node: Node, reader: Reader) -> Condition | None:
    def read(item: Item) -> Ask | None:
        days = reader.parsed(Scalar(item.text, item.place), parse_date_range, "E203")
        return None if days is None else lambda view: days.holds(_date_of(view))

    return _asked(name, node, reader, read, lambda view: _date_of(view).isoformat())


def _holiday(name: str, node: Node, reader: Reader) -> Condition | None:
    wanted = reader.yes_no(node, "`holiday`")
    return Condition(
        name=name,
        wanted=written(node),
        holds=lambda view: view.office.hours.is_holiday(_date_of(view)) is wanted,
        seen=lambda view: "yes" if view.office.hours.is_holiday(_date_of(view)) else "no",
    )


def _date_of(view: View) -> date:
    return view.at.astimezone(view.office.zone).date()


TIME: dict[str, Build] = {"time": _time, "day": _day, "date": _date, "holiday": _holiday}
"""Conditions on the time by name."""
