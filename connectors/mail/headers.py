"""The header block of a mail: fields in order, values still bytes. Linear in size, with limits; raises nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from connectors.mail.charsets import decode
from connectors.mail.words import decode_value

__all__ = ["Headers", "scan_headers", "split_header"]

FIELDS_LIMIT = 1000
BLOCK_LIMIT = 1_000_000
VALUE_LIMIT = 65_536
KEPT_FIELDS = 200
KEPT_CHARACTERS = 2_000

_FIELD = re.compile(rb"^([!-9;-~]{1,200}+)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.MULTILINE)
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]")
_SPACED = bytes(32 if code == 127 or (code < 32 and code not in (9, 10, 27)) else code for code in range(256))
"""Controls become spaces; escape stays, for ISO-2022-JP."""
_START = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_TRACE = re.compile(
    rb"received|dkim-|domainkey|arc-|x-ms-exchange-|x-microsoft-|x-forefront|x-google-(?:dkim|smtp)|x-gm-|x-received|"
    rb"authentication-results|x-ms-(?!has-attach|publictraffic)|x-mailscanner|x-spam-(?:report|checker|level)|"
    rb"x-antiabuse|x-originatororg|x-virus-|x-proofpoint|x-mimecast-(?:spam|mfc)|ironport|x-ironport|face|"
    rb"x-face|x-ymail-osg|x-eoptenant"
)


@lru_cache(maxsize=1024)
def _keep_name(name: bytes) -> str:
    """The name as text, "" for a trace field."""
    return "" if _TRACE.match(name) else name.decode("ascii")


@dataclass(slots=True)
class Headers:
    """The fields of one header block.

    fields      (name in lower case, raw value) in order
    index       the first raw value of each name
    repeated    names that come more than once
    is_ascii    there are no raw 8-bit values
    """

    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    index: dict[bytes, bytes] = field(default_factory=dict)
    repeated: set[bytes] = field(default_factory=set)
    is_ascii: bool = True
    notes: list[str] = field(default_factory=list)

    def raw(self, name: bytes) -> bytes:
        """The first value as it stands, b"" if there is none. `name` in lower case."""
        return self.index.get(name, b"")

    def text(self, name: bytes) -> str:
        """The first value decoded, on one line, "" if there is none."""
        value = self.index.get(name)
        return decode_value(value) if value else ""

    def lower(self, name: bytes) -> str:
        """Like `text`, in lower case."""
        return self.text(name).lower()

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a name, in order."""
        if name not in self.repeated:
            return [self.index[name]] if name in self.index else []
        return [value for key, value in self.fields if key == name]

    def settle(self, charset: str) -> None:
        """Raw 8-bit values that are not UTF-8 are most likely in the charset of the text: make UTF-8 of them."""
        for place, (name, value) in enumerate(self.fields):
            if not value.isascii() and not _is_utf8(value):
                settled = decode(value, charset)[0].encode("utf-8")
                self.fields[place] = (name, settled)
                if self.index.get(name) == value:
                    self.index[name] = settled

    def kept(self) -> tuple[tuple[str, str], ...]:
        """What `Message.headers` holds: decoded, without trace fields, within the limits."""
        found: list[tuple[str, str]] = []
        for name, value in self.fields:
            kept = _keep_name(name)
            if not kept:
                continue
            text = value.strip().decode("ascii") if value.isascii() else "\n"
            if "=?" in text or not text.isprintable():  # folded, encoded, 8-bit: the long way
                text = decode_value(value)
            found.append((kept, text[:KEPT_CHARACTERS]))
            if len(found) == KEPT_FIELDS:
                break
        return tuple(found)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def unify_lines(data: bytes) -> bytes:
    """CRLF, CRCRLF and, in files that know nothing else, CR as LF."""
    if b"\r" not in data:
        return data
    data = data.replace(b"\r\n", b"\n")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
        if data.count(b"\r") > data.count(b"\n"):
            data = data.replace(b"\r", b"\n")
    return data


def split_header(data: bytes) -> tuple[bytes, bytes]:
    """(header block, body) of a mail or part with LF line ends. A part without a header block is all body."""
    if data.startswith(b"\n"):
        return b"", data[1:]
    cut = data.find(b"\n\n")
    head, body = (data, b"") if cut < 0 else (data[: cut + 1], data[cut + 2 :])
    if _looks_like_header(head):
        return head, body
    return b"", data


def _looks_like_header(head: bytes) -> bool:
    """A first line that is a field, an mbox "From " line or, at worst, a stray line before fields."""
    for count, line in enumerate(head[:4000].split(b"\n", 4)[:4]):
        if _START.match(line):
            return True
        if count == 0 and not line.startswith((b"From ", b">From ", b" ", b"\t")) and b" " in line.strip():
            return bool(
                re.search(
                    rb"^(?i:from|to|subject|date|message-id|received|content-type|mime-version):", head[:4000], re.M
                )
            )
    return False


def scan_headers(block: bytes) -> Headers:
    """Read a header block with LF line ends. Lines that are no field (an mbox "From " line, garbage) are skipped."""
    headers = Headers()
    if len(block) > BLOCK_LIMIT:
        block = block[:BLOCK_LIMIT]
        headers.notes.append("header longer than 1 MB, cut")
    fields, index, repeated = headers.fields, headers.index, headers.repeated
    headers.is_ascii = block.isascii()
    if _CONTROL.search(block):
        block = block.translate(_SPACED)
    found = _FIELD.findall(block)
    if len(found) > FIELDS_LIMIT:
        headers.notes.append(f"more than {FIELDS_LIMIT} header fields")
        del found[FIELDS_LIMIT:]
    for name, value in found:
        name = name.lower()
        if len(value) > VALUE_LIMIT:
            value = value[:VALUE_LIMIT]
            headers.notes.append(f"header field {name[:40].decode('ascii')} cut")
        fields.append((name, value))
        if name in index:
            repeated.add(name)
            if index[name].strip():
                continue
        index[name] = value
    return headers
