"""The whole way of a follow-up: a rule, the clock, a real Postfix, the customer's real mailbox, the thread."""

from __future__ import annotations

import email
import time
from collections.abc import Iterator
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from sending_offices import SendingOffice, read, row, send
from servers.dovecot import DovecotServer
from servers.postfix import PostfixServer

from connectors.model import RawMail
from connectors.outgoing import render
from connectors.parsing import InlineParser
from daemon.app import App
from daemon.letters import thawed
from store import outbox
from store.tables import OutboxState

House = tuple[PostfixServer, DovecotServer]

RULES = """\
rules:
  - name: depois-da-proposta
    when: mail sent
    if: {known: yes, subject: proposta}
    then:
      send: {template: lembrete, reply: yes, in: 2 business days, unless: replied}
"""
LEMBRETE = """\
---
name: lembrete
subject: "Re: {{ mail.subject }}"
---
{{ greeting }}, {{ contact.first_name }}!

Conseguiu olhar a **proposta**? Ficou alguma dúvida sobre:

- o prazo de entrega
- as condições de pagamento

{{ owner.name }}
"""


@pytest.fixture
def office(tmp_path: Path, mail_house: House) -> SendingOffice:
    """Ana writes from the same Dovecot that delivers to the customer; her mail leaves by Postfix with TLS and login."""
    postfix, dovecot = mail_house
    made = SendingOffice(tmp_path, dovecot, rules=RULES, reps=("ana",))
    made.extra = (
        f"senders:\n  ana: {{type: smtp, host: {postfix.host}, port: {postfix.port}, security: starttls, "
        f"ca: {dovecot.ca}, login: {made.login('ana')}, password: {{file: password}}}}\n"
        "send: {auto_templates: [lembrete], hold: 10 minutes}\n"
    )
    made.write()
    (tmp_path / "templates" / "lembrete.md").write_text(LEMBRETE, encoding="utf-8")
    (tmp_path / "customers.csv").write_text(
        "name,email,company,domain\nMaria Silva,maria@acme.example,Padaria Sol,acme.example\n", encoding="utf-8"
    )
    dovecot.add_user("maria")
    return made


@pytest.fixture
def app(office: SendingOffice) -> Iterator[App]:
    with office.sending() as app:
        yield app


def _arrived(dovecot: DovecotServer, known: set[Path]) -> list[Path]:
    box = dovecot.maildir("maria")
    return sorted({*box.glob("new/*"), *box.glob("cur/*")} - known)


def _await_mail(dovecot: DovecotServer, known: set[Path]) -> Path:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if found := _arrived(dovecot, known):
            return found[0]
        time.sleep(0.05)
    raise TimeoutError("nothing arrived")


def test_a_follow_up_arrives_once_in_the_thread_and_says_what_was_planned(
    office: SendingOffice, app: App, mail_house: House
) -> None:
    dovecot = mail_house[1]
    known = set(_arrived(dovecot, set()))
    question = office.mail("Maria <maria@acme.example>", "ana@vendas.example", "Orçamento?", "Quanto custa?")
    office.deliver("ana", question)
    office.move_clock(timedelta(minutes=5))
    offer = office.mail(
        "Ana <ana@vendas.example>", "maria@acme.example", "Proposta 17", "Segue.", answers=str(question["Message-ID"])
    )
    office.deliver("ana", offer, "Sent")
    read(app)
    with app.store.session() as session:
        (planned,) = outbox.listing(session)
    assert planned["state"] == "planned"
    number = int(planned["id"])
    office.move_clock(timedelta(days=1))
    assert send(app) == 0  # not yet
    office.move_clock(timedelta(days=1, minutes=1))
    assert send(app) == 1
    path = _await_mail(dovecot, known)
    raw = path.read_bytes()
    got = email.message_from_bytes(raw, policy=policy.default)
    assert isinstance(got, EmailMessage)
    assert got["In-Reply-To"] == str(offer["Message-ID"])
    assert got["References"].split() == [str(question["Message-ID"]), str(offer["Message-ID"])]
    assert got["Auto-Submitted"] == "auto-generated"
    assert "CRM-" in got["List-Unsubscribe"]
    sent = row(app, number)
    assert sent.state == OutboxState.SENT
    assert sent.server_said.startswith("250 2.0.0 Ok: queued as")
    _says_what_was_planned(raw, render(thawed(sent, office.directory)[0]))
    _leaves_pages(office.directory, got)
    office.move_clock(timedelta(minutes=2))
    app.copies.tidy()
    for _ in range(3):
        read(app)
        office.move_clock(timedelta(days=1))
        assert send(app) == 0
    assert len(_arrived(dovecot, known)) == 1
    assert len(office.lying("ana", "Sent")) == 2


def _says_what_was_planned(raw: bytes, planned: bytes) -> None:
    """Read by our own parser, what arrived is what was planned, but for the trace that servers write on top."""
    at = SendingOffice.__dataclass_fields__["clock"].default_factory().now()  # type: ignore[misc]
    parser = InlineParser()
    got, wanted = (
        parser.parse([RawMail(account="a", folder="INBOX", ref="1", received_at=at, whole=one)])[0]
        for one in (raw, planned)
    )
    for name in ("message_id", "sender", "to", "subject", "text", "quoted", "references", "sent_at"):
        assert getattr(got, name) == getattr(wanted, name), name
    got_parts, wanted_parts = (
        [
            part.get_content()
            for part in email.message_from_bytes(one, policy=policy.default).walk()
            if part.get_content_maintype() == "text"
        ]
        for one in (raw.replace(b"\r\n", b"\n"), planned.replace(b"\r\n", b"\n"))
    )
    assert got_parts == wanted_parts


def _leaves_pages(folder: Path, mail: EmailMessage) -> None:
    """The two faces of the mail as files, for whoever wants to look at them in a browser."""
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert "<strong>proposta</strong>" in html.get_content()
    assert "**" not in text.get_content()
    (folder / "follow-up.html").write_text(html.get_content(), encoding="utf-8")
    (folder / "follow-up.txt").write_text(text.get_content(), encoding="utf-8")
