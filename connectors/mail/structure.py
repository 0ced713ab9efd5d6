"""The MIME tree of a whole mail, read in one pass (RFC 2046). Linear in size whatever the depth; limits, no errors."""

from __future__ import annotations

from binascii import Error as CodingError
from binascii import a2b_qp, a2b_uu
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.mail.headers import Headers, scan_headers, split_header
from connectors.mail.parameters import parse_parameters
from connectors.mail.words import decode_base64

__all__ = ["Part", "Tree", "decode_body", "is_calendar", "read_tree"]

DEPTH_LIMIT = 100
PARTS_LIMIT = 10_000
TEXT_LIMIT = 2_000_000


@dataclass(slots=True)
class Part:
    """One leaf: its type, and where its body lies. `alternative` is 0, or the number of the outermost
    multipart/alternative around it; a `spare` one is read for its markup only."""

    content_type: str
    parameters: Mapping[str, str]
    encoding: str = ""
    disposition: str = ""
    name: str = ""
    body: bytes = b""
    size: int = -1
    alternative: int = 0
    truncated: bool = False
    spare: bool = False

    @property
    def is_text(self) -> bool:
        """A body to read, not a file."""
        return (
            self.content_type in ("text/plain", "text/html", "text")
            and self.disposition != "attachment"
            and not self.name
            and not self.spare
        )


@dataclass(slots=True)
class Tree:
    """The leaves in order, the containers' types, and what went wrong."""

    parts: list[Part] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Level:
    boundary: bytes
    digest: bool
    alternative: int
    hidden: int | None  # the outer level that uses the same boundary


_KEPT = ("text/", "message/")


def is_calendar(content_type: str, name: str) -> bool:
    """A calendar, as a part or as a file, whatever type the sender's program gives it."""
    return content_type in ("text/calendar", "application/ics") or name.lower().endswith((".ics", ".ical"))


def read_tree(headers: Headers, body: bytes) -> Tree:
    """Walk a mail's body (LF line ends). Of leaves, bodies of text, message/* and calendars are kept."""
    tree = Tree()
    _Walk(tree, body).run(headers)
    return tree


class _Walk:
    """One pass over the delimiter lines with a stack of open multiparts."""

    def __init__(self, tree: Tree, body: bytes) -> None:
        self.tree = tree
        self.body = body
        self.stack: list[_Level] = []
        self.open: dict[bytes, int] = {}
        self.leaf: tuple[Headers, str, Mapping[str, str], int, int] | None = None

    def run(self, headers: Headers) -> None:
        body = self.body
        self._enter(headers, 0, "text/plain")
        position = -1 if body.startswith(b"--") else body.find(b"\n--")
        while self.stack and (position >= 0 or body.startswith(b"--")):
            start = position + 1
            end = body.find(b"\n", start)
            end = len(body) if end < 0 else end
            if end - start <= 1000:
                self._delimit(body[start + 2 : end], start, end + 1)
            if len(self.tree.parts) >= PARTS_LIMIT:
                self.tree.notes.append(f"more than {PARTS_LIMIT} parts")
                self.leaf = None
                return
            position = body.find(b"\n--", end)
            if position < 0:
                break
        self._leave(len(body))
        if not self.tree.parts and body.strip():  # the boundary never comes: all of it is text
            self.tree.notes.append("multipart without parts")
            self.tree.parts.append(
                Part("text/plain", {}, body=body[:TEXT_LIMIT], size=len(body), truncated=len(body) > TEXT_LIMIT)
            )

    def _delimit(self, line: bytes, start: int, after: int) -> None:
        name = line.rstrip()
        closing = False
        level = self.open.get(name)
        if level is None and b"--" in name:
            level, closing = self.open.get(name.removesuffix(b"--").rstrip()), True
        if level is None:
            return
        self._leave(max(start - 1, 0))
        keep = level if closing else level + 1
        while len(self.stack) > keep:
            gone = self.stack.pop()
            if gone.hidden is None:
                self.open.pop(gone.boundary, None)
            else:
                self.open[gone.boundary] = gone.hidden
        if not closing:
            self._begin(after)

    def _begin(self, start: int) -> None:
        """A part starts here: read its header block, which ends at an empty line (or at the next delimiter)."""
        body = self.body
        if body.startswith(b"\n", start):
            head, begin = b"", start + 1
        else:
            stop = body.find(b"\n--", start)
            stop = len(body) if stop < 0 else stop
            cut = body.find(b"\n\n", start, stop + 1)
            if cut < 0:
                head, begin = body[start:stop], stop
            else:
                head, begin = body[start : cut + 1], cut + 2
        default = "message/rfc822" if self.stack[-1].digest else "text/plain"
        headers = scan_headers(head)
        if head and not headers.fields:
            begin = start
        self._enter(headers, begin, default)

    def _enter(self, headers: Headers, begin: int, default: str) -> None:
        content_type, parameters = parse_parameters(headers.raw(b"content-type"))
        content_type = content_type or default
        if not content_type.startswith("multipart/"):
            outer = next((level.alternative for level in self.stack if level.alternative), 0)
            self.leaf = (headers, content_type, parameters, begin, outer)
            return
        boundary = parameters.get("boundary", "").rstrip().encode("utf-8", "replace") or self._sniff(begin)
        if not boundary or len(self.stack) >= DEPTH_LIMIT:
            if boundary:
                self.tree.notes.append(f"multipart deeper than {DEPTH_LIMIT}")
            self.leaf = (headers, "text/plain" if not self.stack else "application/octet-stream", {}, begin, 0)
            return
        self.tree.containers.append(content_type)
        alternative = len(self.tree.containers) if content_type == "multipart/alternative" else 0
        self.stack.append(_Level(boundary, content_type == "multipart/digest", alternative, self.open.get(boundary)))
        self.open[boundary] = len(self.stack) - 1

    def _sniff(self, begin: int) -> bytes:
        """A multipart without a boundary: the first delimiter-like line names it."""
        start = begin if self.body.startswith(b"--", begin) else self.body.find(b"\n--", begin) + 1
        line = self.body[start : start + 200].partition(b"\n")[0]
        return line[2:].strip() if line.startswith(b"--") and len(line) > 4 else b""

    def _leave(self, end: int) -> None:
        """The current leaf ends before `end`."""
        if self.leaf is None:
            return
        headers, content_type, parameters, begin, alternative = self.leaf
        self.leaf = None
        disposition, extra = parse_parameters(headers.raw(b"content-disposition"))
        part = Part(
            content_type,
            parameters,
            encoding=headers.raw(b"content-transfer-encoding").strip().lower().decode("ascii", "replace"),
            disposition=disposition,
            name=(extra.get("filename") or parameters.get("name") or "")[:300],
            size=max(end - begin, 0),
            alternative=alternative,
        )
        if content_type.startswith(_KEPT) or not self.stack or is_calendar(content_type, part.name):
            part.truncated = end - begin > TEXT_LIMIT
            part.body = self.body[begin : min(end, begin + TEXT_LIMIT)]
        if content_type in ("message/rfc822", "message/global") and not part.name:
            part.name = (_inner_subject(part) or "message")[:200] + ".eml"
        self.tree.parts.append(part)


def _inner_subject(part: Part) -> str:
    return scan_headers(split_header(decode_body(part)[:65_536])[0]).text(b"subject")


def decode_body(part: Part) -> bytes:
    """The body without its transfer encoding (RFC 2045, 6). A false encoding leaves the bytes as they are."""
    body, encoding = part.body, part.encoding.strip("\"' ;")
    if encoding == "quoted-printable":
        return a2b_qp(body)
    if encoding.startswith("base64"):
        return decode_base64(body) if _is_base64(body[:4000]) else body
    if encoding in ("x-uuencode", "uuencode", "x-uue"):
        return _decode_uu(body)
    return body


def _is_base64(sample: bytes) -> bool:
    packed = b"".join(sample.split())
    strange = len(packed.translate(None, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
    return strange * 20 <= len(packed) and (sample.count(b" ") * 8 <= len(packed) or not packed)


def _decode_uu(body: bytes) -> bytes:
    start = body.find(b"begin ")
    if start < 0:
        return body
    out = []
    for line in body[start:].split(b"\n")[1:]:
        if line.startswith(b"end"):
            break
        try:
            out.append(a2b_uu(line))
        except CodingError:
            continue
    return b"".join(out)
