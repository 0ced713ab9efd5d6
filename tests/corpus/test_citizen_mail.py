"""Machines cause no mail: labelled bounces, and thirty styles of automatic answers, against a rule that answers all."""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

import pytest
from servers.responders import STYLES, Style, answer

from connectors.model import Kind
from daemon.app import App, opened
from daemon.clock import HeldClock
from daemon.requests import answer as ask
from store import customers, history, outbox, suppressions
from store.tables import OutboxMail, OutboxState

START = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
hours: {mon-fri: 09:00-18:00}
team: {ana: {mail: ana@vendas.example, language: pt, name: Ana}}
accounts: {ana: {type: maildir, rep: ana, path: ana, since: 2000-01-01}}
send: {auto_templates: [recibo]}
"""
RULES = """\
rules:
  - name: tudo
    when: [mail arrives, mail sent]
    if: {any: [{is: [automated, bounce, out_of_office, newsletter]}, {known: yes}, {known: no}]}
    then:
      send: {template: recibo, reply: yes}
"""
TEMPLATE = "---\nname: recibo\nsubject: Recebemos\n---\nRecebemos a sua mensagem.\n"


class Office:
    """One rep on a Maildir, and a rule that answers everything."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = HeldClock(START)
        self._count = 0
        for name, text in (("rules/1.yaml", RULES), ("templates/recibo.md", TEMPLATE), ("quietcrm.yaml", SETTINGS)):
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text, encoding="utf-8")
        for folder in ("", ".Sent", ".Drafts"):
            for place in ("new", "cur", "tmp"):
                (directory / "ana" / folder / place).mkdir(parents=True, exist_ok=True)

    def deliver(self, raw: bytes, folder: str = "") -> None:
        """Lay a mail down as if it had come now."""
        self._count += 1
        path = self.directory / "ana" / folder / "new" / f"{self._count}.x.host"
        path.write_bytes(raw)
        os.utime(path, (self.clock.now().timestamp(),) * 2)


def read(app: App) -> None:
    for poller in app.pollers.values():
        poller.poll()


def know(app: App, addresses: list[str]) -> None:
    rows = [[number, {"name": one, "email": one}] for number, one in enumerate(addresses, 1)]
    ask(app, "customer.import", {"rows": rows})


def sends(app: App) -> list[OutboxMail]:
    with app.store.session() as session:
        return outbox.in_states(session, list(OutboxState))


def test_no_bounce_causes_a_mail_and_each_marks_its_contact(corpora: Path, tmp_path: Path) -> None:
    folder = corpora / "1_bounces"
    files: list[tuple[Path, list[str]]] = []
    dead: set[str] = set()
    for part in ("sisimai", "flufl"):
        for row in csv.DictReader((folder / part / "index.csv").read_text().splitlines()):
            if row["category"] not in ("not-a-bounce", "unlabelled"):
                people = [one.lower() for one in row["recipients"].split(";") if one.isascii() and one.count("@") == 1]
                files.append((folder / part / row["path"], people))
                dead.update(people if set(row["hard"].split(";")) == {"1"} else ())
    office = Office(tmp_path)
    with opened(tmp_path, office.clock) as app:
        read(app)
        know(app, sorted({one for _, people in files for one in people}))
        office.clock.move(timedelta(minutes=1))
        for path, _ in files:
            office.deliver(path.read_bytes())
        read(app)
        assert sends(app) == []
        with app.store.session() as session:
            kinds = [entry.as_dict()["kind"] for entry in history.log(session, limit=None)]
            blocked = suppressions.count(session, "mail")
            known = customers.lookup_addresses(session, {one for _, people in files for one in people})
            marked = {one.emails[0] for several in known.values() for one in several if one.bounced_at}
    assert kinds.count(Kind.BOUNCE.value) >= 200
    assert len(dead) >= 50
    print(f"{len(marked & dead)} of {len(dead)} addresses stated as dead are marked, {len(marked - dead)} others")
    assert len(marked & dead) >= 0.9 * len(dead)  # as in test_bounces: the sets mean different things by hard
    assert blocked >= len(marked)


@pytest.mark.parametrize("style", STYLES, ids=[one.name for one in STYLES])
def test_an_automatic_answer_causes_none(style: Style, tmp_path: Path) -> None:
    office = Office(tmp_path)
    with opened(tmp_path, office.clock) as app:
        read(app)
        know(app, ["maria@padariasol.example", "atendimento@padariasol.example"])
        for round in range(3):
            office.clock.move(timedelta(hours=1))
            asked = EmailMessage()
            asked["From"], asked["To"], asked["Subject"] = "ana@vendas.example", "maria@padariasol.example", "Caixas"
            asked["Date"], asked["Message-ID"] = format_datetime(office.clock.now()), f"<asked{round}@vendas.example>"
            office.deliver(answer(style, asked, "Maria <maria@padariasol.example>").as_bytes())
            read(app)
        planned = sends(app)
    assert len(planned) == (3 if style.silent else 0)
    assert all(one.reactive for one in planned)
    # Each of them looks like a letter, so it cancels the answer to the one before.
    assert [one.state for one in planned if one.state != OutboxState.CANCELLED] == ["planned"] * style.silent
    assert {one.recipient.partition("@")[2] for one in planned} <= {"padariasol.example"}


def test_thirty_styles() -> None:
    assert len(STYLES) == 30
    assert len({one.name for one in STYLES}) == 30
