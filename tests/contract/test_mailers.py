"""What every mailer promises, on a real SMTP server and in memory."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk_contract import MAIL
from servers.certificates import Certificates, make_certificates
from servers.smtp_sink import Answer, SmtpSink

from connectors.errors import AuthRejected, Misconfigured, SendRejected, Unavailable
from connectors.memory import MemoryMailer
from connectors.outgoing import render
from connectors.protocols import Mailer
from connectors.smtp.mailer import SmtpMailer, SmtpSettings

TO = "ivan@acme.example"
FROM = "ana@vendas.example"


def settings_for(sink: SmtpSink, **changes: object) -> SmtpSettings:
    values: dict[str, object] = {
        "account": "out",
        "host": sink.host,
        "port": sink.port,
        "security": "none",
        "timeout": 5.0,
    }
    return SmtpSettings(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def mailer(smtp_sink: SmtpSink) -> Iterator[SmtpMailer]:
    made = SmtpMailer(settings_for(smtp_sink))
    yield made
    made.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def send(mailer: Mailer, recipient: str = TO) -> None:
    mailer.send(MAIL, envelope_from=FROM, recipient=recipient)


def test_the_mail_arrives_byte_for_byte_for_one_recipient(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    send(mailer)
    (envelope,) = smtp_sink.await_mails(1)
    assert envelope.data == render(MAIL)
    assert (envelope.sender, envelope.recipients) == (FROM, (TO,))


def test_memory_keeps_the_same_bytes() -> None:
    mailer = MemoryMailer("out")
    send(mailer)
    assert mailer.sent == [(FROM, TO, render(MAIL))]
    assert mailer.check()


def test_one_connection_serves_many_mails(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    for number in range(5):
        send(mailer, f"r{number}@acme.example")
    assert [one.recipients for one in smtp_sink.await_mails(5)] == [(f"r{n}@acme.example",) for n in range(5)]


@pytest.mark.parametrize(("code", "permanent"), [(550, True), (552, True), (450, False), (451, False)])
@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
def test_a_refusal_names_its_code_and_the_next_mail_goes(
    smtp_sink: SmtpSink, mailer: SmtpMailer, stage: str, code: int, permanent: bool
) -> None:
    smtp_sink.answers[stage, FROM if stage == "mail" else TO] = Answer(code=code, text="no")  # type: ignore[index]
    with pytest.raises(SendRejected) as caught:
        send(mailer)
    assert (caught.value.code, caught.value.permanent) == (code, permanent)
    assert caught.value.hint
    smtp_sink.answers.clear()
    send(mailer, "olga@acme.example")
    assert [one.recipients for one in smtp_sink.await_mails(1)] == [("olga@acme.example",)]


@pytest.mark.parametrize("stage", ["connect", "mail", "rcpt", "data", "dot"])
def test_a_cut_is_unavailable_and_the_next_mail_goes(smtp_sink: SmtpSink, mailer: SmtpMailer, stage: str) -> None:
    smtp_sink.answers[stage, ""] = Answer(cut=True)  # type: ignore[index]
    with pytest.raises(Unavailable):
        send(mailer)
    smtp_sink.answers.clear()
    send(mailer)
    assert len(smtp_sink.await_mails(1)) == 1


def test_a_closing_server_is_unavailable(smtp_sink: SmtpSink, mailer: SmtpMailer) -> None:
    smtp_sink.answers["mail", ""] = Answer(code=421, text="closing")
    with pytest.raises(Unavailable):
        send(mailer)


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    mailer = SmtpMailer(SmtpSettings(account="out", host="127.0.0.1", port=port, security="none", timeout=2.0))
    with pytest.raises(Unavailable):
        mailer.check()


def test_login_by_starttls(certificates: Certificates) -> None:
    with SmtpSink(users={"ana": "secret"}, certificates=certificates) as sink:
        changes = {"security": "starttls", "ca": str(certificates.ca), "login": "ana"}
        mailer = SmtpMailer(settings_for(sink, password="secret", **changes))
        send(mailer)
        mailer.close()
        (envelope,) = sink.await_mails(1)
        assert envelope.tls
        assert envelope.login == "ana"
        with pytest.raises(AuthRejected):
            SmtpMailer(settings_for(sink, password="wrong", **changes)).check()
        with pytest.raises(Misconfigured, match="certificate"):
            SmtpMailer(settings_for(sink, security="starttls")).check()


def test_starttls_that_is_not_there(smtp_sink: SmtpSink) -> None:
    with pytest.raises(Misconfigured):
        SmtpMailer(settings_for(smtp_sink, security="starttls")).check()


def test_mail_never_travels_in_the_clear() -> None:
    with pytest.raises(Misconfigured, match="unprotected"):
        SmtpMailer(SmtpSettings(account="out", host="mail.vendas.example", port=25, security="none")).check()


def test_a_missing_authority_file(smtp_sink: SmtpSink, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no file"):
        SmtpMailer(settings_for(smtp_sink, security="tls", ca=str(tmp_path / "none.pem"))).check()
