"""Servers that answer the first line in odd ways: what the admin is told, and never a wrong password."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from servers.smtp_sink import SmtpSink
from servers.users import ImapUser
from test_imap_source import settings_for

from connectors.errors import AuthRejected, ConnectorError, Misconfigured, ProtocolViolation, Unavailable
from connectors.imap.connection import connect
from connectors.imap.settings import ImapSettings
from connectors.smtp.mailer import SmtpMailer, SmtpSettings

CAPABILITY = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n"


@contextmanager
def script(*answers: bytes) -> Iterator[ImapSettings]:
    """A server that says one answer on connecting and one after each line; `%s` becomes the tag."""

    def talk() -> None:
        client, _ = listener.accept()
        with client, client.makefile("rb") as lines:
            client.sendall(answers[0])
            for answer in answers[1:]:
                tag = lines.readline().partition(b" ")[0]
                client.sendall(answer.replace(b"%s", tag))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield ImapSettings(
            account="imap", host="127.0.0.1", port=listener.getsockname()[1], security="none",
            login="ana", password="secret", connect_timeout=5.0, read_timeout=5.0,
        )  # fmt: skip
        thread.join(timeout=10)


LOGIN_ANSWERS = [
    (b"%s NO [AUTHENTICATIONFAILED] wrong\r\n", AuthRejected),
    (b"%s NO LOGIN failed\r\n", AuthRejected),
    (b"%s NO [EXPIRED] password has expired\r\n", AuthRejected),
    (b"%s NO [UNAVAILABLE] Temporary authentication failure.\r\n", Unavailable),
    (b"%s NO [ALERT] Too many simultaneous connections. (Failure)\r\n", Unavailable),
    (b"%s NO [PRIVACYREQUIRED] use TLS\r\n", Misconfigured),
    (b"%s BAD what\r\n", ProtocolViolation),
    (b"* BYE shutting down\r\n", Unavailable),
    (b"", Unavailable),
    (b"%s N", Unavailable),
    (b"garbage\r\n", ProtocolViolation),
]


@pytest.mark.parametrize(("answer", "error"), LOGIN_ANSWERS)
def test_answers_to_the_login(answer: bytes, error: type[ConnectorError]) -> None:
    greeting = (b"* OK ready\r\n", CAPABILITY + b"%s OK done\r\n")
    with script(*greeting, answer) as settings, pytest.raises(ConnectorError) as caught:
        connect(settings)
    assert type(caught.value) is error
    assert caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "greeting", [b"* BYE too many connections\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"* O"]
)
def test_odd_greetings(greeting: bytes) -> None:
    with script(greeting) as settings, pytest.raises(Unavailable):
        connect(settings)


def test_a_server_that_forbids_passwords_here() -> None:
    answer = b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n%s OK done\r\n"
    with script(b"* OK ready\r\n", answer) as settings, pytest.raises(Misconfigured) as caught:
        connect(settings)
    assert "starttls" in caught.value.hint


def test_tls_on_a_plain_port_is_a_wrong_setting(imap_user: ImapUser, smtp_sink: SmtpSink) -> None:
    with pytest.raises(Misconfigured) as caught:
        connect(settings_for(imap_user, security="tls"))
    assert "starttls" in caught.value.hint
    with pytest.raises(Misconfigured):
        SmtpMailer(
            SmtpSettings(account="out", host="127.0.0.1", port=smtp_sink.port, security="tls", timeout=5)
        ).check()
