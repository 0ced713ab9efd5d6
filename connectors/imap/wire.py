"""Commands and answers on the wire of an open imapclient connection (RFC 3501, RFC 7162, RFC 5819).

imapclient connects, speaks TLS and knows the odd servers; its parser of FETCH answers costs several times what the
rest of reading a mail does, and it sends one command at a time. So commands that carry mail go through here: several
at once (one round trip), answers tokenised by one regular expression. It stands on `send`, `readline` and `read` of
imaplib.IMAP4, which are documented; only the way to that object is not (`IMAPClient._imap`), and lives in this file.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import Any, Protocol

from imapclient import IMAPClient

__all__ = [
    "Answer",
    "Cut",
    "Garbled",
    "Node",
    "Refused",
    "Wire",
    "compact",
    "expand",
    "internal_date",
    "parse_internal_date",
    "quote",
    "tokens",
]

Node = Any
"""An answer as nested lists of bytes; NIL is None."""

_TOKEN = re.compile(rb'[()]|"[^"\\]*(?:\\.[^"\\]*)*"|[^\s()"]+')
_LITERAL = re.compile(rb"\{(\d+)\+?\}\r?\n\Z")
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_CODE = re.compile(rb"\[([A-Za-z0-9-]+)([^\]]*)\]")
_LITERAL_LIMIT = 64 << 20
_MONTHS = {name: number for number, name in enumerate(b"JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Cut(OSError):
    """The server closed the connection in the middle of something."""


class Garbled(ValueError):
    """The answer is not IMAP."""


class Refused(Exception):
    """A tagged NO or BAD. `code` is the response code in upper case ("AUTHENTICATIONFAILED") or ""."""

    def __init__(self, status: str, code: str, text: str) -> None:
        super().__init__(f"{status} {text}".strip())
        self.status = status
        self.code = code
        self.text = text


class Lines(Protocol):
    """What is used of imaplib.IMAP4."""

    def send(self, data: bytes) -> None:
        """Send all of it."""

    def readline(self) -> bytes:
        """One line with its end; b"" at the end of the stream."""
        ...

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end of the stream."""
        ...


@dataclass(slots=True)
class Answer:
    """What one command got: its tagged status and, for the last command of a group, all untagged lines before it."""

    status: str = ""
    code: str = ""
    argument: bytes = b""
    text: str = ""
    untagged: list[list[bytes]] = field(default_factory=list)

    def ok(self) -> Answer:
        """Itself, if the server agreed. Raises Refused."""
        if self.status != "OK":
            raise Refused(self.status, self.code, self.text)
        return self


class Wire:
    """Pipelined commands over one connection. Not thread-safe, like the connection."""

    def __init__(self, client: IMAPClient) -> None:
        self._lines: Lines = client._imap
        self._tags = count(1)

    def run(self, *commands: bytes, each: Callable[[list[bytes]], None] | None = None) -> list[Answer]:
        """Send all commands in one go and wait until each has its tagged answer.

        An untagged line is a list: text, literal, text, literal, ..., text. It goes to `each` as it comes, or is kept
        in the answer of the command that was under way. Raises Cut, Garbled, OSError; never for NO or BAD.
        """
        tags = [b"q%d" % next(self._tags) for _ in commands]
        self._lines.send(b"".join(b"%s %s\r\n" % pair for pair in zip(tags, commands, strict=True)))
        return self._collect(tags, each)

    def say(self, command: bytes, *, each: Callable[[list[bytes]], None] | None = None) -> Answer:
        """One command that has to succeed. Raises Refused beside what `run` raises."""
        return self.run(command, each=each)[0].ok()

    def upload(self, command: bytes, data: bytes, *, at_once: bool) -> Answer:
        """A command that ends in a literal. `at_once` where the server announced LITERAL+ (RFC 7888), else it is asked
        first. Raises Refused."""
        tag = b"q%d" % next(self._tags)
        self._lines.send(b"%s %s {%d%s}\r\n" % (tag, command, len(data), b"+" if at_once else b""))
        if not at_once:
            while not (pieces := self._response())[0].startswith(b"+"):
                if pieces[0].startswith(tag + b" "):
                    return _tagged(Answer(), pieces[0][len(tag) + 1 :]).ok()
        self._lines.send(data + b"\r\n")
        return self._collect([tag], None)[0].ok()

    def authenticate(self, mechanism: str, initial: bytes, *, at_once: bool, giving_up: bytes) -> tuple[Answer, bytes]:
        """AUTHENTICATE with one message of ours (RFC 3501 6.2.2), in the command where the server announced SASL-IR
        (RFC 4959). A server that refuses a token says why in a challenge, and wants it answered by `giving_up` before
        its tagged NO. Its answer, and that challenge decoded, b"" if there was none."""
        tag, ours = b"q%d" % next(self._tags), base64.b64encode(initial)
        command = b"%s AUTHENTICATE %s" % (tag, mechanism.encode("ascii"))
        self._lines.send(command + (b" " + ours if at_once else b"") + b"\r\n")
        answer, said = Answer(), b""
        waiting = [giving_up] if at_once else [ours, giving_up]
        while not (first := self._response()[0]).startswith(tag + b" "):
            if first.startswith(b"+") and waiting:
                said = _challenge(first) if waiting[0] is giving_up else b""
                self._lines.send(waiting.pop(0) + b"\r\n")
            elif first[2:6].upper() == b"BYE ":
                raise Cut(first[6:].decode("ascii", "replace").strip())
            elif first.startswith(b"* "):
                answer.untagged.append([first])
            else:
                raise Garbled(f"no answer to AUTHENTICATE: {first[:60]!r}")
        return _tagged(answer, first[len(tag) + 1 :]), said

    def _collect(self, tags: list[bytes], each: Callable[[list[bytes]], None] | None) -> list[Answer]:
        """Wait for all tags. They come in order from most servers; none is bound to it (RFC 3501 5.5)."""
        answers = {tag: Answer() for tag in tags}
        open_tags = list(tags)
        while open_tags:
            pieces = self._response()
            first = pieces[0]
            if first.startswith(b"* "):
                if first[2:6].upper() == b"BYE ":
                    raise Cut(first[6:].decode("ascii", "replace").strip())
                (each or answers[open_tags[0]].untagged.append)(pieces)
                continue
            tag, _, rest = first.partition(b" ")
            if tag in open_tags:
                open_tags.remove(tag)
                _tagged(answers[tag], rest)
            elif not first.startswith(b"+"):
                raise Garbled(f"neither tag nor star: {first[:60]!r}")
        return list(answers.values())

    def _response(self) -> list[bytes]:
        line = self._line()
        if line[-3:] != b"}\r\n" and line[-2:] != b"}\n":
            return [line]
        pieces = []
        while match := _LITERAL.match(line, max(0, line.rfind(b"{"))):
            pieces += [line[: match.start()], self._literal(int(match[1]))]
            line = self._line()
        return [*pieces, line]

    def _line(self) -> bytes:
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise Cut("the server closed the connection")
        return line

    def _literal(self, size: int) -> bytes:
        if size > _LITERAL_LIMIT:
            raise Garbled(f"a literal of {size} bytes where at most {_LITERAL_LIMIT} were asked for")
        data = self._lines.read(size)
        if len(data) < size:
            raise Cut("the server closed the connection in the middle of a mail")
        return data


def _challenge(line: bytes) -> bytes:
    try:
        return base64.b64decode(line[1:].strip(), validate=True)
    except binascii.Error:
        return line[1:].strip()


def _tagged(answer: Answer, rest: bytes) -> Answer:
    status, _, text = rest.strip().partition(b" ")
    answer.status = status.decode("ascii", "replace").upper()
    if match := _CODE.match(text):
        answer.code = match[1].decode("ascii").upper()
        answer.argument = match[2].strip()
    answer.text = text.decode("utf-8", "replace")
    return answer


def tokens(pieces: Sequence[bytes]) -> list[Node]:
    """The nested lists of one untagged line, without its star. Linear in its length. Raises Garbled."""
    top: list[Node] = []
    here, above = top, []
    for index, piece in enumerate(pieces):
        if index % 2:
            here.append(piece)
            continue
        for token in _TOKEN.findall(piece):
            if token == b"(":
                child: list[Node] = []
                here.append(child)
                above.append(here)
                here = child
            elif token == b")":
                if not above:
                    raise Garbled("a bracket closes what was never opened")
                here = above.pop()
            elif token[0] == 34:
                plain = token[1:-1]
                here.append(_ESCAPE.sub(rb"\1", plain) if b"\\" in plain else plain)
            else:
                here.append(None if token == b"NIL" else token)
    if above:
        raise Garbled("a bracket was never closed")
    return top[1:]


def quote(text: str) -> bytes:
    """A quoted string (RFC 3501 4.3). Only for text without line breaks; other than ASCII goes as UTF-8."""
    if any(char in text for char in "\r\n\0"):
        raise ValueError("a line break or NUL cannot be quoted")
    return b'"%s"' % text.replace("\\", "\\\\").replace('"', '\\"').encode("utf-8")


def compact(uids: Sequence[int]) -> bytes:
    """Ascending or descending UIDs as a sequence set, neighbours joined: only numbers that were named, never "n:*"."""
    runs: list[list[int]] = []
    for uid in sorted(uids):
        if runs and runs[-1][1] == uid - 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return b",".join(b"%d" % low if low == high else b"%d:%d" % (low, high) for low, high in runs)


def expand(text: bytes) -> Iterator[int]:
    """The numbers of a sequence set in the order written. Raises Garbled for "*" and what is no number."""
    for part in filter(None, text.split(b",")):
        low, _, high = part.partition(b":")
        try:
            first, last = int(low), int(high or low)
        except ValueError as error:
            raise Garbled(f"not a set of numbers: {text[:60]!r}") from error
        yield from range(min(first, last), max(first, last) + 1)


def internal_date(moment: datetime) -> bytes:
    """An aware time as INTERNALDATE in UTC, whatever the locale: ` 2-Mar-2026 12:00:00 +0000`."""
    at = moment.astimezone(UTC)
    month = b"JanFebMarAprMayJunJulAugSepOctNovDec"[at.month * 3 - 3 : at.month * 3]
    clock = (at.hour, at.minute, at.second)
    return b"%2d-%s-%04d %02d:%02d:%02d +0000" % (at.day, month, at.year, *clock)


def parse_internal_date(value: Node) -> datetime:
    """INTERNALDATE, e.g. `17-Jul-1996 02:44:25 -0700` (RFC 3501 date-time), in UTC; 1970 if it is none."""
    try:
        day, clock, offset = value.split()
        number, month, year = day.split(b"-")
        hour, minute, second = map(int, clock.split(b":"))
        shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
        zone = timezone(-shift if offset.startswith(b"-") else shift)
        moment = datetime(int(year), _MONTHS[month.upper()], int(number), hour, minute, min(second, 59), tzinfo=zone)
        return moment.astimezone(UTC)
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError):
        return _EPOCH
