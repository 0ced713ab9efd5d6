"""What only Microsoft 365 does to who reads its calendars, and lays reminders there: each trap with its test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from calendar_contract import ITEM, LATER, TASK, WINDOW, Round, calendar, event, read_all, vevent
from graph_calendar_world import calendar_settings, graph_office
from graph_world import ANA, Clock
from servers import spy
from servers.graph import Call, Fault
from servers.graph_agenda import Agenda, FakeEvent, Json
from servers.graph_calendars import GraphCalendarServer
from servers.graph_ical import keep, stored_event, stored_task

from connectors.calendars import ItemKind, OwnItem
from connectors.errors import Misconfigured, Throttled, Unavailable
from connectors.graph.calendar_desk import GraphCalendarDesk
from connectors.graph.calendar_source import GraphCalendarSource
from connectors.graph.own_events import OwnEvents

WEEK = calendar(vevent("week", "RRULE:FREQ=WEEKLY;COUNT=8", "DURATION:PT1H", start="DTSTART:20261109T090000Z"))
OLGA = {"emailAddress": {"address": "olga@acme.example", "name": "Olga"}, "type": "required"}


class Office:
    """Ana's calendars, a source and a desk on them, and what their owner does."""

    def __init__(self, server: GraphCalendarServer, clock: Clock) -> None:
        self.server, self.clock = server, clock
        self.agenda: Agenda = server.agendas[ANA]
        self.open: list[Any] = []

    def source(self, **changes: Any) -> GraphCalendarSource:
        self.open.append(GraphCalendarSource(calendar_settings(self.server, self.clock, **changes)))
        return self.open[-1]  # type: ignore[no-any-return]

    def desk(self, **changes: Any) -> GraphCalendarDesk:
        self.open.append(GraphCalendarDesk(calendar_settings(self.server, self.clock, **changes)))
        return self.open[-1]  # type: ignore[no-any-return]

    def put(self, name: str, data: bytes = b"", calendar: str = "Calendar") -> FakeEvent:
        return keep(self.agenda, name, data or event(name), calendar)

    def change(self, one: FakeEvent, **fields: Any) -> None:
        one.fields |= fields
        self.agenda.put(one)

    def counted(self, kind: str) -> int:
        return sum(path.endswith(kind) for _, path in self.server.calls)

    def fail(self, method: str, path: str, **fault: Any) -> None:
        self.server.script.append((method, path, Fault(**fault)))


@pytest.fixture
def office() -> Iterator[Office]:
    clock = Clock()
    with graph_office(clock) as server:
        made = Office(server, clock)
        yield made
        for one in made.open:
            one.close()


def ref(run: Round) -> str:
    return run.events[0].ref


# -- reading


def test_an_occurrence_that_was_taken_out_is_missing_among_those_that_come(office: Office) -> None:
    """The service says no word of it: the series comes anew with those that are left."""
    week = office.put("week", WEEK)
    run = read_all(office.source())
    week.taken_out.add(datetime(2026, 11, 23, 9))  # noqa: DTZ001 - wall clock
    office.agenda.put(week)
    later = read_all(office.source(), run.cursor)
    assert (len(run.events), len(later.events), later.removed) == (8, 7, [])
    assert later.read == [("Calendar", ref(run))]
    assert {one.key for one in later.events} < {one.key for one in run.events}


def test_one_occurrence_moved_is_the_same_meeting(office: Office) -> None:
    week = office.put("week", WEEK)
    run = read_all(office.source())
    original = datetime(2026, 11, 23, 9)  # noqa: DTZ001 - wall clock
    moved = FakeEvent("x", week.calendar, original + timedelta(hours=5), original + timedelta(hours=6))
    week.exceptions[original] = moved
    office.agenda.put(week)
    later = read_all(office.source(), run.cursor)
    assert {one.key for one in later.events} == {one.key for one in run.events}
    (exception,) = (one for one in later.events if one.exception)
    assert exception.start == datetime(2026, 11, 23, 14, tzinfo=UTC)
    assert exception.uid == "week@acme.example"


@pytest.mark.parametrize("fault", [{"status": 410}, {"status": 400, "code": "SyncStateNotFound"}, {}])
def test_a_link_that_died_has_the_window_compared_anew(office: Office, fault: Json) -> None:
    """What is gone meanwhile is told, and what stands there is not called gone."""
    office.put("stays")
    gone = office.put("gone")
    run = read_all(office.source())
    office.agenda.remove(gone.id)
    office.put("new")
    if fault:
        office.fail("GET", "delta", **fault)
    else:
        office.agenda.forget_tokens()
    later = read_all(office.source(), run.cursor)
    assert later.names == ["new", "stays"]
    assert later.removed == [("Calendar", gone.id)]
    assert read_all(office.source(), later.cursor).read == []


def test_a_link_that_dies_between_pages(office: Office) -> None:
    office.server.page_limit = 2
    for number in range(7):
        office.put(f"e{number}")
    for fault in (
        {"repeat": True},
        {"status": 410},
        {"status": 503, "retry_after": 2},
        {"drop": True},
        {"repeat": True},
    ):
        office.fail("GET", "delta", **fault)
    run = read_all(office.source(), limit=3)
    assert run.names == [f"e{number}" for number in range(7)]
    assert len(run.read) == 7
    assert office.clock.slept


def test_a_position_is_saved_between_pages(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.graph.calendar_source._PAGES", 1)
    office.server.page_limit = 1
    for number in range(4):
        office.put(f"e{number}")
    batch = office.source().fetch(None, WINDOW, limit=10)
    assert (len(batch.read), batch.more) == (1, True)
    run = read_all(office.source(), batch.cursor)
    assert sorted([*run.names, *(one.uid.partition("@")[0] for one in batch.events)]) == ["e0", "e1", "e2", "e3"]


def test_updates_that_name_only_what_changed(office: Office) -> None:
    office.server.partial_updates = True
    one = office.put("e1", event("e1", "LOCATION:Rua das Flores 5"))
    run = read_all(office.source())
    office.change(one, subject="Outro assunto")
    (found,) = read_all(office.source(), run.cursor).events
    assert (found.summary, found.location) == ("Outro assunto", "Rua das Flores 5")


def test_a_meeting_called_off_by_its_organizer_stays_with_its_status(office: Office) -> None:
    one = office.put("e1", event("e1", "ORGANIZER:mailto:maria@acme.example", "ATTENDEE:mailto:ana@vendas.example"))
    run = read_all(office.source())
    office.change(one, isCancelled=True)
    later = read_all(office.source(), run.cursor)
    assert [found.status for found in later.events] == ["cancelled"]
    assert later.removed == []


def test_an_event_moved_to_another_calendar_is_gone_from_the_first(office: Office) -> None:
    """Its id stays the same, so it can be read by it as before."""
    one = office.put("e1")
    run = read_all(office.source())
    office.agenda.move(one.id, office.agenda.calendar("Team"))
    later = read_all(office.source(), run.cursor)
    assert later.removed == [("Calendar", one.id)]
    assert [found.calendar for found in later.events] == ["Team"]


def test_what_lies_in_the_trash_is_gone_though_its_id_still_answers(office: Office) -> None:
    office.server.trash_answers = True
    one, week = office.put("e1"), office.put("week", WEEK)
    source = office.source()
    run = read_all(source)
    office.agenda.remove(one.id)
    again = source.reread([("Calendar", one.id), ("Calendar", week.id)], WINDOW)
    assert (again.removed, len(again.events)) == ((("Calendar", one.id),), 8)
    assert read_all(source, run.cursor).removed == [("Calendar", one.id)]


def test_where_nothing_happened_the_position_stays_the_same(office: Office) -> None:
    """Each answer has another link, and that alone is nothing to save."""
    office.put("e1")
    source = office.source(only=("Calendar",))
    run = read_all(source)
    for number in range(2):
        office.put(f"other{number}", calendar="Team")
        assert read_all(source, run.cursor).cursor == run.cursor
    office.put("e2")
    assert read_all(source, run.cursor).names == ["e2"]


def test_what_happens_outside_of_the_window_is_nothing(office: Office) -> None:
    """The service tells of it as of something removed."""
    office.put("e1")
    source = office.source()
    run = read_all(source)
    office.put("far", event("far", start="DTSTART:20280101T090000Z"))
    later = read_all(source, run.cursor)
    assert (later.read, later.removed) == ([], [])
    assert later.cursor != run.cursor


def test_a_window_that_slides_lists_anew_and_tells_nothing_gone(office: Office) -> None:
    office.put("first", event("first", start="DTSTART:20261103T090000Z"))
    office.put("e1")
    source = office.source()
    run = read_all(source)
    later = read_all(source, run.cursor, LATER)
    assert (later.names, later.removed) == (["e1"], [])
    assert len(later.read) == 2  # the one that slid out is told with nothing in the window
    assert len(read_all(source, later.cursor, LATER).read) == 0


def test_one_broken_event_and_the_others_arrive(office: Office) -> None:
    for number in range(4):
        office.put(f"e{number}")
    broken = office.put("broken")
    broken.broken = True
    run = read_all(office.source())
    assert run.names == ["e0", "e1", "e2", "e3"]
    assert [(one.ref, one.stage) for one in run.unreadable] == [(broken.id, "fetch")]
    assert read_all(office.source(), run.cursor).read == []


def test_a_service_in_trouble_calls_no_event_broken(office: Office) -> None:
    office.put("e1")
    office.server.faults = lambda call: Fault(status=503) if "/events/" in call.path else None
    with pytest.raises(Unavailable):
        read_all(office.source())


def test_a_pause_that_the_service_asks_for(office: Office) -> None:
    office.put("e1")
    office.fail("GET", "delta", status=429, code="ApplicationThrottled", retry_after=3)
    assert read_all(office.source()).names == ["e1"]
    assert sum(office.clock.slept) >= 3
    office.fail("GET", "delta", status=429, code="ApplicationThrottled", retry_after=900)
    with pytest.raises(Throttled) as caught:
        read_all(office.source())
    assert caught.value.retry_after == 900


def test_calendars_of_colleagues_are_read_only_where_they_are_named(office: Office) -> None:
    office.agenda.add_calendar("Bruno", owner="bruno@vendas.example", writable=False)
    office.put("mine")
    office.put("his", calendar="Bruno")
    assert read_all(office.source()).names == ["mine"]
    assert read_all(office.source(only=("bruno",))).names == ["his"]
    assert office.source(skip=("Team", "Nope")).check() == (
        "reads 1 of 3 calendars: Calendar",
        "no calendar is called 'Nope'",
    )


def test_a_calendar_that_is_gone_takes_its_events_along(office: Office) -> None:
    office.put("e1", calendar="Team")
    source = office.source()
    run = read_all(source)
    office.agenda.drop_calendar("Team")
    assert [name for name, _ in read_all(source, run.cursor).removed] == ["Team"]


def test_reading_needs_no_permission_to_write(office: Office) -> None:
    office.server.closed = [("POST|PATCH|DELETE", "/"), ("GET", "/todo")]
    office.put("e1")
    assert read_all(office.source()).names == ["e1"]


# -- laying


@pytest.mark.parametrize(
    ("item", "closed", "scope"),
    [(ITEM, "/calendars", "Calendars.ReadWrite"), (TASK, "/todo", "Tasks.ReadWrite")],
)
def test_a_permission_that_is_missing_is_said_with_what_to_do(
    office: Office, item: OwnItem, closed: str, scope: str
) -> None:
    office.server.closed = [("POST", closed)]
    with pytest.raises(Misconfigured) as caught:
        office.desk().put(item)
    assert scope in caught.value.hint
    assert "quietcrm auth login ana" in caught.value.hint


def test_without_tasks_the_desk_says_so(office: Office) -> None:
    office.server.closed = [("GET", "/todo")]
    events, tasks = office.desk().check()
    assert events == "reminders go to the calendar Calendar"
    assert tasks.startswith("no task can be laid here")


@pytest.mark.parametrize("item", [ITEM, TASK])
@pytest.mark.parametrize("fault", [{"status": 504, "after": True}, {"drop": True, "after": True}])
def test_what_was_done_though_no_answer_came_is_done_once(office: Office, item: OwnItem, fault: Json) -> None:
    desk = office.desk()
    office.fail("POST", "/(events|tasks)$", **fault)
    assert desk.put(item).written
    assert desk.put(item).written is False
    assert len(office.agenda.events) + sum(len(one.tasks) for one in office.agenda.lists.values()) == 1


def test_what_nobody_knows_of_is_looked_up_at_the_next_try(office: Office) -> None:
    """The first request is done after we looked and found nothing: the second one has the same name."""
    desk = office.desk()
    office.fail("POST", "/events$", status=504)
    with pytest.raises(Unavailable):
        desk.put(ITEM)
    office.fail("POST", "/events$", status=504, after=True)
    assert desk.put(ITEM).written
    office.agenda.events.clear()  # and its owner deletes it: the name is used up
    assert desk.put(ITEM).written
    assert len(office.agenda.events) == 1


@pytest.mark.parametrize("act", ["change", "remove"])
def test_what_its_owner_changes_at_that_moment_stays(office: Office, act: str) -> None:
    """Between our look and our request somebody is invited by it."""
    desk = office.desk()
    placed = desk.put(ITEM)
    one = stored_event(office.agenda, ITEM.uid)
    assert one is not None

    def meanwhile(call: Call) -> Fault | None:
        if call.method in ("PATCH", "DELETE") and not one.fields.get("attendees"):
            office.change(one, attendees=[OLGA])
        return None

    office.server.faults = meanwhile
    if act == "change":
        changed = desk.put(replace(ITEM, summary="x"), revision=placed.revision)
        assert (changed.written, changed.ours) == (False, False)
    else:
        assert not desk.remove(placed)
    assert one.fields["subject"] == ITEM.summary
    assert not one.trashed


def test_a_copy_that_its_owner_made_is_not_taken_for_ours(office: Office) -> None:
    desk = office.desk()
    placed = desk.put(ITEM)
    one = stored_event(office.agenda, ITEM.uid)
    assert one is not None
    copied = replace(one, id=office.agenda.id("copy"), fields={**one.fields, "createdDateTime": "2030-01-01T00:00:00Z"})
    office.agenda.events = {copied.id: copied, **office.agenda.events}
    found = desk.find(ITEM.uid, ItemKind.EVENT)
    assert found is not None
    assert found.ref == placed.ref


def test_wherever_its_owner_moved_it(office: Office) -> None:
    desk = office.desk(reminders="Team")
    placed = desk.put(ITEM)
    assert placed.calendar == "Team"
    office.agenda.move(placed.ref, office.agenda.calendar("Calendar"))
    found = desk.find(ITEM.uid, ItemKind.EVENT)
    assert found is not None
    assert (found.calendar, found.ref) == ("Calendar", placed.ref)
    assert desk.remove(found)


def test_what_an_event_of_ours_looks_like(office: Office) -> None:
    office.desk().put(replace(ITEM, alarm=timedelta(minutes=10), text="a\nb\x00"))
    one = stored_event(office.agenda, ITEM.uid)
    assert one is not None
    shown = {key: one.fields[key] for key in ("categories", "showAs", "isReminderOn", "reminderMinutesBeforeStart")}
    assert shown == {
        "categories": ["CRM"],
        "showAs": "free",
        "isReminderOn": True,
        "reminderMinutesBeforeStart": 10,
    }
    assert one.fields["body"] == {"contentType": "text", "content": "a\nb "}
    assert "attendees" not in one.fields
    (read,) = read_all(office.source()).events
    assert (read.is_ours, read.free, read.uid) == (True, True, ITEM.uid)


def test_a_whole_day(office: Office) -> None:
    placed = office.desk().put(replace(ITEM, start=date(2026, 12, 1)))
    assert (placed.start, placed.end) == (date(2026, 12, 1), date(2026, 12, 2))


def test_no_place_for_it(office: Office) -> None:
    for item, setting in ((ITEM, {"reminders": "Nope"}), (TASK, {"tasks": "Nope"})):
        with pytest.raises(Misconfigured, match="Nope"):
            office.desk(**setting).put(item)
    assert office.desk(tasks="aufgaben").put(TASK).calendar == "Aufgaben"


@pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Pacific/Auckland", "Europe/Lisbon"])
def test_a_task_is_due_on_the_day_of_its_owner(office: Office, zone: str) -> None:
    desk = office.desk(zone=zone)
    start = datetime(2026, 12, 1, 23, 30, tzinfo=UTC)
    assert desk.put(replace(TASK, start=start, alarm=timedelta(0))).start == start
    task = stored_task(office.agenda, TASK.uid)
    assert task is not None
    assert task["isReminderOn"]
    assert desk.put(replace(TASK, uid="quietcrm-day", start=date(2026, 12, 1))).start == date(2026, 12, 1)


@pytest.mark.parametrize(
    ("field", "moved", "start"),
    [
        ("reminderDateTime", "2026-12-03T09:00:00", datetime(2026, 12, 3, 9, tzinfo=UTC)),
        ("dueDateTime", "2026-12-04T00:00:00", date(2026, 12, 4)),
        ("reminderDateTime", None, date(2026, 12, 1)),
    ],
)
def test_a_task_put_off(office: Office, field: str, moved: str | None, start: date) -> None:
    desk = office.desk()
    placed = desk.put(TASK)
    task = stored_task(office.agenda, TASK.uid)
    assert task is not None
    place = next(one for one in office.agenda.lists.values() if task["id"] in one.tasks)
    when = {"dateTime": moved, "timeZone": "UTC"} if moved else None
    office.agenda.keep_task(task["id"], {**task, field: when}, place)
    found = desk.find(TASK.uid, ItemKind.TASK)
    assert found is not None
    assert (found.start, found.done) == (start, False)
    assert not desk.remove(placed)


def test_a_task_is_found_by_a_desk_that_did_not_lay_it(office: Office) -> None:
    placed = office.desk(tasks="Aufgaben").put(TASK)
    office.server.page_limit = 1
    desk = office.desk()
    assert desk.find(TASK.uid, ItemKind.TASK) == placed
    before = len(office.server.calls)
    assert desk.find(TASK.uid, ItemKind.TASK) == placed
    assert len(office.server.calls) - before <= 3  # the lists, and the task itself
    assert desk.remove(placed)
    assert desk.find(TASK.uid, ItemKind.TASK) is None


def test_somebody_elses_link_is_not_ours(office: Office) -> None:
    desk = office.desk()
    desk.put(TASK)
    task = stored_task(office.agenda, TASK.uid)
    assert task is not None
    task["linkedResources"][0]["applicationName"] = "another"
    assert office.desk().find(TASK.uid, ItemKind.TASK) is None


def test_the_spy_would_see_an_invitation(office: Office) -> None:
    """The service of these tests writes to people where a client changes an event with attendees, as the real one."""
    desk = office.desk()
    placed = desk.put(ITEM)
    one = stored_event(office.agenda, ITEM.uid)
    assert one is not None
    one.fields["attendees"] = [OLGA]
    assert not desk.remove(placed)
    assert office.server.invitations == []
    with spy.expected() as seen:
        OwnEvents(calendar_settings(office.server, office.clock), desk._client).remove(placed)
    assert any("olga@acme.example" in one for one in seen)
    assert [found.people for found in office.server.invitations] == [("olga@acme.example",)]
    office.server.invitations.clear()


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=404, code="ErrorItemNotFound")])
def test_where_the_service_cannot_tell_what_changed_it_is_compared(office: Office, fault: Fault) -> None:
    """Some calendars never come to the end of their changes, by others' reports."""
    office.server.faults = lambda call: fault if call.path.endswith("/delta") else None
    one, gone, week = office.put("e1"), office.put("gone"), office.put("week", WEEK)
    run = read_all(office.source())
    assert run.names == ["e1", "gone", "week"]
    assert read_all(office.source(), run.cursor).read == []
    office.change(one, subject="x")
    office.agenda.remove(gone.id)
    week.taken_out.add(datetime(2026, 11, 23, 9))  # noqa: DTZ001 - wall clock
    office.agenda.put(week)
    later = read_all(office.source(), run.cursor)
    assert (later.names, later.removed) == (["e1", "week"], [("Calendar", gone.id)])
    assert len(later.events) == 8
    office.server.faults = lambda call: None
    again = read_all(office.source(), later.cursor)
    assert (again.names, again.removed) == (["e1", "week"], [])
    assert read_all(office.source(), again.cursor).read == []


def test_what_was_to_be_read_and_left_the_calendar_is_looked_for(office: Office) -> None:
    """It was named, and not yet read, when the links died; its id answers from another calendar."""
    for number in range(3):
        office.put(f"e{number}")
    batch = office.source().fetch(None, WINDOW, limit=1)
    for number in range(3):
        office.agenda.move(office.agenda.id(f"object e{number}"), office.agenda.calendar("Team"))
    office.agenda.forget_tokens()
    run = read_all(office.source(), batch.cursor, LATER)
    seen = {(one.calendar, one.uid) for one in run.events if (one.calendar, one.ref) not in run.removed}
    assert seen == {("Team", f"e{number}@acme.example") for number in range(3)}
