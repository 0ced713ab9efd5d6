"""What `quietcrm doctor` asks of a mailbox in Microsoft 365 beside reading it: whose sign-in it is, what it allows and
until when, whose mailbox it opens, and whether categories can be written."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from connectors.graph.client import GraphClient, Json, Refused
from connectors.graph.settings import GraphSettings
from connectors.graph.trouble import translated
from connectors.refusals import login_command

__all__ = ["Remark", "read_token", "visit"]

Remark = tuple[str, str]
"""(what was found, what to do about it: "" = all is well)."""
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
    """What it allows and until when. What a person's token lacks is told for every protocol alike; a program's holds
    what an administrator gave it, no more."""
    until = _until(claims)
    if until is not None and until < now + _SHORT:
        remedy = "set this machine's clock by NTP: timedatectl set-ntp true"
        yield f"the access token ends at {until:%H:%M} UTC though it is new: clocks differ", remedy
    roles = [str(one) for one in claims.get("roles") or ()]
    granted = roles or str(claims.get("scp", "")).split()
    if granted:
        ends = f", until {until:%H:%M} UTC and then renewed" if until else ""
        yield f"the sign-in allows {', '.join(granted)}{ends}", ""
    for name, use in _NEEDS:
        if roles and name not in roles:
            remedy = f"add the application permission in Microsoft Entra; then run: {login_command(settings.account)}"
            yield f"the app was not given {name}: no {use}", remedy


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
