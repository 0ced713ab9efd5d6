"""The servers of the laboratory do what the other tests take for granted."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
import pytest
from servers.dovecot import DovecotOptions, DovecotServer
from servers.faults import Fault, FaultProxy
from servers.folders import encode_utf7
from servers.listener import Listener
from servers.smtp_sink import Answer, SmtpSink
from servers.users import ImapUser

MAIL = b"From: a@a.example\r\nSubject: hi\r\n\r\n.dot\r\nend\r\n"


def test_delivered_mail_has_its_flags_and_its_time(imap_user: ImapUser) -> None:
    at = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    imap_user.server.make_mailbox(imap_user.name, "Сделки/R&D")
    imap_user.server.deliver(imap_user.name, MAIL, folder="Сделки/R&D", flags="SF", received_at=at)
    with imaplib.IMAP4(imap_user.server.host, imap_user.server.port) as client:
        client.login(imap_user.name, imap_user.password)
        client.select(f'"{encode_utf7("Сделки")}/R&-D"', readonly=True)
        _, answer = client.fetch("1", "(FLAGS INTERNALDATE)")
    text = str(answer[0])
    assert r"\\Flagged \\Seen" in text
    assert '"29-Feb-2024 12:30:00 +0000"' in text


def test_both_tls_ways_verify_with_the_authority(imap_user: ImapUser) -> None:
    trust = ssl.create_default_context(cafile=str(imap_user.server.ca))
    with imaplib.IMAP4("localhost", imap_user.server.port) as client:
        client.starttls(trust)
        assert client.login(imap_user.name, imap_user.password)[0] == "OK"
    with imaplib.IMAP4_SSL("localhost", imap_user.server.tls_port, ssl_context=trust) as client:
        assert client.login(imap_user.name, imap_user.password)[0] == "OK"
    with pytest.raises(ssl.SSLCertVerificationError):
        imaplib.IMAP4_SSL("localhost", imap_user.server.tls_port, ssl_context=ssl.create_default_context())


def test_a_changed_password_is_taken(imap_user: ImapUser) -> None:
    imap_user.server.set_password(imap_user.name, "another")
    with imaplib.IMAP4(imap_user.server.host, imap_user.server.port) as client:
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            client.login(imap_user.name, imap_user.password)
        assert client.login(imap_user.name, "another")[0] == "OK"


def test_a_server_without_special_use(start_dovecot: Callable[[DovecotOptions], DovecotServer]) -> None:
    server = start_dovecot(DovecotOptions(special_use=False, separator=".", prefix="INBOX."))
    server.add_user("rep")
    with imaplib.IMAP4(server.host, server.port) as client:
        client.login("rep", "secret")
        lines = [line.decode() for line in client.list()[1] if isinstance(line, bytes)]
    assert any(line.endswith('"." INBOX.Sent') for line in lines)
    assert not any(r"\Sent" in line for line in lines)


def test_database_is_empty_and_writable(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        assert not database_url.endswith("/")
        return
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE t (x text)")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_sink_keeps_envelopes_and_answers_by_script(smtp_sink: SmtpSink) -> None:
    smtp_sink.answers["rcpt", "gone@a.example"] = Answer(code=550, text="5.1.1 no such user")
    smtp_sink.answers["dot", "late@a.example"] = Answer(code=451, text="4.3.0 later")
    smtp_sink.answers["dot", "lost@a.example"] = Answer(cut=True, keep=True)
    with smtplib.SMTP(smtp_sink.host, smtp_sink.port) as client:
        refused = client.sendmail("rep@vendas.example", ["ok@a.example", "gone@a.example"], MAIL)
        assert refused == {"gone@a.example": (550, b"5.1.1 no such user")}
        with pytest.raises(smtplib.SMTPDataError, match="later"):
            client.sendmail("rep@vendas.example", ["late@a.example"], MAIL)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("", ["lost@a.example"], MAIL)
    first, second = smtp_sink.await_mails(2)
    assert (first.sender, first.recipients, first.data) == ("rep@vendas.example", ("ok@a.example",), MAIL)
    assert (second.sender, second.recipients) == ("", ("lost@a.example",))


def test_sink_with_login_and_tls(dovecot: DovecotServer) -> None:
    trust = ssl.create_default_context(cafile=str(dovecot.ca))
    with (
        SmtpSink(users={"rep": "pw"}, certificates=dovecot.certificates) as sink,
        smtplib.SMTP("localhost", sink.port) as client,
    ):
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("rep@vendas.example", ["ok@a.example"], MAIL)
        client.starttls(context=trust)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("rep", "wrong")
        client.login("rep", "pw")
        client.sendmail("rep@vendas.example", ["ok@a.example"], MAIL)
        assert [(mail.login, mail.tls) for mail in sink.await_mails(1)] == [("rep", True)]


def _echo(connection: socket.socket) -> None:
    while chunk := connection.recv(4096):
        connection.sendall(chunk)


def _ask(port: int, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return _read_to_end(client)


def _read_to_end(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(4096), b""))


def test_proxy_counts_bytes_and_turns() -> None:
    with Listener("echo", _echo) as echo, FaultProxy(echo.host, echo.port) as proxy:
        with socket.create_connection((proxy.host, proxy.port), timeout=5) as client:
            for _ in range(3):
                client.sendall(b"12345")
                assert client.recv(100) == b"12345"
        counts = proxy.counts()
    assert (counts.connections, counts.up, counts.down, counts.turns) == (1, 15, 15, 3)


def test_proxy_cuts_after_a_byte_once() -> None:
    with Listener("echo", _echo) as echo, FaultProxy(echo.host, echo.port) as proxy:
        proxy.plan(Fault(what="cut", after=3))
        with socket.create_connection((proxy.host, proxy.port), timeout=5) as client:
            client.sendall(b"12345")
            proxy.await_hit()
            with pytest.raises(ConnectionResetError):
                _read_to_end(client)
        assert proxy.counts().down == 3
        with socket.create_connection((proxy.host, proxy.port), timeout=5) as client:
            client.sendall(b"12345")
            assert client.recv(100) == b"12345"


def test_proxy_stalls_until_released_and_refuses() -> None:
    with Listener("echo", _echo) as echo, FaultProxy(echo.host, echo.port) as proxy:
        proxy.plan(Fault(what="stall", side="up", after=2))
        with socket.create_connection((proxy.host, proxy.port), timeout=5) as client:
            client.sendall(b"12345")
            proxy.await_hit()
            assert proxy.counts().up == 2
            proxy.release()
            with client.makefile("rb") as stream:
                assert stream.read(5) == b"12345"
        proxy.refuse()
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe|not connected"):
            _ask(proxy.port, b"x" * 100)
