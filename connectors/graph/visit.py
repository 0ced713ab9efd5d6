"""What `quietcrm doctor` asks of a mailbox in Microsoft 365 beside reading it: whose sign-in it is, what it allows and
until when, whose mailbox it opens, and whether categories can be written."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from connectors.graph.client import GraphClient, Json, Refused
from connectors.graph.settings import GraphSettings
from connectors.graph.trouble import translated
from connectors.refusals import login_command

__all__ = ["Remark", "read_token", "visit"]

Remark = tuple[str, str]
"""(what was found, what to do about it: "" = all is well)."""
_GRAPH_ID = "00000003-0000-0000-c000-000000000000"
"""Microsoft Graph's own application id, which tokens name as their audience too."""
_NEEDS = (
    ("Mail.ReadWrite", "drafts, notices and marks"),
    ("Mail.Send", "sending"),
    ("MailboxSettings.ReadWrite", "the colour of categories"),
)
_SHORT = timedelta(minutes=5)


def visit(settings: GraphSettings, now: datetime) -> Iterator[Remark]:
    """Look once, change nothing. Raises ConnectorError where nothing can be looked at."""
    client = GraphClient(settings)
    try:
        claims = read_token(settings.tokens.bearer())
        if claims:
            yield from _token(settings, claims, now)
        with translated(settings.account, client.where):
            yield _owner(settings, client)
            yield _categories(settings, client)
    finally:
        client.close()


def read_token(token: str) -> Json:
    """The claims of an access token, unchecked: for words, never for decisions. {} if it cannot be read, as those for
    private accounts."""
    try:
        middle = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _token(settings: GraphSettings, claims: Json, now: datetime) -> Iterator[Remark]:
    again = f"run: {login_command(settings.account)}"
    audience = str(claims.get("aud", ""))
    if audience != _GRAPH_ID and urlsplit(audience).hostname != urlsplit(settings.service).hostname:
        remedy = "leave `scopes:` out, or let them begin with https://graph.microsoft.com/; then " + again
        yield f"the sign-in is for another service ({audience or 'none'})", remedy
        return
    granted = [str(one) for one in (claims.get("roles") or str(claims.get("scp", "")).split())]
    missing = [(name, use) for name, use in _NEEDS if not _allows(granted, name)]
    until = _until(claims)
    if until is not None and until < now + _SHORT:
        yield (
            f"the access token ends at {until:%H:%M} UTC though it is new: clocks differ",
            ("set this machine's clock by NTP: timedatectl set-ntp true"),
        )
    if not missing:
        ends = f", until {until:%H:%M} UTC and then renewed" if until else ""
        yield f"the sign-in allows {', '.join(granted)}{ends}", ""
    for name, use in missing:
        yield (
            f"the sign-in does not allow {name}: no {use}",
            f"let it be allowed for the app in Microsoft Entra; {again}",
        )


def _allows(granted: list[str], name: str) -> bool:
    return any(one in (name, f"{name}.Shared", f"{name}.All") for one in granted)


def _until(claims: Json) -> datetime | None:
    end = claims.get("exp")
    return datetime.fromtimestamp(end, UTC) if isinstance(end, int | float) and 0 < end < 1 << 40 else None


def _owner(settings: GraphSettings, client: GraphClient) -> Remark:
    """Whose mailbox it is. Of others' mailboxes that may be kept from us, and they are asked for by address anyway."""
    if settings.by_address:
        return f"{settings.login} is opened by its address", ""
    person = client.get("", {"$select": "mail,userPrincipalName"})
    names = [str(person.get(key) or "") for key in ("mail", "userPrincipalName")]
    if settings.login.lower() in (name.lower() for name in names):
        return f"it is the mailbox of {settings.login}", ""
    whose = next(filter(None, names), "somebody else")
    remedy = f"correct `login:`, or sign in as its owner: {login_command(settings.account)}"
    return f"the sign-in opens the mailbox of {whose}, not {settings.login}", remedy


def _categories(settings: GraphSettings, client: GraphClient) -> Remark:
    try:
        count = sum(1 for _ in client.pages("/outlook/masterCategories", {}))
    except Refused as error:
        if error.status != 403:
            raise
        remedy = f"allow MailboxSettings.ReadWrite for the app; then run: {login_command(settings.account)}"
        return "Outlook's list of categories is closed to us: categories are set, and shown without a colour", remedy
    return f"Outlook's list of categories can be read ({count} in it)", ""
