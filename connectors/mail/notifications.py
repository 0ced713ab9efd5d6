"""Delivery news as JSON: the notifications of Amazon SES, as they arrive by mail."""

from __future__ import annotations

import json
from typing import Any

from connectors.mail.addresses import tidy_email
from connectors.mail.reasons import find_status, judge
from connectors.model import Bounce

__all__ = ["read_notification"]


def read_notification(text: str) -> tuple[str, Bounce | None]:
    """("bounce", it), ("complaint", who complained), ("delivery", None), or ("", None) for anything else."""
    start = text.find('{"notificationType"')
    if start < 0:
        return "", None
    try:
        found, _ = json.JSONDecoder().raw_decode(text[start : start + 100_000].replace("\n", ""))
    except (ValueError, RecursionError):
        return _guess(text[start : start + 200]), None
    kind = str(found.get("notificationType", "")).lower()
    if kind == "complaint":
        return kind, _read_complaint(found)
    return kind, _read_bounce(found) if kind == "bounce" else None


def _guess(head: str) -> str:
    return next((kind for kind in ("complaint", "delivery") if f'"{kind}"' in head.lower()), "")


def _read_complaint(found: dict[str, Any]) -> Bounce | None:
    complaint, mail = found.get("complaint"), found.get("mail")
    people = complaint.get("complainedRecipients") if isinstance(complaint, dict) else None
    if not isinstance(people, list):
        return None
    named = [str(one["emailAddress"]) for one in people[:500] if isinstance(one, dict) and one.get("emailAddress")]
    identifier = str(mail.get("messageId", "")) if isinstance(mail, dict) else ""
    recipients = tuple(tidy_email(one) for one in named)
    return Bounce(recipients=recipients, hard=None, reason="complaint", original_message_id=identifier[:500])


def _read_bounce(found: dict[str, Any]) -> Bounce | None:
    bounce = found.get("bounce")
    if not isinstance(bounce, dict) or not isinstance(bounce.get("bouncedRecipients"), list):
        return None
    items = [item for item in bounce["bouncedRecipients"][:500] if isinstance(item, dict) and item.get("emailAddress")]
    if not items:
        return None
    said = str(items[0].get("diagnosticCode", ""))
    status = find_status(str(items[0].get("status", ""))) or find_status(said)
    reason, hard = judge(status, said)
    if not said:
        hard = str(bounce.get("bounceType", "")).lower() == "permanent"
    mail = found.get("mail")
    identifier = str(mail.get("messageId", "")) if isinstance(mail, dict) else ""
    return Bounce(
        recipients=tuple(tidy_email(str(item["emailAddress"])) for item in items),
        hard=hard,
        reason=reason,
        status=status,
        original_message_id=identifier[:500],
    )
