"""Errors that cross a boundary. Each says whether waiting helps and what to do next.

    QuietcrmError                      message, hint
    +-- ConnectorError                 account
    |   +-- Unavailable                network or server trouble: try again with back-off
    |   |   +-- Throttled              the server named a pause: retry_after seconds
    |   +-- AuthRejected               login refused: park the account, tell once
    |   +-- CursorExpired              start over from None; identity makes that harmless
    |   +-- OtherMailbox               another mailbox answers under this login: stop and ask
    |   +-- Misconfigured              the settings cannot work: park the account, tell once
    |   +-- ProtocolViolation          the server broke its protocol: back off
    |   +-- SendRejected               the server refused a mail: permanent or not, SMTP code; it was not sent
    |   +-- OutcomeUnknown             the line broke when the mail may have been sent: never sent again by itself
    +-- ConfigError                    lives in config.errors
    +-- StoreError                     lives in store.errors

What is not listed here is a bug: it is logged with its traceback, that account backs off, the process lives on.
"""

from __future__ import annotations

from config.errors import QuietcrmError

__all__ = [
    "AuthRejected",
    "ConnectorError",
    "CursorExpired",
    "Misconfigured",
    "OtherMailbox",
    "OutcomeUnknown",
    "ProtocolViolation",
    "QuietcrmError",
    "SendRejected",
    "Throttled",
    "Unavailable",
]


class ConnectorError(QuietcrmError):
    """Root of all errors of one account."""

    def __init__(self, account: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.account = account


class Unavailable(ConnectorError):
    """Network or server trouble; trying again later may help."""


class Throttled(Unavailable):
    """The server asked for a pause of `retry_after` seconds."""

    def __init__(self, account: str, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(account, message, hint=hint)
        self.retry_after = retry_after


class AuthRejected(ConnectorError):
    """The server refused the login; only a person can mend it."""


class CursorExpired(ConnectorError):
    """The saved position means nothing to the server any more; read again from the beginning."""


class OtherMailbox(ConnectorError):
    """The login now opens another mailbox than the one the saved position belongs to."""


class Misconfigured(ConnectorError):
    """The settings cannot work with this server (no such folder, no TLS, no such file)."""


class ProtocolViolation(ConnectorError):
    """The server answered something its protocol does not allow."""


class SendRejected(ConnectorError):
    """The server refused a mail, so nothing was sent. `permanent` tells 5xx from 4xx, `code` is the reply code (0 if
    none), `status` the enhanced one of RFC 3463 ("5.1.1") or "".

    stage   what was refused: "sender" (we may not send at all, or not as this person), "recipient", or "mail"
    """

    def __init__(
        self,
        account: str,
        message: str,
        *,
        permanent: bool,
        code: int = 0,
        status: str = "",
        stage: str = "mail",
        hint: str = "",
    ) -> None:
        super().__init__(account, message, hint=hint)
        self.permanent = permanent
        self.code = code
        self.status = status
        self.stage = stage


class OutcomeUnknown(ConnectorError):
    """The mail was handed over, but the server's last answer did not come: it may have been sent, or not."""
