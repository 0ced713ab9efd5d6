"""A header for mail that never travelled, from the properties that Exchange keeps: sent mail, above all."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import format_datetime

from connectors.exchange.words import Element, child, moment, text

__all__ = ["PEOPLE", "written_header"]

PEOPLE = (
    "item:Subject", "item:InReplyTo", "item:DateTimeSent", "message:Sender", "message:ToRecipients",
    "message:CcRecipients", "message:BccRecipients", "message:From", "message:InternetMessageId", "message:References",
    "message:ReplyTo",
)  # fmt: skip
_FIELDS = (
    ("From", "From"), ("Sender", "Sender"), ("Reply-To", "ReplyTo"), ("To", "ToRecipients"), ("Cc", "CcRecipients"),
    ("Bcc", "BccRecipients"),
)  # fmt: skip


def written_header(element: Element) -> bytes:
    """Header lines in UTF-8 (RFC 6532), with the empty line at their end."""
    lines = [f"{name}: {value}" for name, value in _values(element) if value]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "replace")


def _values(element: Element) -> Iterator[tuple[str, str]]:
    sent = moment(text(element, "DateTimeSent"))
    yield "Date", format_datetime(sent) if sent else ""
    for name, tag in _FIELDS:
        yield name, ", ".join(_people(child(element, tag)))
    yield "Subject", _line(text(element, "Subject"))
    yield "Message-ID", _line(text(element, "InternetMessageId"))
    yield "In-Reply-To", _line(text(element, "InReplyTo"))
    yield "References", _line(text(element, "References"))


def _people(holder: Element | None) -> Iterator[str]:
    """Addresses of the internet; those of the directory (routing type EX) are of colleagues that are gone."""
    for one in holder if holder is not None else ():
        address = _line(text(one, "EmailAddress"))
        if "@" not in address or text(one, "RoutingType") == "EX" or any(char in address for char in '<>,;"'):
            continue
        name = _line(text(one, "Name")).replace("\\", "").replace('"', "'")
        yield f'"{name}" <{address}>' if name and name != address else address


def _line(value: str) -> str:
    return " ".join(value.split())
