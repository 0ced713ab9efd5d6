"""From `OutgoingMail` to the bytes that leave us (RFC 5322, RFC 2045-2047), checked by reading them again.

The standard library's generator has let a customer's subject become a header of its own (CPython issue 121650), so
headers are written here, control characters are taken out first, and the finished bytes are parsed and compared
with the plan: a mail that does not say exactly what was planned is never handed on.
"""

from __future__ import annotations

import base64
import binascii
import email
import hashlib
import re
import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from email.errors import MessageError
from email.header import decode_header
from email.message import Message as StdMessage
from email.utils import format_datetime, getaddresses
from urllib.parse import quote

from config.errors import QuietcrmError
from connectors.model import Address, Enclosure, OutgoingMail

__all__ = [
    "HeaderMismatch",
    "content_hash",
    "is_usable_id",
    "make_message_id",
    "message_id_of",
    "render",
    "wire_address",
]

_LINE = 76
_LONGEST_WORD = 900
"""No line of a mail may have more than 998 bytes (RFC 5322 2.1.1), and words cannot be folded. In a name half of that:
each character may need a backslash."""
_HEADER_CLIP = 128 << 10
_LONGEST_NAME = 150
_BASE64_LINE = 57
"""Bytes that make a line of 76 characters."""
_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_BODY_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}\Z")
_ATOM_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+\Z")
_ADDRESS = re.compile(
    r"[^\s\x00-\x20\x7f-\x9f\ud800-\udfff<>,;:\"()\[\]\\@]+@[^\s\x00-\x20\x7f-\uffff<>,;:\"()\[\]\\@]+\Z"
)
_TAG = re.compile(r"<[^<>]*>")
_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]+\Z")
_ADDRESS_FIELDS = ("From", "To", "Cc")
_LONGEST_DOMAIN = 253
_OWN_FIELDS = frozenset(
    {"date", "from", "to", "cc", "bcc", "sender", "reply-to", "subject", "message-id", "in-reply-to", "references"}
    | {"mime-version", "content-type", "content-transfer-encoding", "return-path", "received"}
)

_Plan = list[tuple[str, str]]


class HeaderMismatch(QuietcrmError):
    """The finished mail does not say what was planned; it must not leave."""


def make_message_id(domain: str, token: str = "") -> str:
    """A new Message-ID without angle brackets. `token` (letters and digits) makes it recognisable as ours."""
    clean = re.sub(r"[^A-Za-z0-9]", "", token)
    host = domain.lower() if re.fullmatch(r"[A-Za-z0-9.-]+", domain) else "localhost.localdomain"
    return f"{clean + '.' if clean else ''}{secrets.token_hex(12)}@{host}"


def render(mail: OutgoingMail, *, utf8: bool = False) -> bytes:
    """The mail as bytes with CRLF line ends and no line over 998 bytes; ASCII but for addresses with other letters
    before the @, which are refused unless `utf8` (RFC 6532: only a server with SMTPUTF8 takes them).
    Raises HeaderMismatch."""
    if not utf8:
        _require_ascii(mail)
    plan = list(_plan(mail))
    body_fields, body = _body(mail)
    lines = [*(_field(name, value) for name, value in plan), *(_field(name, value) for name, value in body_fields)]
    raw = "".join(f"{line}\r\n" for line in lines).encode("utf-8") + b"\r\n" + body
    _compare(raw, [*plan, *body_fields], mail)
    return raw


def _plan(mail: OutgoingMail) -> Iterator[tuple[str, str]]:
    """Header names and values before encoding, in order."""
    yield "Date", _date(mail.date)
    yield "From", _addresses([mail.sender])
    yield "To", _addresses(mail.to)
    if mail.cc:
        yield "Cc", _addresses(mail.cc)
    yield "Subject", _clean(mail.subject)
    yield "Message-ID", _ids([mail.message_id])
    if mail.in_reply_to:
        yield "In-Reply-To", _ids([mail.in_reply_to])
    if mail.references:
        yield "References", _ids(mail.references)
    for name, value in mail.headers:
        if not _FIELD_NAME.match(name) or name.lower() in _OWN_FIELDS:
            raise HeaderMismatch(f"{name[:40]!r} cannot be used as an extra header", hint="remove it")
        yield name, _clean(value)
    yield "MIME-Version", "1.0"


def _date(moment: datetime) -> str:
    if moment.tzinfo is None:
        raise HeaderMismatch("the date of a mail needs a time zone", hint="this is a fault of quietcrm: report it")
    return format_datetime(moment)


def _clean(text: str) -> str:
    """One line without control characters or lone surrogates."""
    return " ".join(_CONTROL.sub(" ", text).split())


def is_usable_id(text: str) -> bool:
    """Whether somebody's Message-ID can stand in a header of ours; mail in the wild has others too."""
    return len(text) <= 900 and _ID.match(text) is not None


def _ids(ids: Sequence[str]) -> str:
    for one in ids:
        if not is_usable_id(one):
            raise HeaderMismatch("a Message-ID has characters that cannot stand in a header", hint="write by hand")
    return " ".join(f"<{one}>" for one in ids)


def _addresses(people: Sequence[Address]) -> str:
    return ", ".join(map(_mailbox, people))


def wire_address(email: str) -> str:
    """An address as headers and envelopes have it: the domain in A-labels (RFC 5890), as written if it has none."""
    local, at, domain = email.rpartition("@")
    if domain.isascii() or len(domain) > _LONGEST_DOMAIN:  # the codec is slow on what cannot be a domain anyway
        return email
    try:
        return f"{local}{at}{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        return email


def _require_ascii(mail: OutgoingMail) -> None:
    for person in (mail.sender, *mail.to, *mail.cc):
        if not wire_address(person.email).isascii():
            raise HeaderMismatch(
                f"{person.email[:60]!r} has other letters than English ones before the @",
                hint="use another address of this person; such mail can only be sent at once, not laid into a mailbox",
            )


def _mailbox(person: Address) -> str:
    address = wire_address(person.email)
    if not _ADDRESS.match(address):
        raise HeaderMismatch(f"{person.email[:60]!r} cannot be written to", hint="correct the address")
    name = _clean(person.name)
    return f"{_phrase(name)} <{address}>" if name else address


def _phrase(name: str) -> str:
    if not name.isascii() or "=?" in name or _has_longer_word(name, _LONGEST_WORD // 2):
        return "\r\n ".join(_words(name))
    if _ATOM_PHRASE.match(name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _has_longer_word(text: str, limit: int) -> bool:
    return any(len(word) > limit for word in text.split())


def _words(text: str) -> Iterator[str]:
    """Encoded words (RFC 2047) of at most 75 characters, never cut inside a character."""
    piece = b""
    for char in text:
        encoded = char.encode("utf-8")
        if len(piece) + len(encoded) > 42:
            yield _word(piece)
            piece = b""
        piece += encoded
    if piece:
        yield _word(piece)


def _word(data: bytes) -> str:
    return f"=?utf-8?B?{base64.b64encode(data).decode('ascii')}?="


def _field(name: str, value: str) -> str:
    """One header field, folded at white space (RFC 5322 2.2.3)."""
    if name not in _ADDRESS_FIELDS and (not value.isascii() or "=?" in value or _has_longer_word(value, _LONGEST_WORD)):
        value = "\r\n ".join(_words(value))
    lines, line = [], f"{name}:"
    for word in re.split(r" |\r\n ", value):
        if len(line) + 1 + len(word) > _LINE and line.strip() != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word}"
    lines.append(line)
    if max(len(line.encode("utf-8")) for line in lines) > 998:
        raise HeaderMismatch(f"the header {name} has a word too long for a mail", hint="shorten it")
    return "\r\n".join(lines)


def _body(mail: OutgoingMail) -> tuple[_Plan, bytes]:
    """Headers of the body and the body itself."""
    written = _leaf("text/plain", mail.text)
    if mail.html:
        written = _multipart("alternative", [written, _leaf("text/html", mail.html)])
    if not mail.files:
        return written
    return _multipart("mixed", [written, *map(_file, mail.files)])


def _file(file: Enclosure) -> tuple[_Plan, bytes]:
    """A file as a part (RFC 2183; RFC 2231 for a name with other letters than English ones)."""
    name, kind = _clean(file.name), file.content_type.lower()
    if not name or len(name) > _LONGEST_NAME or not _TYPE.match(kind):
        raise HeaderMismatch(f"the file {name[:60]!r} cannot be attached", hint="give it a shorter, plain name")
    if name.isascii():
        shown = '; filename="{}"'.format(name.replace("\\", "\\\\").replace('"', '\\"'))
    else:
        shown = f"; filename*=utf-8''{quote(name, safe='')}"
    body = b"\r\n".join(binascii.b2a_base64(piece, newline=False) for piece in _pieces(file.content))
    fields = [
        ("Content-Type", kind),
        ("Content-Disposition", f"attachment{shown}"),
        ("Content-Transfer-Encoding", "base64"),
    ]
    return fields, body + b"\r\n"


def _pieces(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), _BASE64_LINE):
        yield content[start : start + _BASE64_LINE]


def _multipart(subtype: str, parts: Sequence[tuple[_Plan, bytes]]) -> tuple[_Plan, bytes]:
    boundary = "=_" + hashlib.sha256(b"\0".join(body for _, body in parts)).hexdigest()[:40]
    pieces = []
    for headers, body in parts:
        head = "".join(f"{_field(name, value)}\r\n" for name, value in headers).encode("ascii")
        pieces.append(b"--" + boundary.encode() + b"\r\n" + head + b"\r\n" + body + b"\r\n")
    closed = b"".join(pieces) + b"--" + boundary.encode() + b"--\r\n"
    return [("Content-Type", f'multipart/{subtype}; boundary="{boundary}"')], closed


def _leaf(content_type: str, text: str) -> tuple[_Plan, bytes]:
    clean = _tidy(text)
    plain = clean.isascii() and all(len(line) <= 900 for line in clean.split("\n"))
    # "From " at the start of a line is altered by mbox stores, trailing spaces by relays.
    if plain and "\nFrom " not in f"\n{clean}" and " \n" not in clean:
        body, encoding, charset = clean.replace("\n", "\r\n").encode("ascii"), "7bit", "us-ascii"
    else:
        body, encoding, charset = _quoted_printable(clean), "quoted-printable", "utf-8"
    return [("Content-Type", f"{content_type}; charset={charset}"), ("Content-Transfer-Encoding", encoding)], body


def _tidy(text: str) -> str:
    """LF line ends, one at the end, no control characters but tab."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _BODY_CONTROL.sub("", lines).rstrip("\n") + "\n"


def _quoted_printable(text: str) -> bytes:
    """RFC 2045 6.7, with "From " and a lone dot at the start of a line made harmless."""
    encoded = binascii.b2a_qp(text.encode("utf-8"), istext=True)
    lines = encoded.split(b"\n")
    safe = [b"=46" + line[1:] if line.startswith(b"From ") else line for line in lines]
    return b"\r\n".join(b"=2E" + line[1:] if line == b"." else line for line in safe)


# -- the check


def _compare(raw: bytes, plan: _Plan, mail: OutgoingMail) -> None:
    """Read the finished bytes again. Raises HeaderMismatch on any difference to the plan."""
    parsed = email.message_from_bytes(raw) if raw.isascii() else email.message_from_string(raw.decode("utf-8"))
    people = {"From": [mail.sender], "To": list(mail.to), "Cc": list(mail.cc)}
    found = [(name, _decoded(name, str(value))) for name, value in parsed.items()]
    wanted = [(name, _shown(people[name]) if name in people else " ".join(value.split())) for name, value in plan]
    if found != wanted:
        odd = next((name for (name, _), pair in zip(wanted, found, strict=False) if pair not in wanted), "their number")
        raise HeaderMismatch(
            f"the finished mail differs from the plan in its headers ({odd})",
            hint="look at the subject and the names in it; the mail is held back",
        )
    if any(len(line) > 998 for line in raw.split(b"\r\n")) or b"\n" in raw.replace(b"\r\n", b""):
        raise HeaderMismatch("the finished mail has impossible lines", hint="the mail is held back")
    leaves = [part for part in parsed.walk() if not part.is_multipart()]
    written = [mail.text, *([mail.html] if mail.html else [])]
    if [_part_text(part) for part in leaves[: len(written)]] != [_tidy(text) for text in written]:
        raise HeaderMismatch("the finished mail reads otherwise than planned", hint="the mail is held back")
    files = [
        (part.get_content_type(), _file_name(part), part.get_payload(decode=True)) for part in leaves[len(written) :]
    ]
    if files != [(one.content_type.lower(), _clean(one.name), one.content) for one in mail.files]:
        raise HeaderMismatch("the finished mail carries other files than planned", hint="the mail is held back")


def _file_name(part: StdMessage) -> str:
    return part.get_filename("")


def _shown(people: Sequence[Address]) -> str | list[tuple[str, str]]:
    return [(_clean(person.name), wire_address(person.email)) for person in people]


def _decoded(name: str, value: str) -> str | list[tuple[str, str]]:
    if name in _ADDRESS_FIELDS:
        return [(_unworded(shown), address) for shown, address in getaddresses([" ".join(value.split())])]
    return _unworded(value)


def _unworded(value: str) -> str:
    if "=?" not in value:
        return " ".join(value.split())
    pieces = decode_header(" ".join(value.split()))
    text = "".join(
        piece.decode(charset or "ascii", "replace") if isinstance(piece, bytes) else piece for piece, charset in pieces
    )
    return " ".join(text.split())


def _part_text(part: StdMessage) -> str:
    data = part.get_payload(decode=True)
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else ""
    return text.replace("\r\n", "\n").rstrip("\n") + "\n"


# -- recognising our mail again


def message_id_of(raw: bytes) -> str:
    """The Message-ID of a mail, without angle brackets; "" if it has none."""
    try:
        value = str(email.message_from_bytes(raw[:_HEADER_CLIP]).get("Message-ID", ""))
    except (MessageError, ValueError, LookupError, IndexError):
        return ""
    return value.strip().strip("<>").strip()


def content_hash(raw: bytes) -> str:
    """A hash over what a person would see as the mail: recipients, subject, text, attachments by name.

    The same for a mail that a server merely stored otherwise (folding, encodings, added headers, boundaries, another
    order of recipients); another one as soon as somebody edits it.
    """
    try:
        seen = _seen(email.message_from_bytes(raw))
    except (MessageError, ValueError, LookupError, IndexError, TypeError, AttributeError):
        seen = ["unreadable", hashlib.sha256(raw).hexdigest()]
    return hashlib.sha256("\0".join(seen).encode("utf-8", "backslashreplace")).hexdigest()


def _seen(message: StdMessage) -> list[str]:
    recipients = []
    for name in ("To", "Cc", "Bcc"):
        values = [" ".join(str(value).split()) for value in message.get_all(name, [])]
        recipients.append(f"{name}:" + ",".join(sorted(address.lower() for _, address in getaddresses(values))))
    leaves = [part for part in message.walk() if not part.is_multipart()]
    bodies = [part for part in leaves if part.get_content_maintype() == "text" and not part.get_filename()]
    attached = sorted(str(part.get_filename() or part.get_content_type()) for part in leaves if part not in bodies)
    subject = _unworded(str(message.get("Subject", "")))
    return [*recipients, subject, "\n".join(map(_visible, bodies)), *attached]


def _visible(part: StdMessage) -> str:
    data = part.get_payload(decode=True)
    charset = part.get_content_charset("utf-8")
    text = data.decode(charset, "replace") if isinstance(data, bytes) else str(data)
    if part.get_content_subtype() == "html":  # some programs keep what a person edits here alone
        text = " ".join(_TAG.sub(" ", text).split())
    return "\n".join(line.rstrip().replace("\u00a0", " ") for line in text.strip().splitlines())
