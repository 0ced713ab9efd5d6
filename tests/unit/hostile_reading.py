"""Renders mails with hostile names and subjects and reads their headers with eyes of its own; see the test.

Runs under any Python from 3.11 on with the standard library alone. In: JSON [[name, subject], ...]. Out: JSON with
the version of this Python, how many mails were rendered, held back, and what differs.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import re
import sys
from datetime import UTC, datetime

from connectors.model import Address, OutgoingMail
from connectors.outgoing import HeaderMismatch, render

WORD = re.compile(r"=\?utf-8\?B\?([A-Za-z0-9+/=]*)\?=")
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def cleaned(text: str) -> str:
    """What of a text may stand in a header."""
    return " ".join(UNSAFE.sub(" ", text).split())


def decoded(value: str) -> str:
    """A value with its encoded words read once; white space between two words belongs to neither (RFC 2047 6.2)."""
    joined = re.sub(r"\?=\s+=\?", "?==?", value)
    runs = re.sub(rf"(?:{WORD.pattern})+", lambda run: run[0], joined)
    data = WORD.sub(lambda found: base64.b64decode(found[1]).decode("utf-8"), runs)
    return " ".join(data.split())


def named(value: str) -> tuple[str, str]:
    """(name, address) of a field with one mailbox."""
    if "<" not in value:
        return "", value
    name, _, rest = value.rpartition(" <")
    if name.startswith('"'):
        return re.sub(r"\\(.)", r"\1", name[1:-1]), rest.removesuffix(">")
    return decoded(name), rest.removesuffix(">")


def fields(raw: bytes) -> list[tuple[str, str]]:
    """The header by hand: lines, unfolded, up to the first empty one."""
    head = raw.partition(b"\r\n\r\n")[0].decode("ascii")
    unfolded = re.sub(r"\r\n(?=[ \t])", "", head)
    pairs = [line.split(": ", 1) if ": " in line else [line, ""] for line in unfolded.split("\r\n")]
    return [(name.rstrip(":"), value) for name, value in pairs]


def lenient(raw: bytes) -> list[str]:
    """The names as a reader sees them that ends lines at everything that anybody ever took for a line end."""
    lines = re.split("\r\n|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]", raw.partition(b"\r\n\r\n")[0].decode())
    return [line.partition(":")[0] for line in lines if not line.startswith((" ", "\t"))]


def differences(name: str, subject: str) -> list[str]:
    """What the finished mail says other than planned. Raises HeaderMismatch if it is held back."""
    mail = OutgoingMail(
        message_id="q.1@vendas.example",
        sender=Address("ana@vendas.example", name),
        to=(Address("ivan@acme.example", name),),
        subject=subject,
        text=f"{name}\n{subject}\n",
        date=datetime(2026, 3, 2, 12, 0, tzinfo=UTC),
        in_reply_to="x@acme.example",
        references=("x@acme.example",),
        headers=(("X-Note", subject),),
    )
    raw = render(mail)
    found = fields(raw)
    names = ["Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "X-Note", "MIME-Version"]
    names += ["Content-Type", "Content-Transfer-Encoding"]
    readers = {
        "by hand": [field for field, _ in found],
        "compat32": list(email.message_from_bytes(raw).keys()),
        "default": list(email.message_from_bytes(raw, policy=email.policy.default).keys()),
        "lenient": lenient(raw),
    }
    odd = [f"{reader} reads {seen}" for reader, seen in readers.items() if seen != names]
    values = dict(found)
    wanted = {
        "From": (cleaned(name), "ana@vendas.example"),
        "To": (cleaned(name), "ivan@acme.example"),
    }
    odd += [
        f"{key}: {named(values[key])!r}, not {want!r}" for key, want in wanted.items() if named(values[key]) != want
    ]
    for key in ("Subject", "X-Note"):
        if decoded(values[key]) != cleaned(subject):
            odd.append(f"{key}: {values[key]!r}, not {cleaned(subject)!r}")
    if any(len(line) > 998 for line in raw.split(b"\r\n")):
        odd.append("a line over 998 bytes")
    return odd


def main() -> None:
    """All mails of the input."""
    held: list[str] = []
    odd: list[str] = []
    count = 0
    for name, subject in json.load(sys.stdin):
        try:
            odd += [f"{name!r} / {subject!r}: {line}" for line in differences(name, subject)]
            count += 1
        except HeaderMismatch as error:
            held.append(f"{name!r} / {subject!r}: {error.message}")
    json.dump({"version": sys.version.split()[0], "rendered": count, "held": held, "odd": odd}, sys.stdout)


if __name__ == "__main__":
    main()
