"""What every calendar source and desk promises. Subclass `CalendarContract`, `CalendarDeskContract` with their hooks.

Objects are named by hand ("e1"); a subclass maps the name to whatever its server calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from connectors.calendars import (
    Answer,
    CalendarBatch,
    CalendarEvent,
    EventStatus,
    ItemKind,
    OwnItem,
    Role,
    Window,
)
from connectors.errors import CursorExpired
from connectors.model import Cursor, Unreadable
from connectors.protocols import CalendarDesk, CalendarSource, EventRereader

WINDOW = Window(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
LATER = Window(datetime(2026, 11, 8, tzinfo=UTC), datetime(2027, 2, 8, tzinfo=UTC))


def event(name: str, *lines: str, start: str = "DTSTART:20261201T090000Z") -> bytes:
    """A calendar object with one event whose UID is {name}@acme.example."""
    return calendar(vevent(name, *lines, start=start))


def vevent(name: str, *lines: str, start: str = "DTSTART:20261201T090000Z") -> str:
    said = [] if any(line.startswith("SUMMARY") for line in lines) else [f"SUMMARY:Meeting {name}"]
    inner = [f"UID:{name}@acme.example", "DTSTAMP:20261101T080000Z", start, *said, *lines]
    return "\r\n".join(["BEGIN:VEVENT", *inner, "END:VEVENT"])


def calendar(*components: str) -> bytes:
    inner = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//acme//test//EN", *components, "END:VCALENDAR", ""]
    return "\r\n".join(inner).encode()


@dataclass
class Round:
    """All batches from a cursor on, until the source says there is no more."""

    batches: list[CalendarBatch] = field(default_factory=list)

    @property
    def events(self) -> list[CalendarEvent]:
        return [one for batch in self.batches for one in batch.events]

    @property
    def names(self) -> list[str]:
        return sorted({one.uid.partition("@")[0] for one in self.events})

    @property
    def unreadable(self) -> list[Unreadable]:
        return [one for batch in self.batches for one in batch.unreadable]

    @property
    def read(self) -> list[tuple[str, str]]:
        return [place for batch in self.batches for place in batch.read]

    @property
    def removed(self) -> list[tuple[str, str]]:
        return [place for batch in self.batches for place in batch.removed]

    @property
    def cursor(self) -> Cursor:
        return self.batches[-1].cursor


def read_all(
    source: CalendarSource, cursor: Cursor | None = None, window: Window = WINDOW, *, limit: int = 100
) -> Round:
    run = Round()
    for _ in range(200):
        batch = source.fetch(cursor, window, limit=limit)
        run.batches.append(batch)
        cursor = batch.cursor
        if not batch.more:
            return run
    raise AssertionError("the source never ends")


class CalendarContract:
    """The suite for sources. `second` is the name of another calendar, "" where there can be only one."""

    second = "Team"

    def make_source(self) -> CalendarSource:
        """A source on the calendars under test; floating times are in Europe/Lisbon."""
        raise NotImplementedError

    def put(self, name: str, data: bytes, *, second: bool = False) -> None:
        """Lay an object into a calendar, or change it there."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Take an object out."""
        raise NotImplementedError

    def snapshot(self) -> object:
        """All calendars, byte for byte; equal before and after any reading."""
        raise NotImplementedError

    def fill(self, count: int) -> None:
        for number in range(count):
            self.put(f"e{number}", event(f"e{number}"))

    # -- the promises

    def test_an_empty_calendar_is_no_trouble(self) -> None:
        source = self.make_source()
        run = read_all(source)
        assert (run.events, run.removed, run.unreadable) == ([], [], [])
        assert read_all(source, run.cursor).events == []
        source.close()

    def test_everything_is_read_once(self) -> None:
        self.fill(12)
        source = self.make_source()
        run = read_all(source, limit=5)
        assert run.names == sorted(f"e{number}" for number in range(12))
        assert len(run.read) == len(set(run.read)) == 12
        assert all(len(batch.read) <= 5 for batch in run.batches)
        assert read_all(source, run.cursor).read == []
        source.close()

    def test_the_same_cursor_gives_the_same_answer(self) -> None:
        self.fill(5)
        source = self.make_source()
        first = source.fetch(None, WINDOW, limit=3)
        assert source.fetch(None, WINDOW, limit=3) == first
        second = source.fetch(first.cursor, WINDOW, limit=3)
        other = self.make_source()
        assert other.fetch(first.cursor, WINDOW, limit=3) == second
        source.close()
        other.close()

    def test_only_what_changed_comes_again(self) -> None:
        self.fill(4)
        source = self.make_source()
        run = read_all(source)
        self.put("e1", event("e1", "SEQUENCE:1", start="DTSTART:20261202T100000Z"))
        self.put("new", event("new"))
        later = read_all(source, run.cursor)
        assert later.names == ["e1", "new"]
        moved = next(one for one in later.events if one.uid.startswith("e1"))
        assert (moved.start, moved.sequence) == (datetime(2026, 12, 2, 10, tzinfo=UTC), 1)
        assert later.removed == []
        assert read_all(source, later.cursor).read == []
        source.close()

    def test_what_is_gone_is_told_and_is_no_cancellation(self) -> None:
        self.fill(3)
        source = self.make_source()
        run = read_all(source)
        ref = next(one.ref for one in run.events if one.uid.startswith("e1"))
        self.remove("e1")
        later = read_all(source, run.cursor)
        assert [place[1] for place in later.removed] == [ref]
        assert later.events == []
        assert read_all(source, later.cursor).removed == []
        source.close()

    def test_a_new_process_goes_on_where_the_old_one_stopped(self) -> None:
        self.fill(7)
        names: list[str] = []
        cursor: Cursor | None = None
        for _ in range(10):
            source = self.make_source()
            batch = source.fetch(cursor, WINDOW, limit=3)
            source.close()
            names += [one.uid for one in batch.events]
            cursor = batch.cursor
            if not batch.more:
                break
        assert sorted(names) == sorted(f"e{number}@acme.example" for number in range(7))

    def test_an_event_says_what_it_is(self) -> None:
        self.put(
            "full",
            event(
                "full",
                "DTEND;TZID=America/Sao_Paulo:20261201T100000",
                "SUMMARY:Proposta\\, segunda parte",
                "LOCATION:Rua das Flores 5",
                "DESCRIPTION:Agenda\\nVinho e pão",
                "SEQUENCE:2",
                "STATUS:TENTATIVE",
                "CATEGORIES:Clientes,CRM",
                "ORGANIZER;CN=Ana:mailto:ana@vendas.example",
                "ATTENDEE;CN=Ivan;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED:MAILTO:Ivan@Acme.example",
                "ATTENDEE;ROLE=OPT-PARTICIPANT;PARTSTAT=DECLINED:mailto:olga@acme.example",
                start="DTSTART;TZID=America/Sao_Paulo:20261201T090000",
            ),
        )
        source = self.make_source()
        (found,) = read_all(source).events
        assert (found.account, found.summary) == (source.account, "Proposta, segunda parte")
        assert (found.location, found.text) == ("Rua das Flores 5", "Agenda\nVinho e pão")
        assert str(found.start) == "2026-12-01 09:00:00-03:00"
        assert str(found.end) == "2026-12-01 10:00:00-03:00"
        assert (found.zone, found.all_day, found.zone_unclear) == ("America/Sao_Paulo", False, False)
        assert (found.sequence, found.status) == (2, EventStatus.TENTATIVE)
        assert found.stamped_at is not None
        assert found.organizer is not None
        assert found.organizer.email == "ana@vendas.example"
        people = {one.address.key: (one.answer, one.role) for one in found.attendees}
        assert people["ivan@acme.example"] == (Answer.ACCEPTED, Role.REQUIRED)
        assert people["olga@acme.example"] == (Answer.DECLINED, Role.OPTIONAL)
        assert (found.private, found.original) == (False, None)
        source.close()

    def test_a_series_comes_as_its_occurrences(self) -> None:
        """Nine o'clock stays nine o'clock when the clocks change; one taken out, one moved, one cancelled."""
        start = "TZID=Europe/Berlin:2026"
        self.put(
            "week",
            calendar(
                vevent(
                    "week",
                    "RRULE:FREQ=WEEKLY;COUNT=8",
                    f"EXDATE;{start}1109T090000",
                    "DURATION:PT1H",
                    start=f"DTSTART;{start}1019T090000",
                ),
                vevent(
                    "week", f"RECURRENCE-ID;{start}1116T090000", "DURATION:PT1H", start=f"DTSTART;{start}1117T140000"
                ),
                vevent(
                    "week",
                    f"RECURRENCE-ID;{start}1123T090000",
                    "DURATION:PT1H",
                    "STATUS:CANCELLED",
                    start=f"DTSTART;{start}1123T090000",
                ),
            ),
        )
        source = self.make_source()
        found = sorted(
            read_all(source, window=Window(datetime(2026, 10, 18, tzinfo=UTC), WINDOW.end)).events, key=_start
        )
        assert [str(one.start) for one in found] == [
            "2026-10-19 09:00:00+02:00",
            "2026-10-26 09:00:00+01:00",
            "2026-11-02 09:00:00+01:00",
            "2026-11-17 14:00:00+01:00",
            "2026-11-23 09:00:00+01:00",
            "2026-11-30 09:00:00+01:00",
            "2026-12-07 09:00:00+01:00",
        ]
        assert found[3].original == datetime(2026, 11, 16, 8, tzinfo=UTC)
        assert [one.exception for one in found] == [False, False, False, True, True, False, False]
        assert [one.status is EventStatus.CANCELLED for one in found].index(True) == 4
        assert len({one.key for one in found}) == 7
        source.close()

    def test_another_window_reads_everything_anew(self) -> None:
        self.put("week", event("week", "RRULE:FREQ=WEEKLY", "DURATION:PT1H"))
        self.put("once", event("once"))
        source = self.make_source()
        run = read_all(source)
        assert max(_start(one) for one in run.events) == datetime(2027, 1, 26, 9, tzinfo=UTC)
        later = read_all(source, run.cursor, LATER)
        assert later.names == ["once", "week"]
        assert max(_start(one) for one in later.events) == datetime(2027, 2, 2, 9, tzinfo=UTC)
        assert read_all(source, later.cursor, LATER).read == []
        source.close()

    def test_another_window_hides_no_change(self) -> None:
        self.fill(3)
        source = self.make_source()
        run = read_all(source)
        self.put("new", event("new"))
        self.remove("e1")
        later = read_all(source, run.cursor, LATER, limit=2)
        assert later.names == ["e0", "e2", "new"]
        assert len(later.removed) == 1
        source.close()

    def test_an_object_with_nothing_in_the_window_is_still_told(self) -> None:
        """So that who knew it from before sees that it left the window."""
        self.put("e1", event("e1"))
        source = self.make_source()
        run = read_all(source)
        self.put("e1", event("e1", start="DTSTART:20280101T090000Z"))
        later = read_all(source, run.cursor)
        assert later.events == []
        assert [place[1] for place in later.read] == [run.events[0].ref]
        source.close()

    def test_an_all_day_event_has_days(self) -> None:
        self.put("fair", event("fair", "DTEND;VALUE=DATE:20261206", start="DTSTART;VALUE=DATE:20261203"))
        source = self.make_source()
        (found,) = read_all(source).events
        assert (found.start, found.end, found.all_day) == (date(2026, 12, 3), date(2026, 12, 6), True)
        source.close()

    def test_private_events_are_marked(self) -> None:
        self.put("p", event("p", "CLASS:PRIVATE"))
        source = self.make_source()
        (found,) = read_all(source).events
        assert found.private
        source.close()

    def test_several_calendars_are_read(self) -> None:
        if not self.second:
            pytest.skip("one calendar only")
        self.put("one", event("one"))
        self.put("two", event("two"), second=True)
        source = self.make_source()
        run = read_all(source)
        assert run.names == ["one", "two"]
        assert {one.calendar for one in run.events} <= set(run.batches[-1].calendars)
        assert len({one.calendar for one in run.events}) == 2
        source.close()

    def test_single_objects_are_read_again(self) -> None:
        self.fill(3)
        source = self.make_source()
        run = read_all(source)
        assert isinstance(source, EventRereader)
        places = {one.uid: (one.calendar, one.ref) for one in run.events}
        self.put("e0", event("e0", start="DTSTART:20261201T110000Z"))
        self.remove("e2")
        again = source.reread([places["e0@acme.example"], places["e2@acme.example"]], WINDOW)
        assert [one.start for one in again.events] == [datetime(2026, 12, 1, 11, tzinfo=UTC)]
        assert again.removed == (places["e2@acme.example"],)
        source.close()

    def test_reading_changes_nothing(self) -> None:
        self.fill(4)
        before = self.snapshot()
        source = self.make_source()
        source.check()
        read_all(source, limit=2)
        source.close()
        assert self.snapshot() == before

    @pytest.mark.parametrize("cursor", ["", "{}", "null", '{"v":99,"kind":"calendars"}', "[1,2]", "\x00"])
    def test_a_foreign_cursor_has_expired(self, cursor: str) -> None:
        source = self.make_source()
        with pytest.raises(CursorExpired) as caught:
            source.fetch(Cursor(cursor), WINDOW, limit=5)
        assert caught.value.hint
        source.close()

    def test_check_says_what_is_read(self) -> None:
        source = self.make_source()
        assert any("calendar" in finding for finding in source.check())
        source.close()

    def test_closing_twice_is_fine(self) -> None:
        self.fill(1)
        source = self.make_source()
        source.fetch(None, WINDOW, limit=1)
        source.close()
        source.close()
        assert read_all(source).names == ["e0"]
        source.close()


def _start(one: CalendarEvent) -> datetime:
    assert isinstance(one.start, datetime)
    return one.start


ITEM = OwnItem(
    uid="quietcrm-r17.vendas",
    summary="Ligar para Padaria Sol; orçamento",
    text="Último contato: 2026-11-02\nResposta pendente",
    start=datetime(2026, 12, 1, 12, 30, tzinfo=UTC),
    alarm=timedelta(0),
)
TASK = replace(ITEM, uid="quietcrm-t17.vendas", kind=ItemKind.TASK, alarm=None)


class CalendarDeskContract:
    """The suite for desks."""

    def make_desk(self) -> CalendarDesk:
        """A desk on the calendar under test."""
        raise NotImplementedError

    def stored(self, uid: str) -> bytes | None:
        """The object with this UID as it lies there, None if there is none."""
        raise NotImplementedError

    def overwrite(self, uid: str, data: bytes) -> None:
        """Change an object as its owner's calendar program does."""
        raise NotImplementedError

    def delete(self, uid: str) -> None:
        """Delete an object as its owner's calendar program does."""
        raise NotImplementedError

    def put(self, name: str, data: bytes) -> None:
        """Lay somebody else's object there."""
        raise NotImplementedError

    def snapshot(self) -> object:
        """All calendars, byte for byte."""
        raise NotImplementedError

    items: Sequence[OwnItem] = (ITEM, TASK)

    def test_an_item_is_laid_found_and_removed(self) -> None:
        self.put("other", event("other"))
        before = self.snapshot()
        desk = self.make_desk()
        for item in self.items:
            assert desk.find(item.uid, item.kind) is None
            placed = desk.put(item)
            assert placed.written
            assert (placed.uid, placed.summary, placed.start) == (item.uid, item.summary, item.start)
            assert (placed.done, placed.ours) == (False, True)
            assert desk.find(item.uid, item.kind) == placed
            assert desk.remove(placed)
            assert desk.find(item.uid, item.kind) is None
            assert desk.remove(placed)
        desk.close()
        assert self.snapshot() == before

    def test_nobody_is_invited(self) -> None:
        desk = self.make_desk()
        for item in self.items:
            desk.put(item)
            data = self.stored(item.uid) or b""
            assert b"CATEGORIES:CRM" in data
            for word in (b"ATTENDEE", b"ORGANIZER", b"METHOD"):
                assert word not in data.upper()
        desk.close()

    def test_laying_it_twice_leaves_one(self) -> None:
        desk = self.make_desk()
        first = desk.put(ITEM)
        again = desk.put(replace(ITEM, summary="another"))
        assert again == replace(first, written=False)
        desk.close()

    def test_an_item_is_changed_at_its_revision(self) -> None:
        desk = self.make_desk()
        first = desk.put(ITEM)
        changed = desk.put(replace(ITEM, summary="Ligar hoje", sequence=1), revision=first.revision)
        assert (changed.written, changed.summary) == (True, "Ligar hoje")
        late = desk.put(replace(ITEM, summary="too late"), revision=first.revision)
        assert (late.written, late.summary) == (False, "Ligar hoje")
        assert not desk.remove(first)
        assert desk.remove(changed)
        desk.close()

    def test_what_its_owner_did_is_seen(self) -> None:
        desk = self.make_desk()
        placed = desk.put(ITEM)
        moved = (self.stored(ITEM.uid) or b"").replace(b"20261201T123000Z", b"20261203T090000Z")
        self.overwrite(ITEM.uid, moved)
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert found.start == datetime(2026, 12, 3, 9, tzinfo=UTC)
        assert found.revision != placed.revision
        assert not desk.remove(placed)
        self.delete(ITEM.uid)
        assert desk.find(ITEM.uid, ITEM.kind) is None
        gone = desk.put(replace(ITEM, summary="again"), revision=found.revision)
        assert (gone.written, gone.done) == (False, True)
        desk.close()

    def test_a_task_ticked_off_is_done(self) -> None:
        if TASK not in self.items:
            pytest.skip("no tasks here")
        desk = self.make_desk()
        desk.put(TASK)
        ticked = (self.stored(TASK.uid) or b"").replace(b"STATUS:NEEDS-ACTION", b"STATUS:COMPLETED")
        self.overwrite(TASK.uid, ticked)
        found = desk.find(TASK.uid, TASK.kind)
        assert found is not None
        assert found.done
        desk.close()

    def test_a_task_without_a_day(self) -> None:
        if TASK not in self.items:
            pytest.skip("no tasks here")
        desk = self.make_desk()
        placed = desk.put(replace(TASK, start=None))
        assert (placed.start, placed.done, placed.ours) == (None, False, True)
        desk.close()

    def test_an_item_by_which_somebody_was_invited_is_no_longer_ours(self) -> None:
        desk = self.make_desk()
        desk.put(ITEM)
        people = b"ORGANIZER:mailto:ana@vendas.example\r\nATTENDEE:mailto:ivan@acme.example\r\nSUMMARY:"
        self.overwrite(ITEM.uid, (self.stored(ITEM.uid) or b"").replace(b"SUMMARY:", people))
        found = desk.find(ITEM.uid, ITEM.kind)
        assert found is not None
        assert not found.ours
        before = self.snapshot()
        assert not desk.remove(found)
        assert not desk.put(replace(ITEM, summary="x"), revision=found.revision).written
        assert self.snapshot() == before
        desk.close()

    @pytest.mark.parametrize("uid", ["e1@acme.example", "", "quietcrm-", "quietcrm-../x", "quietcrm-a/b", "QUIETCRM-1"])
    def test_what_is_not_ours_is_refused(self, uid: str) -> None:
        desk = self.make_desk()
        with pytest.raises(ValueError, match="not the UID of an item of ours"):
            desk.put(replace(ITEM, uid=uid))
        with pytest.raises(ValueError, match="not the UID of an item of ours"):
            desk.find(uid, ItemKind.EVENT)
        desk.close()

    def test_check_says_where_items_go(self) -> None:
        desk = self.make_desk()
        assert any("reminders go to" in finding for finding in desk.check())
        desk.close()
        desk.close()
