"""What a meeting is to the office: whose it is, whether it belongs into the history, whether it took place. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from connectors.calendars import Answer, CalendarEvent, Role
from connectors.model import Address, Message
from rules.decision import Match
from rules.mail_conditions import MANY
from rules.occasion import MeetingFacts
from rules.office import Office
from rules.text_match import fold_text

MANY_HOUSES = 3
"""More than ten people of more than three houses: a mass invitation, not a meeting with a customer."""
DECLINED = "declined"
ANSWERS: Mapping[Answer, str] = {
    Answer.NONE: "",
    Answer.ACCEPTED: "accepted",
    Answer.DECLINED: DECLINED,
    Answer.TENTATIVE: "tentative",
    Answer.DELEGATED: "",
}
"""An answer as the condition `answered` names it."""
_PRIVATE = "crm: private"
_NOBODY_CAME = frozenset({"noshow", "faltou", "неявка"})
_TAG = re.compile(r"#([\w-]+)")


def as_mail(event: CalendarEvent) -> Message:
    """The mail that would match as this meeting does: from its organizer to everybody invited."""
    people = tuple(one.address for one in event.attendees if one.role is not Role.RESOURCE)
    return mail_between(event.organizer, people, event.summary)


def mail_between(organizer: Address | None, people: Iterable[Address], title: str) -> Message:
    """The same for a meeting of which only these are known."""
    return Message(
        account="",
        folder="",
        ref="",
        message_id="",
        sent_at=None,
        received_at=_EPOCH,
        sender=organizer,
        to=tuple(people),
        subject=title,
    )


def is_private(event: CalendarEvent) -> bool:
    """Whether nothing of it may be kept, by its class or by the category that keeps mail out."""
    return event.private or any(" ".join(name.lower().split()) == _PRIVATE for name in event.categories)


def is_mass(found: Match, office: Office) -> bool:
    """An invitation to many people of many houses; twelve people of one customer are a meeting."""
    houses = {one.key if office.is_public(one.domain) else one.domain for one in found.outside}
    return len(found.outside) > MANY and len(houses) > MANY_HOUSES


def is_marked_missed(event: CalendarEvent) -> bool:
    """A rep's mark that nobody came: a category, or #noshow, #faltou, #неявка in the title."""
    tags = [*_TAG.findall(event.summary), *(name.lower().removeprefix("crm:") for name in event.categories)]
    return any(fold_text(re.sub(r"[#\s_-]", "", tag)) in _FOLDED for tag in tags)


def all_declined(meeting: MeetingFacts) -> bool:
    """Whether everybody of the customer declined."""
    return bool(meeting.attendees) and all(one.answer == DECLINED for one in meeting.attendees)


def somebody_came(meeting: MeetingFacts) -> bool:
    """Whether somebody of the customer was invited and did not decline."""
    return any(one.answer != DECLINED for one in meeting.attendees)


_FOLDED = frozenset(fold_text(word) for word in _NOBODY_CAME)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
