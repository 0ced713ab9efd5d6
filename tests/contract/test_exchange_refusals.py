"""Every documented refusal of an Exchange Server names its cause and its remedy; logins really verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk_contract import MAIL
from exchange_settings import ANA, settings_for
from plain_parser import PlainParser
from servers.certificates import Certificates, make_certificates
from servers.ews import EwsServer
from source_contract import mail, read_all

from connectors.errors import (
    AuthRejected,
    ConnectorError,
    Misconfigured,
    SendRejected,
    Throttled,
    Unavailable,
)
from connectors.exchange.mailer import ExchangeMailer
from connectors.exchange.settings import is_microsoft_cloud
from connectors.exchange.source import ExchangeSource
from connectors.exchange.trouble import TABLE
from connectors.exchange.visit import visit


@pytest.fixture
def server() -> Iterator[EwsServer]:
    with EwsServer() as running:
        yield running
        assert not running.violations


def check(server: EwsServer, **changes: object) -> tuple[str, ...]:
    source = ExchangeSource(settings_for(server, **changes), PlainParser())
    try:
        return source.check()
    finally:
        source.close()


Row = tuple[str, type[ConnectorError], str, str]
CODES: list[Row] = [
    ("ErrorAccessDenied", Misconfigured, "may not open the mailbox", "Add-MailboxPermission"),
    ("ErrorImpersonateUserDenied", Misconfigured, "may not act for", "ApplicationImpersonation"),
    ("ErrorImpersonationFailed", Misconfigured, "could not act for", "enabled account"),
    ("ErrorNonExistentMailbox", Misconfigured, "no mailbox", "type: graph"),
    ("ErrorMissingEmailAddress", Misconfigured, "no mailbox of its own", "access: delegate"),
    ("ErrorMailboxMoveInProgress", Unavailable, "being moved", "when the move is over"),
    ("ErrorMailboxStoreUnavailable", Unavailable, "not mounted", "tries again"),
    ("ErrorAccountDisabled", AuthRejected, "disabled", "enable it"),
    ("ErrorPasswordExpired", AuthRejected, "expired", "new password"),
    ("ErrorPasswordChangeRequired", AuthRejected, "change its password", "Outlook on the web"),
    ("ErrorQuotaExceeded", Unavailable, "full", "quota"),
    ("ErrorServerBusy", Throttled, "asks for a pause", "waits as long"),
    ("ErrorExceededConnectionCount", Throttled, "too many connections", "EwsMaxConcurrency"),
    ("ErrorTooManyObjectsOpened", Throttled, "too many objects", "waits as long"),
    ("ErrorExceededFindCountLimit", Misconfigured, "fewer finds", "EwsFindCountLimit"),
    ("ErrorInvalidServerVersion", Misconfigured, "version", "set `version:`"),
    ("ErrorInvalidSchemaVersionForMailboxVersion", Misconfigured, "older server", "set `version:`"),
    ("ErrorNoRespondingCASInDestinationSite", Misconfigured, "site", "endpoint:"),
    ("ErrorADUnavailable", Unavailable, "directory", "tries again"),
    ("ErrorSomethingNew", Unavailable, "ErrorSomethingNew", "ask the admin"),
]


@pytest.mark.parametrize(("code", "error", "cause", "remedy"), CODES, ids=[row[0] for row in CODES])
def test_a_code(server: EwsServer, code: str, error: type[ConnectorError], cause: str, remedy: str) -> None:
    server.refuse = code
    with pytest.raises(error) as caught:
        check(server)
    assert cause in caught.value.message
    assert remedy in caught.value.hint
    assert caught.value.account == "exchange"


HTTP: list[tuple[int, dict[str, str], bytes, type[ConnectorError], str, str]] = [
    (403, {}, b"Forbidden", Misconfigured, "forbids EWS", "EwsEnabled"),
    (404, {}, b"Not found", Misconfigured, "no EWS at", "Get-WebServicesVirtualDirectory"),
    (302, {"Location": "https://other.example/owa"}, b"", Misconfigured, "https://other.example/owa", "endpoint:"),
    (407, {}, b"", Misconfigured, "proxy", "HTTPS_PROXY"),
    (429, {"Retry-After": "90"}, b"", Throttled, "pause", "waits as long"),
    (503, {"Retry-After": "90"}, b"", Throttled, "pause", "waits as long"),
    (503, {}, b"<html/>", Unavailable, "HTTP 503", "tries again"),
    (502, {}, b"<html/>", Unavailable, "HTTP 502", "tries again"),
    (200, {}, b"<html><body>Welcome</body></html>", Unavailable, "not EWS", "tries again"),
    (200, {}, b"", Unavailable, "not EWS", "tries again"),
    (500, {}, b"Server Error in '/EWS' Application", Unavailable, "HTTP 500", "tries again"),
]


@pytest.mark.parametrize(("status", "headers", "body", "error", "cause", "remedy"), HTTP)
def test_an_http_answer(
    server: EwsServer, status: int, headers: dict[str, str], body: bytes, error: type[ConnectorError], cause: str,
    remedy: str,
) -> None:  # fmt: skip
    server.refuse_http = status, headers, body
    with pytest.raises(error) as caught:
        check(server)
    assert cause in caught.value.message
    assert remedy in caught.value.hint
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after == 90.0


@pytest.mark.parametrize("code", ["ErrorSendAsDenied", "ErrorMessageSizeExceeded"])
def test_a_refusal_of_sending(server: EwsServer, code: str) -> None:
    server.send_refusal = code
    mailer = ExchangeMailer(settings_for(server))
    with pytest.raises(SendRejected) as caught:
        mailer.send(MAIL, envelope_from=ANA, recipient=MAIL.to[0].email)
    assert caught.value.permanent
    assert {"ErrorSendAsDenied": "Send-As", "ErrorMessageSizeExceeded": "MaxSendSize"}[code] in caught.value.hint
    mailer.close()


def test_the_table_is_tested_row_by_row() -> None:
    elsewhere = {"401", "403", "404", "redirect", "proxy", "certificate", "ErrorSendAsDenied",
                 "ErrorMessageSizeExceeded"}  # fmt: skip
    assert set(TABLE) == {row[0] for row in CODES if row[0] != "ErrorSomethingNew"} | elsewhere
    assert all(one.remedy for one in TABLE.values())
    assert len(TABLE) >= 24


# -- logins


@pytest.mark.parametrize("auth", ["basic", "ntlm"])
def test_a_login(auth: str) -> None:
    with EwsServer(auth=auth) as server:
        server.deliver(mail(1))
        assert check(server, auth=auth)[0].startswith("reads 2 of 6 folders, 1 messages")
        with pytest.raises(AuthRejected) as caught:
            check(server, auth=auth, password="wrong")
        assert "refused the login of ana@vendas.example" in caught.value.message
        assert "Extended Protection" in caught.value.hint
        assert not server.violations


def test_ntlm_by_domain_and_name() -> None:
    server = EwsServer(auth="ntlm")
    server.users = {"VENDAS\\ana": "secret"}
    with server:
        assert check(server, auth="ntlm", login="VENDAS\\ana")


class Tokens:
    """The first token has run out; the next are good."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.now = "old"

    def bearer(self, *, refused: str = "") -> str:
        if refused:
            self.refused.append(refused)
            self.now = "new" if self.now == "old" else "newer"
        return self.now


def test_a_token_that_ran_out_is_renewed_once() -> None:
    with EwsServer(auth="bearer") as server:
        server.tokens = {"new": ANA}
        tokens = Tokens()
        source = ExchangeSource(settings_for(server, auth="oauth", tokens=tokens, password=""), PlainParser())
        server.deliver(mail(1))
        assert read_all(source).ids == ["m1"]
        assert tokens.refused == ["old"]
        server.tokens = {}
        with pytest.raises(AuthRejected):
            source.check()
        assert tokens.refused == ["old", "new"]
        source.close()


# -- lines


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def test_a_certificate_of_an_unknown_authority(certificates: Certificates) -> None:
    with EwsServer(certificates=certificates) as server:
        with pytest.raises(Misconfigured) as caught:
            check(server)
        assert "certificate" in caught.value.message
        assert "`ca:`" in caught.value.hint
        assert check(server, ca=str(certificates.ca))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda _: {"endpoint": "https://outlook.office365.com/EWS/Exchange.asmx"}, "EWS is shut"),
        (lambda _: {"endpoint": "http://mail.vendas.example/EWS/Exchange.asmx"}, "unprotected"),
        (lambda folder: {"ca": str(folder / "none.pem")}, "no file"),
    ],
)
def test_settings_that_cannot_work(
    server: EwsServer, tmp_path: Path, change: Callable[[Path], dict[str, object]], words: str
) -> None:
    with pytest.raises(Misconfigured, match=words) as caught:
        check(server, **change(tmp_path))
    assert caught.value.hint
    assert server.requests.total() == 0


def test_a_name_that_nobody_knows(server: EwsServer) -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        check(server, endpoint="https://mail.invalid/EWS/Exchange.asmx")


@pytest.mark.parametrize(
    ("host", "cloud"),
    [
        ("outlook.office365.com", True), ("Outlook.Office365.com.", True), ("outlook.office.com", True),
        ("webmail.apps.office365.us", True), ("partner.outlook.cn", True), ("mail.vendas.example", False),
        ("myoffice365.com.example", False), ("notoffice365.com", False),
    ],
)  # fmt: skip
def test_what_is_microsoft_s_cloud(host: str, cloud: bool) -> None:
    assert is_microsoft_cloud(host) is cloud


# -- for others


def test_impersonation_and_its_refusal(server: EwsServer) -> None:
    server.users["crm@vendas.example"] = "robot"
    service = {"login": "crm@vendas.example", "password": "robot", "access": "impersonation"}
    with pytest.raises(Misconfigured, match="may not act for"):
        check(server, **service)
    server.impersonators.add("crm@vendas.example")
    server.deliver(mail(1))
    assert "1 messages" in check(server, **service)[0]


def test_delegate_and_its_refusal(server: EwsServer) -> None:
    server.users["crm@vendas.example"] = "robot"
    service = {"login": "crm@vendas.example", "password": "robot", "access": "delegate"}
    with pytest.raises(Misconfigured, match="may not open the mailbox"):
        check(server, **service)
    server.delegates.add(("crm@vendas.example", ANA))
    assert check(server, **service)
    with pytest.raises(Misconfigured, match="no mailbox"):
        check(server, mailbox="nobody@vendas.example", **service)


def test_a_visit_says_release_rights_and_lists(server: EwsServer) -> None:
    server.box.category_list = b"<categories/>"
    found = dict(visit(settings_for(server, version="2019")))
    assert [remedy for remedy in found.values() if remedy] == []
    assert any("2019 or SE" in one for one in found)
    assert server.subscriptions == {}
    server.box.category_list = None
    server.read_only = True
    found = dict(visit(settings_for(server, version="2013")))
    remedies = " ".join(found.values())
    assert "version: 2019" in remedies
    assert "Add-MailboxPermission" in remedies
    assert "Outlook" in remedies
