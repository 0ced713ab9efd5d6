"""Meetings on a real calendar server become history and set rules off, each once; nothing is ever written there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from calendar_offices import (
    ANA,
    BRUNO,
    DAY,
    HOUR,
    JOAO,
    MARIA,
    MINUTE,
    CalendarOffice,
    at,
    in_history,
    make_office,
)
from maildir_offices import outgoing
from offices import import_customers
from servers.calendars import RadicaleServer, TestCalendar

from daemon.app import App
from daemon.health import status
from store import customers, reminders
from store.tables import ReminderState

READING = {"PROPFIND", "REPORT", "GET", "OPTIONS", "HEAD"}


@pytest.fixture
def office(tmp_path: Path) -> CalendarOffice:
    return make_office(tmp_path)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CalendarOffice]:
    """An office whose every request to a real calendar server is watched: it reads, and nothing else."""
    asked: list[str] = []
    with RadicaleServer() as server:
        send = httpx.Client.send

        def spy(client: Any, request: Any, **options: Any) -> Any:
            if client is not server.client:
                asked.append(request.method)
            return send(client, request, **options)

        monkeypatch.setattr(httpx.Client, "send", spy)
        yield make_office(tmp_path, server)
        assert asked
        assert set(asked) <= READING


def tags(app: App, name: str = "Padaria Sol") -> list[str]:
    with app.store.session() as session:
        (number,) = customers.by_name(session, name)
        return sorted(customers.get(session, number).tags)


def reminded(app: App) -> list[tuple[str, str]]:
    with app.store.session() as session:
        return [(one.text, str(one.state)) for one in reminders.in_states(session, tuple(ReminderState))]


def test_on_a_real_server(served: CalendarOffice) -> None:
    """Held, moved, missed, in both calendars; two reps, one row each."""
    with served.running() as app:
        for calendar in (served.ana, served.bruno):
            calendar.put("a.ics", served.event("m1", at(17, 13), people=(ANA, BRUNO, MARIA)))
        served.ana.put("b.ics", served.event("m2", at(17, 14), title="Visita", organizer=JOAO, people=(ANA, JOAO)))
        before = served.ana.snapshot() if isinstance(served.ana, TestCalendar) else {}
        served.turn(app)
        assert [len(one["sightings"]) for one in in_history(app)] == [1, 2]
        served.clock.move(MINUTE)
        served.ana.put("b.ics", served.event("m2", at(17, 15), "CATEGORIES:no-show", title="Visita", organizer=JOAO,
                                             people=(ANA, JOAO), sequence=1))  # fmt: skip
        served.turn(app)
        served.go_on(app, at(17, 18), 2 * DAY)
        assert [one["to"] for one in outgoing(app)] == [MARIA]
        assert tags(app, "Oficina Rio") == ["booked", "no-show"]
        assert ("Mudou: Visita", "placed") in reminded(app)
        assert isinstance(served.ana, TestCalendar)
        assert served.ana.snapshot().keys() == before.keys()
        assert served.ana.snapshot()["a.ics"] == before["a.ics"]


def test_a_meeting_that_was_held_has_a_row_and_a_draft(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), "LOCATION:Padaria"))
        office.turn(app)
        (row,) = in_history(app)
        assert row["customers"] == ["Padaria Sol"]
        assert row["at"] == "2026-11-18T13:00:00+00:00"
        assert row["sightings"] == [{"account": "ana", "calendar": office.ana.name}]
        assert tags(app) == ["booked"]
        office.go_on(app, at(18, 14, 30))
        assert reminded(app) == [("Amanhã Demonstração", "placed")]
        assert outgoing(app) == []
        office.go_on(app, at(18, 16))
        (draft,) = outgoing(app)
        assert (draft["to"], draft["state"], draft["rep"]) == (MARIA, "placed", "ana")
        assert "Demonstra" in office.drafts()[0].decode()
    with office.opened() as app:
        office.go_on(app, at(20, 16), DAY)
        assert len(outgoing(app)) == 1
        assert len(in_history(app)) == 1


def test_a_moved_meeting_is_told_once_and_what_was_prepared_is_taken_back(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        office.go_on(app, at(17, 14))
        office.ana.put("a.ics", office.event("m1", at(25, 15), sequence=1))
        office.turn(app)
        office.turn(app)
        assert sorted(reminded(app)) == [("Amanhã Demonstração", "withdrawn"), ("Mudou: Demonstração", "placed")]
        (row,) = in_history(app)
        assert row["at"].startswith("2026-11-25T15:00")
        office.go_on(app, at(20, 12), DAY)
        assert outgoing(app) == []
        office.go_on(app, at(25, 18))
        assert len(outgoing(app)) == 1
        assert len(reminded(app)) == 3


def test_what_nobody_may_keep_leaves_no_row(office: CalendarOffice) -> None:
    many = tuple(f"guest{number}@house{number}.example" for number in range(30))
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), "CLASS:PRIVATE"))
        office.ana.put("b.ics", office.event("m2", at(18, 14), people=(ANA, BRUNO)))
        office.ana.put("c.ics", office.event("m3", at(18, 15), people=(ANA, MARIA, *many)))
        office.ana.put("d.ics", office.event("m4", at(18, 16), people=(), organizer=""))
        office.ana.put("e.ics", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:broken\r\nDTSTART:never\r\nEND:VEVENT\r\n")
        office.ana.put("f.ics", office.event("m5", at(18, 17), title="Visita"))
        office.turn(app)
        assert [one["subject"] for one in in_history(app)] == ["Visita"]
        with app.store.session() as session:
            text = str(session.connection().exec_driver_sql("SELECT * FROM unmatched").all())
        assert "house1" not in text
        office.ana.put("f.ics", office.event("m5", at(18, 17), "CLASS:PRIVATE", title="Visita"))
        office.turn(app)
        assert in_history(app) == []


def test_what_was_there_before_sets_nothing_off_but_its_day(office: CalendarOffice) -> None:
    office.ana.put("old.ics", office.event("m0", at(9, 13), title="Antes"))
    office.ana.put("a.ics", office.event("m1", at(19, 13)))
    with office.running() as app:
        assert [one["subject"] for one in in_history(app)] == ["Demonstração", "Antes"]
        assert tags(app) == []
        office.go_on(app, at(19, 16), 3 * HOUR)
        assert [one["to"] for one in outgoing(app)] == [MARIA]
        assert tags(app) == []


@pytest.mark.parametrize("mark", ["CATEGORIES:no-show", "X-NOTHING:1"])
def test_nobody_came(office: CalendarOffice, mark: str) -> None:
    title = "Demonstração" if "CAT" in mark else "Demonstração #faltou"
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        office.go_on(app, at(18, 14, 30))
        office.clock.move(MINUTE)
        office.ana.put("a.ics", office.event("m1", at(18, 13), mark, title=title))
        office.turn(app)
        office.go_on(app, at(18, 20))
        assert tags(app) == ["booked", "no-show"]
        assert outgoing(app) == []
        office.go_on(app, at(20, 20), DAY)
        assert [(one["to"], one["template"], one["rule"]) for one in outgoing(app)] == [(MARIA, "remarcar", "remarcar")]


def test_all_declined_is_missed_and_one_who_came_is_enough(office: CalendarOffice) -> None:
    both = (ANA, MARIA, "chef@padariasol.example")
    with office.running() as app:
        no = {MARIA: "DECLINED"}
        office.ana.put("a.ics", office.event("m1", at(18, 13), answers=no))
        office.ana.put("b.ics", office.event("m2", at(18, 13), answers=no, people=both, title="Visita"))
        office.turn(app)
        office.go_on(app, at(18, 16))
        assert tags(app) == ["booked", "no-show"]
        assert [one["to"] for one in outgoing(app)] == ["chef@padariasol.example"]


def test_answers_are_heard(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        assert "coming" not in tags(app)
        office.clock.move(MINUTE)
        office.ana.put("a.ics", office.event("m1", at(18, 13), answers={MARIA: "ACCEPTED"}))
        office.turn(app)
        assert "coming" in tags(app)


def test_a_meeting_that_cannot_be_read_any_more_is_not_called_off(office: CalendarOffice) -> None:
    """Its calendar program wrote it wrongly; nobody was told that it does not take place."""
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        office.ana.put("a.ics", office.event("m1", at(18, 13)).replace(b"DTSTART:2026", b"DTSTART:soon"))
        office.go_on(app, office.clock.now() + 30 * MINUTE, 10 * MINUTE)
        assert tags(app) == ["booked"]
        office.ana.remove("a.ics")
        office.go_on(app, office.clock.now() + 30 * MINUTE, 10 * MINUTE)
        assert tags(app) == ["booked", "called-off"]


def test_gone_is_not_cancelled_unless_it_is_ours_and_gone_for_good(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.ana.put("b.ics", office.event("m2", at(18, 15), organizer=JOAO, people=(ANA, JOAO)))
        office.turn(app)
        office.ana.remove("a.ics")
        office.ana.remove("b.ics")
        office.turn(app)
        assert "called-off" not in tags(app)
        office.go_on(app, office.clock.now() + 20 * MINUTE, 5 * MINUTE)
        assert "called-off" in tags(app)
        assert "called-off" not in tags(app, "Oficina Rio")
        office.go_on(app, at(18, 20), 3 * HOUR)
        assert outgoing(app) == []


def test_cancelled_by_its_organizer(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), organizer=MARIA))
        office.turn(app)
        office.clock.move(MINUTE)
        office.ana.put("a.ics", office.event("m1", at(18, 13), "STATUS:CANCELLED", organizer=MARIA, sequence=1))
        office.turn(app)
        assert "called-off" in tags(app)
        office.go_on(app, at(18, 20), 3 * HOUR)
        assert outgoing(app) == []


def test_a_series_moved_as_a_whole_is_moved_once(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), "RRULE:FREQ=WEEKLY;COUNT=5"))
        office.turn(app)
        assert len(in_history(app)) == 5
        assert len(in_history(app, "occasion")) == 1
        office.ana.put("a.ics", office.event("m1", at(18, 15), "RRULE:FREQ=WEEKLY;COUNT=5", sequence=1))
        office.turn(app)
        assert len(in_history(app)) == 5
        assert {one["at"][11:16] for one in in_history(app)} == {"15:00"}
        assert [text for text, _ in reminded(app)] == ["Mudou: Demonstração"]
        office.go_on(app, office.clock.now() + HOUR, 10 * MINUTE)
        assert "called-off" not in tags(app)


@pytest.mark.parametrize("new_one_first", [False, True])
def test_a_split_series_keeps_its_meetings(office: CalendarOffice, new_one_first: bool) -> None:
    """ "This and all that follow": the old series is cut short and a new one begun, not at once."""
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), "RRULE:FREQ=WEEKLY;COUNT=4"))
        office.turn(app)
        office.go_on(app, at(24, 14))
        before = sorted(reminded(app))
        halves = [
            ("a.ics", office.event("m1", at(18, 13), "RRULE:FREQ=WEEKLY;COUNT=1", sequence=1)),
            ("b.ics", office.event("m2", at(25, 13), "RRULE:FREQ=WEEKLY;COUNT=3")),
        ]
        for ref, data in reversed(halves) if new_one_first else halves:
            office.ana.put(ref, data)
            office.clock.move(2 * MINUTE)
            office.turn(app)
        assert len(in_history(app)) == 4
        office.go_on(app, at(25, 12), HOUR * 6)
        assert sorted(reminded(app)) == before
        assert "called-off" not in tags(app)


def test_a_customer_who_becomes_known_gets_the_meetings_and_no_rule_runs(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), people=(ANA, "eva@nova.example")))
        office.turn(app)
        assert in_history(app) == []
        path = office.directory / "more.csv"
        path.write_text("name,email,company,domain\nEva,eva@nova.example,Nova,nova.example\n")
        import_customers(app, path)
        office.turn(app)
        assert [one["customers"] for one in in_history(app)] == [["Nova"]]
        assert tags(app, "Nova") == []


def test_a_server_that_is_away_stops_nobody_else(office: CalendarOffice) -> None:
    (office.directory / "pw").write_text("secret")
    (office.directory / "pw").chmod(0o600)
    path = office.directory / "quietcrm.yaml"
    away = 'bruno: {type: caldav, url: "http://127.0.0.1:9/", login: ana, password: {file: pw}}'
    path.write_text(path.read_text().replace("bruno: {type: memory}", away))
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        assert len(in_history(app)) == 1
        found = status(app.office, app.store, app.clock.now())["calendars"]
        assert (found["ana"]["state"], found["bruno"]["state"]) == ("ok", "failing")
        assert found["bruno"]["reason"]


def test_a_password_that_is_not_there_is_told_with_its_remedy(
    office: CalendarOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a mailbox: it is a matter of the settings, not a fault of the program with a traceback."""
    path = office.directory / "quietcrm.yaml"
    locked = 'bruno: {type: caldav, url: "http://127.0.0.1:9/", login: ana, password: {env: NOT_SET_ANYWHERE}}'
    path.write_text(path.read_text().replace("bruno: {type: memory}", locked))
    with office.running() as app:
        office.turn(app)
        found = status(app.office, app.store, app.clock.now())["calendars"]["bruno"]
    assert (found["state"], found["reason"]) == ("parked", "the environment variable NOT_SET_ANYWHERE is not set")
    assert "export NOT_SET_ANYWHERE" in found["hint"]
    assert "account.broke" not in capsys.readouterr().out


def test_one_meeting_in_two_calendars_and_in_mail_is_one_row(office: CalendarOffice) -> None:
    with office.running() as app:
        invited = office.event("m1", at(18, 13), organizer=MARIA, people=(ANA, BRUNO, MARIA))
        asked = office.event("m1", at(18, 13), organizer=MARIA, people=(ANA, BRUNO, MARIA), method="REQUEST")
        office.ana.put("a.ics", invited)
        office.bruno.put("b.ics", invited)
        office.deliver(office.invitation(asked))
        office.turn(app)
        (row,) = in_history(app)
        places = [one.get("calendar") or one["folder"] for one in row["sightings"]]
        assert places == ["INBOX", office.ana.name, office.bruno.name]
        assert [one["subject"] for one in in_history(app, "occasion")] == ["Demonstração"]
        office.bruno.remove("b.ics")
        office.go_on(app, at(17, 12))
        assert "called-off" not in tags(app)


def test_invitations_in_mail_alone(office: CalendarOffice) -> None:
    def mail(start: int, sender: str = MARIA, method: str = "REQUEST", **said: Any) -> None:
        office.clock.move(MINUTE)
        one = office.event("m1", at(18, start), organizer=said.pop("organizer", MARIA), method=method, **said)
        office.deliver(office.invitation(one, sender, method=method))
        office.turn(app)

    with office.running() as app:
        mail(13)
        mail(15, sequence=1)
        mail(14, sequence=0)
        (row,) = in_history(app)
        assert row["at"].startswith("2026-11-18T15:00")
        assert [text for text, _ in reminded(app)] == ["Mudou: Demonstração"]
        mail(15, JOAO, "CANCEL", sequence=2)
        assert "called-off" not in tags(app)
        mail(15, method="CANCEL", sequence=2)
        assert tags(app) == ["booked", "called-off"]
        office.go_on(app, at(18, 20), 2 * DAY)
        assert outgoing(app) == []


def test_an_answer_by_mail_is_the_customers_own(office: CalendarOffice) -> None:
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        office.turn(app)
        said = {MARIA: "ACCEPTED"}
        reply = office.event("m1", at(18, 13), people=(MARIA,), answers=said, method="REPLY")
        office.deliver(office.invitation(reply, JOAO, method="REPLY"))
        office.turn(app)
        assert "coming" not in tags(app)
        office.deliver(office.invitation(reply, MARIA, method="REPLY"))
        office.turn(app)
        office.turn(app)
        assert tags(app) == ["booked", "coming"]


HOURLY = """\
rules:
  - {name: hourly, when: {meeting soon: 2 hours before}, then: {remind: {who: ana, text: "Já {{ meeting.title }}"}}}
"""


def test_where_the_zone_is_unclear_nothing_comes_by_the_minute(office: CalendarOffice) -> None:
    """In which zone it floats nobody says: the day before is right, two hours before may be five hours before."""
    (office.directory / "rules" / "20.yaml").write_text(HOURLY, encoding="utf-8")
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13), title="Certa"))
        floating = office.event("m2", at(18, 13), title="Solta")
        office.ana.put("b.ics", floating.replace(b"T130000Z", b"T130000").replace(b"T140000Z", b"T140000"))
        office.turn(app)
        office.go_on(app, at(18, 17), HOUR / 2)
        assert sorted(text for text, _ in reminded(app)) == ["Amanhã Certa", "Amanhã Solta", "Já Certa"]
