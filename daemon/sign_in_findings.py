"""What doctor says of a sign-in: who it is, what was allowed, for whom the token is, what ends soon."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from config.settings import Settings
from connectors.oauth.opening import Party
from connectors.protocols import Tokens
from connectors.refusals import login_command
from daemon.signing import Signing, strangers

__all__ = ["sign_in_findings"]

SOON = timedelta(days=30)
_GRAPH = ("https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000")
_OUTLOOK = (
    "https://outlook.office.com",
    "https://outlook.office365.com",
    "00000002-0000-0ff1-ce00-000000000000",
)
_AUDIENCES = {"graph": _GRAPH, "imap": _OUTLOOK, "smtp": _OUTLOOK}
"""To whom Microsoft's tokens may be addressed, as names and as the ids of the services."""


def sign_in_findings(
    settings: Settings, directory: Path, party: Party, tokens: Tokens, now: datetime
) -> Iterator[tuple[str, str]]:
    """(sentence, remedy) each; "" = nothing to do. Gets a token. Raises AuthRejected, Misconfigured, Unavailable."""
    claims = _claims(tokens.bearer())
    if party.sign_in.by_itself:
        yield f"quietcrm signs in at {party.sign_in.provider} by itself", ""
        yield from _certificate(party, now)
    else:
        signing = Signing(settings, directory)
        standing = signing.standing(signing.household(party.name))
        since = standing["signed_in_at"]
        who = standing["who"] or standing["user"]
        yield f"signed in at {party.sign_in.provider} as {who}" + (f" since {since:%Y-%m-%d}" if since else ""), ""
        for text in strangers(standing):
            yield text, f"if it is not, sign in as {standing['user']}: {login_command(party.name)}"
        if standing["state"] == "refused":
            yield standing["reason"], standing["hint"]
    yield from _audience(party, claims)
    yield from _allowed(party, claims)


def _audience(party: Party, claims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """A token for another service is refused there without a word why."""
    audience = str(claims.get("aud") or "").rstrip("/")
    expected = _AUDIENCES.get(party.want.kind, ()) if party.sign_in.provider == "microsoft" else ()
    if audience and expected and audience not in expected:
        remedy = f"leave out scopes: of this sign-in in quietcrm.yaml, then: {login_command(party.name)}"
        yield f"the token is for {audience[:80]}, and {expected[0]} is asked", remedy


def _allowed(party: Party, claims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the token itself says it allows: `scp` for a person, `roles` for an application."""
    if party.sign_in.provider != "microsoft" or not claims:
        return
    held = set(str(claims.get("scp") or "").split())
    needed = {scope.rpartition("/")[2] for scope in party.scopes} - {".default"}
    if held and (missing := sorted(needed - held)):
        yield f"the token does not allow {', '.join(missing)}", f"sign in again: {login_command(party.name)}"
    if party.sign_in.by_itself and not claims.get("roles"):
        remedy = "add the application permissions in the Entra admin center and grant admin consent"
        yield "the application was given no permission at all (no roles in its token)", remedy


def _certificate(party: Party, now: datetime) -> Iterator[tuple[str, str]]:
    if party.sign_in.certificate is None:
        return
    from cryptography import x509

    path = Path(party.sign_in.certificate)
    ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc  # it has just been used
    if ends - now < SOON:
        remedy = "make a new one, upload it to the registration, then change certificate: and key:"
        yield f"the certificate {path.name} ends on {ends:%Y-%m-%d}", remedy
    else:
        yield f"the certificate {path.name} is good until {ends:%Y-%m-%d}", ""


def _claims(token: str) -> dict[str, Any]:
    """What a token that is a JWT says of itself; {} for any other. Shown only, so its signature does not matter."""
    try:
        body = token.split(".")[1]
        data = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
