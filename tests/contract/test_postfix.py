"""The SMTP mailer on a real Postfix: STARTTLS, login, delivery to a real mailbox, reports on what failed."""

from __future__ import annotations

import email
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import pytest
from desk_contract import MAIL
from servers.dovecot import DovecotServer
from servers.postfix import PostfixServer
from servers.smtp_sink import Answer, SmtpSink

from connectors.errors import AuthRejected, SendRejected
from connectors.model import Address, OutgoingMail
from connectors.outgoing import content_hash, render
from connectors.smtp.mailer import SmtpMailer, SmtpSettings
from connectors.smtp.opening import open_line

House = tuple[PostfixServer, DovecotServer]
_serial = count(1)


def settings_for(house: House, **changes: object) -> SmtpSettings:
    postfix, dovecot = house
    values: dict[str, object] = {
        "account": "out", "host": postfix.host, "port": postfix.port, "security": "starttls", "ca": str(dovecot.ca),
        "login": "ana", "password": "secret", "timeout": 20.0, "final_timeout": 30.0,
    }  # fmt: skip
    return SmtpSettings(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def mailer(mail_house: House) -> Iterator[SmtpMailer]:
    mail_house[1].add_user("ana")
    made = SmtpMailer(settings_for(mail_house))
    yield made
    made.close()


@pytest.fixture
def ivan(mail_house: House) -> str:
    """A fresh mailbox."""
    name = f"ivan{next(_serial)}"
    mail_house[1].add_user(name)
    return name


def await_mail(dovecot: DovecotServer, user: str, wanted: Callable[[bytes], bool] = bool) -> bytes:
    """The first mail in somebody's Inbox that fits; raises TimeoutError after 30 s."""
    deadline = time.monotonic() + 30.0
    box = dovecot.maildir(user)
    while time.monotonic() < deadline:
        for path in [*box.glob("new/*"), *box.glob("cur/*")]:
            if wanted(raw := path.read_bytes()):
                return raw
        time.sleep(0.05)
    raise TimeoutError(f"no such mail for {user}")


def mail_to(name: str, **changes: object) -> OutgoingMail:
    mail = replace(MAIL, message_id=f"q.{name}@vendas.example", to=(Address(f"{name}@acme.example", "Иван"),))
    return replace(mail, **changes)  # type: ignore[arg-type]


def test_a_mail_goes_through_and_says_what_was_planned(mail_house: House, mailer: SmtpMailer, ivan: str) -> None:
    mail = mail_to(ivan)
    answer = mailer.send(mail, envelope_from="ana@vendas.example", recipient=f"{ivan}@acme.example")
    assert answer.startswith("250 2.0.0 Ok: queued as ")
    raw = await_mail(mail_house[1], ivan)
    assert content_hash(raw) == content_hash(render(mail))
    got = email.message_from_bytes(raw)
    assert got["Return-Path"] == "<ana@vendas.example>"
    assert got["Message-ID"] == f"<{mail.message_id}>"
    planned = email.message_from_bytes(render(mail).replace(b"\r\n", b"\n"))
    assert [(name, value) for name, value in got.items() if name in planned] == planned.items()


def test_check_says_how_it_is_protected(mailer: SmtpMailer) -> None:
    findings = mailer.check()
    assert "STARTTLS" in findings[0]
    assert "10240000" in findings[1]


def test_a_wrong_password(mail_house: House, mailer: SmtpMailer) -> None:
    with pytest.raises(AuthRejected):
        SmtpMailer(settings_for(mail_house, password="wrong")).check()


def test_without_login_nothing_is_relayed(mail_house: House) -> None:
    mailer = SmtpMailer(settings_for(mail_house, login="", password=""))
    with pytest.raises(SendRejected) as caught:
        mailer.send(MAIL, envelope_from="ana@vendas.example", recipient="ivan@acme.example")
    assert (caught.value.code, caught.value.permanent, caught.value.stage) == (554, True, "recipient")
    assert caught.value.status == "5.7.1"
    mailer.close()


def test_a_report_on_an_unknown_recipient_names_the_mail(mail_house: House, mailer: SmtpMailer) -> None:
    mail = mail_to("nobody", message_id="q+1=2.nobody@vendas.example")
    mailer.send(mail, envelope_from="ana@vendas.example", recipient="nobody@acme.example")
    report = await_mail(mail_house[1], "ana", lambda raw: b"q+1=2.nobody@vendas.example" in raw)
    assert b"Original-Envelope-Id: q+1=2.nobody@vendas.example" in report
    assert b"Original-Recipient: rfc822;nobody@acme.example" in report
    assert b"Status: 5.1.1" in report
    assert b"text/rfc822-headers" in report.lower()  # RET=HDRS: the text of the mail does not come back


def test_too_large_a_mail_is_refused_before_it_is_sent(mail_house: House, mailer: SmtpMailer, ivan: str) -> None:
    hooked: list[int] = []
    large = mail_to(ivan, text="All work and no play.\n" * 500_000, html="")
    with pytest.raises(SendRejected) as caught:
        mailer.send(
            large,
            envelope_from="ana@vendas.example",
            recipient=f"{ivan}@acme.example",
            committing=lambda: hooked.append(1),
        )
    assert (caught.value.stage, caught.value.code, hooked) == ("mail", 552, [])
    mailer.send(mail_to(ivan), envelope_from="ana@vendas.example", recipient=f"{ivan}@acme.example")


def test_a_mail_without_its_final_dot_is_not_delivered(mail_house: House, mailer: SmtpMailer, ivan: str) -> None:
    """What the mailer calls "not sent" is not sent: all of a mail but its end, said by hand, goes nowhere."""
    postfix, dovecot = mail_house
    settings = settings_for(mail_house)
    line = open_line(settings)
    said = line.ask("MAIL FROM:<ana@vendas.example>", f"RCPT TO:<{ivan}@acme.example>", "DATA")
    assert [reply.code for reply in said] == [250, 250, 354]
    line.send(render(mail_to(ivan)))
    line.close()
    other = mail_to(ivan, message_id="q.later@vendas.example")
    mailer.send(other, envelope_from="ana@vendas.example", recipient=f"{ivan}@acme.example")
    await_mail(dovecot, ivan, lambda raw: b"q.later@" in raw)
    postfix.await_empty_queue()
    assert len([*dovecot.maildir(ivan).glob("new/*")]) == 1


def test_a_postfix_before_a_sink_tries_again(mail_house: House) -> None:
    """The sink behind a Postfix: what it refuses for now comes again, once."""
    with SmtpSink() as sink:
        sink.answers["rcpt", "ivan@acme.example"] = [Answer(code=450, text="4.2.0 later")]
        with PostfixServer(f"smtp:[127.0.0.1]:{sink.port}") as postfix:
            mailer = SmtpMailer(
                SmtpSettings(account="out", host=postfix.host, port=postfix.port, security="none", timeout=20.0)
            )
            mailer.send(MAIL, envelope_from="ana@vendas.example", recipient="ivan@acme.example")
            mailer.close()
            (envelope,) = sink.await_mails(1, seconds=30.0)
            assert envelope.recipients == ("ivan@acme.example",)
            assert "NOTIFY=FAILURE,DELAY" in envelope.parameters
