"""Signing in by token on real servers: a Dovecot that asks the provider whose token it is, a Postfix that asks the
Dovecot, and a scripted SMTP server for what neither of them says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from desk_contract import MAIL
from plain_parser import PlainParser
from servers.dovecot import DovecotOptions, DovecotServer
from servers.identity import Client, Fault, IdentityServer
from servers.postfix import PostfixServer, why_not
from servers.signed import signed_in
from servers.smtp_sink import Answer, SmtpSink
from servers.users import ImapUser
from test_imap_greetings import script
from test_mailers import FROM, TO

from connectors.errors import AuthRejected, Misconfigured, ProtocolViolation, Unavailable
from connectors.imap.connection import connect
from connectors.imap.desk import ImapDesk
from connectors.imap.idle import IdleChannel
from connectors.imap.settings import ImapSettings
from connectors.imap.source import ImapSource
from connectors.oauth.tokens import PersonTokens
from connectors.smtp.mailer import SmtpMailer
from connectors.smtp.opening import SmtpSettings

LETTER = (
    b"From: ivan@acme.example\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <%d@acme.example>\r\n\r\nhi\r\n"
)


def introspection(identity: IdentityServer) -> str:
    identity.clients["dovecot"] = Client("dovecot", secret="asks")
    return identity.url("introspect").replace("http://", "http://dovecot:asks@")


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityServer]:
    with IdentityServer() as server:
        yield server


@pytest.fixture(scope="module")
def house(provider: IdentityServer) -> Iterator[DovecotServer]:
    with DovecotServer(DovecotOptions(introspection=introspection(provider), delivery=True)) as server:
        yield server


@pytest.fixture
def user(house: DovecotServer, request: pytest.FixtureRequest) -> ImapUser:
    name = f"ana{abs(hash(request.node.nodeid)) % 10**8}"
    house.add_user(name)
    return ImapUser(house, name, "")


@pytest.fixture
def tokens(provider: IdentityServer, user: ImapUser, tmp_path: Path) -> PersonTokens:
    provider.refusal, provider.life = None, 3600
    return signed_in(provider, tmp_path, user=user.name)


def settings_for(user: ImapUser, tokens: PersonTokens, *, server: DovecotServer | None = None) -> ImapSettings:
    at = server or user.server
    return ImapSettings(
        account="ana", host=at.host, port=at.tls_port, security="tls", ca=str(at.ca), login=user.name, tokens=tokens
    )


def test_a_mailbox_is_read_without_a_password(house: DovecotServer, user: ImapUser, tokens: PersonTokens) -> None:
    for number in range(3):
        house.deliver(user.name, LETTER % number)
    source = ImapSource(settings_for(user, tokens), PlainParser())
    batch = source.fetch(None, limit=10)
    assert {item.message_id for item in batch.items} == {f"{number}@acme.example" for number in range(3)}
    source.close()


def test_drafts_are_laid_without_a_password(house: DovecotServer, user: ImapUser, tokens: PersonTokens) -> None:
    desk = ImapDesk(settings_for(user, tokens))
    placed = desk.place_draft(MAIL)
    assert desk.find(MAIL.message_id, drafts=True) == (placed,)
    assert desk.withdraw(placed, MAIL.message_id)
    desk.close()


def test_a_server_that_has_only_oauthbearer(
    provider: IdentityServer,
    start_dovecot: Callable[[DovecotOptions], DovecotServer],
    user: ImapUser,
    tokens: PersonTokens,
) -> None:
    options = DovecotOptions(introspection=introspection(provider), token_mechanisms="oauthbearer")
    server = start_dovecot(options)
    server.add_user(user.name)
    connection = connect(settings_for(user, tokens, server=server))
    assert connection.noop() is False
    connection.close()


def test_a_token_that_ended_too_early_is_renewed_at_once(
    provider: IdentityServer, user: ImapUser, tokens: PersonTokens
) -> None:
    token = tokens.bearer()
    found = provider.seen(token)
    assert found is not None
    found.until = 0  # the provider ended it; we do not know
    before = provider.questions("refresh_token")
    connect(settings_for(user, tokens)).close()
    assert provider.questions("refresh_token") == before + 1


def test_a_revoked_sign_in_parks_and_says_how_to_mend_it(
    provider: IdentityServer, user: ImapUser, tokens: PersonTokens
) -> None:
    connect(settings_for(user, tokens)).close()
    provider.end_all()
    tokens.bearer()  # from memory: we cannot know
    with pytest.raises(AuthRejected) as caught:
        connect(settings_for(user, tokens))
    assert caught.value.hint == "sign in again: quietcrm auth login ana"


def test_somebody_elses_mailbox(house: DovecotServer, user: ImapUser, tokens: PersonTokens) -> None:
    house.add_user("bruno")
    settings = replace(settings_for(user, tokens), login="bruno")
    with pytest.raises(AuthRejected) as caught:
        connect(settings)
    assert "quietcrm auth login ana" in caught.value.hint


def test_a_server_that_takes_no_tokens(dovecot: DovecotServer, user: ImapUser, tokens: PersonTokens) -> None:
    with pytest.raises(Misconfigured, match="XOAUTH2"):
        connect(settings_for(user, tokens, server=dovecot))


def test_the_source_connects_anew_before_the_token_ends(
    provider: IdentityServer, user: ImapUser, tokens: PersonTokens
) -> None:
    now = [provider.now()]
    tokens.clock = lambda: now[0]
    source = ImapSource(settings_for(user, tokens), PlainParser())
    cursor = source.fetch(None, limit=10).cursor
    source.fetch(cursor, limit=10)
    assert source.connections_opened == 1
    now[0] += 3400
    source.fetch(cursor, limit=10)
    assert source.connections_opened == 2
    source.close()


def test_the_idle_line_ends_before_the_token_does(
    provider: IdentityServer, user: ImapUser, tokens: PersonTokens
) -> None:
    now = [provider.now()]
    tokens.clock = lambda: now[0]
    channel = IdleChannel(connect(settings_for(user, tokens)), 0.0)
    channel.tick(0.0)
    now[0] += 3400
    with pytest.raises(OSError, match="about to end"):
        channel.tick(1.0)
    channel.close()


CHALLENGE = b"+ eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=\r\n"
GREETING = b"* OK ready\r\n"
CAPABILITY = b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2 SASL-IR\r\n%s OK done\r\n"


class Steady:
    """A token that never changes, and a note of what was refused."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def bearer(self, *, refused: str = "") -> str:
        if refused:
            self.refused.append(refused)
            raise AuthRejected("ana", "no other")
        return "ya29.token"


REFUSALS = [
    ((CHALLENGE, b"q1 NO AUTHENTICATE failed.\r\n"), AuthRejected),
    ((b"%s NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n",), AuthRejected),
    ((CHALLENGE, b"q1 BAD Command Argument Error. 12\r\n"), ProtocolViolation),
    ((b"%s OK AUTHENTICATE completed.\r\n", b"%s BAD User is authenticated but not connected.\r\n"), Misconfigured),
    ((b"%s NO [UNAVAILABLE] later\r\n",), Unavailable),
    ((CHALLENGE, b"* BYE going\r\n"), Unavailable),
    ((CHALLENGE, CHALLENGE), ProtocolViolation),
    ((b"+ \r\n", b"garbage\r\n"), ProtocolViolation),
    ((CHALLENGE, b""), Unavailable),
]


@pytest.mark.parametrize(("answers", "error"), REFUSALS)
def test_what_servers_say_to_a_token(answers: tuple[bytes, ...], error: type[Exception]) -> None:
    """A token is doubted for a plain refusal only: trouble of the server costs no renewal."""
    steady = Steady()
    with script(GREETING, CAPABILITY, *answers) as settings, pytest.raises(error):
        connect(replace(settings, password="", tokens=steady))
    assert steady.refused == (["ya29.token"] if error is AuthRejected else [])


# -- sending


def sender_for(sink: SmtpSink, tokens: PersonTokens, **changes: object) -> SmtpSettings:
    values: dict[str, object] = {
        "account": "ana", "host": sink.host, "port": sink.port, "security": "none", "timeout": 5.0,
        "login": "ana@vendas.example", "tokens": tokens,
    }  # fmt: skip
    return SmtpSettings(**{**values, **changes})  # type: ignore[arg-type]


def owner(identity: IdentityServer) -> Callable[[str], str]:
    def look(access: str) -> str:
        found = identity.seen(access)
        return found.get_user() if found else ""

    return look


@pytest.fixture
def mine(identity: IdentityServer, tmp_path: Path) -> PersonTokens:
    return signed_in(identity, tmp_path)


def send(mailer: SmtpMailer) -> str:
    return mailer.send(MAIL, envelope_from=FROM, recipient=TO)


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_mail_leaves_by_token(mechanism: str, identity: IdentityServer, mine: PersonTokens) -> None:
    with SmtpSink(tokens=owner(identity), mechanism=mechanism) as sink:
        mailer = SmtpMailer(sender_for(sink, mine))
        assert send(mailer).startswith("250")
        assert sink.mails[0].login == "ana@vendas.example"
        mailer.close()


def test_a_refused_token_is_renewed_once_then_the_sender_rests(identity: IdentityServer, mine: PersonTokens) -> None:
    with SmtpSink(tokens=owner(identity)) as sink:
        stale = identity.seen(mine.bearer())
        assert stale is not None
        stale.until = 0
        mailer = SmtpMailer(sender_for(sink, mine))
        send(mailer)
        assert sink.commands.count("AUTH") == 2
        mailer.close()
        identity.end_all()
        with pytest.raises(AuthRejected) as caught:
            send(mailer)
        assert "quietcrm auth login ana" in caught.value.hint
        assert len(sink.mails) == 1


def test_a_line_is_opened_anew_before_its_token_ends(identity: IdentityServer, mine: PersonTokens) -> None:
    now = [identity.now()]
    mine.clock = lambda: now[0]
    with SmtpSink(tokens=owner(identity)) as sink:
        mailer = SmtpMailer(sender_for(sink, mine))
        send(mailer)
        send(mailer)
        assert sink.commands.count("AUTH") == 1
        now[0] += 3400
        send(mailer)
        assert sink.commands.count("AUTH") == 2
        mailer.close()


def test_trouble_of_the_server_costs_no_renewal(identity: IdentityServer, mine: PersonTokens) -> None:
    with SmtpSink(tokens=owner(identity)) as sink:
        sink.answers["auth", ""] = Answer(code=454, text="4.7.0 Temporary authentication failure")
        with pytest.raises(Unavailable):
            SmtpMailer(sender_for(sink, mine)).check()
        assert identity.questions("refresh_token") == 1


def test_smtp_without_tokens(smtp_sink: SmtpSink, mine: PersonTokens) -> None:
    with pytest.raises(Misconfigured, match="XOAUTH2"):
        SmtpMailer(sender_for(smtp_sink, mine)).check()


def test_a_provider_that_hangs_up_costs_no_mail(identity: IdentityServer, mine: PersonTokens) -> None:
    with SmtpSink(tokens=owner(identity)) as sink:
        identity.faults.append(Fault(done=True))
        mailer = SmtpMailer(sender_for(sink, mine))
        with pytest.raises(Unavailable):
            send(mailer)
        send(mailer)
        assert len(sink.mails) == 1
        mailer.close()


def test_a_real_postfix_takes_the_token_by_way_of_the_dovecot(
    house: DovecotServer, user: ImapUser, tokens: PersonTokens
) -> None:
    if reason := why_not():
        pytest.skip(f"{reason}, skipped")
    transport = f"lmtp:inet:127.0.0.1:{house.lmtp_port}"
    with PostfixServer(transport, certificates=house.certificates, sasl_port=house.auth_port) as postfix:
        settings = SmtpSettings(
            account="ana", host=postfix.host, port=postfix.port, security="starttls", ca=str(house.ca),
            login=user.name, tokens=tokens, timeout=20.0,
        )  # fmt: skip
        mailer = SmtpMailer(settings)
        assert send(mailer).startswith("250")
        mailer.close()
