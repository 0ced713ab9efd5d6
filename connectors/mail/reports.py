"""Machine-readable reports: delivery status (RFC 3464) and abuse feedback (RFC 5965)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from connectors.mail.addresses import tidy_email

__all__ = ["Feedback", "Outcome", "read_delivery_status", "read_feedback"]

_FIELD = re.compile(r"^([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*:[ \t]*((?:.*)(?:\n[ \t]+.*)*)", re.MULTILINE)
_ADDRESS = re.compile(r"<?\s*(\"[^\"\n]{1,100}\"@[\w.\[\]-]{1,253}|[^\s<>\"(),;:]{1,200}@[\w.\[\]-]{1,253})")
_ROUTE = re.compile(r"\A<?@[\w.,@-]{1,253}:")
_X400 = re.compile(r"SMTP:([^\s;/]{1,100}@[\w.-]{1,200})", re.IGNORECASE)
_EMPTY_LINE = re.compile(r"\n[ \t]*\n")
_RECIPIENTS = ("final-recipient", "original-recipient")
OUTCOMES_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipient. `action` is failed, delayed, delivered, relayed, expanded or ""."""

    recipient: str
    action: str
    status: str
    diagnostic: str
    original: str = ""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a recipient's provider reports. `kind` as stated ("abuse", "opt-out", "not-spam", "auth-failure" ...)."""

    kind: str
    recipients: tuple[str, ...]


def read_feedback(text: str) -> Feedback:
    """A message/feedback-report body (RFC 5965, 3). The recipients are often left out for privacy."""
    fields = [(match.group(1).lower(), " ".join(match.group(2).split())) for match in _FIELD.finditer(text)]
    kind = next((value.lower() for name, value in fields if name == "feedback-type"), "abuse")
    named = [_read_address(value) for name, value in fields if name in ("original-rcpt-to", "removal-recipient")]
    return Feedback(kind, tuple(dict.fromkeys(one for one in named if "@" in one))[:OUTCOMES_LIMIT])


def read_delivery_status(text: str) -> list[Outcome]:
    """The recipients' groups of a message/delivery-status body, in order. Damaged groups are read as far as they go."""
    outcomes: list[Outcome] = []
    group: dict[str, str] = {}
    for block in _EMPTY_LINE.split(text):
        fields = [(match.group(1).lower(), " ".join(match.group(2).split())) for match in _FIELD.finditer(block)]
        named = any(name in _RECIPIENTS for name, _ in fields)
        if named and any(name in group for name in _RECIPIENTS):
            _finish(group, outcomes)
            group = {}
        for name, value in fields:
            if name in _RECIPIENTS and name in group:  # groups without an empty line between them
                _finish(group, outcomes)
                group = {}
            group.setdefault(name, value)
        if len(outcomes) >= OUTCOMES_LIMIT:
            break
    _finish(group, outcomes)
    return outcomes


def _finish(group: dict[str, str], outcomes: list[Outcome]) -> None:
    final = _read_address(group.get("final-recipient", ""))
    original = _read_address(group.get("original-recipient", ""))
    actual = _read_address(group.get("x-actual-recipient", ""))
    recipient = final if "." in final.rpartition("@")[2] else original or actual or final
    if not recipient:
        return
    action = re.split(r"[\s(;,]", group.get("action", "").lower(), maxsplit=1)[0]
    status = re.search(r"[245]\.\d{1,3}\.\d{1,3}", group.get("status", ""))
    outcomes.append(Outcome(recipient, action, status.group() if status else "", _read_diagnostic(group), original))


def _read_diagnostic(group: dict[str, str]) -> str:
    found = [
        group[name] for name in ("diagnostic-code", "x-display-diagnostic", "x-notes-diagnostic") if group.get(name)
    ]
    return " ".join(found)[:4000]


def _read_address(value: str) -> str:
    """The address of `rfc822; <a@b>`, "" if there is none."""
    kind, _, rest = value.partition(";")
    match = _X400.search(value) if kind.strip().lower() == "x400" else None
    rest = _ROUTE.sub("", (rest or value).strip())
    match = match or _ADDRESS.search(rest)
    return tidy_email(match.group(1).strip()) if match else ""
