"""Events of Microsoft 365: every odd shape of the service's JSON, and the same meeting as other protocols name it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as campaign
from hypothesis import strategies as st

from connectors.calendars import Answer, CalendarEvent, EventStatus, RawCalendar, Role, Window
from connectors.graph.events import OWN, BadEvent, is_within, occurrence
from connectors.ical.zones import Zone, find_zone
from connectors.parsing import InlineParser

OUTLOOK = "040000008200E00074C5B7101A82E008"
_FOUND = find_zone("Europe/Lisbon")
assert _FOUND is not None
LISBON: Zone = _FOUND


def row(**changes: Any) -> dict[str, Any]:
    """An appointment of one's own, as the service gives it."""
    plain = {
        "id": "AAk1",
        "type": "singleInstance",
        "iCalUId": f"{OUTLOOK}00000000A1",
        "subject": "Proposta",
        "start": {"dateTime": "2026-12-01T09:00:00.0000000", "timeZone": "UTC"},
        "end": {"dateTime": "2026-12-01T10:00:00.0000000", "timeZone": "UTC"},
        "isAllDay": False,
        "isCancelled": False,
        "isOrganizer": True,
        "organizer": person("ana@vendas.example"),
        "attendees": [],
        "responseStatus": {"response": "organizer"},
        "sensitivity": "normal",
        "showAs": "busy",
        "originalStartTimeZone": "W. Europe Standard Time",
    }
    return plain | changes


def person(address: str, **more: Any) -> dict[str, Any]:
    return {"emailAddress": {"address": address, "name": address}, **more}


def read(master: dict[str, Any] | None = None, **changes: Any) -> CalendarEvent:
    return occurrence("ana", "Calendar", "AAk1", row(**changes), master=master, zone=LISBON)


def days(start: str, end: str, **more: Any) -> dict[str, Any]:
    return {
        "isAllDay": True,
        "start": {"dateTime": start, "timeZone": "UTC"},
        "end": {"dateTime": end, "timeZone": "UTC"},
        **more,
    }


@pytest.mark.parametrize(
    ("zone", "shown", "name", "clear"),
    [
        ("W. Europe Standard Time", "2026-12-01 10:00:00+01:00", "Europe/Berlin", True),
        ("America/Sao_Paulo", "2026-12-01 06:00:00-03:00", "America/Sao_Paulo", True),
        ("tzone://Microsoft/Utc", "2026-12-01 09:00:00+00:00", "", True),
        ("tzone://Microsoft/Custom", "2026-12-01 09:00:00+00:00", "Europe/Lisbon", False),
        ("", "2026-12-01 09:00:00+00:00", "Europe/Lisbon", True),
    ],
)
def test_the_instant_is_known_whatever_the_zone_is_called(zone: str, shown: str, name: str, clear: bool) -> None:
    event = read(originalStartTimeZone=zone)
    assert (str(event.start), event.zone, event.degraded == ()) == (shown, name, clear)
    assert not event.zone_unclear


@pytest.mark.parametrize(
    ("start", "end", "zone"),
    [
        ("2026-12-03T00:00:00.0000000", "2026-12-06T00:00:00.0000000", "W. Europe Standard Time"),
        ("2026-12-02T23:00:00.0000000", "2026-12-05T23:00:00.0000000", "W. Europe Standard Time"),
        ("2026-12-03T03:00:00.0000000", "2026-12-06T03:00:00.0000000", "E. South America Standard Time"),
        ("2026-12-02T11:00:00.0000000", "2026-12-05T11:00:00.0000000", "New Zealand Standard Time"),
    ],
)
def test_all_day_events_have_days_wherever_they_were_made(start: str, end: str, zone: str) -> None:
    event = read(**days(start, end, originalStartTimeZone=zone))
    assert (event.start, event.end, event.all_day, event.zone) == (date(2026, 12, 3), date(2026, 12, 6), True, "")


def test_a_day_without_an_end_is_a_day() -> None:
    event = read(**days("2026-12-03T00:00:00", "2026-12-03T00:00:00"))
    assert event.end == date(2026, 12, 4)


def test_an_occurrence_is_named_by_its_series_and_when_it_would_have_been() -> None:
    """Outlook writes the date of the occurrence into its UID, and the case as it likes."""
    master = row(type="seriesMaster", id="AAk1", iCalUId=f"{OUTLOOK.lower()}00000000a1")
    moved = read(master, type="exception", iCalUId=f"{OUTLOOK}07EA0B1EA1", originalStart="2026-11-30T08:00:00Z")
    usual = read(master, type="occurrence", iCalUId=None, originalStart="2026-11-30T08:00:00Z")
    assert moved.key == usual.key == (f"{OUTLOOK.lower()}00000000a1", "20261130T080000Z")
    assert (moved.exception, usual.exception) == (True, False)


def test_an_occurrence_of_an_all_day_series_has_a_day() -> None:
    master = row(type="seriesMaster")
    for start in ("2026-12-03T00:00:00Z", "2026-12-02T23:00:00Z"):
        event = read(
            master, **days("2026-12-04T00:00:00", "2026-12-05T00:00:00", type="exception", originalStart=start)
        )
        assert event.original == date(2026, 12, 3)


def test_an_exception_that_does_not_say_from_when() -> None:
    event = read(row(type="seriesMaster"), type="exception", originalStart=None)
    assert event.original == datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert "does not say from when" in event.degraded[0]


@pytest.mark.parametrize("original", ["", "RECURRENCE-ID:20261201T083000Z\r\n"])
def test_the_same_meeting_has_the_same_key_in_every_protocol(original: str) -> None:
    """A series made elsewhere: by CalDAV or in a mail it has its UID, here perhaps a GlobalObjectId around it."""
    uid = "7f3a@cloud.acme.example"
    text = (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:{uid}\r\n{original}"
        "DTSTART:20261201T090000Z\r\nDTEND:20261201T100000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    raw = RawCalendar(account="ana", calendar="c", ref="r", data=text.encode())
    (reading,) = InlineParser().parse_calendars([raw])
    data = b"vCal-Uid\x01\0\0\0" + uid.encode() + b"\0"
    wrapped = f"{OUTLOOK}07EA0C01{'0' * 32}{len(data):02X}000000{data.hex().upper()}"
    for icaluid in (uid, wrapped):
        master = row(type="seriesMaster", iCalUId=icaluid) if original else None
        kind = {"type": "exception", "originalStart": "2026-12-01T08:30:00Z"} if original else {}
        assert read(master, iCalUId=icaluid, **kind).key == reading.events[0].key


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"isCancelled": True}, EventStatus.CANCELLED),
        ({"showAs": "tentative"}, EventStatus.TENTATIVE),
        ({"showAs": "tentative", "isOrganizer": False}, EventStatus.CONFIRMED),
    ],
)
def test_an_unanswered_invitation_is_not_a_tentative_meeting(changes: dict[str, Any], status: EventStatus) -> None:
    assert read(**changes).status is status


@pytest.mark.parametrize(("word", "private"), [("normal", 0), ("personal", 1), ("private", 1), ("confidential", 1)])
def test_only_normal_events_are_public(word: str, private: int) -> None:
    assert read(sensitivity=word).private is bool(private)


def test_people() -> None:
    event = read(
        attendees=[
            person("Ivan@Acme.example", type="required", status={"response": "accepted"}),
            person("olga@acme.example", type="optional", status={"response": "notResponded"}),
            person("sala5@vendas.example", type="resource", status={"response": "accepted"}),
            person("/O=VENDAS/OU=EX/CN=RECIPIENTS/CN=GONE", type="required"),
        ],
        isOrganizer=False,
        organizer=person("maria@acme.example"),
        responseStatus={"response": "tentativelyAccepted"},
    )
    assert [(one.address.email, one.role, one.answer) for one in event.attendees] == [
        ("Ivan@acme.example", Role.REQUIRED, Answer.ACCEPTED),
        ("olga@acme.example", Role.OPTIONAL, Answer.NONE),
        ("sala5@vendas.example", Role.RESOURCE, Answer.ACCEPTED),
    ]
    assert event.organizer is not None
    assert (event.organizer.email, event.answer) == ("maria@acme.example", Answer.TENTATIVE)
    assert event.degraded == ("an attendee without a mail address",)


def test_an_appointment_of_ones_own_has_no_organizer_and_no_answer() -> None:
    assert (read().organizer, read().answer) == (None, None)


def test_where_it_takes_place() -> None:
    join = {"joinUrl": "https://teams.example/l/1"}
    assert read(location={"displayName": "Sala 5"}).location == "Sala 5"
    assert read(onlineMeeting=join).location == "https://teams.example/l/1"
    assert read(location={"displayName": "Teams"}, onlineMeeting=join).location == "Teams, https://teams.example/l/1"


def test_texts_are_capped_and_their_ends_of_lines_plain() -> None:
    event = read(body={"contentType": "text", "content": "Olá\r\n" + "x" * 50_000})
    assert (len(event.text), event.text[:5]) == (20_000, "Olá\nx")


def test_an_item_of_ours_is_known_by_our_property_until_somebody_is_invited_by_it() -> None:
    properties = [{"id": OWN.replace("7c1b", "7C1B"), "value": "quietcrm-r17"}]
    assert read(singleValueExtendedProperties=properties).is_ours
    invited = read(singleValueExtendedProperties=properties, attendees=[person("ivan@acme.example")])
    assert not invited.is_ours


def test_sequence_and_stamp_come_from_mapi_with_ids_in_any_form() -> None:
    event = read(
        singleValueExtendedProperties=[
            {"id": "Integer {00062002-0000-0000-c000-000000000046} Id 0x8201", "value": "3"},
            {"id": "SystemTime {6ed8da90-450b-101b-98da-00aa003f1305} Id 0x1a", "value": "2026-11-01T08:00:00Z"},
        ]
    )
    assert (event.sequence, event.stamped_at) == (3, datetime(2026, 11, 1, 8, tzinfo=UTC))


def test_the_organizers_copy_is_as_new_as_its_last_change() -> None:
    """An attendee's is touched by every answer, and tells nothing newer by that."""
    changed = {"lastModifiedDateTime": "2026-11-20T08:00:00Z"}
    assert read(**changed).stamped_at == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert read(**changed, isOrganizer=False).stamped_at is None


def test_who_was_invited_to_one_occurrence_alone_has_the_same_meeting() -> None:
    """There is no series in that calendar: the date is in the UID, the time in a property."""
    replaces = {"id": "SystemTime {00062002-0000-0000-C000-000000000046} Id 0x8228", "value": "2026-11-30T08:00:00Z"}
    alone = read(iCalUId=f"{OUTLOOK}07EA0B1EA1", singleValueExtendedProperties=[replaces])
    series = read(row(type="seriesMaster"), type="exception", originalStart="2026-11-30T08:00:00Z")
    assert alone.key[1] == series.key[1] == "20261130T080000Z"
    assert alone.key[0] == f"{OUTLOOK.lower()}00000000a1"


def test_an_event_without_a_uid_is_named_by_its_id() -> None:
    event = read(iCalUId=None)
    assert event.uid == "AAk1"
    assert "no UID" in event.degraded[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"start": None},
        {"end": {"dateTime": "2026-13-01T00:00:00", "timeZone": "UTC"}},
        {"start": {"dateTime": "2026-12-01T09:00:00", "timeZone": "tzone://Microsoft/Custom"}},
    ],
)
def test_what_has_no_time_is_no_event(changes: dict[str, Any]) -> None:
    with pytest.raises(BadEvent):
        read(**changes)


def test_a_moment_lies_in_the_window_or_not() -> None:
    at = datetime(2026, 12, 1, 9, tzinfo=UTC)
    event = read(end={"dateTime": "2026-12-01T09:00:00", "timeZone": "UTC"})
    assert is_within(event, Window(at, at + timedelta(hours=1)), LISBON)
    assert not is_within(event, Window(at - timedelta(hours=1), at), LISBON)


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(row())), NESTED, max_size=4))
@campaign(max_examples=300, deadline=None)
def test_whatever_comes_it_is_an_event_or_a_bad_one(changes: dict[str, Any]) -> None:
    try:
        event = read(**changes)
    except BadEvent:
        return
    assert isinstance(event.summary, str)
    hash(event)
