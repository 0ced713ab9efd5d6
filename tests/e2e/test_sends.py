"""Mail that leaves by itself, with a real Dovecot and a real SMTP conversation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sending_offices import SendingOffice, plan, read, row, send, tries
from servers.dovecot import DovecotServer
from servers.smtp_sink import Answer, SmtpSink

from daemon.app import App
from store import outbox, pauses
from store.tables import OutboxState

MARIA = "maria@padariasol.example"


@pytest.fixture
def office(tmp_path: Path, dovecot: DovecotServer, smtp_sink: SmtpSink) -> SendingOffice:
    made = SendingOffice(tmp_path, dovecot)
    made.use(smtp_sink)
    made.write()
    return made


@pytest.fixture
def app(office: SendingOffice) -> Iterator[App]:
    with office.sending() as app:
        yield app


def test_a_mail_that_is_due_leaves_once_and_its_copy_lies_in_sent(
    office: SendingOffice, app: App, smtp_sink: SmtpSink
) -> None:
    number = plan(app)
    assert send(app) == 1
    (envelope,) = smtp_sink.await_mails(1)
    assert (envelope.sender, envelope.recipients) == ("ana@vendas.example", (MARIA,))
    assert row(app, number).state == OutboxState.SENT
    assert tries(app, number) == ["sent"]
    office.move_clock(timedelta(minutes=1))
    app.copies.tidy()
    app.copies.tidy()
    ((_, copy),) = office.lying("ana", "Sent")
    assert copy["Message-ID"].strip("<>") == row(app, number).message_id
    assert send(app) == 0
    read(app)
    assert row(app, number).state == OutboxState.SENT
    assert len(smtp_sink.mails) == 1


@pytest.mark.parametrize("folder", ["INBOX", "Junk", "Clientes"])
@pytest.mark.parametrize("rep", ["ana", "bruno"])
def test_an_answer_in_any_mailbox_stops_it(
    office: SendingOffice, app: App, smtp_sink: SmtpSink, folder: str, rep: str
) -> None:
    first = office.mail(f"Maria <{MARIA}>", f"{rep}@vendas.example", "Oi", "Primeiro contato")
    office.deliver(rep, first)
    read(app)
    office.move_clock(timedelta(minutes=1))
    number = plan(app, event_at=office.clock.now())
    office.move_clock(timedelta(minutes=2))
    with office.client(rep) as client:
        if not client.folder_exists(folder):
            client.create_folder(folder)
    answer = office.mail("Maria <maria@padariasol.example>", f"{rep}@vendas.example", "Re: Proposta", "Aceito!")
    office.deliver(rep, answer, folder)
    office.move_clock(timedelta(seconds=61))
    assert send(app) == 0
    found = row(app, number)
    assert found.state == OutboxState.CANCELLED
    assert ("Junk" in found.reason) == (folder == "Junk")
    assert not smtp_sink.mails


def test_a_temporary_refusal_is_tried_again_and_a_final_one_is_not(app: App, smtp_sink: SmtpSink) -> None:
    smtp_sink.answers["rcpt", MARIA] = Answer(code=450, text="greylisted")
    smtp_sink.answers["rcpt", "joao@oficinario.example"] = Answer(code=550, text="no such user")
    waits, refused = plan(app), plan(app, "joao@oficinario.example")
    assert send(app) == 0
    assert (row(app, waits).state, tries(app, waits)) == (OutboxState.PLANNED, ["later"])
    assert (row(app, refused).state, tries(app, refused)) == (OutboxState.REFUSED, ["refused"])
    assert "no such user" in row(app, refused).reason
    smtp_sink.answers.clear()
    assert send(app) == 0  # not before its time
    app.clock.move(timedelta(minutes=6))  # type: ignore[attr-defined]
    assert send(app) == 1
    assert tries(app, waits) == ["later", "sent"]
    assert len(smtp_sink.await_mails(1)) == 1


def test_a_line_that_breaks_after_the_final_dot_leaves_it_uncertain_for_ever(
    office: SendingOffice, app: App, smtp_sink: SmtpSink
) -> None:
    smtp_sink.answers["dot", ""] = Answer(cut=True, keep=True)
    number = plan(app)
    assert send(app) == 0
    smtp_sink.answers.clear()
    for _ in range(5):
        app.clock.move(timedelta(hours=1))  # type: ignore[attr-defined]
        send(app)
        app.copies.tidy()
    assert row(app, number).state == OutboxState.UNCERTAIN
    assert len(smtp_sink.mails) == 1
    office.deliver("ana", office.mail("ana@vendas.example", MARIA, "Outra", "Nada a ver"), "Sent")
    app.clock.move(timedelta(hours=1))  # type: ignore[attr-defined]
    app.copies.tidy()
    assert row(app, number).state == OutboxState.UNCERTAIN
    copy = office.mail("ana@vendas.example", MARIA, "Proposta", "x", message_id=f"<{row(app, number).message_id}>")
    office.deliver("ana", copy, "Sent")
    app.clock.move(timedelta(hours=1))  # type: ignore[attr-defined]
    app.copies.tidy()
    assert row(app, number).state == OutboxState.SENT


def test_a_dead_mailbox_holds_only_the_mail_that_needs_it(office: SendingOffice, app: App, smtp_sink: SmtpSink) -> None:
    # Bruno's mailbox saw the workshop, Ana's saw the bakery.
    office.deliver("bruno", office.mail("joao@oficinario.example", "bruno@vendas.example", "Oi", "Bom dia"))
    office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Oi", "Bom dia"))
    read(app)
    app.clock.move(timedelta(minutes=2))  # type: ignore[attr-defined]
    now = app.clock.now()
    bakery, workshop = plan(app, event_at=now), plan(app, "joao@oficinario.example", event_at=now)
    app.clock.move(timedelta(minutes=2))  # type: ignore[attr-defined]
    broken = app.pollers["bruno"]
    settings = broken.source._settings  # type: ignore[attr-defined]
    object.__setattr__(settings, "password", "changed")
    broken.source.close()
    assert send(app) == 1
    assert row(app, bakery).state == OutboxState.SENT
    held = row(app, workshop)
    assert (held.state, held.obstacle) == (OutboxState.HELD, "unreachable")
    assert "bruno" in held.reason


def test_a_word_to_stand_still_holds_what_is_looked_at_already(
    app: App, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan(app)
    plan(app, "joao@oficinario.example")
    mailer = app.outlets.mailer("ana")
    hand_over = type(mailer).send

    def hand_over_and_pause(*args: Any, **named: Any) -> str:
        said = hand_over(*args, **named)
        with app.store.writing() as session:
            pauses.pause(session, pauses.ALL, "admin", app.clock.now())
        return said

    monkeypatch.setattr(type(mailer), "send", hand_over_and_pause)
    assert send(app) == 1
    assert len(smtp_sink.mails) == 1
    with app.store.writing() as session:
        pauses.resume(session, [pauses.ALL])
    app.clock.move(timedelta(minutes=2))  # type: ignore[attr-defined]
    read(app)
    assert send(app) == 1


def test_what_an_earlier_start_left_is_planned_again_or_uncertain(app: App) -> None:
    claimed, sending = plan(app), plan(app, "joao@oficinario.example")
    with app.store.writing() as session:
        outbox.change(session, claimed, state="claimed", fence=app.sends.fence)
        outbox.change(session, sending, state="sending", fence=app.sends.fence)
    app.sends.begin()
    assert row(app, claimed).state == OutboxState.PLANNED
    assert row(app, sending).state == OutboxState.UNCERTAIN


def test_a_rep_without_a_sender_holds_the_mail_until_there_is_one_and_too_late_it_is_a_draft(
    office: SendingOffice, app: App
) -> None:
    number = plan(app, rep="carla")
    assert send(app) == 0
    held = row(app, number)
    assert (held.state, held.obstacle) == (OutboxState.HELD, "no_sender")
    office.move_clock(timedelta(days=2))
    send(app)
    late = row(app, number)
    assert (late.state, late.way, late.late) == (OutboxState.PLANNED, "draft", True)
