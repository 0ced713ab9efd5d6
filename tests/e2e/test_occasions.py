"""Rules that run when something else than a mail happens, from the records and the clock to Drafts and Inbox."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from maildir_offices import MaildirOffice, logged, outgoing
from offices import START, work

from daemon.app import App, opened
from daemon.cli.main import main
from daemon.office import load_office
from daemon.replaying_occasions import OccasionReplay
from daemon.requests import answer
from rules.occasion import Occasion
from store import actions, changes, customers

RULES = """\
rules:
  - name: quiet
    when: {customer silent: 21 days}
    if: {none: [{open: case}]}
    then: {remind: {who: ana, at: next business day 09:30, text: "Ligar: {{ customer.name }}"}, tag: quiet}
  - {name: birthday, when: {date comes: 0 days before contact.birthday}, then: {draft: parabens}}
  - {name: renewal, when: {date comes: 30 days before renewal_date},
     then: {remind: {who: ana, text: "Renovar: {{ customer.name }}"}}}
  - {name: monday, when: {clock: mon 08:00}, then: {remind: {who: ana, text: Semana}}}
  - {name: weekly, when: {clock: mon 08:00}, if: {stage: lead}, then: {tag: weekly}}
  - {name: won, when: {record changed: stage}, if: {stage: cliente}, then: {tag: "{{ changed.before }}-cliente"}}
  - {name: ping, when: {record changed: tag}, if: {tag: ping}, then: {untag: ping, tag: pong}}
  - {name: pong, when: {record changed: tag}, if: {tag: pong}, then: {untag: pong, tag: ping}}
"""
TEMPLATE = """---
name: parabens
subject: Parabéns, {{ contact.first_name }}!
---
{{ greeting }} {{ contact.first_name }}, tudo de bom hoje.
"""
CUSTOMERS = """\
name,email,company,domain,stage,birthday,renewal_date,contact.zone
Maria Silva,maria@padariasol.example,Padaria Sol,padariasol.example,lead,24 de novembro,20/12/2026,
João Lima,joao@oficinario.example,Oficina Rio,oficinario.example,cliente,--11-24,soon,Asia/Tokyo
"""
SETTINGS = """\
company: {{name: Vendas, zone: America/Sao_Paulo, language: pt}}
store: {store}
internal: ["@vendas.example"]
hours: {{mon-fri: 09:00-18:00}}
stages: {{open: [lead, proposta], won: cliente, lost: perdida}}
team:
  ana: {{mail: ana@vendas.example, language: pt, name: Ana}}
  bruno: {{mail: bruno@vendas.example, language: pt, name: Bruno}}
accounts:
  ana: {{type: maildir, rep: ana, path: ana, since: 2000-01-01}}
  bruno: {{type: maildir, rep: bruno, path: bruno, since: 2000-01-01}}
"""


@pytest.fixture
def office(tmp_path: Path) -> MaildirOffice:
    made = MaildirOffice(tmp_path / "office", rules=RULES, settings=SETTINGS, customers=CUSTOMERS)
    made.write()
    (made.directory / "templates" / "proposta.md").unlink()
    (made.directory / "templates" / "parabens.md").write_text(TEMPLATE, encoding="utf-8")
    return made


@contextmanager
def restarted(office: MaildirOffice) -> Iterator[App]:
    with opened(office.directory, office.clock) as app:
        yield app


def go_on(app: App, office: MaildirOffice, to: datetime, step: timedelta | None = None) -> None:
    """Let the daemon live on until a moment; without a step it slept until then."""
    while office.clock.now() < to:
        office.clock.move(min(step or timedelta.max, to - office.clock.now()))
        work(app)
        app.occasions.look()
    app.desks.tidy()


def happened(app: App, rule: str = "") -> list[tuple[str, str]]:
    """(words, when) of the occasions in the log, oldest first; of one rule."""
    found = []
    for entry in reversed(logged(app)):
        if entry["kind"] == "occasion":
            with app.store.session() as session:
                rules = {
                    one["rule"] for one in _trace(session, entry["id"]).get("rules", ()) if one["result"] == "fired"
                }
            if not rule or rule in rules:
                found.append((entry["subject"], f"{datetime.fromisoformat(entry['at']):%m-%d %H:%M}"))
    return found


def _trace(session: Any, number: int) -> dict[str, Any]:
    from store import history

    found = history.trace_of(session, number)
    assert found is not None
    data: dict[str, Any] = found["data"]
    return data


def tags(app: App, name: str) -> list[str]:
    with app.store.session() as session:
        (number,) = customers.by_name(session, name)
        return sorted(customers.get(session, number).tags)


def reminded(office: MaildirOffice) -> list[str]:
    lines = [line for mail in office.files("ana", "") for line in mail.decode().splitlines()]
    return [line for line in lines if line.startswith("Subject: Lembrete")]


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def test_a_silence_is_told_once_and_ends_with_a_word(office: MaildirOffice) -> None:
    with office.running() as app:
        office.deliver(office.letter())
        office.clock.move(timedelta(minutes=5))
        work(app)
        heard = START + timedelta(minutes=1)
        go_on(app, office, heard + 21 * DAY - HOUR, 5 * DAY)
        assert happened(app, "quiet") == []
        go_on(app, office, heard + 21 * DAY + HOUR, HOUR)
        assert happened(app, "quiet") == [("customer silent: 21 days", "12-07 12:01")]
        assert tags(app, "Padaria Sol") == ["quiet", "weekly"]
        go_on(app, office, heard + 40 * DAY, 10 * DAY)
        assert [line for line in reminded(office) if "Ligar" in line]
    with restarted(office) as app:
        go_on(app, office, heard + 41 * DAY, DAY)
        assert happened(app, "quiet") == [("customer silent: 21 days", "12-07 12:01")]
        office.deliver(office.letter())
        word = office.clock.now()
        go_on(app, office, word + 22 * DAY, 7 * DAY)
        assert [at for _, at in happened(app, "quiet")] == ["12-07 12:01", f"{word + 21 * DAY:%m-%d %H:%M}"]


def test_a_silence_waits_for_the_mail_that_nobody_has_read(office: MaildirOffice) -> None:
    with office.running() as app:
        office.deliver(office.letter())
        office.clock.move(timedelta(minutes=5))
        work(app)
        word = START + timedelta(minutes=1) + 21 * DAY
        office.clock.move(word - HOUR - office.clock.now())
        work(app)
        office.deliver(office.letter())  # an hour before the silence
        office.clock.move(2 * HOUR)
        app.occasions.look()  # the mailboxes were last read before the silence
        assert happened(app, "quiet") == []
        work(app)
        app.occasions.look()
        assert happened(app, "quiet") == []


def test_a_birthday_is_greeted_when_the_office_opens_where_they_live(office: MaildirOffice) -> None:
    with office.running() as app:
        app.occasions.look()
        go_on(app, office, datetime(2026, 11, 23, 23, 15, tzinfo=UTC), 3 * DAY)
        assert happened(app, "birthday") == []
        go_on(app, office, datetime(2026, 11, 24, 0, 15, tzinfo=UTC), HOUR)
        assert [(one["to"], one["state"]) for one in outgoing(app)] == [("joao@oficinario.example", "placed")]
        go_on(app, office, datetime(2026, 11, 24, 12, 15, tzinfo=UTC), 6 * HOUR)
        assert happened(app, "birthday") == [
            ("date comes: 0 days before contact.birthday", "11-24 00:00"),
            ("date comes: 0 days before contact.birthday", "11-24 12:00"),
        ]
        assert b"Subject: =?utf-8?" in office.drafts()[0] or b"Parab" in office.drafts()[0]
        go_on(app, office, datetime(2027, 11, 26, tzinfo=UTC), 100 * DAY)  # asleep on the next one
        assert len(outgoing(app)) == 2


def test_a_greeting_that_comes_too_late_is_skipped(office: MaildirOffice) -> None:
    with office.running() as app:
        app.occasions.look()
        go_on(app, office, datetime(2026, 11, 25, 2, 0, tzinfo=UTC))  # slept since the 16th; in Brazil it is the 24th
        assert [one["to"] for one in outgoing(app)] == ["maria@padariasol.example"]
        late = next(one for one in reversed(logged(app)) if "birthday" in one["subject"])
        with app.store.session() as session:
            trace = next(one for one in _trace(session, late["id"])["rules"] if one["rule"] == "birthday")
        assert trace["shadowed"] == {"draft": "the day of the greeting is over"}


def test_a_draft_nobody_could_lay_out_on_its_day_is_dropped(office: MaildirOffice) -> None:
    with office.running() as app:
        app.occasions.look()
        office.clock.move(datetime(2026, 11, 24, 12, 15, tzinfo=UTC) - office.clock.now())
        work(app)
        app.occasions.look()
        office.clock.move(DAY)
        app.desks.tidy()
        states = {(one["to"], one["state"], one["reason"]) for one in outgoing(app)}
        assert ("maria@padariasol.example", "cancelled", "the day it is for is over") in states


def test_dates_come_once_and_late_ones_are_marked(office: MaildirOffice) -> None:
    with office.running() as app:
        app.occasions.look()
        go_on(app, office, datetime(2026, 12, 3, 12, 0, tzinfo=UTC))
        assert happened(app, "renewal") == [("date comes: 30 days before renewal_date", "11-20 12:00")]
        assert any("atrasado" in line for line in reminded(office))
        answer(app, "customer.edit", {"customer": "Padaria Sol", "fields": {"renewal_date": "2027-02-10"}})
        go_on(app, office, datetime(2027, 1, 12, 12, 0, tzinfo=UTC), 10 * DAY)
        assert [at for _, at in happened(app, "renewal")] == ["11-20 12:00", "01-11 12:00"]


def test_the_clock_strikes_for_the_office_and_for_each_lead(office: MaildirOffice) -> None:
    with office.running() as app:
        app.occasions.look()
        go_on(app, office, datetime(2026, 11, 23, 10, 0, tzinfo=UTC), 4 * DAY)
        assert happened(app, "monday") == []
        go_on(app, office, datetime(2026, 11, 23, 11, 0, tzinfo=UTC), HOUR)
        assert happened(app, "monday") == [("clock: mon 08:00", "11-23 11:00")]
        assert happened(app, "weekly") == [("clock: mon 08:00", "11-23 11:00")]
        assert (tags(app, "Padaria Sol"), tags(app, "Oficina Rio")) == (["weekly"], [])
        go_on(app, office, datetime(2026, 12, 15, 11, 0, tzinfo=UTC))  # slept over three Mondays: the last one counts
        assert [at for _, at in happened(app, "monday")] == ["11-23 11:00", "12-14 11:00"]


def test_changes_set_rules_off_but_imports_do_not(office: MaildirOffice) -> None:
    with office.running() as app:
        answer(app, "customer.edit", {"customer": "Padaria Sol", "fields": {"stage": "cliente"}})
        app.occasions.look()
        assert tags(app, "Padaria Sol") == ["lead-cliente"]
        rows = [[2, {"company": "Oficina Rio", "domain": "oficinario.example", "stage": "lead"}]]
        answer(app, "customer.import", {"rows": rows})
        rows = [[2, {"company": "Oficina Rio", "domain": "oficinario.example", "stage": "cliente", "tags": "ping"}]]
        answer(app, "customer.import", {"rows": rows})
        app.occasions.look()
        assert tags(app, "Oficina Rio") == ["ping"]


def test_rules_that_set_each_other_off_come_to_an_end(office: MaildirOffice) -> None:
    with office.running() as app:
        answer(app, "customer.edit", {"customer": "Padaria Sol", "tags": ["ping"]})
        for _ in range(12):
            office.clock.move(timedelta(minutes=1))
            app.occasions.look()
        with app.store.session() as session:
            chains = [one.chain for one in changes.recent(session, START) if one.actor.startswith("rule ")]
            assert max(chains) == 4
            last = next(one for one in logged(app) if one["kind"] == "occasion")
            assert {one["result"] for one in _trace(session, last["id"])["rules"]} == {"looping"}
        before = len(logged(app))
        office.clock.move(timedelta(minutes=1))
        app.occasions.look()
        assert len(logged(app)) == before


def test_a_new_rule_sees_only_what_comes_true_after_it(office: MaildirOffice) -> None:
    with office.running() as app:
        app.occasions.look()
        go_on(app, office, datetime(2026, 11, 20, 12, 30, tzinfo=UTC), 3 * DAY)
        text = (office.directory / "rules" / "10.yaml").read_text()
        more = "  - {name: too-late, when: {date comes: 30 days before renewal_date}, then: {tag: late}}\n"
        more += "  - {name: in-time, when: {date comes: 20 days before renewal_date}, then: {tag: in-time}}\n"
        (office.directory / "rules" / "10.yaml").write_text(text + more)
        app.assemble(load_office(office.directory))
        go_on(app, office, datetime(2026, 12, 1, 12, 0, tzinfo=UTC), 3 * DAY)
        assert "in-time" in tags(app, "Padaria Sol")
        assert "late" not in tags(app, "Padaria Sol")


def test_a_rule_that_was_away_does_not_make_up_for_it(office: MaildirOffice) -> None:
    path = office.directory / "rules" / "10.yaml"
    with office.running() as app:
        app.occasions.look()
        text = path.read_text()
        path.write_text(text.replace("{name: renewal,", "{name: renewal, mode: off,"))
        app.assemble(load_office(office.directory))
        go_on(app, office, datetime(2026, 11, 25, tzinfo=UTC), 3 * DAY)
        path.write_text(text)
        app.assemble(load_office(office.directory))
        go_on(app, office, datetime(2026, 11, 27, tzinfo=UTC), DAY)
        assert happened(app, "renewal") == []


def test_what_errs_is_put_into_the_history(office: MaildirOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    def err(*_: object) -> None:
        raise TypeError("a mistake of ours")

    with office.running() as app:
        app.occasions.look()
        monkeypatch.setattr("daemon.effects.perform", err)
        go_on(app, office, datetime(2026, 11, 20, 12, 30, tzinfo=UTC))
        monkeypatch.undo()
        with app.store.session() as session:
            rows = session.connection().exec_driver_sql("SELECT degraded FROM interaction").all()
        assert ("its rules failed with TypeError; nothing was done",) in rows
        go_on(app, office, datetime(2026, 11, 24, 13, 0, tzinfo=UTC))
        assert happened(app, "birthday")


def test_a_calendar_hands_in_what_it_saw(office: MaildirOffice) -> None:
    path = office.directory / "rules" / "10.yaml"
    path.write_text(path.read_text() + "  - {name: no-show, when: meeting missed, then: {tag: no-show}}\n")
    with office.running() as app:
        occasion = Occasion(when="meeting missed", event="meeting missed|u1|1", at=office.clock.now(), customer_id=1)
        assert app.occasions.happen([occasion, occasion]) == 1
        assert app.occasions.happen([occasion]) == 0
        assert tags(app, "Padaria Sol") == ["no-show"]


def test_the_clock_of_the_machine_is_not_believed_at_once(office: MaildirOffice) -> None:
    with office.running() as app:
        app.sends.begin()
        app.occasions.look()
        app.sends.clock_trouble = "the clock jumped ahead a moment ago"
        office.clock.move(400 * DAY)
        assert app.occasions.look() == 0
        app.sends.clock_trouble = ""


def test_undoing_what_a_rule_did_at_an_occasion(office: MaildirOffice) -> None:
    with office.running() as app:
        app.occasions.look()
        go_on(app, office, datetime(2026, 11, 23, 11, 0, tzinfo=UTC))
        args = {"rule": "weekly", "since": START.isoformat(), "confirm": 1}
        assert len(answer(app, "rules.undo", args)["undone"]) == 1
        assert tags(app, "Padaria Sol") == []
        app.occasions.look()
        assert tags(app, "Padaria Sol") == []
        with app.store.session() as session:
            assert actions.hits(session)["weekly"].hits == 1


def test_looking_back_at_what_happened_beside_mail(office: MaildirOffice) -> None:
    path = office.directory / "rules" / "10.yaml"
    with office.running() as app:
        office.deliver(office.letter())
        office.clock.move(timedelta(minutes=5))
        work(app)
        app.occasions.look()
        answer(app, "customer.edit", {"customer": "Padaria Sol", "fields": {"stage": "cliente"}})
        app.occasions.look()
        go_on(app, office, datetime(2026, 11, 24, 12, 30, tzinfo=UTC))
        go_on(app, office, START + 20 * DAY, 6 * DAY)
        found, beside = looked_back(app, office)
        assert found == []
        assert beside.left_out == ["clock: mon 08:00"]
        text = path.read_text().replace("30 days before renewal_date", "25 days before renewal_date")
        path.write_text(text.replace("21 days", "19 days").replace("tag: quiet", "tag: q"))
        app.assemble(load_office(office.directory))
        found, _ = looked_back(app, office)
    assert found == [
        ("11-25 12:00", "Padaria Sol", ["remind ana: Renovar: Padaria Sol"]),
        ("12-05 12:01", "Padaria Sol", ["remind ana: Ligar: Padaria Sol", "tag q"]),
    ]


def looked_back(app: App, office: MaildirOffice) -> tuple[list[tuple[str, str, list[str]]], OccasionReplay]:
    with app.store.session() as session:
        beside = OccasionReplay(session=session, office=app.office, key=app.key, since=START, now=office.clock.now())
        found = beside.differences()
    assert not any(one.drops for one in found)
    return [(f"{one.at:%m-%d %H:%M}", one.sender, [add["does"] for add in one.adds]) for one in found], beside


def test_the_command_line_tells_what_happened_and_why(
    office: MaildirOffice, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with office.running() as app:
        app.occasions.look()
        go_on(app, office, datetime(2026, 11, 24, 12, 30, tzinfo=UTC), 4 * DAY)

    def call(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["quietcrm", "--config", str(office.directory), *words])
        capfd.readouterr()
        with suppress(SystemExit):
            main()
        return capfd.readouterr().out

    log = json.loads(call("log", "--json"))["items"]
    renewal = next(one for one in log if one["rule"] == "renewal")
    assert (renewal["kind"], renewal["customers"]) == ("occasion", ["Padaria Sol"])
    assert "date comes: 30 days before renewal_date" in call("customer", "timeline", "Padaria Sol")
    assert [one["id"] for one in json.loads(call("log", "--rule", "renewal", "--json"))["items"]] == [renewal["id"]]
    told = call("rules", "explain", str(renewal["id"]))
    assert "because: renewal_date: 20/12/2026" in told
    assert "✓ when: date comes: 30 days before renewal_date" in told
    assert "done: remind by rule renewal" in told
    assert "If it came now, with today's rules and customers:" in told
    told = call("rules", "explain", "customer silent: 21 days", "--customer", "Oficina Rio")
    assert "→ would do: remind ana" in told
    told = call("rules", "explain", "clock: mon 08:00", "--customer", "Oficina Rio")
    assert "✗ stage: lead  saw: cliente" in told
    assert json.loads(call("rules", "explain", "clock: mon 08:00", "--json"))["outcome"] == "occasion"
    lines = call("rules", "lint")
    assert '"renewal" waits for renewal_date, which is no date at: Oficina Rio' in lines
    hits = {one["name"]: one["hits"] for one in json.loads(call("rules", "list", "--json"))["items"]}
    assert (hits["renewal"], hits["birthday"], hits["quiet"]) == (1, 2, 0)


def test_on_both_databases(database_url: str, office: MaildirOffice) -> None:
    office.store = database_url
    (office.directory / "quietcrm.yaml").write_text(SETTINGS.format(store=database_url), encoding="utf-8")
    with office.running() as app:
        app.occasions.look()
        answer(app, "customer.edit", {"customer": "Padaria Sol", "fields": {"stage": "cliente"}})
        go_on(app, office, datetime(2026, 11, 24, 12, 30, tzinfo=UTC))
        found = sorted(
            {(rule, at) for rule in ("birthday", "renewal", "monday", "won") for _, at in happened(app, rule)}
        )
        assert found == [
            ("birthday", "11-24 00:00"),
            ("birthday", "11-24 12:00"),
            ("monday", "11-23 11:00"),
            ("renewal", "11-20 12:00"),
            ("won", "11-16 12:01"),
        ]
        beside = looked_back(app, office)[1]
        assert beside.looked > 0
