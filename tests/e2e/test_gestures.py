"""What a person does to a logged mail sets rules off, once; what we do ourselves does not. On a real Dovecot."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from offices import TestOffice, import_customers, work
from servers.dovecot import DovecotServer
from sqlalchemy import select

from connectors.categories import keyword_of
from daemon.app import App
from daemon.happening import Happening
from rules.occasion import Occasion
from store import customers
from store.statements import table
from store.tables import Gesture, RuleLoaded

RULES = """\
rules:
  - {name: filed, when: mail filed, if: {folder: CRM/Log}, then: {tag: filed}}
  - {name: filed-anywhere, when: mail filed, then: {create: {note: {text: "{{ mail.subject }}"}}}}
  - {name: tagged, when: mail tagged, if: {category: "CRM: case"}, then: {create: case}}
  - {name: flagged, when: mail flagged, then: {tag: flagged}}
  - {name: unflagged, when: mail unflagged, then: {untag: flagged}}
  - {name: ours, when: mail arrives, if: {subject: ours}, then: {category: "CRM: case", flag: today, move: CRM/Log}}
"""


@pytest.fixture
def office(dovecot: DovecotServer, tmp_path: Path) -> TestOffice:
    office = TestOffice(tmp_path / "office", dovecot, rules=RULES, reps=("ana",))
    office.write()
    return office


def begin(app: App, office: TestOffice, subject: str) -> None:
    import_customers(app, office.directory / "customers.csv")
    work(app)
    office.move_clock(timedelta(minutes=1))
    office.deliver("ana", office.mail("maria@padariasol.example", "ana@vendas.example", subject, "Bom dia"))
    for _ in range(2):
        office.move_clock(timedelta(minutes=6))
        work(app)


def later(app: App, office: TestOffice) -> None:
    for _ in range(3):
        office.move_clock(timedelta(minutes=6))
        work(app)


def hits(app: App) -> dict[str, int]:
    with app.store.session() as session:
        assert session.execute(select(table(Gesture))).first() is None
        rows = session.execute(select(table(RuleLoaded).c.name, table(RuleLoaded).c.hits))
        return {name: count for name, count in rows if count}


def tags(app: App) -> frozenset[str]:
    with app.store.session() as session:
        return frozenset(customers.get(session, customers.resolve(session, "Padaria Sol")[0]).tags)


def test_a_flag_and_its_end_each_once(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office, "Oi")
        with office.client("ana") as client:
            client.select_folder("INBOX")
            client.add_flags(client.search("ALL"), ["\\Flagged"])
        later(app, office)
        assert (hits(app), tags(app)) == ({"flagged": 1}, {"flagged"})
        with office.client("ana") as client:
            client.select_folder("INBOX")
            client.add_flags(client.search("ALL"), ["\\Seen"])
            client.remove_flags(client.search("ALL"), ["\\Flagged"])
        later(app, office)
        assert (hits(app), tags(app)) == ({"flagged": 1, "unflagged": 1}, frozenset())
    with office.running() as app:  # a restart repeats nothing
        later(app, office)
        assert hits(app) == {"flagged": 1, "unflagged": 1}


def test_a_category_by_its_name(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office, "Oi")
        for name in ("Urgente", "CRM: case", "Depois"):
            with office.client("ana") as client:
                client.select_folder("INBOX")
                client.add_flags(client.search("ALL"), [keyword_of(name)])
            later(app, office)
        assert hits(app) == {"tagged": 1}


def test_one_that_errs_holds_up_no_other(office: TestOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    happen = Happening.happen

    def err(self: Happening, occasion: Occasion, *args: Any, **named: Any) -> bool:
        if occasion.when == "mail flagged":
            raise ValueError("a fault of ours")
        return happen(self, occasion, *args, **named)

    monkeypatch.setattr(Happening, "happen", err)
    with office.running() as app:
        begin(app, office, "Oi")
        with office.client("ana") as client:
            client.select_folder("INBOX")
            client.add_flags(client.search("ALL"), ["\\Flagged"])
        later(app, office)
        with office.client("ana") as client:
            client.select_folder("INBOX")
            client.add_flags(client.search("ALL"), [keyword_of("CRM: case")])
        later(app, office)
        assert hits(app) == {"tagged": 1}


@pytest.mark.parametrize("by_move", [True, False])
def test_a_copy_in_a_folder_made_now(office: TestOffice, *, by_move: bool) -> None:
    with office.running() as app:
        begin(app, office, "Oi")
        with office.client("ana") as client:
            client.create_folder("CRM/Log")
            client.select_folder("INBOX")
            (client.move if by_move else client.copy)(client.search("ALL"), "CRM/Log")
        later(app, office)
        assert (hits(app), tags(app)) == ({"filed": 1, "filed-anywhere": 1}, {"filed"})


def test_what_was_done_while_nobody_watched_is_found(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office, "Oi")
    with office.client("ana") as client:
        client.select_folder("INBOX")
        client.add_flags(client.search("ALL"), ["\\Flagged"])
    office.move_clock(timedelta(hours=3))
    with office.running() as app:
        later(app, office)
        assert hits(app) == {"flagged": 1}


def test_what_we_do_ourselves_is_nobodys_gesture(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office, "ours")
        later(app, office)
        assert [str(mail["Subject"]) for _, mail in office.lying("ana", "CRM/Log")] == ["ours"]
        assert hits(app) == {"ours": 1}
        with office.client("ana") as client:
            client.create_folder("Projects")
            client.select_folder("CRM/Log")
            client.remove_flags(client.search("ALL"), ["\\Flagged"])
            client.move(client.search("ALL"), "Projects")
        later(app, office)
        found = hits(app)
        assert found["filed-anywhere"] == 1
        assert "filed" not in found


def test_mail_of_strangers_and_old_mail_set_nothing_off(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office, "Oi")
        office.deliver("ana", office.mail("x@nowhere.example", "ana@vendas.example", "Stranger", "hi"))
        later(app, office)
        with office.client("ana") as client:
            client.select_folder("INBOX")
            client.add_flags(client.search(["SUBJECT", "Stranger"]), ["\\Flagged"])
        later(app, office)
        assert hits(app) == {}
