"""An office on an Exchange Server with mail and calendar: meetings become history, reminders lie in the calendar."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from calendar_offices import in_history
from campaigns.exchange_office import ANA, ExchangeOffice, read
from servers.ews import EwsServer
from servers.ews_calendars import Appointment, Guest, Todo
from servers.ews_ical import lay

from daemon.app import App
from daemon.doctor import examine
from daemon.findings import Level
from store import reminders
from store.tables import ReminderState

MARIA = "maria@padariasol.example"
RULES = """\
rules:
  - {name: called-off, when: meeting cancelled, then: {tag: called-off}}
  - {name: prepare, when: meeting booked, then: {remind: {who: ana, in: 1 hour, as: calendar, text: "Preparar"}}}
  - name: pedido
    when: mail arrives
    if: {known: yes, text: {has: orçamento}}
    then: {remind: {who: ana, in: 2 hours, as: task, unless: replied, text: "Responder"}}
"""
CALENDAR = "calendars:\n  ana: {type: exchange}\n  outra: {type: memory, rep: ana}\n"
OUTLOOK = "040000008200E00074C5B7101A82E008000000006BBF708F334DD301000000000000000010000000EB47B669CD391747A9C8C285F08C"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[EwsServer]:
    with EwsServer() as running:
        yield running
        assert not running.violations
        assert not running.invitations


@pytest.fixture
def office(tmp_path: Path, server: EwsServer) -> ExchangeOffice:
    made = ExchangeOffice(tmp_path, server.url, rules=RULES, extra=CALENDAR)
    made.write([("Maria Silva", MARIA)])
    server.clock = made.clock.monotonic
    return made


def turn(office: ExchangeOffice, app: App, by: timedelta = 6 * MINUTE) -> None:
    """What the ticks do, a while later."""
    office.clock.move(by)
    for poller in app.pollers.values():
        poller.source.close()
    read(app)
    for calendar in app.calendars.values():
        calendar.poll()
    app.occasions.look()
    app.desks.tidy()
    for items in app.items.values():
        items.tidy()


def book(server: EwsServer, office: ExchangeOffice, start: datetime, uid: str = OUTLOOK) -> Appointment:
    """Ana invites Maria, in Outlook."""
    box, now = server.box, office.clock.now()
    item = Appointment(
        id=box.new_id(),
        folder="",
        raw=b"",
        received=now,
        uid=uid,
        subject="Demonstração",
        start=start,
        end=start + HOUR,
        stamped=now,
        modified=now,
        guests=[Guest(MARIA, name="Maria Silva", response="Accept")],
    )
    box.lay(item, box.folder("calendar"))
    return item


def laid(server: EwsServer, folder: str) -> list[Appointment | Todo]:
    found = [one for one in server.box.folder(folder).items.values() if one.categories == ["CRM"]]
    return [one for one in found if isinstance(one, Appointment | Todo)]


def test_a_meeting_with_a_customer(office: ExchangeOffice, server: EwsServer) -> None:
    """Booked, its reminder dragged, moved, called off: what was prepared for it goes by itself."""
    with office.running() as app:
        turn(office, app)
        turn(office, app)
        start = office.clock.now().replace(minute=0) + 3 * HOUR
        meeting = book(server, office, start)
        lay(server.box, server.box.folder("calendar"), _private(start))
        turn(office, app)
        (row,) = in_history(app)
        assert (row["customers"], row["at"]) == (["Maria Silva Ltda"], start.isoformat())
        assert row["sightings"] == [{"account": "ana", "calendar": "Calendar"}]

        (reminder,) = laid(server, "calendar")
        assert isinstance(reminder, Appointment)
        assert "Preparar" in reminder.subject
        assert (reminder.guests, reminder.reminder is not None) == ([], True)
        reminder.start += HOUR
        reminder.end += HOUR
        server.box.touch(reminder)
        turn(office, app)
        with app.store.session() as session:
            (kept,) = reminders.in_states(session, tuple(ReminderState))
            assert kept.due_at == reminder.start

        meeting.start, meeting.end = meeting.start + HOUR, meeting.end + HOUR
        meeting.sequence, meeting.modified = 1, office.clock.now()
        server.box.touch(meeting)
        turn(office, app)
        assert [one["at"] for one in in_history(app)] == [(start + HOUR).isoformat()]
        server.box.remove(meeting)
        turn(office, app)
        turn(office, app, 20 * MINUTE)
        assert len(in_history(app)) == 1
        assert laid(server, "calendar") == []


def _private(start: datetime) -> bytes:
    inner = f"UID:p@acme.example\r\nDTSTART:{start:%Y%m%dT%H%M%SZ}\r\nCLASS:PRIVATE\r\nATTENDEE:mailto:{MARIA}"
    return f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{inner}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n".encode()


@pytest.mark.parametrize("uid", [OUTLOOK, "7kukuqrfedlm2f9t0vd4vb6fv8@google.com"])
def test_one_meeting_by_three_ways(office: ExchangeOffice, server: EwsServer, uid: str) -> None:
    """In Exchange, which wraps the UIDs of others, in a calendar of another kind, and as an invitation by mail."""
    server.wraps_uids = True
    with office.running() as app:
        turn(office, app)
        turn(office, app)
        start = office.clock.now().replace(minute=0) + 24 * HOUR
        book(server, office, start, uid)
        turn(office, app)
        data = _invitation(uid.lower() if uid == OUTLOOK else uid, start)
        app.around.calendars_of("outra").put("x.ics", data.replace(b"METHOD:REQUEST\r\n", b""))
        mail = office.mail(f"Maria Silva <{MARIA}>", ANA, "Demonstração", "Convite")
        mail.add_alternative(data.decode(), subtype="calendar", params={"method": "REQUEST"})
        office.deliver(server, mail).item_class = "IPM.Schedule.Meeting.Request"
        turn(office, app)
        turn(office, app)
        (row,) = in_history(app)
        assert row["at"] == start.isoformat()
        assert len(row["sightings"]) == 3


def _invitation(uid: str, start: datetime) -> bytes:
    lines = (
        "BEGIN:VCALENDAR",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{start - 24 * HOUR:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
        "DURATION:PT1H",
        "SUMMARY:Demonstração",
        f"ORGANIZER:mailto:{MARIA}",
        f"ATTENDEE:mailto:{ANA}",
        f"ATTENDEE:mailto:{MARIA}",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    return "\r\n".join(lines).encode()


def test_a_task_is_laid_and_taken_away_by_the_answer(office: ExchangeOffice, server: EwsServer) -> None:
    with office.running() as app:
        turn(office, app)
        asked = office.mail(f"Maria Silva <{MARIA}>", ANA, "Caixas", "Quero um orçamento de 200 caixas.")
        office.deliver(server, asked)
        turn(office, app)
        (task,) = laid(server, "tasks")
        assert isinstance(task, Todo)
        assert (task.status, task.due_day) == ("NotStarted", office.clock.now().date())
        office.clock.move(MINUTE)
        offer = office.mail(ANA, MARIA, "Re: Caixas", "Segue.", answers=str(asked["Message-ID"]))
        office.deliver(server, offer, "sentitems")
        turn(office, app)
        turn(office, app)
        assert laid(server, "tasks") == []


def test_doctor_looks_into_the_calendar(office: ExchangeOffice, server: EwsServer) -> None:
    book(server, office, office.clock.now() + 24 * HOUR)
    with office.running() as app:
        findings = [one for one in examine(app.office, office.clock) if one.about == "calendar ana"]
    assert [one.level for one in findings] == [Level.OK] * len(findings)
    words = [one.message for one in findings]
    assert "reads 1 of 1 calendars: Calendar" in words
    assert "reminders go to the calendar Calendar" in words
    assert "1 event in the coming month, of 1 object read" in words
