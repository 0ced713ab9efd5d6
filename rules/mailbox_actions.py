"""`category`, `uncategory`, `flag` and `move`: what is done to the mail itself, in the mailbox where it was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from config.nodes import ListNode, Node, Scalar
from rules.clock import GrammarError
from rules.effect import Effect, Plan
from rules.hours import OfficeHours
from rules.moments import At, Delay, parse_at, parse_delay
from rules.reader import Reader
from rules.texts import TextLine, text_line

Build = Callable[[Node, Reader], list[Effect]]
_BETWEEN = re.compile(r"/(?![^{}]*\}\})")
"""What separates a folder from the one in it, but not a stroke inside {{ ... }}."""
_LONGEST = 100
_DAY_HELP = 'write for example "today", "3 days", "2 business days", "friday" or "2026-12-24"'


def categories(verb: str) -> Build:
    """`category: "CRM: lead"`, or a list of them. The same name put on and taken away by two rules: the first wins."""

    def build(node: Node, reader: Reader) -> list[Effect]:
        nodes = node.items if isinstance(node, ListNode) else (node,)
        lines = [line for item in nodes if (line := text_line(item, f"`{verb}`", reader))]
        return [_category(verb, line) for line in lines]

    return build


def _category(verb: str, line: TextLine) -> Effect:
    def build(plan: Plan) -> Mapping[str, Any] | None:
        name = " ".join(plan.line(line.source).split())
        return {"category": name} if name else None

    slot = f"category:{' '.join(line.source.split()).casefold()}"
    return Effect(slot=slot, verb=verb, shown=f"{verb}: {line.source}", build=build, additive=True)


@dataclass(frozen=True, slots=True)
class Day:
    """A day counted from the mail's arrival, by the office's calendar. `when` None = that day."""

    when: Delay | At | None = None

    def after(self, start: datetime, hours: OfficeHours) -> date:
        """The day meant."""
        at = start if self.when is None else self.when.after(start, hours)
        return at.astimezone(hours.zone).date()


def parse_day(text: str) -> Day:
    """ "today", "tomorrow", "3 days", "2 business days", "friday", "2026-12-24". Raises GrammarError."""
    word = " ".join(text.lower().split())
    if word == "today":
        return Day()
    for parse in (parse_delay, parse_at):
        try:
            when: Delay | At = parse(word)
        except GrammarError:
            continue
        clock = isinstance(when, At) and when.minute is not None
        if not clock and not (isinstance(when, Delay) and when.unit in ("minute", "hour")):
            return Day(when)
    raise GrammarError(f'"{text}" is not a day', hint=_DAY_HELP)


def flag(node: Node, reader: Reader) -> list[Effect]:
    """`flag: today`: to be followed up by that day."""
    scalar = reader.scalar(node, "`flag`")
    day = reader.parsed(scalar, parse_day, "E203") if scalar else None
    if scalar is None or day is None:
        return []

    def build(plan: Plan) -> Mapping[str, Any]:
        return {"day": day.after(plan.start, plan.view.office.hours)}

    return [Effect(slot="flag", verb="flag", shown=f"flag: {scalar.text}", build=build, additive=True)]


def move(node: Node, reader: Reader) -> list[Effect]:
    """`move: CRM/Pedidos`: into that folder, made if it is not there."""
    line = text_line(node, "`move`", reader)
    if line is None or not isinstance(node, Scalar):
        return []
    levels = _BETWEEN.split(line.source.strip())
    if any(not level.strip() or len(level) > _LONGEST or not level.isprintable() for level in levels):
        help = "write the names of the folders with / between them, for example CRM/Orders"
        reader.report("E212", f'"{line.source}" cannot be a folder', node.place, help)
        return []

    def build(plan: Plan) -> Mapping[str, Any] | None:
        names = [_level(plan.line(level)) for level in levels]
        return {"folder": "/".join(names)} if all(names) else None

    return [Effect(slot="move", verb="move", shown=f"move: {line.source}", build=build)]


def _level(text: str) -> str:
    """One level of a folder's name: what a customer is called makes no folder below another one."""
    tidy = "".join(char if char.isprintable() else " " for char in text.replace("/", "-").replace("\\", "-"))
    return " ".join(tidy.split())[:_LONGEST].strip()
