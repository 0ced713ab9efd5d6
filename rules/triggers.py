"""`when:` of a rule, read into triggers: what it waits for. Pure; whether one came true is asked in rules.coming.

A trigger is written as words ("meeting missed") or as one pair ({customer silent: 21 days}).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from config.nodes import ListNode, MapNode, Node, Scalar
from config.values import NAME
from rules.clock import WEEKDAYS, GrammarError, parse_clock, parse_weekdays
from rules.decision import Direction
from rules.moments import Delay, parse_age, parse_delay
from rules.reader import Reader
from rules.text_match import fold_text

MAIL = {"mail arrives": Direction.IN, "mail sent": Direction.OUT}
FAILED, UNSUBSCRIBED = "delivery failed", "contact unsubscribed"
EVENTS = (FAILED, UNSUBSCRIBED)
"""What a mail may mean beside having come, see rules.events."""
MARKS = ("mail filed", "mail tagged", "mail flagged", "mail unflagged")
"""What a person does to a mail in the mailbox; the occasion carries the mail."""
BOOKED, MOVED, CALLED_OFF, ANSWERED = "meeting booked", "meeting moved", "meeting cancelled", "meeting answered"
MISSED = "meeting missed"
MEETINGS = (BOOKED, MOVED, CALLED_OFF, ANSWERED, MISSED)
SILENT, DATE, CLOCK, CHANGED = "customer silent", "date comes", "clock", "record changed"
SOON, HELD = "meeting soon", "meeting held"
PLAIN = (*MAIL, *EVENTS, *MARKS, *MEETINGS)
"""Triggers that are words alone."""
EXAMPLES: Mapping[str, str] = {
    SILENT: "21 days",
    DATE: "30 days before renewal_date",
    CLOCK: "mon-fri 08:00",
    CHANGED: "stage",
    SOON: "1 day before",
    HELD: "1 hour after",
}
"""Triggers that are a pair, with an example of its second half."""
OF_A_MAIL = frozenset((*MAIL, *EVENTS, *MARKS))
OF_A_MEETING = frozenset((*MEETINGS, SOON, HELD))

YEARLY = re.compile("birthday|birth|anivers|annivers|nascimento|nacimiento|cumple|geburt|jubil|рожден|годовщин|юбиле")
"""Part of the name of a field whose date comes every year."""
_COMES = re.compile(r"(?:on|(\S.*?)\s+(before|after))\s+(\S+?)(\s+every\s+year)?", re.IGNORECASE)
_ZERO = re.compile(r"0\s+days?", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(.*\S)\s+)?(\S+)")
OWN_FIELDS = ("name", "stage", "segment", "owner", "language", "country", "zone", "source", "tag")
"""What `record changed` may name beside the free fields of a customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One thing a rule waits for.

    word    "mail arrives", "customer silent", "date comes" ...
    words   the whole of it, the same for all that mean the same ("date comes: 30 days before renewal_date"): what an
            Occasion of it carries
    length  how long silent, before, after; `count` 0 = on the day itself
    before  the length is counted back from the date or meeting
    field   of the customer, or "contact.FIELD" of the contact
    yearly  the date comes again every year
    days    weekdays on which the clock strikes, Monday = 0; `minute` from midnight
    """

    word: str
    words: str
    length: Delay | None = None
    before: bool = False
    field: str = ""
    yearly: bool = False
    days: tuple[int, ...] = ()
    minute: int = 0

    @property
    def of_a_mail(self) -> bool:
        """Whether a mail is at hand when it comes true."""
        return self.word in OF_A_MAIL

    @property
    def of_a_meeting(self) -> bool:
        """Whether a meeting is at hand when it comes true."""
        return self.word in OF_A_MEETING

    @property
    def of_a_contact(self) -> bool:
        """Whether it is about a field of a contact."""
        return self.field.startswith("contact.")

    @property
    def key(self) -> str:
        """The field without its owner."""
        return self.field.removeprefix("contact.")


def is_event(text: str) -> bool:
    """Whether a text begins like the words of a trigger that brings no mail."""
    return " ".join(text.lower().split()).partition(":")[0] in {*MEETINGS, *EXAMPLES}


def read_when(node: Node, reader: Reader) -> tuple[Trigger, ...]:
    """The triggers of a `when`, in the order written; faults go to the reader. A list means any of them."""
    nodes = node.items if isinstance(node, ListNode) else (node,)
    if not nodes:
        reader.report("E106", "`when` has no value", node.place, "write: mail arrives")
    found = (read_trigger(item, reader) for item in nodes)
    return tuple(dict.fromkeys(one for one in found if one))


def read_trigger(node: Node, reader: Reader) -> Trigger | None:
    """One trigger; faults go to the reader."""
    if isinstance(node, MapNode):
        return _pair(node, reader)
    scalar = reader.scalar(node, "`when`")
    if scalar is None:
        return None
    word = " ".join(scalar.text.lower().split())
    if word in EXAMPLES:
        help = f"write: when: {{{word}: {EXAMPLES[word]}}}"
        reader.report("E104", f'`when`: "{word}" needs to say more', scalar.place, help)
        return None
    found = reader.choice(Scalar(word, scalar.place), (*PLAIN, *EXAMPLES), "`when`")
    return Trigger(word=found, words=found) if found else None


def _pair(node: MapNode, reader: Reader) -> Trigger | None:
    if len(node.entries) != 1:
        help = "write a list: when: [{customer silent: 21 days}, {clock: mon 08:00}]"
        reader.report("E105", "each `when` in braces is one pair", node.place, help)
        return None
    key, value = node.entries[0]
    word = " ".join(key.text.lower().split())
    if word in PLAIN:
        reader.report("E105", f'"{word}" stands alone', key.place, f"write: when: {word}")
        return None
    if word not in EXAMPLES:
        reader.unknown("`when`", Scalar(word, key.place), EXAMPLES)
        return None
    scalar = reader.scalar(value, f"`{word}`")
    return reader.parsed(scalar, _PAIRS[word], "E203") if scalar else None


def _silent(text: str) -> Trigger:
    parse_age(text)
    length = parse_delay(text)
    return Trigger(word=SILENT, words=f"{SILENT}: {shown(length)}", length=length)


def _date_comes(text: str) -> Trigger:
    found = _COMES.fullmatch(" ".join(text.split()))
    field = found[3].removeprefix("customer.") if found else ""
    if not found or not NAME.fullmatch(field.removeprefix("contact.")):
        hint = 'write for example "30 days before renewal_date" or "0 days before contact.birthday"'
        raise GrammarError(f'"{text}" does not say how long before or after which field', hint=hint)
    length = Delay(0, "day") if found[1] is None or _ZERO.fullmatch(found[1]) else _whole_days(found[1])
    before = length.count == 0 or found[2].lower() == "before"
    yearly = bool(found[4]) or YEARLY.search(fold_text(field)) is not None
    said = f"{shown(length)} {'before' if before else 'after'} {field}{' every year' if found[4] else ''}"
    return Trigger(word=DATE, words=f"{DATE}: {said}", length=length, before=before, field=field, yearly=yearly)


def _whole_days(text: str) -> Delay:
    length = parse_delay(text)
    if length.unit in ("minute", "hour"):
        raise GrammarError(f'"{text}": a date is a whole day', hint='write for example "1 day" or "2 business days"')
    return length


def _clock(text: str) -> Trigger:
    found = _CLOCK.fullmatch(" ".join(text.split()))
    assert found is not None, "the reader gives no empty text"
    minute = parse_clock(found[2])
    days = parse_weekdays(found[1]) if found[1] else tuple(range(7))
    words = f"{CLOCK}: {_named(days)} {minute // 60:02}:{minute % 60:02}"
    return Trigger(word=CLOCK, words=words, days=days, minute=minute)


def _named(days: tuple[int, ...]) -> str:
    """ "mon-fri" for days in a row, else each of them."""
    if len(days) > 2 and days == tuple(range(days[0], days[-1] + 1)):
        return f"{WEEKDAYS[days[0]]}-{WEEKDAYS[days[-1]]}"
    return ", ".join(WEEKDAYS[day] for day in days)


def _changed(text: str) -> Trigger:
    field = text.strip().removeprefix("customer.")
    field = "tag" if field == "tags" else field
    if not NAME.fullmatch(field.removeprefix("contact.")):
        raise GrammarError(f'"{text}" is no name of a field', hint='write for example "stage" or "renewal_date"')
    return Trigger(word=CHANGED, words=f"{CHANGED}: {field}", field=field)


def _around(word: str, side: str) -> Callable[[str], Trigger]:
    def read(text: str) -> Trigger:
        length, _, said = " ".join(text.lower().split()).rpartition(" ")
        if said != side:
            hint = f'write for example "{EXAMPLES[word]}"'
            raise GrammarError(f'"{text}" does not end with "{side}"', hint=hint)
        found = parse_delay(length)
        if found.business and found.unit == "hour" and side == "before":
            raise GrammarError(f'"{text}": business hours cannot be counted back', hint='write "4 hours before"')
        words = f"{word}: {shown(found)} {side}"
        return Trigger(word=word, words=words, length=found, before=side == "before")

    return read


def shown(length: Delay) -> str:
    """ "1 business day", "21 days"."""
    business = "business " if length.business else ""
    return f"{length.count} {business}{length.unit}{'' if length.count == 1 else 's'}"


_PAIRS: Mapping[str, Callable[[str], Trigger]] = {
    SILENT: _silent,
    DATE: _date_comes,
    CLOCK: _clock,
    CHANGED: _changed,
    SOON: _around(SOON, "before"),
    HELD: _around(HELD, "after"),
}
