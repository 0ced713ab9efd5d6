"""Something else than the coming of a mail that rules wait for: a customer fell silent, a date comes, a meeting was
missed. Pure values; rules.coming works out which come true, rules.engine judges one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.model import Address, Message
from rules.decision import Answer, Match
from rules.facts import ContactFacts, Directory
from rules.triggers import SILENT

RUNG = "occasion"
"""Stands for the rung of the ladder: the occasion itself says whose it is."""
LONGEST_CHAIN = 3
"""So many rules may set each other off by what they change; then a change is only noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendee:
    """Somebody invited. answer: accepted, declined, tentative, "" = none yet (RFC 5545 3.2.12)."""

    address: Address
    answer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingFacts:
    """One meeting as rules see it. `uid` names it, with `start` one of a series; times are aware UTC.

    attendees   those outside the office; we are not among them
    rep         whose meeting it is, "" if nobody's
    """

    uid: str
    title: str
    start: datetime
    end: datetime
    place: str = ""
    attendees: tuple[Attendee, ...] = ()
    rep: str = ""

    @property
    def length(self) -> timedelta:
        """How long it takes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A field of a record and what it was and became; for a tag, "" is its absence."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """One trigger come true.

    when     words of the trigger, see rules.triggers.Trigger
    event    names it for ever: effects are keyed by it, so it happens once
    at       the moment it came true (aware UTC), however late it is found
    seen     what it was seen by, for traces ("last contact 2026-11-01")
    customer_id, contact_id   whose it is; None = nobody's (the clock), or the customer as a whole
    expires  a greeting is of its day: what is written to the customer is skipped from this moment on
    chain    how many rules led to it by what they changed; `by` the one whose change it is
    """

    when: str
    event: str
    at: datetime
    seen: str = ""
    customer_id: int | None = None
    contact_id: int | None = None
    meeting: MeetingFacts | None = None
    changed: Change | None = None
    expires: datetime | None = None
    chain: int = 0
    by: str = ""

    @property
    def word(self) -> str:
        """ "customer silent" of "customer silent: 21 days"."""
        return self.when.partition(":")[0]

    @property
    def ends_with_contact(self) -> bool:
        """Whether a mail from either side makes what it led to pointless."""
        return self.word == SILENT

    @property
    def title(self) -> str:
        """What it is called where a mail would have its subject."""
        return self.meeting.title if self.meeting else self.when

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON data; `occasion_of` makes the occasion of it again."""
        plain = asdict(self)
        for name in ("at", "expires"):
            plain[name] = plain[name].isoformat() if plain[name] else None
        if self.meeting:
            plain["meeting"] |= {"start": self.meeting.start.isoformat(), "end": self.meeting.end.isoformat()}
        return {name: value for name, value in plain.items() if value not in (None, "", 0)}

    def values(self) -> dict[str, dict[str, Any]]:
        """What texts may name of it, see rules.templates.STANDARD_NAMES; plain JSON data."""
        found: dict[str, dict[str, Any]] = {}
        if self.meeting:
            found["meeting"] = {
                "title": self.meeting.title,
                "start": self.meeting.start.isoformat(),
                "end": self.meeting.end.isoformat(),
                "place": self.meeting.place,
            }
        if self.changed:
            found["changed"] = {
                "field": self.changed.field,
                "before": self.changed.before,
                "after": self.changed.after,
            }
        return found


def occasion_of(data: Mapping[str, Any]) -> Occasion:
    """The occasion that `Occasion.as_dict` made plain data of."""
    given = dict(data)
    for name in ("at", "expires"):
        given[name] = datetime.fromisoformat(given[name]) if given.get(name) else None
    if changed := given.get("changed"):
        given["changed"] = Change(**changed)
    if meeting := given.get("meeting"):
        people = [
            Attendee(address=Address(**one["address"]), answer=one["answer"]) for one in meeting.get("attendees", ())
        ]
        times = {name: datetime.fromisoformat(meeting[name]) for name in ("start", "end")}
        given["meeting"] = MeetingFacts(**{**meeting, **times, "attendees": tuple(people)})
    return Occasion(**given)


def blank_mail(at: datetime) -> Message:
    """The mail at hand where there is none."""
    return Message(account="", folder="", ref="", message_id="", sent_at=None, received_at=at, sender=None)


def whose(occasion: Occasion, directory: Directory) -> Match:
    """Who an occasion is about, and who would be written to."""
    number = occasion.customer_id
    if number is None or number not in directory.customers:
        return Match()
    people = {one.id: one for several in directory.contacts.values() for one in several if one.customer_id == number}
    contact = people.get(occasion.contact_id) if occasion.contact_id is not None else None
    invited = _invited(occasion.meeting)
    if contact is None and invited is None:
        contact = spokesman(people.values())
    elif contact is None and invited is not None:
        contact = next((one for one in people.values() if invited.key in one.emails), None)
    end = Address(contact.emails[0], contact.name) if contact and contact.emails else None
    if invited is not None and (contact is None or invited.key in contact.emails):
        end = invited
    return Match(
        answers=(Answer(rung=RUNG, seen=occasion.when, customers=(number,), used=True),),
        customers=(number,),
        rungs={number: RUNG},
        contact=contact,
        other_end=end,
        outside=(end,) if end else (),
    )


def _invited(meeting: MeetingFacts | None) -> Address | None:
    """Who of a meeting would be written to: the first who did not decline."""
    people = sorted(meeting.attendees, key=lambda one: one.answer == "declined") if meeting else []
    return people[0].address if people else None


def spokesman(people: Iterable[ContactFacts]) -> ContactFacts | None:
    """Whom to write to at a customer: the contact who wrote last, else the first that has an address."""
    reachable = sorted((one for one in people if one.emails), key=lambda one: one.id)
    wrote = [one for one in reachable if one.last_in_at]
    return max(wrote, key=lambda one: one.last_in_at or one.id, default=None) or next(iter(reachable), None)
