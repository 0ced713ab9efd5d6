"""Calendars in Microsoft 365 from end to end: meetings become history, reminders lie in the rep's own calendar or list
of tasks; nothing of anybody else's is written, and nobody is invited."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from graph_offices import GraphHouse, GraphOffice, graph_house
from maildir_offices import logged
from offices import import_customers, work
from servers.graph_agenda import Agenda, FakeEvent
from servers.graph_calendars import GraphCalendarServer
from servers.graph_ical import keep, stored_event, stored_task

from connectors.graph.events import OWN
from daemon.app import App
from daemon.clock import HeldClock
from daemon.doctor import examine
from daemon.findings import Level
from daemon.loading import load_office
from store import customers, reminders
from store.tables import Reminder, ReminderState

RULES = """\
rules:
  - {name: booked, when: meeting booked, then: {tag: booked}}
  - {name: called-off, when: meeting cancelled, then: {tag: called-off}}
  - name: pedido
    when: mail arrives
    if: {known: yes, text: {has: caixas}}
    then:
      remind: {who: ana, at: next business day 10:00, as: WAY, unless: replied, text: "Responder {{ customer.name }}"}
"""
CALENDARS = "calendars:\n  ana: {type: graph}\n  bruno: {type: graph, account: bruno, rep: bruno}\n"
ANA, BRUNO, MARIA = "ana@vendas.example", "bruno@vendas.example", "maria@padariasol.example"


@pytest.fixture(scope="module")
def house() -> Iterator[GraphHouse]:
    with graph_house(GraphCalendarServer) as made:
        yield made


@pytest.fixture
def way() -> str:
    return "calendar"


@pytest.fixture
def office(tmp_path: Path, house: GraphHouse, way: str) -> GraphOffice:
    house.graph.mailboxes.clear()
    house.graph.calls.clear()
    rules = RULES.replace("WAY", way)
    made = GraphOffice(tmp_path / "office", house, rules=rules, reps=("ana", "bruno"), house=house, settings=CALENDARS)
    made.directory.mkdir()
    made.write()
    return made


@pytest.fixture
def app(office: GraphOffice) -> Iterator[App]:
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        turn(office, app)
        yield app
        assert service(office).invitations == []
        writes = [path for method, path in service(office).calls if method != "GET" and path.startswith("/events/")]
        ours = [
            one.id for rep in ("ana", "bruno") for one in agenda(office, rep).events.values() if OWN in one.properties
        ]
        assert {path.split("/")[2] for path in writes} <= set(ours)


def service(office: GraphOffice) -> GraphCalendarServer:
    assert office.house is not None
    assert isinstance(office.house.graph, GraphCalendarServer)
    return office.house.graph


def agenda(office: GraphOffice, rep: str = "ana") -> Agenda:
    return service(office).agendas[office.login(rep)]


def turn(office: GraphOffice, app: App, by: timedelta = timedelta(minutes=6)) -> None:
    """Time passes, and everything has its turn."""
    office.move_clock(by)
    work(app)
    for poller in app.calendars.values():
        poller.poll()
    app.occasions.look()
    for items in app.items.values():
        items.tidy()


def meeting(office: GraphOffice, rep: str, *lines: str, start: datetime) -> FakeEvent:
    """A meeting to which a customer invited both reps, in one of their calendars."""
    inner = [
        "UID:m1@vendas.example",
        f"DTSTAMP:{office.clock.now():%Y%m%dT%H%M%SZ}",
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
        f"DTEND:{start + timedelta(hours=1):%Y%m%dT%H%M%SZ}",
        "SUMMARY:Demonstração",
        f"ORGANIZER:mailto:{MARIA}",
        *(f"ATTENDEE:mailto:{one}" for one in (ANA, BRUNO)),
        *lines,
    ]
    text = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "BEGIN:VEVENT", *inner, "END:VEVENT", "END:VCALENDAR", ""]
    return keep(agenda(office, rep), "m1", "\r\n".join(text).encode(), "Calendar")


def invitation(office: GraphOffice, start: datetime) -> EmailMessage:
    """The same meeting as bruno's mail brings it."""
    mail = office.mail(f"Maria <{MARIA}>", BRUNO, "Demonstração", "Convite")
    text = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:m1@vendas.example",
        f"DTSTAMP:{office.clock.now():%Y%m%dT%H%M%SZ}", f"DTSTART:{start:%Y%m%dT%H%M%SZ}", "DURATION:PT1H",
        "SUMMARY:Demonstração", f"ORGANIZER:mailto:{MARIA}", f"ATTENDEE:mailto:{ANA}", f"ATTENDEE:mailto:{BRUNO}",
        "END:VEVENT", "END:VCALENDAR", "",
    ]  # fmt: skip
    mail.add_alternative("\r\n".join(text), subtype="calendar", params={"method": "REQUEST"})
    return mail


def tags(app: App) -> list[str]:
    with app.store.session() as session:
        (number,) = customers.by_name(session, "Padaria Sol")
        return sorted(customers.get(session, number).tags)


def reminder(app: App) -> Reminder:
    with app.store.session() as session:
        (row,) = reminders.in_states(session, tuple(ReminderState))
        return row


def test_a_meeting_in_two_calendars_and_in_a_mail_is_one(office: GraphOffice, app: App) -> None:
    start = office.clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(days=2)
    for rep in ("ana", "bruno"):
        meeting(office, rep, start=start)
    office.deliver("bruno", invitation(office, start))
    turn(office, app)
    (found,) = [one for one in logged(app) if one["kind"] == "meeting"]
    assert sorted(one["account"] for one in found["sightings"]) == ["ana", "bruno", "bruno"]
    assert tags(app) == ["booked"]
    for rep in ("ana", "bruno"):
        meeting(office, rep, "STATUS:CANCELLED", "SEQUENCE:1", start=start)
    turn(office, app)
    turn(office, app)
    assert tags(app) == ["booked", "called-off"]
    assert len([one for one in logged(app) if one["kind"] == "meeting"]) == 1


@pytest.mark.parametrize("way", ["calendar", "task"])
def test_a_reminder_lies_there_once_is_moved_and_goes_by_itself(office: GraphOffice, app: App, way: str) -> None:
    question = office.deliver("ana", office.mail(f"Maria <{MARIA}>", ANA, "Caixas", "Quero 300 caixas."))
    for _ in range(3):
        turn(office, app)
    row = reminder(app)
    assert row.state == ReminderState.PLACED
    assert row.item_uid is not None
    place = agenda(office)
    if way == "calendar":
        event = stored_event(place, row.item_uid)
        assert event is not None
        assert event.at(event.start) == row.due_at
        event.start, event.end = event.start + timedelta(days=2), event.end + timedelta(days=2)
        place.put(event)
    else:
        task = stored_task(place, row.item_uid)
        assert task is not None
        (home,) = [one for one in place.lists.values() if task["id"] in one.tasks]
        later = f"{row.due_at + timedelta(days=2):%Y-%m-%dT%H:%M:%S}"
        place.keep_task(task["id"], {**task, "reminderDateTime": {"dateTime": later, "timeZone": "UTC"}}, home)
    turn(office, app)
    assert reminder(app).due_at == row.due_at + timedelta(days=2)
    reply = office.mail(ANA, f"Maria <{MARIA}>", "Re: Caixas", "São R$ 900.", answers=question)
    office.deliver("ana", reply, "Sent Items")
    for _ in range(2):
        turn(office, app)
    assert reminder(app).state == ReminderState.WITHDRAWN
    assert stored_event(place, row.item_uid) is stored_task(place, row.item_uid) is None


def test_doctor_looks_into_the_calendars(office: GraphOffice) -> None:
    meeting(office, "ana", start=datetime.now(UTC) + timedelta(days=1))
    service(office).closed = [("GET", "/todo")]
    found = examine(load_office(office.directory), HeldClock(datetime.now(UTC)))
    service(office).closed = []
    told = {one.message: one for one in found if one.about == "calendar ana"}
    assert told["reads 2 of 2 calendars: Calendar, Team"].level == Level.OK
    assert told["1 event in the coming month, of 1 object read"].level == Level.OK
    assert any(text.startswith("signed in at tests as ana@vendas.example") for text in told)
    (tasks,) = [one for text, one in told.items() if text.startswith("no task can be laid here")]
    assert tasks.level == Level.WARN
    assert "Tasks.ReadWrite" in tasks.remedy
