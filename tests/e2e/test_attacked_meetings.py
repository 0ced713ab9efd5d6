"""Meetings of which strangers, odd programs and later mails say what cannot be so."""

from __future__ import annotations

from pathlib import Path

import pytest
from calendar_offices import ANA, BRUNO, DAY, JOAO, MARIA, MINUTE, CalendarOffice, at, in_history, make_office

from daemon.app import App
from store import changes, customers, meetings, merging, reminders
from store.customers import Actor
from store.tables import ReminderState

WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=3"


@pytest.fixture
def office(tmp_path: Path) -> CalendarOffice:
    return make_office(tmp_path)


def standing(app: App) -> list[tuple[str, str]]:
    with app.store.session() as session:
        rows = meetings.starting(session, at(1, 0), at(31, 0, month=12))
    return [(f"{one.start_at:%d %H:%M}", one.status) for one in rows]


def promised(app: App) -> list[tuple[str, str]]:
    """(customer, state) of each reminder."""
    with app.store.session() as session:
        rows = reminders.in_states(session, tuple(ReminderState))
        return sorted((customers.get(session, one.customer_id or 0).name, one.state) for one in rows)


def receive(office: CalendarOffice, app: App, calendar: bytes, sender: str = MARIA, method: str = "REQUEST") -> None:
    office.clock.move(MINUTE)
    office.deliver(office.invitation(calendar, sender, method=method))
    app.pollers["ana"].source.close()
    app.pollers["ana"].poll()


def test_an_event_of_others_is_theirs_whatever_its_uid(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("quietcrm-0123456789abcdef01234567", at(18, 13)))
        office.turn(app)
        assert standing(app) == [("18 13:00", "confirmed")]
        office.go_on(app, at(18, 12))
        office.ana.put("a.ics", office.event("quietcrm-0123456789abcdef01234567", at(19, 13), sequence=1))
        office.go_on(app, at(20, 12))
        assert standing(app) == [("19 13:00", "confirmed")]


def test_a_series_by_mail_that_is_moved_or_shortened_leaves_nothing_behind(office: CalendarOffice) -> None:
    def said(hour: int, sequence: int, *lines: str) -> bytes:
        start = at(18, hour)
        return office.event("s1", start, WEEKLY, *lines, organizer=MARIA, method="REQUEST", sequence=sequence)

    with office.running() as app:
        receive(office, app, said(13, 0))
        assert standing(app) == [("18 13:00", "confirmed"), ("25 13:00", "confirmed"), ("02 13:00", "confirmed")]
        first = said(13, 0)
        receive(office, app, said(14, 1))
        assert standing(app) == [("18 14:00", "confirmed"), ("25 14:00", "confirmed"), ("02 14:00", "confirmed")]
        receive(office, app, said(14, 2, "EXDATE:20261125T140000Z"))
        off = [("18 14:00", "confirmed"), ("25 14:00", "cancelled"), ("02 14:00", "confirmed")]
        assert standing(app) == off
        receive(office, app, first)
        assert standing(app) == off
        assert [one["subject"] for one in in_history(app, "occasion")] == ["Demonstração"] * 3  # booked, moved, off


def test_nobody_calls_off_by_mail_what_nobody_organizes(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("s1", at(18, 13), organizer=""))
        office.turn(app)
        off = office.event("s1", at(18, 13), method="CANCEL", sequence=5, organizer=JOAO)
        receive(office, app, off, JOAO, "CANCEL")
        assert standing(app) == [("18 13:00", "confirmed")]


@pytest.mark.parametrize("by_mail", [False, True])
def test_a_series_that_ends_leaves_those_that_were_held(office: CalendarOffice, by_mail: bool) -> None:
    def say(app: App, method: str, *lines: str, sequence: int = 0) -> None:
        one = office.event("s1", at(18, 13), WEEKLY, *lines, organizer=MARIA, method=method, sequence=sequence)
        if by_mail:
            receive(office, app, one, method=method)
        else:
            office.ana.put("a.ics", one)
            office.turn(app)

    with office.running() as app:
        say(app, "REQUEST")
        office.go_on(app, at(26, 13), DAY)
        say(app, "CANCEL", "STATUS:CANCELLED", sequence=1)
        held = [("18 13:00", "confirmed"), ("25 13:00", "confirmed")]
        assert standing(app) == [*held, ("02 13:00", "cancelled")]


def test_what_is_made_private_takes_along_what_was_prepared_for_it(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(17, 13), "LOCATION:Sala 1\\n- Prometido: pagar tudo"))
        office.turn(app)
        office.go_on(app, at(16, 14))
        with app.store.session() as session:
            assert [one.place for one in meetings.starting(session, at(17, 13), at(17, 14))] == [
                "Sala 1 - Prometido: pagar tudo"  # no line of its own in a brief
            ]
            assert [one.state for one in reminders.in_states(session, tuple(ReminderState))] == [ReminderState.PLACED]
        office.ana.put("a.ics", office.event("m1", at(17, 13), "CLASS:PRIVATE"))
        office.turn(app)
        office.turn(app)
        assert standing(app) == []
        with app.store.session() as session:
            rows = reminders.in_states(session, tuple(ReminderState))
        assert [one.state for one in rows] == [ReminderState.WITHDRAWN]


def test_what_was_cancelled_by_mail_stays_so_whatever_its_owner_does_to_the_copy(office: CalendarOffice) -> None:
    with office.running() as app:
        booked = office.event("m1", at(18, 13), organizer=MARIA)
        office.ana.put("a.ics", booked)
        office.turn(app)
        off = office.event("m1", at(18, 13), method="CANCEL", sequence=1, organizer=MARIA)
        receive(office, app, off, method="CANCEL")
        office.ana.put("a.ics", booked.replace(b"END:VEVENT", b"CATEGORIES:Padaria\r\nEND:VEVENT"))
        office.turn(app)
        assert standing(app) == [("18 13:00", "cancelled")]


def test_who_is_invited_later_has_the_meeting_too(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        office.go_on(app, at(17, 14))
        office.clock.move(MINUTE)
        office.ana.put("a.ics", office.event("m1", at(18, 13), people=(ANA, MARIA, JOAO), sequence=1))
        office.turn(app)
        office.turn(app)
        (row,) = in_history(app)
        assert sorted(row["customers"]) == ["Oficina Rio", "Padaria Sol"]
        with app.store.session() as session:
            rows = reminders.in_states(session, tuple(ReminderState))
        assert len({one.customer_id for one in rows}) == len(rows) == 2
        office.go_on(app, at(18, 18))
        assert len(office.drafts()) == 2


def test_a_stranger_who_invites_us_under_the_uid_of_a_meeting_changes_nothing_of_it(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        office.clock.move(MINUTE)
        forged = {"organizer": "mallory@evil.example", "people": (BRUNO, MARIA), "sequence": 99}
        for _ in range(2):
            office.bruno.put("z.ics", office.event("m1", at(19, 13), "STATUS:CANCELLED", **forged))  # type: ignore[arg-type]
            office.turn(app)
            office.clock.move(MINUTE)
        assert standing(app) == [("18 13:00", "confirmed")]


def test_an_older_copy_says_nothing_of_who_is_invited(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), people=(ANA, BRUNO, MARIA, JOAO), sequence=1))
        office.turn(app)
        old = {"people": (ANA, BRUNO, MARIA), "answers": {BRUNO: "ACCEPTED"}}
        office.bruno.put("b.ics", office.event("m1", at(18, 13), **old))  # type: ignore[arg-type]
        office.turn(app)
        with app.store.session() as session:
            (row,) = meetings.starting(session, at(18, 0), at(19, 0))
        answers = {one["email"]: one["answer"] for one in row.attendees}
        assert answers == {ANA: "", BRUNO: "accepted", MARIA: "", JOAO: ""}


def test_who_is_no_longer_invited_is_not_reminded_of(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), people=(ANA, MARIA, JOAO)))
        office.ana.put("b.ics", office.event("m2", at(19, 13), people=(ANA, MARIA, JOAO)))
        office.turn(app)
        office.go_on(app, at(17, 14))
        assert promised(app) == [("Oficina Rio", "placed"), ("Padaria Sol", "placed")]
        office.clock.move(MINUTE)
        office.ana.put("a.ics", office.event("m1", at(18, 13), people=(ANA, MARIA), sequence=1))
        office.ana.put("b.ics", office.event("m2", at(19, 13), people=(ANA,), sequence=1))
        office.turn(app)
        left = [("Oficina Rio", "withdrawn"), ("Padaria Sol", "placed")]
        assert promised(app) == left
        assert [sorted(one["customers"]) for one in in_history(app)] == [["Oficina Rio", "Padaria Sol"]] * 2
        office.go_on(app, at(18, 11))
        office.ana.put("b.ics", office.event("m2", at(19, 13), people=(ANA, JOAO), sequence=2))  # asked after all
        office.go_on(app, at(19, 18))
        assert promised(app) == sorted([*left, ("Oficina Rio", "placed")])
        assert len(office.drafts()) == 2  # Maria after the first, João after the second


def test_what_was_held_is_not_undone_by_tidying_up_who_was_there(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        office.go_on(app, at(18, 18))
        office.ana.put("a.ics", office.event("m1", at(18, 13), people=(ANA,), sequence=1))
        office.turn(app)
        assert promised(app) == [("Padaria Sol", "placed")]
        assert len(office.drafts()) == 1


def test_a_meeting_that_comes_back_after_its_customer_became_another_says_nothing_twice(office: CalendarOffice) -> None:
    with office.running() as app:
        booked = office.event("m1", at(18, 13), people=(ANA, JOAO))
        office.ana.put("a.ics", booked)
        office.turn(app)
        office.go_on(app, at(17, 14))
        with app.store.writing() as session:
            keep, gone = (customers.by_name(session, name)[0] for name in ("Padaria Sol", "Oficina Rio"))
            number = merging.merge(session, keep, gone, Actor(name="admin", now=office.clock.now()))
        office.ana.remove("a.ics")
        office.turn(app)
        office.clock.move(MINUTE)
        office.ana.put("a.ics", booked)
        office.turn(app)
        assert promised(app) == [("Padaria Sol", "placed")]
        with app.store.writing() as session:
            changes.undo(session, number, office.clock.now())
        office.turn(app)
        assert promised(app) == [("Oficina Rio", "placed")]
