"""Who a mail is between, read without the parser: for mail that kills the parser. A few bounded regular expressions."""

from __future__ import annotations

import re

from connectors.model import Address

__all__ = ["scan_envelope"]

SCANNED = 65_536
PEOPLE = 100
_FIELD = re.compile(
    rb"^(?:from|sender|reply-to|to|cc|bcc)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE | re.MULTILINE
)
_EMAIL = re.compile(rb"[A-Za-z0-9._%+'=/-]{1,128}@[A-Za-z0-9.-]{1,253}")
_IDENTIFIER = re.compile(rb"^message-id[ \t]*:\s{0,8}<?\[?([^<>\s\]]{1,500})", re.IGNORECASE | re.MULTILINE)


def scan_envelope(data: bytes) -> tuple[tuple[Address, ...], str]:
    """(addresses of the header, Message-ID or "")."""
    block = data[:SCANNED].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    found: dict[str, Address] = {}
    for field in _FIELD.findall(block):
        for email in _EMAIL.findall(field):
            local, _, domain = email.decode("ascii").rpartition("@")
            address = Address(f"{local}@{domain.lower().strip('.')}")
            found.setdefault(address.key, address)
            if len(found) >= PEOPLE:
                break
    match = _IDENTIFIER.search(block)
    return tuple(found.values())[:PEOPLE], match.group(1).decode("ascii", "replace") if match else ""
