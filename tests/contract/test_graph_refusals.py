"""Every documented refusal of Microsoft Graph names its cause and what to do: one row each, over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from desk_contract import MAIL
from graph_world import ANA, Clock, graph_server, settings_for
from plain_parser import PlainParser
from servers.graph import Fault, GraphServer
from test_mailers import send

from connectors.errors import (
    AuthRejected,
    ConnectorError,
    Misconfigured,
    OutcomeUnknown,
    ProtocolViolation,
    SendRejected,
    Throttled,
    Unavailable,
)
from connectors.graph.desk import GraphDesk
from connectors.graph.mailer import GraphMailer
from connectors.graph.source import GraphSource


@dataclass(frozen=True)
class Row:
    """What the service says, and what is made of it. `doing`: read, lay (a notice) or send."""

    status: int
    code: str
    doing: str
    kind: type[ConnectorError]
    cause: str
    remedy: str
    text: str = "by script"
    inner: str = ""
    pause: float = 0
    claims: bool = False

    def __str__(self) -> str:
        return f"{self.doing}-{self.status}-{self.code or self.inner}"


ROWS = (
    Row(403, "ErrorAccessDenied", "read", Misconfigured, "consented", "admin"),
    Row(403, "Authorization_RequestDenied", "read", Misconfigured, "organisation", "consent"),
    Row(401, "InvalidAuthenticationToken", "read", AuthRejected, "sign-in", "auth login ana"),
    Row(401, "InvalidAuthenticationToken", "read", AuthRejected, "audience", "scopes:", "Invalid audience."),
    Row(401, "InvalidAuthenticationToken", "read", AuthRejected, "conditional access", "auth login ana", claims=True),
    Row(401, "", "read", AuthRejected, "401", "auth login ana"),
    Row(403, "Forbidden", "read", Misconfigured, "403", "permissions"),
    Row(404, "MailboxNotEnabledForRESTAPI", "read", Misconfigured, "licence", "type: exchange"),
    Row(404, "MailboxNotSupportedForRESTAPI", "read", Misconfigured, "cannot be reached", "type: exchange"),
    Row(404, "ErrorInvalidUser", "read", Misconfigured, "no such user", "login:"),
    Row(404, "ResourceNotFound", "read", Misconfigured, "no such", "login:"),
    Row(404, "Request_ResourceNotFound", "read", Misconfigured, "no such user", "login:"),
    Row(404, "ErrorNonExistentMailbox", "read", Misconfigured, "no such mailbox", "login:"),
    Row(403, "ErrorInsufficientPermissionsInAccessToken", "read", Misconfigured, "does not cover", "auth login ana"),
    Row(403, "ErrorAccountSuspend", "read", Misconfigured, "suspended", "outlook.com"),
    Row(503, "ErrorMailboxMoveInProgress", "read", Unavailable, "moved", "by itself"),
    Row(503, "ErrorMailboxStoreUnavailable", "read", Unavailable, "store", "by itself"),
    Row(500, "ErrorServerError", "read", Unavailable, "fault of its own", "by itself"),
    Row(503, "ServiceNotAvailable", "read", Unavailable, "not available", "by itself"),
    Row(429, "ApplicationThrottled", "read", Throttled, "pause", "by itself", pause=300),
    Row(429, "ApplicationThrottled", "read", Throttled, "at once", "by itself", inner="MailboxConcurrency", pause=90),
    Row(429, "TooManyRequests", "read", Throttled, "too many", "by itself", pause=60),
    Row(503, "", "read", Throttled, "503", "by itself", pause=200),
    Row(504, "", "read", Unavailable, "504", "service health"),
    Row(400, "BadRequest", "read", ProtocolViolation, "400", "by itself"),
    Row(507, "ErrorQuotaExceeded", "lay", Misconfigured, "full", "trash"),
    Row(403, "ErrorAccessDenied", "lay", Misconfigured, "consented", "Mail.ReadWrite"),
    Row(403, "ErrorAccessDenied", "send", SendRejected, "Mail.Send", "consent"),
    Row(403, "ErrorSendAsDenied", "send", SendRejected, "From address", "Send As"),
    Row(400, "ErrorMessageSizeExceeded", "send", SendRejected, "larger", "attachments"),
    Row(413, "", "send", SendRejected, "larger", "attachments"),
    Row(400, "InvalidInternetMessageHeader", "send", SendRejected, "headers", "report"),
    Row(403, "ErrorExceededMessageLimit", "send", SendRejected, "in a day", "limits:"),
    Row(429, "ErrorSubmissionQuotaExceeded", "send", SendRejected, "for now", "limits:", pause=60),
    Row(507, "ErrorQuotaExceeded", "send", SendRejected, "full", "trash"),
    Row(403, "ErrorAccountSuspend", "send", SendRejected, "does not let", "Restricted entities"),
    Row(400, "ErrorInvalidRecipients", "send", SendRejected, "recipient", "correct the address"),
    Row(400, "ErrorRecipientNotFound", "send", SendRejected, "recipient", "correct the address"),
    Row(400, "ErrorInvalidRequest", "send", SendRejected, "does not take the mail", "held back"),
    Row(504, "", "send", OutcomeUnknown, "504", "look for the mail in Sent"),
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[GraphServer]:
    with graph_server(clock) as made:
        made.mailboxes[ANA].deliver(
            b"Message-ID: <m1@acme.example>\r\nFrom: i@acme.example\r\nSubject: x\r\n\r\nhi\r\n"
        )
        yield made


def act(server: GraphServer, clock: Clock, doing: str) -> None:
    """Read, lay a notice, or send; whichever it is, it is closed afterwards."""
    settings = settings_for(server, clock)
    if doing == "read":
        source = GraphSource(settings, PlainParser())
        try:
            source.check()
        finally:
            source.close()
    elif doing == "lay":
        desk = GraphDesk(settings)
        try:
            desk.place_mail(MAIL)
        finally:
            desk.close()
    else:
        mailer = GraphMailer(settings)
        try:
            send(mailer)
        finally:
            mailer.close()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_refusal_names_cause_and_remedy(server: GraphServer, clock: Clock, row: Row) -> None:
    said = Fault(
        status=row.status, code=row.code, text=row.text, inner=row.inner, retry_after=row.pause, claims=row.claims
    )
    method, pattern = {"read": ("GET", "mailFolders"), "lay": ("POST", "inbox/messages"), "send": ("POST", "/send")}[
        row.doing
    ]
    server.faults = lambda call: said if call.method == method and pattern in call.path else None
    with pytest.raises(row.kind) as caught:
        act(server, clock, row.doing)
    assert type(caught.value) is row.kind
    assert row.cause in caught.value.message
    assert row.remedy in caught.value.hint
    assert str(row.status) in caught.value.message
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after == row.pause
    server.faults = lambda call: None
    clock.now += 3600
    act(server, clock, row.doing)


def test_there_are_enough_of_them() -> None:
    assert len({(row.status, row.code, row.inner, row.doing) for row in ROWS}) >= 24
