"""Calendars that come with mails, and what a series of them comes to."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from connectors.calendars import Answer, EventStatus, Method
from connectors.ical.scheduling import Standing, fold
from connectors.model import Kind, Message, RawMail
from connectors.parsing import InlineParser, ParserPool

AT = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def imip(method: str, *lines: str, start: str = "DTSTART:20261201T090000Z", stamp: int = 0, sequence: int = 0) -> str:
    inner = [
        "UID:m1@acme.example",
        f"DTSTAMP:20261101T0800{stamp:02}Z",
        f"SEQUENCE:{sequence}",
        *([start] if start else ()),
        *lines,
    ]
    text = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", f"METHOD:{method}", "BEGIN:VEVENT", *inner, "END:VEVENT"]
    return "\r\n".join([*text, "END:VCALENDAR", ""])


PEOPLE = (
    "ORGANIZER;CN=Ivan:mailto:ivan@acme.example",
    "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:ana@vendas.example",
    "ATTENDEE;PARTSTAT=ACCEPTED:mailto:ivan@acme.example",
)


def mail(
    calendar: str,
    *,
    sender: str = "ivan@acme.example",
    method: str = "REQUEST",
    at: datetime = AT,
    header: str = "",
) -> RawMail:
    """As calendar programs send it: text, the calendar beside it, and the same as a file."""
    whole = (
        f"From: {sender}\r\n{header}To: ana@vendas.example\r\nSubject: Meeting\r\n"
        f"Message-ID: <{at.timestamp()}@acme.example>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n"
        "--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n"
        "--a\r\nContent-Type: text/plain\r\n\r\nPlease come.\r\n"
        f"--a\r\nContent-Type: text/calendar; charset=utf-8; method={method}\r\n\r\n{calendar}\r\n--a--\r\n"
        "--m\r\nContent-Type: application/ics; name=invite.ics\r\n"
        "Content-Disposition: attachment; filename=invite.ics\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\n{b64encode(calendar.encode()).decode()}\r\n--m--\r\n"
    ).encode()
    return RawMail(account="ana", folder="INBOX", ref="1:1", received_at=at, whole=whole)


def parsed(raw: RawMail) -> Message:
    (found,) = InlineParser().parse([raw])
    assert isinstance(found, Message)
    return found


def test_an_invitation_is_read_once_though_it_comes_twice() -> None:
    message = parsed(mail(imip("REQUEST", "SUMMARY:Proposta", *PEOPLE)))
    assert message.kind is Kind.INVITATION
    assert message.text == "Please come."
    assert [one.name for one in message.attachments] == ["invite.ics"]
    (invitation,) = message.invitations
    assert invitation.method is Method.REQUEST
    (event,) = invitation.events
    assert (event.uid, event.summary, event.account, event.ref) == ("m1@acme.example", "Proposta", "ana", "1:1")
    assert event.start == datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert "METHOD:REQUEST" in invitation.data
    assert (invitation.degraded, message.degraded) == ((), ())


@pytest.mark.parametrize("name", ["invite.ics", "Termin.ICS"])
@pytest.mark.parametrize("content_type", ["application/ics", "application/octet-stream", "text/calendar"])
def test_a_file_alone_is_an_invitation_too(content_type: str, name: str) -> None:
    body = b64encode(imip("REQUEST", *PEOPLE).encode()).decode()
    whole = (
        f"From: ivan@acme.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n"
        f"--m\r\nContent-Type: text/plain\r\n\r\nhello\r\n--m\r\nContent-Type: {content_type}\r\n"
        f'Content-Disposition: attachment; filename="{name}"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n--m--\r\n"
    ).encode()
    message = parsed(RawMail(account="a", folder="f", ref="r", received_at=AT, whole=whole))
    assert [one.method for one in message.invitations] == [Method.REQUEST]


def test_a_method_that_differs_outside_is_not_followed() -> None:
    (invitation,) = parsed(mail(imip("CANCEL", *PEOPLE), method="REQUEST")).invitations[:1]
    assert invitation.method is Method.PUBLISH
    assert "outside" in invitation.degraded[0]


BOMBS = (
    "RRULE:FREQ=SECONDLY",
    "RRULE:FREQ=MINUTELY;INTERVAL=1",
    "RRULE:FREQ=DAILY;INTERVAL=0",
    "RRULE:FREQ=HOURLY;COUNT=99999999",
    "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=2",
    "RRULE:FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
    "RRULE:FREQ=DAILY\r\nEXRULE:FREQ=DAILY",
    "RDATE:" + ",".join(f"2026{n:04}T000000Z" for n in range(101, 1231)) * 9,
    "DURATION:P9999W",
)


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_by_mail_is_a_row_with_a_note(bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 40,000 steps for all of a mail's series: a step takes about a microsecond."""
    from connectors.ical import rule

    spent: list[int] = []
    spend = rule.Budget.spend
    monkeypatch.setattr(rule.Budget, "spend", lambda self, steps: (spent.append(steps), spend(self, steps))[1])
    start = "DTSTART:19000101T000000Z" if "HOURLY" in bomb else "DTSTART:20261103T000000Z"
    message = parsed(mail(imip("REQUEST", *PEOPLE, bomb, start=start)))
    assert message.text == "Please come."
    assert sum(spent) <= 2 * 45_000  # each budget is part of the mail's
    (invitation,) = message.invitations
    refused = any(note.startswith("calendar: event m1@acme.example: ") for note in message.degraded)
    assert refused or len(invitation.events) <= 1


def test_a_bomb_in_a_child() -> None:
    pool = ParserPool(workers=1)
    try:
        (found,) = pool.parse([mail(imip("REQUEST", *PEOPLE, BOMBS[3], start="DTSTART:19000101T000000Z"))])
    finally:
        pool.close()
    assert isinstance(found, Message)
    assert any("its repetition cannot be worked out" in note for note in found.degraded)


def test_a_crowd_in_every_occurrence_is_read_as_far_as_it_is_bearable() -> None:
    crowd = "\r\n".join(f"ATTENDEE:mailto:p{number}@acme.example" for number in range(300))
    message = parsed(mail(imip("REQUEST", PEOPLE[0], crowd, "RRULE:FREQ=DAILY")))
    (invitation,) = message.invitations
    assert [len(one.attendees) for one in invitation.events] == [300] * 6
    assert any("later occurrences were left out" in note for note in invitation.degraded)


# -- a series of mails


def standing(*raws: RawMail) -> Standing:
    return fold([parsed(raw) for raw in raws])


def later(minutes: int) -> datetime:
    return AT + timedelta(minutes=minutes)


REQUEST = mail(imip("REQUEST", "SUMMARY:v0", *PEOPLE))
MOVED = mail(imip("REQUEST", "SUMMARY:v1", *PEOPLE, start="DTSTART:20261202T100000Z", sequence=1, stamp=2), at=later(2))
YES = mail(
    imip("REPLY", PEOPLE[0], "ATTENDEE;PARTSTAT=ACCEPTED:mailto:ana@vendas.example", sequence=1, stamp=3),
    sender="ana@vendas.example",
    method="REPLY",
    at=later(3),
)
CANCEL = mail(imip("CANCEL", PEOPLE[0], sequence=2, stamp=4, start=""), method="CANCEL", at=later(4))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_newest_word_counts_whatever_the_order(order: tuple[int, ...]) -> None:
    mails = [REQUEST, MOVED, YES, CANCEL]
    from dataclasses import replace

    arrived = [replace(mails[number], received_at=later(place)) for place, number in enumerate(order)]
    (event,) = standing(*arrived).events
    assert (event.summary, event.status) == ("v1", EventStatus.CANCELLED)
    assert event.start == datetime(2026, 12, 2, 10, tzinfo=UTC)
    assert {one.address.email: one.answer for one in event.attendees}["ana@vendas.example"] is Answer.ACCEPTED


def test_an_answer_to_an_older_time_says_nothing_of_the_new_one() -> None:
    early = mail(
        imip("REPLY", PEOPLE[0], "ATTENDEE;PARTSTAT=ACCEPTED:mailto:ana@vendas.example", stamp=1),
        sender="ana@vendas.example",
        method="REPLY",
        at=later(1),
    )
    (event,) = standing(REQUEST, early, MOVED).events
    assert event.attendees[0].answer is Answer.NONE


FORGED = {
    "a cancellation by a stranger": mail(
        imip("CANCEL", PEOPLE[0], sequence=9, stamp=9), sender="mallory@evil.example", method="CANCEL", at=later(9)
    ),
    "a stranger as the new organizer": mail(
        imip("REQUEST", "ORGANIZER:mailto:mallory@evil.example", sequence=9, stamp=9),
        sender="mallory@evil.example",
        at=later(9),
    ),
    "an answer for somebody else": mail(
        imip("REPLY", PEOPLE[0], "ATTENDEE;PARTSTAT=DECLINED:mailto:ana@vendas.example", stamp=9),
        sender="mallory@evil.example",
        method="REPLY",
        at=later(9),
    ),
    "an answer by somebody who is not invited": mail(
        imip("REPLY", PEOPLE[0], "ATTENDEE;PARTSTAT=DECLINED:mailto:mallory@evil.example", stamp=9),
        sender="mallory@evil.example",
        method="REPLY",
        at=later(9),
    ),
    "a cancellation that names nobody": mail(imip("CANCEL", sequence=9, stamp=9), method="CANCEL", at=later(9)),
    "a counter proposal": mail(
        imip("COUNTER", *PEOPLE, sequence=9, stamp=9), sender="ana@vendas.example", method="COUNTER", at=later(9)
    ),
    "a stranger who names the organizer as Sender, which no server checks": mail(
        imip("CANCEL", PEOPLE[0], sequence=9, stamp=9),
        sender="mallory@evil.example",
        method="CANCEL",
        at=later(9),
        header="Sender: ivan@acme.example\r\n",
    ),
    "a stranger who acts for the organizer by his own word": mail(
        imip("CANCEL", 'ORGANIZER;SENT-BY="mailto:mallory@evil.example":mailto:ivan@acme.example', sequence=9, stamp=9),
        sender="mallory@evil.example",
        method="CANCEL",
        at=later(9),
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_not_theirs_to_say_changes_nothing_and_is_told(what: str) -> None:
    before = standing(REQUEST)
    after = standing(REQUEST, FORGED[what])
    assert after.events == before.events
    (note,) = after.notes
    assert note.uid == "m1@acme.example"
    assert note.reason


def test_a_colleague_may_act_for_the_organizer() -> None:
    by = 'ORGANIZER;SENT-BY="mailto:olga@acme.example":mailto:ivan@acme.example'
    cancel = mail(imip("CANCEL", by, sequence=1, stamp=9), sender="olga@acme.example", method="CANCEL", at=later(9))
    (event,) = standing(REQUEST, cancel).events
    assert event.status is EventStatus.CANCELLED


def test_nobody_is_believed_whom_nobody_vouches_for() -> None:
    found = fold([parsed(REQUEST)], authentic=lambda _: False)
    assert found.events == ()
    assert "vouches" in found.notes[0].reason


def test_one_meeting_of_a_series_is_cancelled_and_another_moved() -> None:
    weekly = mail(imip("REQUEST", "RRULE:FREQ=WEEKLY;COUNT=4", *PEOPLE))
    off = mail(
        imip("CANCEL", PEOPLE[0], "RECURRENCE-ID:20261208T090000Z", sequence=1, stamp=1, start=""),
        method="CANCEL",
        at=later(1),
    )
    moved = mail(
        imip(
            "REQUEST", *PEOPLE, "RECURRENCE-ID:20261215T090000Z", start="DTSTART:20261216T150000Z", stamp=2, sequence=1
        ),
        at=later(2),
    )
    events = sorted(standing(weekly, off, moved).events, key=lambda one: one.key)
    assert [(str(one.start)[:16], one.status.value) for one in events] == [
        ("2026-12-01 09:00", "confirmed"),
        ("2026-12-08 09:00", "cancelled"),
        ("2026-12-16 15:00", "confirmed"),
        ("2026-12-22 09:00", "confirmed"),
    ]
    assert len(events[1].attendees) == 2


WEEKLY = mail(imip("REQUEST", "RRULE:FREQ=WEEKLY;COUNT=3", *PEOPLE))


def shown(found: Standing) -> list[tuple[str, str]]:
    return sorted((f"{one.start:%d %H:%M}", one.status.value) for one in found.events)


def test_a_cancellation_from_one_occurrence_on_takes_those_that_follow() -> None:
    recurrence = "RECURRENCE-ID;RANGE=THISANDFUTURE:20261208T090000Z"
    off = mail(imip("CANCEL", PEOPLE[0], recurrence, sequence=1, stamp=1, start=""), method="CANCEL", at=later(1))
    assert shown(standing(WEEKLY, off)) == [
        ("01 09:00", "confirmed"),
        ("08 09:00", "cancelled"),
        ("15 09:00", "cancelled"),
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_series_moved_as_a_whole_is_not_there_twice(order: tuple[int, int]) -> None:
    from dataclasses import replace

    moved = mail(imip("REQUEST", "RRULE:FREQ=WEEKLY;COUNT=3", *PEOPLE, start="DTSTART:20261201T100000Z", sequence=1))
    arrived = [replace((WEEKLY, moved)[number], received_at=later(place)) for place, number in enumerate(order)]
    found = standing(*arrived)
    assert [start for start, _ in shown(found)] == ["01 10:00", "08 10:00", "15 10:00"]


def test_an_older_invitation_to_a_series_that_was_changed_since_adds_nothing() -> None:
    moved = mail(
        imip("REQUEST", "RECURRENCE-ID:20261208T100000Z", *PEOPLE, start="DTSTART:20261208T100000Z", sequence=1)
    )
    assert shown(standing(moved, WEEKLY)) == [("08 10:00", "confirmed")]


def test_an_answer_to_two_occurrences_is_heard_of_both() -> None:
    def answer(day: str, word: str) -> str:
        lines = (PEOPLE[0], f"ATTENDEE;PARTSTAT={word}:mailto:ana@vendas.example", f"RECURRENCE-ID:{day}T090000Z")
        return imip("REPLY", *lines, start=f"DTSTART:{day}T090000Z", stamp=3)

    first, second = answer("20261201", "ACCEPTED"), answer("20261208", "DECLINED")
    event = second[second.index("BEGIN:VEVENT") : second.index("END:VCALENDAR")]
    both = first.replace("END:VCALENDAR", f"{event}END:VCALENDAR")
    events = standing(WEEKLY, mail(both, sender="ana@vendas.example", method="REPLY", at=later(3))).events
    told = {f"{one.start:%d}": one.attendees[0].answer for one in events}
    assert told == {"01": Answer.ACCEPTED, "08": Answer.DECLINED, "15": Answer.NONE}
