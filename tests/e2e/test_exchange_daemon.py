"""The whole daemon on an Exchange mailbox: it reads, lays a draft, takes it away, marks, and sends by a rule."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from campaigns.exchange_office import ANA, ExchangeOffice, read
from servers.ews import EwsServer
from servers.ews_store import Item

from daemon.app import App
from daemon.clock import SystemClock
from daemon.doctor import examine
from daemon.findings import Level
from daemon.requests import answer
from store import history, outbox
from store.tables import OutboxState

PROGRAM = Path(sys.executable).parent / "quietcrm"
MARIA = "maria@padariasol.example"
RULES = """\
rules:
  - name: pedido
    when: mail arrives
    if: {known: yes, text: {has: orçamento}}
    then:
      draft: {template: proposta, reply: yes}
      category: "CRM: pedido"
  - name: lembrar
    when: mail sent
    if: {known: yes, subject: proposta}
    then:
      send: {template: proposta, reply: yes, in: 1 hour, unless: replied}
"""
SENDS = "send: {auto_templates: [proposta]}\n"


@pytest.fixture
def server() -> Iterator[EwsServer]:
    with EwsServer() as running:
        yield running
        assert not running.violations


@pytest.fixture
def office(tmp_path: Path, server: EwsServer) -> ExchangeOffice:
    made = ExchangeOffice(tmp_path, server.url, rules=RULES, extra=SENDS)
    made.write([("Maria Silva", MARIA)])
    server.clock = made.clock.monotonic
    return made


def lying(server: EwsServer, folder: str) -> list[Item]:
    return list(server.box.folder(folder).items.values())


def work(app: App, office: ExchangeOffice) -> None:
    """One round of everything, a while later."""
    office.clock.move(timedelta(minutes=6))
    for poller in app.pollers.values():
        poller.source.close()
    read(app)
    app.desks.tidy()
    app.mailbox_marks.tidy()
    app.copies.tidy()


def test_a_day_of_an_office_on_exchange(office: ExchangeOffice, server: EwsServer) -> None:
    with office.running() as app:
        read(app)
        office.clock.move(timedelta(minutes=1))
        asked = office.mail(f"Maria Silva <{MARIA}>", ANA, "Caixas", "Bom dia, quero um orçamento de 200 caixas.")
        question = office.deliver(server, asked)
        work(app, office)
        with app.store.session() as session:
            assert [one.subject for one in history.log(session)] == ["Caixas"]
        (draft,) = lying(server, "drafts")
        assert draft.text("In-Reply-To") == asked["Message-ID"]
        assert draft.text("To") == MARIA
        assert "obrigado pelo contato" in draft.raw.decode()
        assert question.categories == ["CRM: pedido"]
        assert not question.read

        work(app, office)
        assert lying(server, "drafts") == [draft]
        changed = office.mail(MARIA, ANA, "Re: Caixas", "Deixa, já comprei.", answers=str(asked["Message-ID"]))
        office.deliver(server, changed)
        work(app, office)
        assert lying(server, "drafts") == []

        offer = office.mail(ANA, MARIA, "Nossa proposta", "Segue a proposta.")
        office.deliver(server, offer, "sentitems")
        work(app, office)
        app.sends.begin()
        office.clock.move(timedelta(hours=2))
        for _ in range(3):
            app.sends.sweep()
            app.sends.send_due("ana")
            work(app, office)
        ((_, raw),) = server.sent
        assert f"In-Reply-To: {offer['Message-ID']}".encode() in raw
        (copy,) = [one for one in lying(server, "sentitems") if one.raw == raw]
        assert copy.read
        with app.store.session() as session:
            states = {row["state"] for row in outbox.listing(session) if row["rule"] == "lembrar"}
        assert states == {"sent"}
        with app.store.session() as session:
            assert len(history.log(session)) == 4  # the mail that left by itself is read in Sent once, as any other


def test_an_answer_stops_what_was_planned(office: ExchangeOffice, server: EwsServer) -> None:
    """It lies in Junk, where nobody looks but we, before a mail leaves."""
    with office.running() as app:
        read(app)
        office.clock.move(timedelta(minutes=1))
        offer = office.mail(ANA, MARIA, "Nossa proposta", "Segue a proposta.")
        office.deliver(server, offer, "sentitems")
        work(app, office)
        app.sends.begin()
        answer = office.mail(MARIA, ANA, "Re: Nossa proposta", "Aceito!", answers=str(offer["Message-ID"]))
        office.deliver(server, answer, "junkemail")
        office.clock.move(timedelta(hours=2))
        for _ in range(3):
            app.sends.sweep()
            app.sends.send_due("ana")
            work(app, office)
    assert server.sent == []


def test_a_mail_that_the_admin_gives_up_is_not_left_in_drafts(office: ExchangeOffice, server: EwsServer) -> None:
    """Nobody knew whether it had been sent; it had not."""
    with office.running() as app:
        read(app)
        office.clock.move(timedelta(minutes=1))
        office.deliver(server, office.mail(ANA, MARIA, "Nossa proposta", "Segue a proposta."), "sentitems")
        work(app, office)
        app.sends.begin()
        office.clock.move(timedelta(hours=2))
        server.faults.script("SendItem", "504")
        for _ in range(3):
            app.sends.sweep()
            app.sends.send_due("ana")
            work(app, office)
        with app.store.session() as session:
            (row,) = outbox.in_states(session, (OutboxState.UNCERTAIN,))
        assert len(lying(server, "drafts")) == 1
        answer(app, "outbox.cancel", {"id": row.id})
        office.clock.move(timedelta(minutes=6))
        app.sends.send_due("ana")
        assert lying(server, "drafts") == []
        before = server.requests.total()
        office.clock.move(timedelta(minutes=6))
        app.sends.send_due("ana")
        assert server.requests.total() == before  # looked at once
    assert server.sent == []


def test_doctor_looks_at_everything(office: ExchangeOffice, server: EwsServer) -> None:
    office.deliver(server, office.mail(MARIA, ANA, "Caixas", "Bom dia"))
    server.box.category_list = b"<categories/>"
    with office.running() as app:
        findings = examine(app.office, office.clock)
    mine = [one for one in findings if one.about in ("account ana", "sender ana")]
    assert [one.message for one in mine if one.level is not Level.OK] == []
    told = " ".join(one.message for one in mine)
    for word in (
        "2019 or SE",
        "its own login",
        "categories",
        "tells of new mail at once",
        "keeps the copy",
        "explained",
    ):
        assert word in told
    server.users[ANA] = "changed"
    bad = [one for one in examine(app.office, office.clock) if one.level is Level.FAIL]
    assert {one.about for one in bad} == {"account ana", "sender ana"}
    assert all("check `login:`" in one.remedy for one in bad)


@pytest.mark.timeout(300)
def test_the_installed_daemon_is_told_of_mail_and_answers_with_a_draft(
    office: ExchangeOffice, server: EwsServer
) -> None:
    """Polling once an hour: only the stream can tell it in time."""
    office.clock = SystemClock()  # type: ignore[assignment]
    server.clock = SystemClock().monotonic
    path = office.directory / "quietcrm.yaml"
    path.write_text(path.read_text().replace("since: 2000-01-01", "since: 2000-01-01, every: 60 minutes"))
    with office.running():
        pass  # the customers are imported
    with (office.directory / "log").open("w") as log:
        command = [PROGRAM, "--config", office.directory, "run"]
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})
    try:
        with server.news:
            assert server.news.wait_for(lambda: bool(server.streams), timeout=90.0), (
                office.directory / "log"
            ).read_text()
            assert server.news.wait_for(lambda: server.requests["SyncFolderItems"] >= 2, timeout=90.0)
            # Arrival is told in whole seconds: in that of the first look it would be old mail.
            begun = server.clock()
            while server.clock() < begun + 3:
                server.news.wait(0.5)
        asked = office.mail(f"Maria Silva <{MARIA}>", ANA, "Caixas", "Bom dia, quero um orçamento de 200 caixas.")
        office.deliver(server, asked)
        with server.news:
            drafted = server.news.wait_for(lambda: bool(lying(server, "drafts")), timeout=90.0)
        assert drafted, (office.directory / "log").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
