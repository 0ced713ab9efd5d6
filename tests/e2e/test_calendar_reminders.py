"""Reminders in the rep's own calendar and list of tasks: there as soon as they are set, once, and the rep's to move."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from calendar_offices import ANA, DAY, HOUR, MARIA, MINUTE, CalendarOffice, MemoryCalendar, at, make_office
from servers.calendars import RadicaleServer, TestCalendar

from connectors.errors import AuthRejected, Misconfigured, Unavailable
from connectors.memory_calendars import MemoryCalendarDesk
from daemon.app import App, opened
from daemon.calendar_items import CalendarItems
from daemon.letters import Held
from daemon.requests import answer
from daemon.sign_ins import SignIns
from store import reminders
from store.tables import Reminder, ReminderState

RULES = """\
rules:
  - name: pedido
    when: mail arrives
    if: {known: yes, text: {has: caixas}}
    then:
      remind: {who: ana, at: next business day 10:00, as: WAY, unless: replied, text: "Responder {{ customer.name }}"}
"""
DUE = at(17, 13)
"""Ten in the morning in São Paulo."""


BOTH = pytest.mark.parametrize("way", ["calendar", "task"])


@pytest.fixture
def way() -> str:
    return "calendar"


@pytest.fixture
def office(tmp_path: Path, way: str) -> CalendarOffice:
    return with_rules(make_office(tmp_path), way)


@pytest.fixture
def served(tmp_path: Path, radicale: RadicaleServer) -> CalendarOffice:
    office = with_rules(make_office(tmp_path, radicale), "calendar")
    path = office.directory / "quietcrm.yaml"
    path.write_text(re.sub(r'only: \[("[^"]+")\]', r"only: [\1], reminders: \1", path.read_text()))
    return office


def with_rules(office: CalendarOffice, way: str) -> CalendarOffice:
    (office.directory / "rules" / "10.yaml").write_text(RULES.replace("WAY", way), encoding="utf-8")
    return office


@pytest.fixture
def asked(office: CalendarOffice) -> Iterator[App]:
    """A customer wrote; nothing is laid out yet."""
    with office.running() as app:
        ask(office, app)
        yield app


def ask(office: CalendarOffice, app: App) -> None:
    office.deliver(office.letter())
    read_mail(app)


def read_mail(app: App) -> None:
    app.pollers["ana"].source.close()
    app.pollers["ana"].poll()


def own(office: CalendarOffice) -> dict[str, str]:
    """The items of ours that another calendar program sees in ana's calendars."""
    if isinstance(office.ana, TestCalendar):
        found = office.ana.snapshot()
        return {ref: (data or b"").decode() for ref, data in found.items() if b"UID:quietcrm-" in (data or b"")}
    lying = office.ana.kept.calendars["Calendar"]
    return {ref: one.data.decode() for ref, one in lying.items() if b"UID:quietcrm-" in one.data}


def change(office: CalendarOffice, pattern: str, by: str) -> None:
    ((ref, text),) = own(office).items()
    assert re.search(pattern, text)
    office.ana.put(ref, re.sub(pattern, by, text).encode())


def reminder(app: App) -> Reminder:
    with app.store.session() as session:
        (row,) = reminders.in_states(session, tuple(ReminderState))
        return row


def mails(office: CalendarOffice) -> list[bytes]:
    return [one for one in office.files("ana", "") if b"X-Quietcrm: reminder" in one]


def tick(app: App) -> None:
    """What the ticks of desks and calendars do, once."""
    for items in app.items.values():
        items.tidy()
    app.desks.tidy()


def wait(office: CalendarOffice, app: App, by: timedelta = 6 * MINUTE, times: int = 1) -> None:
    for _ in range(times):
        office.clock.move(by)
        tick(app)


def until(office: CalendarOffice, app: App, moment: datetime) -> None:
    wait(office, app, moment - office.clock.now())
    tick(app)


def team_answers(office: CalendarOffice, app: App) -> None:
    office.clock.move(MINUTE)
    office.deliver(office.letter(From=ANA, To=MARIA, Subject="Re: Caixas"), folder=".Sent")
    read_mail(app)
    tick(app)


def test_on_a_real_server(served: CalendarOffice) -> None:
    """There ahead, moved, and gone by itself when the team answers; nobody is invited, no mail comes."""
    with served.running() as app:
        served.ana.put("theirs.ics", served.event("m1", at(20, 13)))
        ask(served, app)
        served.turn(app)
        ((_, text),) = own(served).items()
        assert "DTSTART:20261117T130000Z" in text
        assert "SUMMARY:Padaria Sol: Responder Padaria Sol" in text
        assert "CATEGORIES:CRM" in text
        assert "BEGIN:VALARM" in text
        assert "ATTENDEE" not in text
        assert "ORGANIZER" not in text
        change(served, r"DTSTART:\S+\s+DTEND:\S+", "DTSTART:20261118T150000Z\r\nDTEND:20261118T151500Z")
        wait(served, app)
        assert reminder(app).due_at == at(18, 15)
        served.clock.move(at(18, 16) - served.clock.now())
        served.turn(app)
        assert (reminder(app).state, mails(served)) == (ReminderState.PLACED, [])
        team_answers(served, app)
        assert (reminder(app).state, own(served)) == (ReminderState.WITHDRAWN, {})
        assert isinstance(served.ana, TestCalendar)
        assert list(served.ana.snapshot()) == ["theirs.ics"]


@BOTH
def test_it_lies_there_once(office: CalendarOffice, asked: App, way: str) -> None:
    for _ in range(3):
        tick(asked)
    ((_, text),) = own(office).items()
    assert ("BEGIN:VTODO" in text) is (way == "task")
    assert ("DUE:" if way == "task" else "DTSTART:") + "20261117T130000Z" in text
    until(office, asked, at(19, 12))
    assert (len(own(office)), mails(office)) == (1, [])
    assert reminder(asked).state == ReminderState.PLACED


def test_a_daemon_killed_in_between_lays_no_second_one(
    office: CalendarOffice, asked: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(CalendarItems, "_note", kill)
        with pytest.raises(KeyboardInterrupt):
            tick(asked)
    assert len(own(office)) == 1
    uid = reminder(asked).item_uid
    for _ in range(2):
        tick(asked)
    assert len(own(office)) == 1
    assert (reminder(asked).state, reminder(asked).item_uid) == (ReminderState.PLACED, uid)


def kill(*_: Any) -> bool:
    raise KeyboardInterrupt


@BOTH
def test_the_rep_moves_it(office: CalendarOffice, asked: App, way: str) -> None:
    tick(asked)
    change(office, "20261117T130000Z", "20261119T130000Z")
    wait(office, asked)
    assert reminder(asked).due_at == at(19, 13)
    change(office, r"(DTSTART|DUE):20261119T130000Z", r"\1;VALUE=DATE:20261123")
    if way == "calendar":
        change(office, r"DTEND:\S+\s+", "")
    wait(office, asked)
    assert reminder(asked).due_at == at(23, 13)


def test_the_rep_deletes_it(office: CalendarOffice, asked: App) -> None:
    tick(asked)
    ((ref, text),) = own(office).items()
    office.ana.remove(ref)
    wait(office, asked)
    assert reminder(asked).state == ReminderState.PLACED  # a program may be moving it
    office.ana.put(ref, text.encode())
    wait(office, asked, 15 * MINUTE)
    assert reminder(asked).gone_at is None
    office.ana.remove(ref)
    wait(office, asked, times=3)
    assert (reminder(asked).state, reminder(asked).reason) == (ReminderState.DONE, "the rep deleted it")
    until(office, asked, at(18, 12))
    assert (own(office), mails(office)) == ({}, [])


@BOTH
def test_the_rep_ticks_it_off(office: CalendarOffice, asked: App, way: str) -> None:
    tick(asked)
    if way == "task":
        change(office, "STATUS:NEEDS-ACTION", "STATUS:COMPLETED")
    else:
        change(office, "TRANSP:TRANSPARENT", "STATUS:CANCELLED")
    wait(office, asked)
    assert (reminder(asked).state, len(own(office))) == (ReminderState.DONE, 1)


@pytest.mark.parametrize("what", ["SUMMARY", "DESCRIPTION"])
def test_what_the_rep_wrote_into_it_stays(office: CalendarOffice, asked: App, what: str) -> None:
    tick(asked)
    change(office, rf"\n{what}:\S*", rf"\n{what}:Meu texto")
    team_answers(office, asked)
    ((_, text),) = own(office).items()
    assert "Meu texto" in text
    assert reminder(asked).state == ReminderState.KEPT


def test_once_somebody_is_invited_by_it_it_is_not_ours(office: CalendarOffice, asked: App) -> None:
    tick(asked)
    change(office, "CATEGORIES:CRM", f"CATEGORIES:CRM\r\nATTENDEE:mailto:{MARIA}")
    before = own(office)
    wait(office, asked)
    team_answers(office, asked)
    assert (reminder(asked).state, own(office)) == (ReminderState.KEPT, before)


def test_settled_before_it_was_laid(office: CalendarOffice, asked: App) -> None:
    sent = office.letter(From=ANA, To=MARIA, Subject="Re: Caixas")
    office.clock.move(MINUTE)
    office.deliver(sent, folder=".Sent")
    read_mail(asked)
    tick(asked)
    assert (reminder(asked).state, own(office)) == (ReminderState.CANCELLED, {})


@BOTH
def test_a_calendar_that_is_away_until_then_makes_it_a_mail(
    office: CalendarOffice, asked: App, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MemoryCalendarDesk, "put", away)
        patch.setattr(MemoryCalendarDesk, "find", away)
        tick(asked)
        until(office, asked, DUE - MINUTE)
        assert (mails(office), reminder(asked).state) == ([], ReminderState.PLACING)
        wait(office, asked, 2 * MINUTE)
        assert len(mails(office)) == 1
    until(office, asked, at(19, 12))
    assert (own(office), len(mails(office))) == ({}, 1)
    assert (reminder(asked).wanted_as, reminder(asked).laid_as) == (way, "mail")


def test_an_answer_that_got_lost_leaves_one_of_the_two(
    office: CalendarOffice, asked: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written, but the line broke before the answer, and the server is away: the mail comes, the item goes."""
    with monkeypatch.context() as patch:
        patch.setattr(MemoryCalendarDesk, "put", torn)
        patch.setattr(MemoryCalendarDesk, "find", away)
        tick(asked)
        assert len(own(office)) == 1
        until(office, asked, DUE + MINUTE)
        assert len(mails(office)) == 1
    until(office, asked, DUE + DAY)
    assert (own(office), len(mails(office))) == ({}, 1)
    assert reminder(asked).state == ReminderState.PLACED


def test_a_calendar_refused_after_an_answer_got_lost_leaves_one_of_the_two(
    office: CalendarOffice, asked: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MemoryCalendarDesk, "put", torn)
        tick(asked)
        patch.setattr(MemoryCalendarDesk, "put", full)
        wait(office, asked)
        assert reminder(asked).laid_as == "mail"
    until(office, asked, DUE + MINUTE)
    until(office, asked, DUE + DAY)
    assert (own(office), len(mails(office))) == ({}, 1)


_put = MemoryCalendarDesk.put


def torn(self: MemoryCalendarDesk, item: Any, **options: Any) -> Any:
    _put(self, item, **options)
    raise Unavailable("ana", "the line broke")


def full(*_: Any, **__: Any) -> Any:
    raise Misconfigured("ana", "the mailbox is full")


def test_of_two_that_lay_out_the_same_reminder_one_does(
    office: CalendarOffice, asked: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a reload the worker of before may still be at it."""
    planned, items = reminder(asked), asked.items["ana"]
    with monkeypatch.context() as patch:
        patch.setattr(MemoryCalendarDesk, "put", torn)
        with pytest.raises(Unavailable):
            items._lay(planned)
    assert not items._lay(planned)
    assert len(own(office)) == 1


def test_a_reminder_that_its_calendar_refuses_keeps_no_other_waiting(
    office: CalendarOffice, asked: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for again once an hour."""
    tick(asked)
    found, asked_for = MemoryCalendarDesk.find, []

    def picky(self: MemoryCalendarDesk, uid: str, kind: Any) -> Any:
        if uid == first.item_uid:
            asked_for.append(uid)
            raise Misconfigured("ana", "no calendar takes tasks")
        return found(self, uid, kind)

    first = reminder(asked)
    monkeypatch.setattr(MemoryCalendarDesk, "find", picky)
    wait(office, asked)
    office.deliver(office.letter())
    read_mail(asked)
    tick(asked)
    assert len(own(office)) == 2
    wait(office, asked, times=9)
    assert len(asked_for) == 1
    wait(office, asked)
    assert len(asked_for) == 2


def test_after_a_new_sign_in_the_rest_is_over(
    office: CalendarOffice, asked: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(MemoryCalendarDesk, "put", signed_out)
        tick(asked)
    wait(office, asked)
    assert own(office) == {}
    monkeypatch.setattr(SignIns, "news", lambda _: ("ana",))
    asked.note_sign_ins()
    tick(asked)
    assert len(own(office)) == 1


def signed_out(*_: Any, **__: Any) -> Any:
    raise AuthRejected("ana", "the sign-in has expired or was revoked")


def away(*_: Any, **__: Any) -> Any:
    raise Unavailable("ana", "nobody answers")


def test_what_was_kept_back_on_its_way_into_the_calendar_is_laid_there_later(
    office: CalendarOffice, asked: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calendar is away, and while it is the rep is not of the team for an hour."""
    with monkeypatch.context() as patch:
        patch.setattr(MemoryCalendarDesk, "put", away)
        tick(asked)
    uid = reminder(asked).item_uid
    with monkeypatch.context() as patch:
        patch.setattr("daemon.calendar_items.reminder_item", kept_back)
        wait(office, asked)
        assert reminder(asked).state == ReminderState.HELD
    wait(office, asked, HOUR, 2)
    assert (reminder(asked).state, reminder(asked).item_uid) == (ReminderState.PLACED, uid)
    assert (len(own(office)), mails(office)) == (1, [])


def kept_back(*_: Any) -> Any:
    raise Held('"ana" is not of the team any more')


@pytest.mark.parametrize("way", ["task"])
def test_without_a_list_of_tasks_it_comes_as_a_mail_at_its_time(office: CalendarOffice, asked: App) -> None:
    assert isinstance(office.ana, MemoryCalendar)
    kept = dict(office.ana.kept.calendars)
    office.ana.kept.calendars.clear()
    tick(asked)
    office.ana.kept.calendars.update(kept)
    assert (reminder(asked).laid_as, mails(office)) == ("mail", [])
    until(office, asked, DUE + MINUTE)
    assert (len(mails(office)), own(office)) == (1, {})


def test_a_calendar_that_is_taken_out_of_the_settings_makes_it_a_mail(
    office: CalendarOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with office.running() as app, monkeypatch.context() as patch:
        patch.setattr(MemoryCalendarDesk, "put", away)
        ask(office, app)
        tick(app)
        assert reminder(app).state == ReminderState.PLACING
    path = office.directory / "quietcrm.yaml"
    path.write_text(path.read_text().replace("  ana: {type: memory}\n", ""))
    with opened(office.directory, office.clock) as app:
        until(office, app, DUE + MINUTE)
        assert (len(mails(office)), reminder(app).laid_as) == (1, "mail")


def test_what_is_erased_leaves_the_calendar(office: CalendarOffice, asked: App) -> None:
    tick(asked)
    found = answer(asked, "customer.erase", {"customer": "Padaria Sol", "confirm": "Padaria Sol"})
    assert (found["left_in_mailboxes"], own(office)) == (0, {})
