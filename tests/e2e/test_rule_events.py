"""Rules on failed deliveries and opt-outs, from the raw mail to the reminder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from maildir_offices import MaildirOffice, logged
from offices import work

from connectors.model import Message
from connectors.parsing import ParserPool
from daemon.app import App
from daemon.blocks import why_blocked
from daemon.glance import Knowledge
from daemon.reading import one_mail
from store import customers

RULES = """\
rules:
  - name: dead-address
    when: delivery failed
    then: {tag: dead-address}
  - name: farewell
    when: contact unsubscribed
    then: {tag: unsubscribed}
"""
MARIA = "maria@padariasol.example"
REPORT = """\
From: MAILER-DAEMON@mx.vendas.example
To: ana@vendas.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <r1@mx.vendas.example>
Date: Mon, 16 Nov 2026 12:10:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

The mail could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.vendas.example

Final-Recipient: rfc822; maria@padariasol.example
Action: failed
Status: {status}
Diagnostic-Code: smtp; 550 {status} user unknown
--b--
"""


@pytest.fixture
def office(tmp_path: Path) -> MaildirOffice:
    office = MaildirOffice(tmp_path / "office", rules=RULES)
    office.write()
    return office


@pytest.fixture
def app(office: MaildirOffice) -> Iterator[App]:
    with office.running() as app:
        yield app


def tags(app: App) -> set[str]:
    with app.store.session() as session:
        return {tag for one in customers.listing(session) for tag in customers.get(session, one.id).tags}


def test_a_failed_delivery(office: MaildirOffice, app: App) -> None:
    office.clock.move(timedelta(minutes=15))
    office.deliver(REPORT.format(status="5.1.1").encode())
    work(app)
    assert tags(app) == {"dead-address"}
    with app.store.session() as session:
        assert why_blocked(session, app.key, MARIA)


def test_a_delayed_delivery_is_none(office: MaildirOffice, app: App) -> None:
    office.clock.move(timedelta(minutes=15))
    report = REPORT.format(status="4.4.1").replace("Action: failed", "Action: delayed")
    office.deliver(report.replace("550", "450").encode())
    work(app)
    assert tags(app) == set()


@pytest.mark.parametrize(("text", "wanted"), [("Sair, por favor.", {"unsubscribed"}), ("Quero sair amanhã.", set())])
def test_a_contact_who_wants_no_mail(office: MaildirOffice, app: App, text: str, wanted: set[str]) -> None:
    office.deliver(office.letter(text=text))
    work(app)
    assert tags(app) == wanted
    assert len(logged(app)) == 1


def test_a_rehearsal_tells_the_same(office: MaildirOffice, app: App) -> None:
    path = office.directory / "wish.eml"
    path.write_bytes(office.letter(text="Sair, por favor."))
    parser = ParserPool()
    try:
        message = one_mail(path, parser)
    finally:
        parser.close()
    assert isinstance(message, Message)
    message = replace(message, received_at=office.clock.now())
    known = Knowledge(app.office, app.store, app.key)
    decision = known.explain(message, known.directory([message]), office.clock.now())
    assert [trace.rule for trace in decision.traces if trace.result == "fired"] == ["farewell"]


def test_a_stranger_is_no_contact(office: MaildirOffice, app: App) -> None:
    office.deliver(office.letter(text="sair", From="who@else.example"))
    work(app)
    assert tags(app) == set()
