"""What a person decides about a mail, to its end: on a real Dovecot, by a real SMTP conversation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import pytest
from sending_offices import SendingOffice, plan, read, row, send, tries
from servers.dovecot import DovecotServer
from servers.smtp_sink import Answer, SmtpSink

from daemon.app import App
from daemon.requests import answer
from store.tables import OutboxState

MARIA = "maria@padariasol.example"
JOAO = "joao@oficinario.example"


@pytest.fixture
def office(tmp_path: Path, dovecot: DovecotServer, smtp_sink: SmtpSink) -> SendingOffice:
    made = SendingOffice(tmp_path, dovecot)
    made.use(smtp_sink, "limits: {actions_per_hour: 2}\n")
    made.write()
    return made


@pytest.fixture
def app(office: SendingOffice) -> Iterator[App]:
    with office.sending() as app:
        yield app


@pytest.fixture
def uncertain(app: App, smtp_sink: SmtpSink) -> int:
    """A mail that arrived, though the server never said so."""
    smtp_sink.answers["dot", ""] = Answer(cut=True, keep=True)
    number = plan(app)
    send(app)
    smtp_sink.answers.clear()
    assert row(app, number).state == OutboxState.UNCERTAIN
    return number


def test_sent_again_by_a_person_it_is_the_same_mail(app: App, smtp_sink: SmtpSink, uncertain: int) -> None:
    told = app.notices.compile("ana").text
    assert f"> quietcrm outbox release --again {uncertain}" in told
    answer(app, "outbox.release", {"id": uncertain, "again": True})
    assert send(app) == 1
    assert (row(app, uncertain).state, tries(app, uncertain)) == (OutboxState.SENT, ["unknown", "sent"])
    first, second = (message_from_bytes(one.data) for one in smtp_sink.await_mails(2))
    assert first["Message-ID"] == second["Message-ID"] == f"<{row(app, uncertain).message_id}>"
    assert first.as_bytes() == second.as_bytes()
    assert "quietcrm outbox" not in app.notices.compile("ana").text


def test_where_the_customer_has_it_the_copy_is_laid_into_sent_once(
    office: SendingOffice, app: App, smtp_sink: SmtpSink, uncertain: int
) -> None:
    answer(app, "outbox.sent", {"id": uncertain})
    office.move_clock(timedelta(minutes=1))
    app.copies.tidy()
    app.copies.tidy()
    ((_, copy),) = office.lying("ana", "Sent")
    assert copy["Message-ID"].strip("<>") == row(app, uncertain).message_id
    assert send(app) == 0
    assert len(smtp_sink.mails) == 1


def test_left_alone_it_stays_as_it_is(office: SendingOffice, app: App, smtp_sink: SmtpSink, uncertain: int) -> None:
    answer(app, "outbox.cancel", {"id": uncertain})
    office.move_clock(timedelta(hours=1))
    assert send(app) == 0
    app.copies.tidy()
    assert row(app, uncertain).state == OutboxState.CANCELLED
    assert office.lying("ana", "Sent") == []
    assert len(smtp_sink.mails) == 1


def test_a_colleagues_mail_holds_it_both_are_told_and_a_release_lets_it_go(
    office: SendingOffice, app: App, smtp_sink: SmtpSink
) -> None:
    office.move_clock(timedelta(minutes=5))
    office.deliver("bruno", office.mail("Bruno <bruno@vendas.example>", MARIA, "Oi", "Tudo certo por aí?"), "Sent")
    office.move_clock(timedelta(minutes=1))
    read(app)
    number = plan(app)
    assert send(app) == 0
    assert (row(app, number).state, row(app, number).obstacle) == (OutboxState.HELD, "colleague")
    for rep in ("ana", "bruno"):
        told = app.notices.compile(rep).text
        assert "bruno escreveu ao cliente: segunda, 16/11" in told
        assert f"> quietcrm outbox release {number}\n  > quietcrm outbox cancel {number}" in told
    answer(app, "outbox.release", {"id": number})
    assert send(app) == 1
    assert len(smtp_sink.await_mails(1)) == 1
    assert f"- Padaria Sol: {row(app, number).subject}\n  {MARIA}, segunda, 16/11" in app.notices.compile("ana").text


def test_a_burst_is_released_as_one(app: App, smtp_sink: SmtpSink) -> None:
    numbers = [plan(app), plan(app, JOAO), plan(app, JOAO, event="another")]
    assert send(app) == 0
    assert {row(app, number).obstacle for number in numbers} == {"breaker"}
    assert "- depois: 3 e-mails" in app.notices.compile("ana").text
    answer(app, "outbox.burst", {"act": "release", "rule": "depois", "confirm": 3})
    assert send(app) == 2
    assert [row(app, number).obstacle for number in numbers] == ["", "", "one_a_day"]
    assert len(smtp_sink.mails) == 2
