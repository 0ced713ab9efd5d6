"""What could make a send wrong, doubled, late or never, with a real Dovecot and a real SMTP conversation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from maildir_offices import SETTINGS, MaildirOffice
from offices import work
from sending_offices import SendingOffice, plan, read, row, send, tries
from servers.dovecot import DovecotServer
from servers.smtp_sink import Answer, SmtpSink
from test_marks import bounce, sent

from connectors.errors import AuthRejected, Misconfigured
from connectors.folders import Folder
from connectors.imap.cursor import Place
from connectors.imap.source import ImapSource
from connectors.model import Batch, Cursor, Unreadable
from connectors.smtp.mailer import SmtpMailer, SmtpSettings
from daemon.app import App
from daemon.office import load_office
from daemon.poll import Look
from daemon.requests import answer
from store import outbox, privacy
from store.customers import Actor
from store.tables import OutboxState

MARIA = "maria@padariasol.example"
JOAO = "joao@oficinario.example"


BOTH = pytest.mark.parametrize("office", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def office(
    tmp_path: Path, dovecot: DovecotServer, smtp_sink: SmtpSink, request: pytest.FixtureRequest
) -> SendingOffice:
    made = SendingOffice(tmp_path, dovecot)
    if getattr(request, "param", "sqlite") == "postgresql":
        made.store = request.getfixturevalue("postgres").new_database()
    made.use(smtp_sink, "limits: {actions_per_hour: 10000, sends_per_day: 10000}")
    made.write()
    return made


@pytest.fixture
def app(office: SendingOffice) -> Iterator[App]:
    with office.sending() as app:
        yield app


def seen_by_bruno(office: SendingOffice, app: App, customer: str = MARIA) -> None:
    """A mail of the customer in Bruno's mailbox: from now on an answer may lie there."""
    office.deliver("bruno", office.mail(customer, "bruno@vendas.example", "Oi", "Bom dia"))
    read(app)
    office.move_clock(timedelta(minutes=2))


def break_login(app: App, account: str) -> None:
    """The account's password is wrong from now on."""
    settings = app.pollers[account].source._settings  # type: ignore[attr-defined]
    object.__setattr__(settings, "password", "changed")
    app.pollers[account].source.close()


# --- what a release lifts ------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("looked_before", [True, False])
def test_a_release_in_spite_of_a_dead_mailbox_still_reads_the_others_and_lets_it_go(
    office: SendingOffice, app: App, smtp_sink: SmtpSink, looked_before: bool
) -> None:
    seen_by_bruno(office, app)
    if looked_before:  # the look that is old by now
        app.pollers["bruno"].look = Look(app.clock.monotonic(), app.clock.now() - timedelta(days=9))
    break_login(app, "bruno")
    office.move_clock(timedelta(minutes=2))
    number = plan(app, event_at=app.clock.now())
    send(app)
    assert row(app, number).obstacle == "unreachable"
    office.move_clock(timedelta(minutes=2))
    if looked_before:
        answer(app, "outbox.release", {"id": number})
        assert send(app) == 1
        assert len(smtp_sink.mails) == 1
        return
    office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Re: Proposta", "Aceito!"))
    office.move_clock(timedelta(minutes=2))
    answer(app, "outbox.release", {"id": number})
    assert send(app) == 0
    assert row(app, number).state == OutboxState.CANCELLED


def test_what_a_person_releases_is_not_too_late(app: App, smtp_sink: SmtpSink) -> None:
    number = plan(app)
    with app.store.writing() as session:
        outbox.change(session, number, state="held", obstacle="colleague", reason="bruno wrote to the customer")
    app.clock.move(timedelta(days=2))  # type: ignore[attr-defined]
    answer(app, "outbox.release", {"id": number})
    assert send(app) == 1
    assert (row(app, number).state, row(app, number).way) == (OutboxState.SENT, "send")


@pytest.mark.parametrize(("hold", "days"), [("1 business day", 2), ("3 business days", 4)])
def test_a_long_wait_for_a_veto_does_not_make_it_late(tmp_path: Path, hold: str, days: int) -> None:
    settings = SETTINGS + f"send: {{{{auto_templates: [proposta], hold: {hold}}}}}\n"
    rules = "rules:\n  - {name: recibo, when: mail arrives, if: {known: yes}, then: {send: proposta}}\n"
    office = MaildirOffice(tmp_path / "office", settings=settings, rules=rules)
    office.directory.mkdir()
    office.write()
    with office.running() as app:
        office.deliver(office.letter())
        work(app)
        with app.store.session() as session:
            (found,) = outbox.in_states(session, (OutboxState.PLANNED,))
        assert found.late_after is not None
        assert found.due_at < found.late_after <= app.clock.now() + timedelta(days=days)


# --- one broken thing stops nothing else -----------------------------------------------------------------------------


@BOTH
def test_mail_that_waits_for_a_mailbox_does_not_hold_up_what_is_behind_it(
    office: SendingOffice, app: App, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_by_bruno(office, app)
    monkeypatch.setattr(app.pollers["bruno"], "poll", lambda **_: None)  # it hangs
    now = app.clock.now()
    for number in range(25):
        plan(app, event=f"maria {number}", event_at=now, due_at=now - timedelta(hours=1))
    other = plan(app, JOAO, event_at=now)
    assert send(app, rounds=6) == 1
    assert row(app, other).state == OutboxState.SENT


def test_hundreds_that_need_a_dead_mailbox_do_not_hold_up_the_others(
    office: SendingOffice, app: App, smtp_sink: SmtpSink
) -> None:
    seen_by_bruno(office, app)
    break_login(app, "bruno")
    now = app.clock.now()
    for number in range(420):
        plan(app, event=f"maria {number}", event_at=now, due_at=now - timedelta(hours=1))
    for _ in range(50):  # time enough for the first of them to be looked at again
        app.sends.sweep()
        app.sends.send_due("ana")
        app.clock.move(timedelta(seconds=3))  # type: ignore[attr-defined]
    other = plan(app, JOAO, event_at=now)
    assert send(app, rounds=25) == 1
    assert row(app, other).state == OutboxState.SENT


@BOTH
def test_copies_for_a_dead_mailbox_do_not_hold_up_those_for_another(
    office: SendingOffice, app: App, smtp_sink: SmtpSink
) -> None:
    lost = [plan(app, event=f"maria {number}") for number in range(60)]
    last = plan(app, JOAO, rep="bruno", account="bruno")
    with app.store.writing() as session:
        for number in lost:
            outbox.change(session, number, state="sent", copy_state="wanted", settled_at=app.clock.now())
    assert send(app) == 1
    assert app.ways is not None
    desk: Any = app.ways.desk("ana")
    object.__setattr__(desk._settings, "password", "changed")
    desk.close()
    for _ in range(3):
        office.move_clock(timedelta(minutes=1))
        app.copies.tidy()
    assert len(office.lying("bruno", "Sent")) == 1
    assert row(app, last).copy_state == "lies"


def test_a_mail_that_errs_on_the_way_holds_up_none_of_the_others(
    app: App, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, well = plan(app), plan(app, JOAO)
    real = SmtpMailer.send

    def errs(self: SmtpMailer, mail: Any, **how: Any) -> str:
        if how["recipient"] == MARIA:
            raise RuntimeError("a fault of ours")
        return real(self, mail, **how)

    monkeypatch.setattr(SmtpMailer, "send", errs)
    assert send(app) == 1
    assert row(app, well).state == OutboxState.SENT
    held = row(app, broken)
    assert (held.state, tries(app, broken)) == (OutboxState.HELD, [])
    assert "RuntimeError" in held.reason


# --- a sender that is not let in -----------------------------------------------------------------------------------


def renew(office: SendingOffice, app: App) -> None:
    """What SIGHUP does."""
    office.write()
    app.assemble(load_office(office.directory))


@BOTH
def test_a_sender_that_is_corrected_sends_under_the_new_address(
    office: SendingOffice, app: App, smtp_sink: SmtpSink
) -> None:
    smtp_sink.answers["mail", "ana@vendas.example"] = Answer(code=553, text="sender address not yours")
    number = plan(app)
    assert send(app) == 0
    assert tries(app, number) == ["later"]
    office.extra = office.extra.replace("  ana: {type: smtp", "  ana: {type: smtp, from: office@vendas.example")
    renew(office, app)
    read(app)
    app.clock.move(timedelta(minutes=6))  # type: ignore[attr-defined]
    assert send(app) == 1
    (envelope,) = smtp_sink.await_mails(1)
    assert envelope.sender == "office@vendas.example"
    assert b"<office@vendas.example>" in envelope.data


def test_mail_of_a_sender_that_is_never_let_in_becomes_a_draft(app: App, smtp_sink: SmtpSink) -> None:
    smtp_sink.answers["mail", ""] = Answer(code=553, text="sender address not yours")
    number = plan(app)
    for _ in range(72):
        send(app, rounds=1)
        app.clock.move(timedelta(hours=1))  # type: ignore[attr-defined]
    assert (row(app, number).state, row(app, number).way) == (OutboxState.PLANNED, "draft")


def test_a_mail_that_was_put_off_once_does_not_leave_weeks_late(
    office: SendingOffice, app: App, smtp_sink: SmtpSink
) -> None:
    smtp_sink.answers["rcpt", MARIA] = Answer(code=450, text="greylisted")
    number = plan(app)
    send(app)
    assert tries(app, number) == ["later"]
    smtp_sink.answers.clear()
    office.move_clock(timedelta(days=14))  # a standstill, a mailbox that was dead
    send(app)
    assert (row(app, number).state, row(app, number).way) == (OutboxState.PLANNED, "draft")
    assert not smtp_sink.mails


def test_a_password_with_letters_of_the_office_lets_in(tmp_path: Path) -> None:
    users = {"ana": "coração-пароль"}
    with SmtpSink(users=users) as sink:
        settings = {"account": "ana", "host": sink.host, "port": sink.port, "security": "none", "login": "ana"}
        mailer = SmtpMailer(SmtpSettings(**settings, password=users["ana"]))  # type: ignore[arg-type]
        assert "no encryption" in mailer.check()[0]
        mailer.close()
        wrong = SmtpMailer(SmtpSettings(**settings, password="coraçao"))  # type: ignore[arg-type]
        with pytest.raises(AuthRejected):
            wrong.check()


def test_a_host_that_cannot_be_one_is_told_as_such() -> None:
    mailer = SmtpMailer(SmtpSettings(account="ana", host="mail..example", port=25, security="tls"))
    with pytest.raises(Misconfigured, match=r"mail\.\.example"):
        mailer.check()


# --- answers that are easy to miss -----------------------------------------------------------------------------------


@BOTH
def test_an_answer_nobody_could_read_holds_it(
    office: SendingOffice, app: App, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In quarantine lies a mail of the customer: whether it answers nobody knows."""
    office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Oi", "Bom dia"))
    read(app)
    office.move_clock(timedelta(minutes=2))
    number = plan(app, event_at=office.clock.now())
    office.move_clock(timedelta(minutes=1))
    office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Re: Proposta", "Aceito!"))
    source = app.pollers["ana"].source
    real = source.fetch

    def gives_up(cursor: Cursor | None, *, limit: int) -> Batch:
        """As where the parser's child died of each mail."""
        batch = real(cursor, limit=limit)
        lost = [
            Unreadable(
                account=one.account, folder=one.folder, ref=one.ref, stage="parse", reason="the child died",
                raw=f"From: Maria <{MARIA.title()}>\n\nAceito".encode(), people=tuple(one.people()),
                received_at=one.received_at,
            )
            for one in batch.items
        ]  # fmt: skip
        return replace(batch, items=(), unreadable=tuple(lost))

    monkeypatch.setattr(source, "fetch", gives_up)
    read(app)
    monkeypatch.undo()
    office.move_clock(timedelta(minutes=2))
    assert send(app) == 0
    held = row(app, number)
    assert (held.state, held.obstacle) == (OutboxState.HELD, "unreachable")
    assert "could not be read" in held.reason
    assert not smtp_sink.mails
    assert send(app) == 0
    answer(app, "outbox.release", {"id": number})
    assert send(app) == 1


@pytest.mark.parametrize("sender", ["maria.em.casa@gmail.example", "chefe@loja.padariasol.example"])
def test_an_answer_in_junk_counts_by_its_thread_and_by_a_domain_below(
    office: SendingOffice, app: App, smtp_sink: SmtpSink, sender: str
) -> None:
    first = office.mail("ana@vendas.example", MARIA, "Proposta", "Segue a proposta")
    office.deliver("ana", first, "Sent")
    read(app)
    office.move_clock(timedelta(minutes=2))
    number = plan(app, event_at=office.clock.now())
    office.move_clock(timedelta(minutes=1))
    thread = str(first["Message-ID"]) if "gmail" in sender else ""
    office.deliver("ana", office.mail(sender, "ana@vendas.example", "Re: Proposta", "Aceito!", answers=thread), "Junk")
    office.move_clock(timedelta(minutes=2))
    assert send(app) == 0
    assert row(app, number).obstacle == "junk"


def test_an_inbox_that_refuses_to_be_opened_was_not_looked_into(
    office: SendingOffice, app: App, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Oi", "Bom dia"))
    read(app)
    office.move_clock(timedelta(minutes=2))
    number = plan(app, event_at=office.clock.now())
    office.move_clock(timedelta(minutes=1))
    office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Re: Proposta", "Aceito!"))
    real = ImapSource._open

    def locked(self: ImapSource, folder: Folder, place: Place) -> bool:
        """As where EXAMINE of the Inbox is answered with NO [INUSE]."""
        if folder.name == "INBOX":
            self._standings.pop(folder.key, None)
            return False
        return real(self, folder, place)

    monkeypatch.setattr(ImapSource, "_open", locked)
    app.pollers["ana"].source.close()  # the Inbox has to be opened anew
    office.move_clock(timedelta(minutes=1))
    assert send(app) == 0
    waiting = row(app, number)
    assert (waiting.state, waiting.obstacle) in {("planned", "unread"), ("held", "unreachable")}
    monkeypatch.undo()
    office.move_clock(timedelta(minutes=20))
    read(app)
    assert send(app) == 0
    assert row(app, number).state == OutboxState.CANCELLED
    assert not smtp_sink.mails


@BOTH
def test_a_colleagues_mail_without_message_id_is_seen(office: SendingOffice, app: App, smtp_sink: SmtpSink) -> None:
    number = plan(app, event_at=office.clock.now())
    office.move_clock(timedelta(minutes=2))
    letter = office.mail("bruno@vendas.example", MARIA, "Visita", "Passo ai amanha.")
    del letter["Message-ID"]
    office.deliver("bruno", letter, "Sent")
    read(app)
    assert send(app) == 0
    assert row(app, number).obstacle == "colleague"


@BOTH
@pytest.mark.parametrize(
    ("text", "obstacle"), [("Aceito!", "answered"), ("sair", "unwanted")], ids=["answer", "opt-out"]
)
def test_what_comes_in_between_the_last_look_and_the_wire_still_stops_it(
    office: SendingOffice, app: App, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch, text: str, obstacle: str
) -> None:
    number = plan(app, unless="customer_wrote" if obstacle == "answered" else "")
    other = plan(app, JOAO)
    read(app)
    real = SmtpMailer._ask_leave
    written: list[str] = []

    def slow(self: SmtpMailer, *args: Any) -> Any:
        """The server takes its time; meanwhile the mailboxes are read."""
        if not written:
            office.move_clock(timedelta(seconds=10))
            written.append(office.deliver("ana", office.mail(MARIA, "ana@vendas.example", "Re: Proposta", text)))
            read(app)
        return real(self, *args)

    monkeypatch.setattr(SmtpMailer, "_ask_leave", slow)
    assert send(app) == 1
    assert (row(app, number).state, row(app, number).obstacle) == (OutboxState.CANCELLED, obstacle)
    assert row(app, other).state == OutboxState.SENT
    assert [one.recipients for one in smtp_sink.mails] == [(JOAO,)]
    assert tries(app, number) == []


@pytest.mark.parametrize(("original", "state"), [("", OutboxState.UNCERTAIN), ("s1@vendas.example", OutboxState.SENT)])
def test_a_report_that_does_not_name_a_doubtful_mail_proves_nothing_of_it(
    tmp_path: Path, original: str, state: OutboxState
) -> None:
    office = MaildirOffice(tmp_path / "office")
    office.directory.mkdir()
    office.write()
    with office.running() as app:
        number = sent(app, state=OutboxState.UNCERTAIN)
        office.deliver(bounce(original=original, status="4.2.2"))
        work(app)
        assert row(app, number).state == state


# --- an erasure while mail is on its way ----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("stage", ["rcpt", "data", "dot"])
@pytest.mark.parametrize("code", [250, 450, 550])
def test_an_erasure_while_a_mail_is_on_its_way_holds_up_none_of_the_others(
    app: App, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch, stage: str, code: int
) -> None:
    gone, other = plan(app), plan(app, JOAO)
    customer = row(app, gone).customer_id
    assert customer is not None
    if code != 250:
        smtp_sink.answers[stage, MARIA] = Answer(code=code, text="no")
    where = "_ask_leave" if stage == "rcpt" else "_hand_over"
    real = getattr(SmtpMailer, where)
    erased: list[int] = []

    def erase_first(self: SmtpMailer, *args: Any) -> Any:
        if not erased:
            erased.append(customer)
            with app.store.writing() as session:
                privacy.erase(session, customer, app.key, Actor(name="admin", now=app.clock.now()))
        return real(self, *args)

    monkeypatch.setattr(SmtpMailer, where, erase_first)
    send(app, rounds=1)
    assert send(app) + len(smtp_sink.mails) >= 1
    assert row(app, other).state == OutboxState.SENT
    if stage == "rcpt":
        assert [one.recipients for one in smtp_sink.mails] == [(JOAO,)]
