"""What only calendars on an Exchange Server do to those who read them, and to those who write into them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TypeVar

import pytest
from calendar_contract import ITEM, TASK, WINDOW, calendar, event, read_all, vevent
from exchange_settings import ANA
from servers import spy
from servers.ews import EwsServer
from servers.ews_calendars import Appointment, Guest, Todo
from servers.ews_store import Mailbox
from test_exchange_calendars import DeskHooks, SourceHooks, server

from connectors.calendars import Answer, CalendarEvent, EventStatus, ItemKind, OwnItem, Window
from connectors.errors import AuthRejected, Misconfigured, Throttled, Unavailable
from connectors.exchange.calendars.source import ExchangeCalendarSource
from connectors.memory_calendars import MemoryCalendars, MemoryCalendarSource
from connectors.model import Cursor
from connectors.parsing import InlineParser

__all__ = ["server"]

T = TypeVar("T")
BRUNO = "bruno@vendas.example"
OUTLOOK = "040000008200E00074C5B7101A82E008000000006BBF708F334DD301000000000000000010000000EB47B669CD391747A9C8C285F08C"
BERLIN = "TZID=Europe/Berlin:2026"
SERIES = calendar(
    vevent(
        "week",
        "RRULE:FREQ=WEEKLY;COUNT=8",
        f"EXDATE;{BERLIN}1109T090000",
        "DURATION:PT1H",
        start=f"DTSTART;{BERLIN}1019T090000",
    ),
    vevent("week", f"RECURRENCE-ID;{BERLIN}1116T090000", "DURATION:PT1H", start=f"DTSTART;{BERLIN}1117T140000"),
)


def insist(act: Callable[[], T]) -> T:
    """As the daemon does: again until it is done."""
    for _ in range(200):
        try:
            return act()
        except (Unavailable, Throttled):
            continue
    raise AssertionError("it never ends")


class TestReading(SourceHooks):
    def only(self, source: ExchangeCalendarSource) -> CalendarEvent:
        (found,) = read_all(source).events
        source.close()
        return found

    def lay(self, **fields: object) -> Appointment:
        """An hour-long item in the calendar, as Exchange has it."""
        start = datetime(2026, 12, 1, 9, tzinfo=UTC)
        values = {"uid": "e1@acme.example", "subject": "Visita", "start": start, "end": start + timedelta(hours=1)}
        item = Appointment(id=self.server.box.new_id(), folder="", raw=b"", received=start, **(values | fields))  # type: ignore[arg-type]
        self.server.box.lay(item, self.folder())
        return item

    # -- one meeting, one key

    @pytest.mark.parametrize("told", ["plain", "wrapped", "hidden"])
    @pytest.mark.parametrize("data", [SERIES, SERIES.replace(b"week@acme.example", OUTLOOK.encode())])
    def test_a_meeting_has_the_key_that_it_has_elsewhere(self, data: bytes, told: str) -> None:
        self.server.wraps_uids, self.server.hides_uids = told == "wrapped", told == "hidden"
        calendars = MemoryCalendars({"Calendar": {}})
        calendars.put("week.ics", data)
        elsewhere = read_all(MemoryCalendarSource("ana", calendars, InlineParser()))
        self.put("week", data)
        source = self.make_source()
        here = read_all(source)
        assert len(here.events) == 5
        assert {one.key: str(one.start) for one in here.events} == {one.key: str(one.start) for one in elsewhere.events}
        source.close()

    def test_an_original_start_that_is_an_hour_off(self) -> None:
        """EWS works it out with the offset from the beginning of the series."""
        self.server.drifts_originals = True
        self.put("week", SERIES)
        source = self.make_source()
        found = read_all(source).events
        assert [one.original for one in found if one.exception] == [datetime(2026, 11, 16, 8, tzinfo=UTC)]
        source.close()

    def test_an_invitation_to_one_of_a_series(self) -> None:
        start = f"DTSTART;{BERLIN}1117T140000"
        self.put("one", event("week", f"RECURRENCE-ID;{BERLIN}1116T090000", "DURATION:PT1H", start=start))
        found = self.only(self.make_source())
        assert found.key == ("week@acme.example", "20261116T080000Z")

    # -- days and zones

    @pytest.mark.parametrize("zone", ["GMT Standard Time", "E. South America Standard Time", "Tonga Standard Time", ""])
    def test_a_day_is_the_day_where_the_event_was_made(self, zone: str) -> None:
        start = Appointment(id="", folder="", raw=b"", received=WINDOW.start, zone=zone or "GMT Standard Time").wall
        first = datetime(2026, 12, 3, tzinfo=start)
        self.lay(all_day=True, zone=zone, start=first.astimezone(UTC), end=first.replace(day=5).astimezone(UTC))
        found = self.only(self.make_source())
        assert (found.start, found.end, found.zone) == (date(2026, 12, 3), date(2026, 12, 5), "")

    def test_days_keep_in_step_when_the_clocks_change(self) -> None:
        """In March, one is 23 hours long."""
        self.put("fair", event("fair", "RRULE:FREQ=DAILY;COUNT=4", start="DTSTART;VALUE=DATE:20270326"))
        source = self.make_source()
        found = read_all(source, window=Window(WINDOW.end, datetime(2027, 5, 1, tzinfo=UTC))).events
        assert sorted((one.start, one.end, one.original) for one in found) == [
            (date(2027, 3, day), date(2027, 3, day + 1), date(2027, 3, day)) for day in range(26, 30)
        ]
        source.close()

    @pytest.mark.parametrize("zone", ["Customized Time Zone", "tzone://Microsoft/Custom"])
    def test_a_zone_that_nobody_knows(self, zone: str) -> None:
        """The instant is right; it is shown in the owner's zone."""
        self.lay(zone=zone)
        found = self.only(self.make_source())
        assert (found.start, found.zone) == (datetime(2026, 12, 1, 9, tzinfo=UTC), "Europe/Lisbon")
        assert not found.zone_unclear
        assert zone in found.degraded[0]

    # -- people

    def test_the_copy_of_somebody_invited(self) -> None:
        """Unanswered it stands as tentative, which is no word of the organizer; of others it knows nothing."""
        guests = [Guest(ANA, response="Accept"), Guest("ivan@acme.example", response="Accept")]
        item = self.lay(
            busy="Tentative", organizer=Guest("olga@acme.example"), guests=guests, my_response="NoResponseReceived"
        )
        source = self.make_source()
        run = read_all(source)
        (found,) = run.events
        assert (found.status, found.answer) == (EventStatus.CONFIRMED, Answer.NONE)
        assert [one.answer for one in found.attendees] == [Answer.NONE, Answer.NONE]
        item.my_response, item.busy = "Decline", "Free"
        self.server.box.touch(item)
        (found,) = read_all(source, run.cursor).events
        assert (found.answer, found.free) == (Answer.DECLINED, True)
        assert [one.answer for one in found.attendees] == [Answer.DECLINED, Answer.NONE]
        source.close()

    def test_somebody_who_is_gone_from_the_directory(self) -> None:
        gone = Guest("/o=Vendas/ou=Exchange/cn=Recipients/cn=rui", name="Rui", kind="Optional")
        self.lay(guests=[Guest("ivan@acme.example"), gone])
        found = self.only(self.make_source())
        assert [one.address.email for one in found.attendees] == ["ivan@acme.example"]
        assert found.degraded == ('an attendee without a mail address: "Rui"',)

    def test_an_appointment_of_ones_own_has_no_organizer(self) -> None:
        self.lay(busy="Free")
        found = self.only(self.make_source())
        assert (found.organizer, found.attendees, found.answer, found.free) == (None, (), None, True)

    def test_a_meeting_called_off_is_told_with_its_status(self) -> None:
        self.lay(cancelled=True, organizer=Guest("olga@acme.example"), guests=[Guest(ANA)])
        assert self.only(self.make_source()).status is EventStatus.CANCELLED

    # -- changes

    def test_a_state_that_the_server_has_lost(self) -> None:
        self.fill(4)
        source = self.make_source()
        run = read_all(source)
        self.folder().epoch += 1
        self.compare(source, run.cursor)
        source.close()

    def test_a_state_that_is_taken_for_the_beginning(self) -> None:
        """Silently: what went would never be known."""
        self.server.takes_any_state = True
        self.fill(4)
        source = self.make_source()
        run = read_all(source)
        self.folder().epoch += 1
        self.compare(source, run.cursor)
        source.close()

    def compare(self, source: ExchangeCalendarSource, cursor: Cursor) -> None:
        self.remove("e1")
        self.put("e2", event("e2", "SEQUENCE:1"))
        later = read_all(source, cursor)
        assert (later.names, len(later.removed)) == (["e2"], 1)
        assert read_all(source, later.cursor).read == []

    def test_pages_that_come_twice(self) -> None:
        self.server.repeats_pages = True
        self.fill(6)
        source = self.make_source()
        run = read_all(source, limit=2)
        assert len(run.read) == 6
        self.put("e2", event("e2", "SEQUENCE:1"))
        later = read_all(source, run.cursor)
        assert (later.names, later.removed) == (["e2"], [])
        source.close()

    def test_a_hundred_that_went_at_once(self) -> None:
        self.server.box.deletes_at_once = 100
        self.fill(130)
        source = self.make_source()
        run = read_all(source)
        for number in range(120):
            self.remove(f"e{number}")
        assert len(read_all(source, run.cursor).removed) == 120
        source.close()

    def test_a_change_within_a_series_reads_all_of_it(self) -> None:
        self.put("week", SERIES)
        source = self.make_source()
        run = read_all(source)
        item = self.item("week")
        assert isinstance(item, Appointment)
        item.deleted.add(datetime(2026, 11, 30, 8, tzinfo=UTC))
        self.server.box.touch(item)
        later = read_all(source, run.cursor)
        assert sorted(str(one.start)[:10] for one in later.events) == [
            "2026-11-02",
            "2026-11-17",
            "2026-11-23",
            "2026-12-07",
        ]
        source.close()

    def test_what_changes_while_it_is_read_comes_once_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put("week", SERIES)
        source = self.make_source()
        ask = EwsServer._carry_out

        def meddling(running: EwsServer, login: str, request: object, body: object) -> object:
            answer = ask(running, login, request, body)
            if "CalendarView" in str(answer[2]) or "RootFolder" in str(answer[2]):
                item = self.item("week")
                assert isinstance(item, Appointment)
                item.deleted.add(datetime(2026, 11, 30, 8, tzinfo=UTC))
                self.server.box.touch(item)
            return answer

        monkeypatch.setattr(EwsServer, "_carry_out", meddling)
        run = read_all(source)
        monkeypatch.undo()
        assert len(read_all(source, run.cursor).read) == 1
        source.close()

    def test_more_than_a_view_gives_at_once(self) -> None:
        self.server.most_in_view = 7
        self.put("daily", event("daily", "RRULE:FREQ=DAILY", "DURATION:PT1H", start="DTSTART:20261015T090000Z"))
        source = self.make_source()
        found = read_all(source).events
        assert len(found) == len({one.key for one in found}) == 92
        source.close()

    def test_a_window_of_many_years(self) -> None:
        self.put("yearly", event("yearly", "RRULE:FREQ=YEARLY", start="DTSTART:20201201T090000Z"))
        source = self.make_source()
        wide = Window(datetime(2021, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
        assert len(read_all(source, window=wide).events) == 6
        source.close()

    def test_at_the_edge_of_the_window(self) -> None:
        """A CalendarView holds what ends where it begins."""
        before = WINDOW.start - timedelta(hours=1)
        self.lay(start=before, end=WINDOW.start)
        self.put("daily", event("daily", "RRULE:FREQ=DAILY;COUNT=2", "DURATION:PT1H", start="DTSTART:20261031T230000Z"))
        source = self.make_source()
        assert [one.start for one in read_all(source).events] == [datetime(2026, 11, 1, 23, tzinfo=UTC)]
        source.close()

    def test_few_requests(self) -> None:
        """A look at a quiet calendar is one request a calendar; a change three."""
        self.fill(30)
        source = self.make_source()
        run = read_all(source)
        self.server.requests.clear()
        later = read_all(source, run.cursor)
        assert self.server.requests == {"SyncFolderItems": 2}
        self.put("e1", event("e1", "SEQUENCE:1"))
        self.server.requests.clear()
        read_all(source, later.cursor)
        assert self.server.requests == {"SyncFolderItems": 2, "GetItem": 2}
        source.close()

    # -- what cannot be read

    def test_a_broken_item_is_named_and_the_others_come(self) -> None:
        self.fill(3)
        self.put("week", SERIES)
        for name in ("e1", "week"):
            item = self.item(name)
            assert item is not None
            item.broken = True
        source = self.make_source()
        run = read_all(source)
        assert run.names == ["e0", "e2"]
        assert sorted(one.ref for one in run.unreadable) == sorted([self.ids["e1"], self.ids["week"]])
        assert all("corrupt" in one.reason for one in run.unreadable)
        assert read_all(source, run.cursor).read == []
        source.close()

    def test_what_becomes_unreadable_is_not_gone(self) -> None:
        """What was known of it stays: it is told neither as read nor as removed."""
        self.fill(1)
        source = self.make_source()
        run = read_all(source)
        item = self.item("e0")
        assert item is not None
        item.broken = True
        self.server.box.touch(item)
        later = read_all(source, run.cursor)
        assert (later.read, later.removed, len(later.unreadable)) == ([], [], 1)
        item.broken = False
        self.server.box.touch(item)
        assert read_all(source, later.cursor).names == ["e0"]
        source.close()

    def test_a_view_that_one_broken_series_keeps_from_being_shown(self) -> None:
        """The other series have all of their occurrences but those of that day, and none of them counts as gone."""
        self.server.breaks_views = True
        self.put("week", SERIES)
        self.put("once", event("once"))
        self.put("bad", event("bad", "RRULE:FREQ=MONTHLY;COUNT=2", start="DTSTART:20261116T050000Z"))
        item = self.item("bad")
        assert item is not None
        item.broken = True
        source = self.make_source()
        run = read_all(source)
        assert run.names == ["once", "week"]
        assert len(run.events) == 6
        assert [ref for _, ref in run.read] == [self.ids["once"]]
        reasons = sorted(one.reason for one in run.unreadable if one.ref == self.ids["week"])
        assert [reason[:43] for reason in reasons] == [
            "the server does not show 2026-11-16 to 2026",
            "the server does not show 2026-12-15 to 2026",
        ]
        self.remove("bad")
        self.put("week", SERIES.replace(b"SUMMARY", b"SEQUENCE:1\r\nSUMMARY"))
        assert len(read_all(source, run.cursor).read) == 1
        source.close()

    def test_a_server_that_breaks_down_over_one(self) -> None:
        """Asked for each by itself, it fails three times on the same; the others are there."""
        self.fill(3)
        self.server.fails_on = {self.ids["e1"]}
        source = self.make_source()
        run = None
        for _ in range(5):
            try:
                run = read_all(source)
                break
            except Unavailable:
                continue
        assert run is not None
        assert run.names == ["e0", "e2"]
        assert ["breaks down" in one.reason for one in run.unreadable] == [True]
        source.close()

    def test_a_server_that_asks_for_a_pause(self) -> None:
        self.fill(3)
        source = self.make_source()
        for operation in ("SyncFolderItems", "GetItem"):
            self.server.faults.script(operation, "busy500")
            with pytest.raises(Throttled) as caught:
                read_all(source)
            assert caught.value.retry_after == self.server.back_off
            self.server._busy_until.clear()
        assert len(read_all(source).read) == 3
        assert self.server.early == 0
        source.close()

    def test_everything_is_read_once_on_a_bad_line(self) -> None:
        for number in range(20):
            self.put(f"e{number}", event(f"e{number}"))
        self.put("week", SERIES)
        self.server.faults.rate, self.server.faults.random = 0.3, Random(7)
        self.server.back_off = 0
        source, cursor, read = self.make_source(), None, []
        for _ in range(500):
            try:
                batch = source.fetch(cursor, WINDOW, limit=4)
            except (Unavailable, Throttled):
                source.close()
                continue
            read += batch.read
            cursor = batch.cursor
            if not batch.more:
                break
        assert len(read) == len(set(read)) == 21
        assert self.server.faults.struck
        source.close()

    # -- whose calendar

    def test_a_service_account_acts_for_the_person(self) -> None:
        self.fill(1)
        self.server.users["crm"] = "word"
        source = self.make_source(login="crm", password="word", access="impersonation")
        with pytest.raises(Misconfigured, match="may not act for"):
            read_all(source)
        self.server.impersonators.add("crm")
        assert read_all(source).names == ["e0"]
        source.close()

    def test_a_delegate_of_the_calendar_alone(self) -> None:
        """Sees no other folder of the mailbox, and needs none."""
        self.fill(1)
        self.server.users[BRUNO] = "word"
        self.server.add_mailbox(BRUNO)
        self.server.calendar_delegates.add((BRUNO, ANA))
        source = self.make_source(login=BRUNO, password="word", access="delegate")
        assert source.check() == ("reads 1 of 1 calendars: Calendar",)
        assert read_all(source).names == ["e0"]
        source.close()

    def test_a_login_that_is_refused(self) -> None:
        source = self.make_source(password="wrong")
        with pytest.raises(AuthRejected):
            read_all(source)
        source.close()

    def test_the_settings_choose(self) -> None:
        self.fill(1)
        self.put("two", event("two"), second=True)
        trash = self.server.box.folder("deleteditems")
        self.server.box.add_folder("Old", parent=trash.id, folder_class="IPF.Appointment")
        source = self.make_source(skip=("team", "Férias"))
        assert source.check() == ("reads 1 of 2 calendars: Calendar", "no calendar is called 'Férias'")
        assert read_all(source).names == ["e0"]
        source.close()


class TestWriting(DeskHooks):
    def entry(self, uid: str) -> Appointment:
        found = self.stored_item(uid)
        assert isinstance(found, Appointment)
        return found

    def task(self, uid: str = TASK.uid) -> Todo:
        found = self.stored_item(uid)
        assert isinstance(found, Todo)
        return found

    def test_it_carries_our_uid_and_rings_only_if_asked(self) -> None:
        """Where nothing is said, Exchange rings a quarter of an hour before."""
        desk = self.make_desk()
        desk.put(ITEM)
        entry = self.entry(ITEM.uid)
        assert (entry.uid, entry.reminder, entry.busy, entry.zone) == (ITEM.uid, 0, "Free", "GMT Standard Time")
        silent = replace(ITEM, uid="quietcrm-silent", alarm=None)
        first = desk.put(silent)
        assert self.entry(silent.uid).reminder is None
        desk.put(replace(silent, alarm=timedelta(minutes=10)), revision=first.revision)
        assert self.entry(silent.uid).reminder == 10
        desk.close()

    def test_our_own_items_are_known_when_they_are_read(self) -> None:
        desk, source = self.make_desk(), self.make_source()
        desk.put(ITEM)
        (found,) = read_all(source).events
        assert (found.is_ours, found.free, found.categories, found.organizer) == (True, True, ("CRM",), None)
        desk.close()
        source.close()

    def test_a_day_is_a_day_in_its_owners_zone(self) -> None:
        item = OwnItem(uid="quietcrm-day", summary="Feira", start=date(2026, 7, 3))
        desk = self.make_desk()
        placed = desk.put(item)
        entry = self.entry(item.uid)
        assert (placed.start, placed.end) == (date(2026, 7, 3), date(2026, 7, 4))
        assert (entry.start, entry.all_day) == (datetime(2026, 7, 2, 23, tzinfo=UTC), True)
        desk.close()

    def test_what_cannot_be_said_in_xml(self) -> None:
        desk = self.make_desk()
        placed = desk.put(replace(ITEM, summary="a\x00b <c>&\ud800", text="x\x0by]]>\r\nz"))
        assert (placed.summary, placed.text) == ("a b <c>&", "x y]]>\nz")
        desk.close()

    def test_a_task_keeps_its_time_while_its_owner_leaves_the_day(self) -> None:
        """Exchange keeps the day alone: that of the owner's zone."""
        late = datetime(2026, 6, 30, 23, 30, tzinfo=UTC)
        desk = self.make_desk()
        placed = desk.put(replace(TASK, start=late, alarm=timedelta(minutes=30)))
        task = self.task()
        assert (placed.start, task.due_day) == (late, date(2026, 7, 1))
        assert (task.reminder, task.reminder_due) == (True, late - timedelta(minutes=30))
        task.due_day = date(2026, 7, 4)
        self.server.box.touch(task)
        found = desk.find(TASK.uid, TASK.kind)
        assert found is not None
        assert found.start == date(2026, 7, 4)
        desk.close()

    def test_a_task_is_ticked_off_and_its_day_taken_away(self) -> None:
        desk = self.make_desk()
        first = desk.put(replace(TASK, alarm=timedelta(0)))
        second = desk.put(replace(TASK, start=None, done=True), revision=first.revision)
        assert (second.done, second.start) == (True, None)
        assert (self.task().status, self.task().reminder, self.task().due_day) == ("Completed", False, None)
        desk.close()

    def test_a_task_handed_on_is_no_longer_ours(self) -> None:
        desk = self.make_desk()
        desk.put(TASK)
        self.task().delegation = "Owned"
        found = desk.find(TASK.uid, TASK.kind)
        assert found is not None
        assert not desk.remove(found)
        desk.close()

    def test_what_its_owner_marked_stays_marked(self) -> None:
        desk = self.make_desk()
        desk.put(ITEM)
        entry = self.entry(ITEM.uid)
        entry.categories.append("Urgente")
        self.server.box.touch(entry)
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        desk.put(replace(ITEM, summary="Ligar hoje"), revision=found.revision)
        assert entry.categories == ["CRM", "Urgente"]
        desk.close()

    def test_somebody_who_is_quicker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Between our look and our writing its owner changes it: ErrorIrresolvableConflict, and theirs stays."""
        desk = self.make_desk()
        first = desk.put(ITEM)
        update = desk._update

        def late(item: OwnItem, lies: object) -> bool:
            self.entry(ITEM.uid).subject = "Do dono"
            self.server.box.touch(self.entry(ITEM.uid))
            return update(item, lies)  # type: ignore[arg-type]

        monkeypatch.setattr(desk, "_update", late)
        changed = desk.put(replace(ITEM, summary="Nosso"), revision=first.revision)
        assert (changed.written, changed.summary) == (False, "Do dono")
        desk.close()

    def test_a_copy_that_its_owner_made_is_theirs(self) -> None:
        """Outlook copies our stamp with it, and gives it a UID of its own."""
        desk = self.make_desk()
        desk.put(ITEM)
        entry = self.entry(ITEM.uid)
        copy = replace(entry, id=self.server.box.new_id(), uid="", extended=dict(entry.extended))
        copy.uid = OUTLOOK
        self.server.box.lay(copy, self.folder())
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert found.ref == entry.id
        assert desk.remove(found)
        left = desk.find(ITEM.uid, ITEM.kind)
        assert left is not None
        assert not left.ours
        assert not desk.remove(left)
        assert not desk.put(ITEM).written
        assert self.server.box.find(copy.id) is not None
        desk.close()

    def test_it_is_found_where_its_owner_moved_it(self) -> None:
        desk = self.make_desk()
        desk.put(ITEM)
        self.server.box.move(self.entry(ITEM.uid), self.folder(second=True))
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert found.calendar == "Team"
        assert desk.remove(found)
        desk.close()

    def test_thrown_away_is_gone(self) -> None:
        desk = self.make_desk()
        desk.put(ITEM)
        self.server.box.move(self.entry(ITEM.uid), self.server.box.folder("deleteditems"))
        assert desk.find(ITEM.uid, ITEM.kind) is None
        desk.close()

    @pytest.mark.parametrize("fault", ["504-done", "cut-done", "half-done"])
    @pytest.mark.parametrize("item", [ITEM, TASK])
    def test_an_answer_that_gets_lost_leaves_one(self, item: OwnItem, fault: str) -> None:
        desk = self.make_desk()
        self.server.faults.script("CreateItem", fault)
        with pytest.raises(Unavailable):
            desk.put(item)
        again = desk.put(item)
        assert (again.written, again.ours, again.summary) == (False, True, item.summary)
        assert desk.remove(again)
        assert self.stored_item(item.uid) is None
        desk.close()

    @pytest.mark.parametrize("seed", range(3))
    def test_on_a_bad_line_there_is_one_item_each(self, seed: int) -> None:
        """Laid, changed, moved by their owner and removed, whatever the line does: never two, nothing else touched."""
        self.put("theirs", event("theirs"))
        before, chance = self.item("theirs"), Random(seed)
        self.server.faults.rate, self.server.faults.random, self.server.back_off = 0.3, Random(seed), 0
        desk, lying = self.make_desk(), set()
        for step in range(40):
            one = replace(chance.choice([ITEM, TASK]), uid=f"quietcrm-{chance.randrange(4)}", summary=f"Ligar {step}")
            item = replace(one, uid=f"{one.uid}-{one.kind.value}")
            found = insist(lambda item=item: desk.find(item.uid, item.kind))
            assert (found is not None) == (item.uid in lying)
            if found is None or chance.random() < 0.5:
                placed = insist(lambda item=item, found=found: desk.put(item, revision=found.revision if found else ""))
                lying.add(item.uid)
                assert placed is not None
            elif chance.random() < 0.5:
                self.server.box.touch(self.lying(item.uid))
                assert not insist(lambda found=found: desk.remove(found))
            else:
                insist(lambda found=found: desk.remove(found))
                lying.discard(item.uid)
            entries = [one for one in self.server.box.items() if isinstance(one, Appointment | Todo)]
            assert len(entries) == len(lying) + 1
        assert self.item("theirs") is before
        assert len(self.server.faults.struck) > 20
        desk.close()

    def lying(self, uid: str) -> Appointment | Todo:
        found = self.stored_item(uid)
        assert found is not None
        return found

    def test_a_deletion_whose_answer_gets_lost(self) -> None:
        desk = self.make_desk()
        placed = desk.put(ITEM)
        self.server.faults.script("DeleteItem", "504-done")
        with pytest.raises(Unavailable):
            desk.remove(placed)
        assert desk.remove(placed)
        desk.close()

    def test_the_settings_say_where(self) -> None:
        settings = replace(self.settings(), reminders="team")
        desk = self.desk_on(settings)
        assert desk.check() == ("reminders go to the calendar Team", "tasks go to Tasks")
        assert desk.put(ITEM).calendar == "Team"
        desk.close()
        lost = self.desk_on(replace(settings, tasks="Aufgaben"))
        with pytest.raises(Misconfigured, match="no task list called 'Aufgaben'") as caught:
            lost.put(TASK)
        assert "tasks:" in caught.value.hint
        lost.close()

    def test_a_login_that_may_only_read(self) -> None:
        self.server.read_only = True
        desk = self.make_desk()
        assert any("may only read the calendar" in one for one in desk.check())
        desk.close()

    def test_nothing_is_ever_sent_to_anybody(self) -> None:
        """Even an item to which its owner had added somebody, had we not seen it."""
        desk = self.make_desk()
        placed = desk.put(ITEM)
        self.entry(ITEM.uid).guests.append(Guest("ivan@acme.example"))
        with spy.expected() as seen:
            desk._update(replace(ITEM, summary="x"), placed)
            desk._delete(placed)
        assert any("ivan@acme.example" in one for one in seen)
        assert self.server.invitations == []
        desk.close()

    def test_one_that_the_server_will_not_show_is_left_alone(self) -> None:
        desk = self.make_desk()
        placed = desk.put(ITEM)
        self.entry(ITEM.uid).broken = True
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert not found.ours
        assert not desk.remove(placed)
        assert not desk.put(ITEM, revision=placed.revision).written
        desk.close()

    def test_kinds_do_not_mix(self) -> None:
        desk = self.make_desk()
        desk.put(ITEM)
        assert desk.find(ITEM.uid, ItemKind.TASK) is None
        desk.close()


def test_a_server_without_any_of_it(server: EwsServer) -> None:
    """The mailbox of a machine: no tasks there."""
    box: Mailbox = server.box
    box.remove_folder(box.folder("tasks"))
    hooks = DeskHooks()
    hooks.server, hooks.ids = server, {}
    desk = hooks.make_desk()
    assert desk.check()[1] == "no tasks open here"
    with pytest.raises(Misconfigured):
        desk.put(TASK)
    desk.close()
