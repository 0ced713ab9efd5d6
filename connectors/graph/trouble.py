"""Turns what the service says and what httpx raises into the errors of the connector boundary, each with its remedy.

Codes and what they mean: Microsoft, "Microsoft Graph error responses", "Outlook mail API errors" and "Throttling
limits". A code that is not in the table is judged by its status.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from connectors.errors import (
    AuthRejected,
    ConnectorError,
    CursorExpired,
    Misconfigured,
    OutcomeUnknown,
    ProtocolViolation,
    SendRejected,
    Throttled,
    Unavailable,
)
from connectors.graph.client import Garbled, Lost, Refused

__all__ = ["is_expired", "refused", "rejected", "translated"]

_LATER = "quietcrm tries again by itself; if it lasts, look at the service health page of Microsoft 365"
_EXPIRED = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired", "errorinvalidsyncstatedata"})
_DEFAULT_PAUSE = 60.0


class _Row(NamedTuple):
    """A documented refusal: the kind of error, its cause and its remedy, in words for the admin."""

    kind: type[ConnectorError]
    cause: str
    remedy: str


_BY_CODE: dict[str, _Row] = {
    "erroraccessdenied": _Row(
        Misconfigured,
        "the permission for this is missing: nobody has consented to it, or it does not reach this mailbox",
        "let an admin of Microsoft 365 consent to Mail.ReadWrite, Mail.Send and MailboxSettings.ReadWrite: "
        "`quietcrm auth login ACCOUNT` prints the address for it; with a certificate, look at RBAC for Applications",
    ),
    "authorization_requestdenied": _Row(
        Misconfigured,
        "the app may not do this in this organisation",
        "let an admin of Microsoft 365 consent to the app: `quietcrm auth login ACCOUNT` prints the address for it",
    ),
    "invalidauthenticationtoken": _Row(
        AuthRejected, "the service does not accept the sign-in", "run: quietcrm auth login ACCOUNT"
    ),
    "claimschallenge": _Row(
        AuthRejected,
        "a rule of the organisation (conditional access) asks for a new sign-in",
        "run: quietcrm auth login ACCOUNT",
    ),
    "mailboxnotenabledforrestapi": _Row(
        Misconfigured,
        "this mailbox cannot be reached by Graph: it lies on an Exchange of your own, or has no licence",
        "give the person a licence with Exchange Online; for a mailbox on your own server use `type: exchange`",
    ),
    "mailboxnotsupportedforrestapi": _Row(
        Misconfigured,
        "this kind of mailbox cannot be reached by Graph (it is dedicated, or in another cloud)",
        "for a mailbox on your own server use `type: exchange`",
    ),
    "mailboxnotfound": _Row(Misconfigured, "there is no such mailbox", "correct `login:` of this account"),
    "errornonexistentmailbox": _Row(Misconfigured, "there is no such mailbox", "correct `login:` of this account"),
    "errorinvaliduser": _Row(Misconfigured, "there is no such user", "correct `login:` of this account"),
    "request_resourcenotfound": _Row(Misconfigured, "there is no such user", "correct `login:` of this account"),
    "resourcenotfound": _Row(Misconfigured, "there is no such user or mailbox", "correct `login:` of this account"),
    "errormailboxmoveinprogress": _Row(Unavailable, "the mailbox is being moved", _LATER),
    "errormailboxstoreunavailable": _Row(Unavailable, "the store of the mailbox does not answer", _LATER),
    "erroraccountsuspend": _Row(
        Misconfigured,
        "Microsoft has suspended this mailbox (suspicious sending)",
        "sign in at outlook.com as this person and follow what it asks for",
    ),
    "errorquotaexceeded": _Row(
        Misconfigured, "the mailbox is full", "empty the trash of the mailbox, or give it more room"
    ),
    "applicationthrottled": _Row(Throttled, "the service asks for a pause (too many requests)", _LATER),
    "mailboxconcurrency": _Row(Throttled, "the service asks for a pause (too many requests at once)", _LATER),
    "toomanyrequests": _Row(Throttled, "the service asks for a pause (too many requests)", _LATER),
    "paused": _Row(Throttled, "the service asked for a pause, which is not over", _LATER),
    "errorservererror": _Row(Unavailable, "the service met a fault of its own", _LATER),
    "servicenotavailable": _Row(Unavailable, "the service is not available now", _LATER),
    "errorinsufficientpermissionsinaccesstoken": _Row(
        Misconfigured,
        "the sign-in does not cover this",
        "run `quietcrm auth login ACCOUNT` again and consent to all it asks for",
    ),
}

_OF_A_MAIL: dict[str, tuple[str, str, str]] = {
    "errorsendasdenied": (
        "sender",
        "this person may not send with the From address of the mail",
        "correct `from:` of the sender, or give the mailbox the right Send As in the Exchange admin center",
    ),
    "erroraccessdenied": (
        "sender",
        "the permission Mail.Send is missing, or it does not reach this mailbox",
        "let an admin of Microsoft 365 consent to Mail.Send: `quietcrm auth login ACCOUNT` prints the address for it",
    ),
    "errorexceededmessagelimit": (
        "sender",
        "the mailbox has sent as many mails as it may in a day (10,000 recipients, fewer in a new or a trial tenant)",
        "nothing to do: it goes later; lower `limits:` if it happens again",
    ),
    "errorsubmissionquotaexceeded": (
        "sender",
        "the mailbox has sent as many mails as it may for now",
        "nothing to do: it goes later; lower `limits:` if it happens again",
    ),
    "erroraccountsuspend": (
        "sender",
        "Microsoft does not let this mailbox send any more (suspicious sending)",
        "an admin releases it under Restricted entities in the Microsoft Defender portal",
    ),
    "errormessagesizeexceeded": (
        "mail",
        "the mail is larger than the mailbox may send",
        "make its attachments smaller, or raise the limit in the Exchange admin center",
    ),
    "errorattachmentsizelimitexceeded": (
        "mail",
        "an attachment is too large",
        "make its attachments smaller, or send a link instead",
    ),
    "invalidinternetmessageheader": (
        "mail",
        "the service does not take one of the mail's headers",
        "report it: quietcrm must not use that header with Microsoft 365",
    ),
    "errorinvalidinternetheadername": (
        "mail",
        "the service does not take one of the mail's headers",
        "report it: quietcrm must not use that header with Microsoft 365",
    ),
    "errorinvalidrecipients": ("recipient", "the address of the recipient is not accepted", "correct the address"),
    "errorrecipientnotfound": ("recipient", "the recipient is not known in this organisation", "correct the address"),
    "errorquotaexceeded": (
        "sender",
        "the mailbox is full, so nothing can be sent from it",
        "empty the trash of the mailbox, or give it more room",
    ),
    "errormessagetransienterror": ("mail", "the service could not take the mail this time", "nothing to do"),
}
_LATER_CODES = frozenset(
    {"errorexceededmessagelimit", "errorsubmissionquotaexceeded", "errormessagetransienterror", "errorquotaexceeded"}
)


@contextmanager
def translated(
    account: str, where: str, judge: Callable[[str, str, Refused], ConnectorError] | None = None
) -> Iterator[None]:
    """Re-raise all trouble as ConnectorError. `where` is the host; `judge` makes the error of a refusal."""
    import httpx

    try:
        yield
    except Refused as error:
        raise (judge or refused)(account, where, error) from error
    except Lost as error:
        raise OutcomeUnknown(
            account,
            f"{where} was asked to do it and {error}",
            hint="look for the mail in Sent, or ask the recipient; it is not sent again by itself",
        ) from error
    except Garbled as error:
        raise ProtocolViolation(account, f"{where} gave {error}", hint=_LATER) from error
    except httpx.TimeoutException as error:
        raise Unavailable(account, f"{where} did not answer in time", hint=_LATER) from error
    except httpx.TransportError as error:
        raise _broken(account, where, error) from error
    except httpx.InvalidURL as error:
        raise Misconfigured(account, f"{where} is no address: {error}", hint="correct `service:`") from error


def is_expired(error: Refused) -> bool:
    """Whether a delta link means nothing to the service any more: 410 Gone, or a code that says so."""
    return error.status == 410 or bool({error.code.lower(), error.inner.lower()} & _EXPIRED)


def refused(account: str, where: str, error: Refused) -> ConnectorError:
    """The boundary error for a refusal of anything but a mail to send."""
    if is_expired(error):
        return CursorExpired(account, f"{where} has forgotten the position", hint="nothing to do: it is read again")
    row = _row(error)
    if row is None:
        return _by_status(account, where, error)
    message = f"{where}: {row.cause} ({_words(error)})"
    if row.kind is Throttled:
        return _throttled(account, message, error)
    return row.kind(account, message, hint=row.remedy.replace("ACCOUNT", account))


def rejected(account: str, where: str, error: Refused) -> ConnectorError:
    """The boundary error for a refusal of a mail: nothing was sent."""
    known = _OF_A_MAIL.get(error.inner.lower()) or _OF_A_MAIL.get(error.code.lower())
    if known is None and error.status not in (400, 413, 422):
        return refused(account, where, error)
    stage, cause, remedy = known or ("mail", "the service does not take the mail", "look at the mail; it is held back")
    if error.status == 413 and known is None:
        stage, cause, remedy = _OF_A_MAIL["errormessagesizeexceeded"]
    return SendRejected(
        account,
        f"{where}: {cause} ({_words(error)})",
        permanent=error.code.lower() not in _LATER_CODES,
        code=error.status,
        stage=stage,
        hint=remedy.replace("ACCOUNT", account),
    )


def _row(error: Refused) -> _Row | None:
    """By the inner code first: it says more where both are there."""
    row = _BY_CODE.get(error.inner.lower()) or _BY_CODE.get(error.code.lower())
    if row and row.kind is AuthRejected and "audience" in error.text.lower():
        return _Row(
            AuthRejected,
            "the sign-in is for another service (the audience of the token is wrong)",
            "correct `scopes:` of the provider: they must begin with https://graph.microsoft.com/; then run: "
            "quietcrm auth login ACCOUNT",
        )
    return row


def _by_status(account: str, where: str, error: Refused) -> ConnectorError:
    said = f"{where} answered with {_words(error)}"
    if error.status == 401:
        return AuthRejected(account, said, hint=f"run: quietcrm auth login {account}")
    if error.status == 403:
        return Misconfigured(
            account, said, hint="look at the permissions of the app and at conditional access in Microsoft Entra"
        )
    if error.status == 429 or (error.retry_after and error.status in (503, 509)):
        return _throttled(account, said, error)
    if error.status >= 500 or error.status == 408:
        return Unavailable(account, said, hint=_LATER)
    if error.status == 404:
        return Misconfigured(account, said, hint="correct `login:` of this account, or `service:`")
    return ProtocolViolation(account, said, hint=_LATER)


def _throttled(account: str, message: str, error: Refused) -> Throttled:
    return Throttled(account, message, retry_after=error.retry_after or _DEFAULT_PAUSE, hint=_LATER)


def _broken(account: str, where: str, error: Exception) -> ConnectorError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return Misconfigured(
            account,
            f"the certificate of {where} cannot be verified: {cause.verify_message}",
            hint="if a proxy looks into all traffic here, let this machine trust its certificate (SSL_CERT_FILE)",
        )
    return Unavailable(account, f"the connection to {where} failed: {error}", hint=_LATER)


def _words(error: Refused) -> str:
    """ "403 ErrorAccessDenied: Access is denied." as it is told."""
    code = error.code or error.inner
    return f"{error.status} {code}: {error.text}" if error.text else f"{error.status} {code}".strip()
