"""Where each provider is asked and for what: endpoints, scopes by protocol, and how its answers differ.

Microsoft   https://learn.microsoft.com/entra/identity-platform/v2-protocols; tokens are for one resource each, one
            refresh token serves all of them; refresh tokens are replaced at each use, the old ones stay good
Google      https://developers.google.com/identity/protocols/oauth2/native-app; one token for everything consented to;
            refresh tokens stay the same and come only with access_type=offline
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from config.sign_in import SignIn
from config.values import is_loopback

__all__ = ["Endpoints", "Want", "admin_consent_url", "endpoints", "extra_of_authorize", "identity_scopes", "scopes_for"]

_MICROSOFT = "https://login.microsoftonline.com"
_GRAPH = "https://graph.microsoft.com"
_OUTLOOK = "https://outlook.office.com"
_GOOGLE_MAIL = ("https://mail.google.com/",)
_GRAPH_SCOPES = ("Mail.ReadWrite", "Mail.Send", "MailboxSettings.ReadWrite", "User.Read")
_GRAPH_CALENDAR_SCOPES = ("Calendars.ReadWrite", "Tasks.ReadWrite", "User.Read")
_GRAPH_SHARED = {
    "Mail.ReadWrite": "Mail.ReadWrite.Shared",
    "Mail.Send": "Mail.Send.Shared",
    "Calendars.ReadWrite": "Calendars.ReadWrite.Shared",
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of a provider; "" for what it does not offer."""

    authorize: str
    token: str
    device: str = ""
    revoke: str = ""


@dataclass(frozen=True, slots=True)
class Want:
    """What tokens are for: the account's or sender's type (imap, smtp, graph, exchange, caldav) and its server.
    `shared`: the mailbox is another's than who signs in. `calendar`: its calendars and tasks, not its mail."""

    kind: str
    host: str = ""
    shared: bool = False
    calendar: bool = False


def endpoints(sign_in: SignIn) -> Endpoints:
    """Addresses of the provider, those of the settings first."""
    known = _known_endpoints(sign_in)
    return Endpoints(
        sign_in.authorize or known.authorize,
        sign_in.token or known.token,
        sign_in.device or known.device,
        sign_in.revoke or known.revoke,
    )


def _known_endpoints(sign_in: SignIn) -> Endpoints:
    if sign_in.provider == "microsoft":
        base = f"{_MICROSOFT}/{sign_in.organisation}/oauth2/v2.0"
        return Endpoints(f"{base}/authorize", f"{base}/token", f"{base}/devicecode")  # it has no revocation endpoint
    if sign_in.provider == "google":
        return Endpoints(
            "https://accounts.google.com/o/oauth2/v2/auth",
            "https://oauth2.googleapis.com/token",
            "https://oauth2.googleapis.com/device/code",
            "https://oauth2.googleapis.com/revoke",
        )
    return Endpoints("", "")


def scopes_for(sign_in: SignIn, want: Want) -> tuple[str, ...]:
    """What an access token for this protocol must allow, and nothing more."""
    if sign_in.scopes:
        return sign_in.scopes
    if sign_in.provider == "google":
        return ("https://www.googleapis.com/auth/calendar",) if want.kind == "caldav" else _GOOGLE_MAIL
    return _microsoft_scopes(sign_in.by_itself, want) if sign_in.provider == "microsoft" else ()


def _microsoft_scopes(by_itself: bool, want: Want) -> tuple[str, ...]:
    if want.kind in ("imap", "smtp"):  # the resource of programs is another name of the same service
        mine = {"imap": f"{_OUTLOOK}/IMAP.AccessAsUser.All", "smtp": f"{_OUTLOOK}/SMTP.Send"}
        return ("https://outlook.office365.com/.default",) if by_itself else (mine[want.kind],)
    if want.kind == "exchange":  # hybrid modern authentication: the resource is the office's own server
        return (f"https://{want.host}/.default" if by_itself else f"https://{want.host}/EWS.AccessAsUser.All",)
    service = f"https://{want.host}" if want.host and not is_loopback(want.host) else _GRAPH  # national clouds
    if by_itself:
        return (f"{service}/.default",)
    names: tuple[str, ...] = _GRAPH_CALENDAR_SCOPES if want.calendar else _GRAPH_SCOPES
    if want.shared:  # nobody's tasks can be opened by another person
        names = tuple(_GRAPH_SHARED.get(name, name) for name in names if name != "Tasks.ReadWrite")
    return tuple(f"{service}/{name}" for name in names)


def identity_scopes(sign_in: SignIn) -> tuple[str, ...]:
    """What a person's sign-in asks for beside: to stay signed in, and who it is."""
    if sign_in.provider == "microsoft":
        return ("offline_access", "openid", "profile", "email")
    return ("openid", "email") if sign_in.provider == "google" else ()


def names_scopes(sign_in: SignIn) -> bool:
    """Whether a renewal says for what: Microsoft's tokens are for one resource each, others hold all that was granted
    (RFC 6749 section 6)."""
    return sign_in.provider == "microsoft"


def extra_of_authorize(sign_in: SignIn, user: str) -> dict[str, str]:
    """Parameters of the authorization request that are the provider's own."""
    if sign_in.provider == "google":  # without consent asked for anew there is no second refresh token
        return {"access_type": "offline", "prompt": "consent", "login_hint": user}
    return {"login_hint": user, "prompt": "select_account"} if sign_in.provider == "microsoft" else {"login_hint": user}


def admin_consent_url(sign_in: SignIn, scopes: tuple[str, ...], redirect: str) -> str:
    """Where an administrator allows the application for everybody; "" where there is no such page.
    https://learn.microsoft.com/entra/identity-platform/v2-admin-consent"""
    if sign_in.provider != "microsoft" or sign_in.authorize:
        return ""
    fields = {"client_id": sign_in.client_id or "", "scope": " ".join(scopes), "redirect_uri": redirect}
    return f"{_MICROSOFT}/{sign_in.organisation}/v2.0/adminconsent?{urlencode(fields)}"
