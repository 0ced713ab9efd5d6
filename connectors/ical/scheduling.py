"""What invitations by mail come to (RFC 5546): a series of mails folded into how each meeting stands now.

Pure. Newest by SEQUENCE, then DTSTAMP, whatever order the mails came in. Who may say what: an invitation or a
cancellation comes from the organizer that the meeting has, an answer from the attendee it is about; everything else is
left out and told in `notes`. Nothing is ever answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connectors.calendars import (
    NO_START,
    ONWARD,
    Answer,
    Attendee,
    CalendarEvent,
    EventStatus,
    Invitation,
    Method,
    original_key,
    series_key,
)
from connectors.model import Address, Message

__all__ = ["Note", "Standing", "fold"]

_Rank = tuple[int, datetime]
_NO_STAMP = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Note:
    """Something in a mail that was not followed. `uid` of the meeting, `message` the mail."""

    message: Message
    uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How the meetings stand: one event for each occurrence, cancelled ones too, with everybody's newest answer.
    `replaced`: the keys of occurrences that a newer invitation to all of their series has no more."""

    events: tuple[CalendarEvent, ...]
    notes: tuple[Note, ...]
    replaced: frozenset[tuple[str, str]] = frozenset()


@dataclass(slots=True)
class _Meeting:
    """One UID. `series` is the newest whole invitation, `single` the newest word on one occurrence, by original start;
    `ended` is the newest cancellation of all of it, `cut` those from one occurrence on, by its original start."""

    organizer: str = ""
    rank: _Rank | None = None
    series: dict[str, CalendarEvent] = field(default_factory=dict)
    single: dict[str, CalendarEvent] = field(default_factory=dict)
    ended: _Rank | None = None
    cut: dict[str, _Rank] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    answers: dict[tuple[str, str], tuple[_Rank, Answer]] = field(default_factory=dict)


def fold(messages: Iterable[Message], *, authentic: Callable[[Message], bool] = lambda _: True) -> Standing:
    """Take all mails, in any order. `authentic` tells whose From is believed (its server vouches for it, or it is our
    own sent mail)."""
    folding = _Folding()
    for message in sorted(messages, key=lambda one: (one.received_at, one.message_id)):
        for invitation in message.invitations:
            if authentic(message):
                folding.take(message, invitation)
            else:
                folding.leave(message, invitation.events, "nobody vouches for its sender")
    for message, uid, event, attendee in folding.replies:
        folding.answer(message, uid, event, attendee)
    events = [event for meeting in folding.meetings.values() for event in _standing(meeting)]
    asked = {(uid, key) for uid, meeting in folding.meetings.items() for key in meeting.asked}
    return Standing(tuple(events), tuple(folding.notes), frozenset(asked - {event.key for event in events}))


class _Folding:
    def __init__(self) -> None:
        self.meetings: dict[str, _Meeting] = {}
        self.replies: list[tuple[Message, str, CalendarEvent, Attendee]] = []
        self.notes: list[Note] = []

    def take(self, message: Message, invitation: Invitation) -> None:
        """One calendar of one mail."""
        by_uid: dict[str, list[CalendarEvent]] = {}
        for event in invitation.events:
            by_uid.setdefault(series_key(event.uid), []).append(event)
        for uid, events in by_uid.items():
            match invitation.method:
                case Method.REQUEST | Method.ADD:
                    self._invite(message, uid, events, adds=invitation.method is Method.ADD)
                case Method.CANCEL:
                    self._cancel(message, uid, events)
                case Method.REPLY:
                    self.replies += [(message, uid, event, one) for event in _told(events) for one in event.attendees]
                case _:
                    self.leave(message, events, f"{invitation.method.value} changes nothing by itself")

    def leave(self, message: Message, events: Sequence[CalendarEvent], reason: str) -> None:
        """Tell that something was not followed."""
        uids = dict.fromkeys(event.uid for event in events)
        self.notes += [Note(message, uid, reason) for uid in uids]

    def _invite(self, message: Message, uid: str, events: Sequence[CalendarEvent], *, adds: bool) -> None:
        meeting = self._of_organizer(message, uid, events)
        if meeting is None:
            return
        whole = [event for event in events if not event.exception]
        single = [event for event in events if event.exception]
        meeting.asked |= {original_key(event.original) for event in events}
        if adds:
            whole, single = [], [*whole, *single]
        if whole:
            rank = max(event.rank for event in whole)
            if meeting.rank is None or rank >= meeting.rank:
                meeting.rank, meeting.series = rank, {original_key(one.original): one for one in whole}
        for event in single:
            self._take_single(meeting, event)

    def _cancel(self, message: Message, uid: str, events: Sequence[CalendarEvent]) -> None:
        meeting = self._of_organizer(message, uid, events)
        if meeting is None:
            return
        for event in events:
            gone = replace(event, status=EventStatus.CANCELLED)
            if event.exception:
                if ONWARD in event.degraded:
                    key = original_key(event.original)
                    meeting.cut[key] = max(meeting.cut.get(key, event.rank), event.rank)
                self._take_single(meeting, gone)
                continue
            meeting.ended = max(meeting.ended or event.rank, event.rank)
            if meeting.rank is None and NO_START not in event.degraded:
                meeting.series.setdefault(original_key(event.original), gone)

    def _take_single(self, meeting: _Meeting, event: CalendarEvent) -> None:
        key = original_key(event.original)
        if key not in meeting.single or event.rank >= meeting.single[key].rank:
            meeting.single[key] = event

    def _of_organizer(self, message: Message, uid: str, events: Sequence[CalendarEvent]) -> _Meeting | None:
        """The meeting, if this mail comes from who may speak for it."""
        organizer = events[0].organizer
        reason = ""
        if organizer is None:
            reason = "it names no organizer"
        elif not _speaks_for(message, organizer, events[0].organizer_by):
            reason = f"it is not from its organizer {organizer.email}"
        elif uid in self.meetings and self.meetings[uid].organizer != organizer.key:
            reason = f"the meeting has another organizer than {organizer.email}"
        if organizer is None or reason:
            self.leave(message, events, reason)
            return None
        return self.meetings.setdefault(uid, _Meeting(organizer.key))

    def answer(self, message: Message, uid: str, event: CalendarEvent, attendee: Attendee) -> None:
        """An answer, once all invitations are known."""
        meeting = self.meetings.get(uid)
        key = original_key(event.original) if event.exception else ""
        reason = ""
        if not _speaks_for(message, attendee.address, attendee.sent_by):
            reason = f"it is not from {attendee.address.email}, whose answer it brings"
        elif meeting is None:
            reason = "it answers an invitation that is not known"
        elif not any(attendee.address.key == one.address.key for known in _all(meeting) for one in known.attendees):
            reason = f"{attendee.address.email} is not invited"
        if meeting is None or reason:
            self.leave(message, [event], reason)
            return
        slot = attendee.address.key, key
        if slot not in meeting.answers or event.rank >= meeting.answers[slot][0]:
            meeting.answers[slot] = event.rank, attendee.answer


def _all(meeting: _Meeting) -> Iterable[CalendarEvent]:
    return (*meeting.series.values(), *meeting.single.values())


def _speaks_for(message: Message, person: Address, by: Address | None) -> bool:
    """From is this person; or who acts for them by their own word and is of the same house. So is a Sender of the
    house of From: of another one no server ever checks it."""
    senders = {message.sender.key} if message.sender else set()
    if message.sender and message.sent_by and message.sent_by.domain == message.sender.domain:
        senders.add(message.sent_by.key)
    if person.key in senders:
        return True
    return by is not None and by.key in senders and by.domain == person.domain


def _standing(meeting: _Meeting) -> Iterable[CalendarEvent]:
    current = {} if _is_outdated(meeting) else dict(meeting.series)
    for key, event in meeting.single.items():
        if meeting.rank is None or event.rank >= meeting.rank:
            current[key] = _with_start(event, current.get(key))
    for key, event in current.items():
        if NO_START not in event.degraded:
            heard = replace(event, attendees=tuple(_answered(meeting, key, event, one) for one in event.attendees))
            yield _ended(meeting, key, heard)


def _ended(meeting: _Meeting, key: str, event: CalendarEvent) -> CalendarEvent:
    """As it is after the newest word that ended it or its series: with the number of that word, so that a copy which
    has not heard of it is the older one."""
    words = [meeting.ended, *(rank for first, rank in meeting.cut.items() if first <= key)]
    rank = max((one for one in words if one is not None and one >= event.rank), default=None)
    if rank is None:
        return event
    stamp = rank[1] if rank[1] > _NO_STAMP else None
    return replace(event, status=EventStatus.CANCELLED, sequence=rank[0], stamped_at=stamp)


def _is_outdated(meeting: _Meeting) -> bool:
    """Whether something newer is known of occurrences that the series does not have: it was changed since."""
    first, rank = min(meeting.series, default=""), meeting.rank
    return rank is not None and any(
        event.rank > rank and key >= first for key, event in meeting.single.items() if key not in meeting.series
    )


def _told(events: Sequence[CalendarEvent]) -> Iterable[CalendarEvent]:
    """The components of an answer: the series by its first occurrence, and each that was answered by itself."""
    whole = [event for event in events if not event.exception][:1]
    return (*whole, *(event for event in events if event.exception))


def _with_start(event: CalendarEvent, known: CalendarEvent | None) -> CalendarEvent:
    """A cancellation may say less than what it cancels: then the meeting is as it was known, and cancelled."""
    if (
        event.status is EventStatus.CANCELLED
        and known is not None
        and (NO_START in event.degraded or not event.attendees)
    ):
        return replace(known, status=EventStatus.CANCELLED, sequence=event.sequence, stamped_at=event.stamped_at)
    return event


def _answered(meeting: _Meeting, key: str, event: CalendarEvent, attendee: Attendee) -> Attendee:
    """With the newest answer to this occurrence or to all of it; not with an answer to an older state."""
    slots = [meeting.answers.get((attendee.address.key, one)) for one in dict.fromkeys(("", key))]
    told = [slot for slot in slots if slot and slot[0][0] >= event.sequence]
    return replace(attendee, answer=max(told, key=lambda slot: slot[0])[1]) if told else attendee
