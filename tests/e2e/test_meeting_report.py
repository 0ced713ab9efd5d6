"""report meetings: what became of them, from calendars to the table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from calendar_offices import ANA, BRUNO, HOUR, JOAO, MARIA, MINUTE, CalendarOffice, at, make_office
from typer.testing import CliRunner

from daemon.app import App, hash_key
from daemon.cli.main import app as command
from daemon.explaining_meetings import of_rules
from daemon.meeting_report import MeetingReport
from store import customers, meetings

SAO_PAULO = ZoneInfo("America/Sao_Paulo")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CalendarOffice, App]]:
    """From Tuesday 17 November on, until Thursday the 26th: one of each fate."""
    office = make_office(tmp_path_factory.mktemp("report"))
    with office.running() as app:
        put = office.ana.put
        put("held.ics", office.event("held", at(18, 13), title="Apresentação"))
        put("missed.ics", office.event("missed", at(19, 13), "CATEGORIES:no-show", title="Ligação"))
        put("moved.ics", office.event("moved", at(20, 13), title="Visita", people=(ANA, JOAO)))
        put("off.ics", office.event("off", at(20, 15), title="Almoço"))
        put("private.ics", office.event("private", at(18, 15), "CLASS:PRIVATE", title="Segredo"))
        put("inner.ics", office.event("inner", at(18, 16), title="Interna", people=(ANA, BRUNO)))
        put("refused.ics", office.event("refused", at(19, 15), title="Recusada", answers={MARIA: "DECLINED"}))
        office.turn(app)
        office.clock.move(HOUR)
        put("moved.ics", office.event("moved", at(24, 13), title="Visita", people=(ANA, JOAO), sequence=1))
        put("off.ics", office.event("off", at(20, 15), "STATUS:CANCELLED", title="Almoço", sequence=1))
        office.turn(app)
        office.go_on(app, at(23, 13), 24 * HOUR)
        put("next.ics", office.event("next", at(2, 2, month=12), title="Contrato"))
        put("first.ics", office.event("first", at(3, 13, month=12), title="Primeira", people=(ANA, JOAO)))
        office.turn(app)
        office.go_on(app, at(26, 13), 24 * HOUR)
        yield office, app


def answers(office: CalendarOffice, app: App, customer: str = "", rep: str = "") -> dict[str, Any]:
    with app.store.session() as session:
        number = customers.by_name(session, customer)[0] if customer else None
        report = MeetingReport(
            session=session,
            office=app.office,
            key=hash_key(office.directory),
            now=office.clock.now(),
            zone=SAO_PAULO,
            customer=number,
            rep=rep,
        )
        return report.answers(at(26, 13).date())


def titles(part: dict[str, Any]) -> dict[str, list[str]]:
    return {fate: [one["title"] for one in found] for fate, found in part.items() if isinstance(found, list) and found}


def test_the_questions_an_office_asks(lived: tuple[CalendarOffice, App]) -> None:
    office, app = lived
    found = answers(office, app)
    assert titles(found["last_week"]) == {
        "held": ["Apresentação"],
        "missed": ["Ligação", "Recusada"],
        "cancelled": ["Almoço"],
        "moved": ["Visita"],
    }
    assert titles(found["month"]) == {
        "held": ["Apresentação", "Visita"],
        "missed": ["Ligação", "Recusada"],
        "cancelled": ["Almoço"],
        "moved": ["Visita"],
    }
    assert titles(found["next_month"]) == {"ahead": ["Contrato", "Primeira"]}
    assert [one["title"] for one in found["follow_ups"]] == ["Contrato"], "Oficina Rio was not met before"
    assert found["last_met"] is None
    (ahead,) = [one for one in found["next_month"]["ahead"] if one["title"] == "Contrato"]
    assert str(ahead["start"]) == "2026-12-01 23:00:00-03:00", "in the person's zone"

    theirs = answers(office, app, "Padaria Sol")
    assert (theirs["last_met"]["title"], theirs["next_meeting"]["title"]) == ("Apresentação", "Contrato")
    assert titles(theirs["month"])["held"] == ["Apresentação"]
    assert not titles(answers(office, app, rep="bruno")["month"])


def test_why_a_meeting_became_what_it_is(lived: tuple[CalendarOffice, App], monkeypatch: pytest.MonkeyPatch) -> None:
    office, app = lived
    monkeypatch.setattr("daemon.clock.SystemClock.now", lambda _: office.clock.now())
    month = answers(office, app)["month"]
    numbers = {one["title"]: str(one["id"]) for fate in ("held", "missed", "cancelled") for one in month[fate]}

    def explained(title: str, *words: str) -> str:
        ask = ["--config", str(office.directory), "rules", "explain", numbers[title], *words]
        return CliRunner().invoke(command, ask, catch_exceptions=False).output

    told = explained("Visita")
    for said in (
        "filed under: Oficina Rio (by ",
        "logged by: default (a meeting with a known customer)",
        "when: 2026-11-24 10:00 - 11:00",
        "became: held, moved 1x, the last time 2026-11-",
        "calendar: Calendar of ana",
        f"invited: {JOAO}",
        "meeting moved (number ",
        "meeting held: 1 hour after (number ",
        "thanks",
    ):
        assert said in told
    assert "marked: nobody came" in explained("Ligação")
    assert "became: cancelled" in explained("Almoço")
    data = json.loads(explained("Apresentação", "--rule", "thanks", "--json"))
    assert data["meeting"]["became"] == "held"
    assert {one["when"] for one in data["meeting"]["came_of_it"]} >= {"meeting booked", "meeting held: 1 hour after"}
    asked = {one["occasion"]["when"]: one for one in data["today"]}
    assert asked["meeting held: 1 hour after"]["customer"] == "Padaria Sol"


def test_the_command(lived: tuple[CalendarOffice, App], monkeypatch: pytest.MonkeyPatch) -> None:
    directory, now = str(lived[0].directory), lived[0].clock.now()
    monkeypatch.setattr("daemon.clock.SystemClock.now", lambda _: now + MINUTE)

    def run(*words: str) -> Any:
        return CliRunner().invoke(command, ["--config", directory, "report", "meetings", *words])

    done = run("--customer", "Padaria Sol", "--month", "2026-11")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:5] == [
        "last week (2026-11-16 to 2026-11-22): 1 held, 0 moved, 2 missed, 1 cancelled",
        "2026-11: 1 held, 0 moved, 2 missed, 1 cancelled",
        "follow-up meetings booked in 2026-11: 1",
        "2026-12: 0 held, 0 moved, 0 missed, 1 ahead",
        "Padaria Sol: last met 2026-11-18 10:00 (Apresentação); next 2026-12-01 23:00 (Contrato)",
    ]
    rows = [line.split("\t")[1:] for line in done.output.splitlines()[5:]]
    assert rows == [
        ["2026-11-18 10:00", "Padaria Sol", "ana", "held", "Apresentação"],
        ["2026-11-19 10:00", "Padaria Sol", "ana", "missed", "Ligação"],
        ["2026-11-19 12:00", "Padaria Sol", "ana", "missed", "Recusada"],
        ["2026-11-20 12:00", "Padaria Sol", "ana", "cancelled", "Almoço"],
        ["2026-12-01 23:00", "Padaria Sol", "ana", "ahead, follow-up", "Contrato"],
    ]
    data = json.loads(run("--json", "--month", "2026-12").output)
    assert (data["month"]["month"], data["next_month"]["month"], data["customer"]) == ("2026-12", "2027-01", None)
    assert [one["start"] for one in data["month"]["ahead"]] == [
        "2026-12-01T23:00:00-03:00",
        "2026-12-03T10:00:00-03:00",
    ]
    assert run("--month", "December").exit_code == 2
    slip = run("--rep", "brunno")
    assert (slip.exit_code, '"bruno"' in slip.output) == (2, True)


def test_explain_tells_only_of_moments_that_come(lived: tuple[CalendarOffice, App]) -> None:
    """A meeting that nobody came to, or that was called off, is not held; what was not done is not told as done."""
    office, app = lived
    with app.store.session() as session:
        rows = {row.title: row for row in meetings.starting(session, at(1, 0), at(30, 0))}
        told = {
            title: "\n".join(of_rules(session, app.office, hash_key(office.directory), row, None)[0])
            for title, row in rows.items()
        }
    never = "{}: does not come true as things are"
    assert never.format("meeting held: 1 hour after") in told["Ligação"]
    assert never.format("meeting held: 1 hour after") in told["Almoço"]
    assert never.format("meeting missed") in told["Apresentação"]
    assert "meeting held: 1 hour after, 2026-11-18 12:00" in told["Apresentação"]
    assert "saw: 2026-11-18 10:00\n" in told["Apresentação"], "by the office's clock"
    assert "would fire" in told["Apresentação"]
    assert not any("done:" in text for text in told.values())
