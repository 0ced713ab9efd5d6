"""What an Exchange Server says when it cannot or will not, and what that means for us.

`TABLE` is the list of documented refusals, each with its cause and its remedy in plain words; what is not in it is
trouble that may pass. Codes are EWS ResponseCodes [Microsoft, ResponseCodeType]; "401" and the like are HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from connectors.errors import (
    AuthRejected,
    ConnectorError,
    Misconfigured,
    ProtocolViolation,
    Throttled,
    Unavailable,
)
from connectors.exchange.settings import ExchangeSettings

__all__ = [
    "ABOUT_THE_SERVER",
    "CONFLICTS",
    "LATER",
    "TABLE",
    "HttpRefusal",
    "Unanswered",
    "Unclear",
    "cloud_refusal",
    "refusal",
    "translate",
]

LATER = "quietcrm tries again by itself; if it lasts, ask the admin of the Exchange Server"
_BUSY = "nothing to do: quietcrm waits as long as the server asked"
_PAUSE = 60.0


class HttpRefusal(Exception):
    """An HTTP answer that is no SOAP. `headers` with names in lower case."""

    def __init__(self, status: int, headers: Mapping[str, str], excerpt: str = "") -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.excerpt = excerpt

    @property
    def retry_after(self) -> float:
        """Seconds that the server asked for, 0 if it did not."""
        value = self.headers.get("retry-after", "")
        return float(value) if value.isdecimal() else 0.0


class Unclear(Unavailable):
    """What the server said, or how the line broke, does not tell whether the request was carried out."""


class Unanswered(Unclear):
    """The request went out and no answer of Exchange came back: it may have been carried out, or not.

    cut     the connection ended without any answer, as it does when it had been silent for long
    """

    def __init__(self, account: str, message: str, *, hint: str = "", cut: bool = False) -> None:
        super().__init__(account, message, hint=hint)
        self.cut = cut


@dataclass(frozen=True, slots=True)
class Meaning:
    """`error` is AuthRejected, Misconfigured, Unavailable, Unclear or Throttled; `{mailbox}` and the like are filled
    in. Unclear where the documentation does not say that nothing was done: the store may break down in the midst."""

    error: type[ConnectorError]
    cause: str
    remedy: str


TABLE: dict[str, Meaning] = {
    "401": Meaning(
        AuthRejected,
        "{host} refused the login of {login}",
        "check `login:` (DOMAIN\\name or name@domain), the password and `auth:`; with `auth: ntlm` behind a proxy that "
        "ends TLS, Extended Protection refuses every login: set `auth: basic` over TLS, or go past the proxy",
    ),
    "403": Meaning(
        Misconfigured,
        "{host} forbids EWS to {login}",
        "let the admin look at Get-CASMailbox {mailbox}: EwsEnabled has to be True, and EwsApplicationAccessPolicy "
        "must not shut quietcrm out",
    ),
    "404": Meaning(
        Misconfigured,
        "there is no EWS at {endpoint}",
        "correct `endpoint:`; the admin finds it by Get-WebServicesVirtualDirectory | fl ExternalUrl,InternalUrl",
    ),
    "redirect": Meaning(
        Misconfigured, "{host} sends us elsewhere: {text}", "write the address that it names into `endpoint:`"
    ),
    "ErrorAccessDenied": Meaning(
        Misconfigured,
        "{login} may not open the mailbox {mailbox}",
        "give the right: Add-MailboxPermission {mailbox} -User {login} -AccessRights FullAccess -AutoMapping $false, "
        "or set `access: impersonation`",
    ),
    "ErrorImpersonateUserDenied": Meaning(
        Misconfigured,
        "{login} may not act for {mailbox}",
        "give the role: New-ManagementRoleAssignment -Role ApplicationImpersonation -User {login} with a scope that "
        "holds {mailbox}",
    ),
    "ErrorImpersonationFailed": Meaning(
        Misconfigured,
        "{login} could not act for {mailbox}",
        "check that {mailbox} is an enabled account of this server",
    ),
    "ErrorNonExistentMailbox": Meaning(
        Misconfigured,
        "this server has no mailbox {mailbox}",
        "correct `mailbox:` (the primary address; an alias is not enough); if it was moved to Microsoft 365, use "
        "type: graph",
    ),
    "ErrorMissingEmailAddress": Meaning(
        Misconfigured, "{login} has no mailbox of its own", "set `mailbox:` and `access: delegate` or `impersonation`"
    ),
    "ErrorMailboxMoveInProgress": Meaning(
        Unclear, "the mailbox {mailbox} is being moved", "nothing to do: it is read when the move is over"
    ),
    "ErrorMailboxStoreUnavailable": Meaning(
        Unclear, "the database with {mailbox} is not mounted or being moved", LATER
    ),
    "ErrorAccountDisabled": Meaning(
        AuthRejected, "the account {login} is disabled", "let the admin enable it, or use another login"
    ),
    "ErrorPasswordExpired": Meaning(
        AuthRejected, "the password of {login} has expired", "set a new password, then tell it to quietcrm"
    ),
    "ErrorPasswordChangeRequired": Meaning(
        AuthRejected, "{login} has to change its password first", "log in to Outlook on the web once and change it"
    ),
    "ErrorQuotaExceeded": Meaning(
        Unavailable,
        "the mailbox {mailbox} is full",
        "let its owner delete or archive mail, or the admin raise the quota",
    ),
    "ErrorServerBusy": Meaning(Throttled, "{host} asks for a pause", _BUSY),
    "ErrorExceededConnectionCount": Meaning(
        Throttled,
        "{login} has too many connections to {host}",
        "let the admin raise EwsMaxConcurrency in the throttling policy of this login, or use several logins",
    ),
    "ErrorTooManyObjectsOpened": Meaning(Throttled, "{host} has too many objects open for {login}", _BUSY),
    "ErrorExceededFindCountLimit": Meaning(
        Misconfigured,
        "the throttling policy of {login} allows fewer finds than quietcrm makes",
        "let the admin set EwsFindCountLimit to 1000, its usual value, for this login",
    ),
    "ErrorInvalidServerVersion": Meaning(
        Misconfigured,
        "{host} does not know the version of EWS that `version:` stands for",
        "set `version:` to the release of the server: 2013, 2016, 2019 or se",
    ),
    "ErrorInvalidSchemaVersionForMailboxVersion": Meaning(
        Misconfigured,
        "the mailbox {mailbox} lies on an older server than `version:` says",
        "set `version:` to the release of the server that holds this mailbox",
    ),
    "ErrorSendAsDenied": Meaning(
        Misconfigured,
        "{login} may not send as this address",
        "give the right: Add-ADPermission {mailbox} -User {login} -ExtendedRights Send-As, or send from an own address",
    ),
    "ErrorMessageSizeExceeded": Meaning(
        Misconfigured,
        "the mail is larger than {host} takes",
        "send the file as a link, or let the admin raise MaxSendSize (Get-TransportConfig, Get-Mailbox {mailbox})",
    ),
    "ErrorNoRespondingCASInDestinationSite": Meaning(
        Misconfigured, "no server of the site of {mailbox} answers", "set `endpoint:` to a server of that site"
    ),
    "ErrorADUnavailable": Meaning(Unclear, "{host} does not reach its directory", LATER),
    "certificate": Meaning(
        Misconfigured,
        "the certificate of {host} cannot be verified",
        "set `ca:` to the file with the certificate authority, or use the name that is in the certificate",
    ),
    "proxy": Meaning(
        Misconfigured, "the proxy before {host} takes no request of ours", "look at HTTPS_PROXY of the service"
    ),
}

ABOUT_THE_SERVER = frozenset(
    {
        "ErrorADUnavailable",
        "ErrorConnectionFailed",
        "ErrorExceededConnectionCount",
        "ErrorExceededFindCountLimit",
        "ErrorImpersonateUserDenied",
        "ErrorInternalServerTransientError",
        "ErrorMailboxMoveInProgress",
        "ErrorMailboxStoreUnavailable",
        "ErrorNonExistentMailbox",
        "ErrorServerBusy",
        "ErrorTooManyObjectsOpened",
    }
)
"""Codes that speak of server or mailbox and not of one item, wherever in an answer they stand."""


CONFLICTS = frozenset({"ErrorIrresolvableConflict", "ErrorStaleObject", "ErrorConflictResolutionRequired"})
"""Codes by which an update says that somebody changed the item since it was looked at."""


def cloud_refusal(settings: ExchangeSettings) -> Misconfigured:
    """EWS on a host of Microsoft's cloud: shut, or about to be."""
    return Misconfigured(
        settings.account,
        f"{settings.host} is Microsoft's cloud, where EWS is shut: since October 2026 unless an admin lists the "
        "application, and for everybody from 1 April 2027",
        hint="set the account up with type: graph (see docs/how-to/microsoft-365.md)",
    )


def refusal(settings: ExchangeSettings, code: str, words: str = "", *, pause: float = 0.0) -> ConnectorError:
    """The boundary error for a code of the table; any other says nothing of what was done, so Unclear. `pause` in
    seconds, if one was named."""
    meaning = TABLE.get(code)
    if meaning is None:
        said = f"{code}: {words}" if words and words != code else code
        return Unclear(settings.account, f"{settings.host} answered {said[:300]}", hint=LATER)
    names = {
        "host": settings.host,
        "endpoint": settings.endpoint,
        "login": settings.login or settings.mailbox,
        "mailbox": settings.mailbox,
        "text": words[:200],
    }
    cause, remedy = meaning.cause.format(**names), meaning.remedy.format(**names)
    if meaning.error is Throttled:
        return Throttled(settings.account, cause, retry_after=pause or _PAUSE, hint=remedy)
    return meaning.error(settings.account, f"{cause} ({code})" if code.startswith("Error") else cause, hint=remedy)


def translate(settings: ExchangeSettings, error: Exception) -> ConnectorError:
    """What exchangelib, requests or our own policy raised, as an error of the boundary. Raises what is none of theirs:
    that is a fault of ours."""
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, HttpRefusal):
        return _http(settings, error)
    name, words = type(error).__name__, str(error)
    if name in TABLE and not (name == "ErrorServerBusy" and _cause_names(error) & _BROKEN):
        return refusal(settings, name, words, pause=float(getattr(error, "back_off", None) or 0.0))
    return _line(settings, error, name, words)


def _http(settings: ExchangeSettings, error: HttpRefusal) -> ConnectorError:
    if error.status == 429 or (error.status == 503 and error.retry_after):
        return refusal(settings, "ErrorServerBusy", pause=error.retry_after)
    if error.status in (301, 302, 307, 308):
        return refusal(settings, "redirect", error.headers.get("location", ""))
    if error.status == 407:
        return refusal(settings, "proxy")
    if str(error.status) in TABLE:
        return refusal(settings, str(error.status))
    return Unanswered(settings.account, f"{settings.host} answered HTTP {error.status}", hint=LATER)


_BROKEN = frozenset({"ConnectionError", "ChunkedEncodingError", "ReadTimeout", "ConnectionResetError", "ProtocolError"})
_NOT_REACHED = frozenset({"NewConnectionError", "ConnectTimeout", "ConnectTimeoutError", "NameResolutionError"})


def _line(settings: ExchangeSettings, error: Exception, name: str, words: str) -> ConnectorError:
    causes = _cause_names(error)
    host = settings.host
    if "SSLCertVerificationError" in causes:
        return refusal(settings, "certificate")
    if "ProxyError" in causes:
        return refusal(settings, "proxy")
    if causes & _NOT_REACHED:
        return Unavailable(settings.account, f"{host} cannot be reached", hint=LATER)
    if causes & {"SSLError"}:  # not only while it begins: a record in the midst of an answer can be broken too
        return Unclear(settings.account, f"the TLS connection to {host} failed: {words[:200]}", hint=LATER)
    if causes & _BROKEN or name in ("ErrorTimeoutExpired", "ErrorInternalServerTransientError"):
        cut = not causes & {"ReadTimeout", "ReadTimeoutError"}
        return Unanswered(settings.account, f"{host} gave no answer: {words[:200]}", hint=LATER, cut=cut)
    if name in ("SOAPError", "MalformedResponseError", "ParseError", "TransportError", "NotXml"):
        return Unanswered(settings.account, f"{host} answered something that is not EWS: {words[:200]}", hint=LATER)
    if name.startswith("Error"):
        return refusal(settings, name, words)
    if type(error).__module__.partition(".")[0] in ("exchangelib", "requests", "requests_ntlm", "spnego", "urllib3"):
        return ProtocolViolation(settings.account, f"{host} cannot be spoken with: {name} {words[:200]}", hint=LATER)
    raise error


def _cause_names(error: BaseException) -> set[str]:
    """The names of an error and of all that led to it: exchangelib keeps the cause only there."""
    return {type(one).__name__ for one in _causes(error)}


def _causes(error: BaseException) -> Iterator[BaseException]:
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        further = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [each for each in further if isinstance(each, BaseException)]
