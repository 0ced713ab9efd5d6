"""WebDAV's XML (RFC 4918 14): questions as text, answers read without entities or document types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = [
    "CALDAV",
    "DAV",
    "Multistatus",
    "Response",
    "calendar_query",
    "multiget",
    "parse",
    "path_of",
    "propfind",
    "sync",
]

DAV = "{DAV:}"
CALDAV = "{urn:ietf:params:xml:ns:caldav}"
CALENDARSERVER = "{http://calendarserver.org/ns/}"

_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?><{name} xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" '
    'xmlns:cs="http://calendarserver.org/ns/">'
)


@dataclass(frozen=True, slots=True)
class Response:
    """One resource of an answer. `status` is that of the resource as a whole, 200 where each property has its own;
    `properties` are those that came with 200, by their names in Clark's notation ("{DAV:}getetag")."""

    path: str
    status: int
    properties: Mapping[str, Element]

    def text(self, name: str) -> str:
        """The text of a property, "" if it did not come."""
        found = self.properties.get(name)
        return (found.text or "").strip() if found is not None else ""

    def paths(self, name: str) -> list[str]:
        """The addresses in a property (current-user-principal, calendar-home-set), as they stand."""
        found = self.properties.get(name)
        return (
            [text for one in found.iter(f"{DAV}href") if (text := (one.text or "").strip())]
            if found is not None
            else []
        )

    def kinds(self, name: str) -> set[str]:
        """The names of the elements in a property (resourcetype)."""
        found = self.properties.get(name)
        return {str(one.tag) for one in found} if found is not None else set()


@dataclass(frozen=True, slots=True)
class Multistatus:
    """A 207 answer (RFC 4918 13, RFC 6578 6.4)."""

    responses: tuple[Response, ...] = ()
    sync_token: str = ""
    names: frozenset[str] = field(default_factory=frozenset)


def parse(data: bytes) -> Multistatus:
    """Read an answer; `names` holds every element in it, so that a precondition can be looked up. Raises ValueError
    for what is no XML or declares entities or a document type."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, RecursionError, LookupError) as error:
        raise ValueError(f"no XML that is read: {type(error).__name__}") from error
    responses = tuple(_response(one) for one in root.iter(f"{DAV}response"))
    return Multistatus(
        responses, (root.findtext(f"{DAV}sync-token") or "").strip(), frozenset(str(one.tag) for one in root.iter())
    )


def _response(element: Element) -> Response:
    stated = element.findtext(f"{DAV}status")
    properties: dict[str, Element] = {}
    for part in element.findall(f"{DAV}propstat"):
        if _status(part.findtext(f"{DAV}status")) == 200:
            properties |= {str(one.tag): one for found in part.findall(f"{DAV}prop") for one in found}
    href = path_of(element.findtext(f"{DAV}href") or "")
    return Response(href, _status(stated) if stated else 200, properties)


def _status(line: str | None) -> int:
    """The code in "HTTP/1.1 200 OK", 0 if it cannot be read."""
    words = (line or "").split()
    return int(words[1]) if len(words) > 1 and words[1].isascii() and words[1].isdecimal() else 0


def path_of(href: str) -> str:
    """The path of an address, always escaped in the same way: servers answer with another spelling than they list."""
    try:
        path = urlsplit(href.strip()).path
    except ValueError:
        return ""
    return quote(unquote(path), safe="/@:$&'()*+,;=!~-._")


def propfind(*names: str) -> bytes:
    """A question for properties, by prefixed name: "d:getetag"."""
    return _document("d:propfind", f"<d:prop>{''.join(f'<{name}/>' for name in names)}</d:prop>")


def sync(token: str) -> bytes:
    """What changed since a token (RFC 6578 3.2)."""
    inner = f"<d:sync-token>{escape(token)}</d:sync-token><d:sync-level>1</d:sync-level><d:prop><d:getetag/></d:prop>"
    return _document("d:sync-collection", inner)


def multiget(paths: Iterable[str]) -> bytes:
    """Objects by their paths (RFC 4791 7.9)."""
    hrefs = "".join(f"<d:href>{escape(path)}</d:href>" for path in paths)
    return _document("c:calendar-multiget", f"<d:prop><d:getetag/><c:calendar-data/></d:prop>{hrefs}")


def calendar_query(component: str, uid: str) -> bytes:
    """Objects with a UID (RFC 4791 7.8)."""
    match = f'<c:text-match collation="i;octet">{escape(uid)}</c:text-match>'
    test = f'<c:comp-filter name="{component}"><c:prop-filter name="UID">{match}</c:prop-filter></c:comp-filter>'
    wanted = f'<c:filter><c:comp-filter name="VCALENDAR">{test}</c:comp-filter></c:filter>'
    return _document("c:calendar-query", f"<d:prop><d:getetag/></d:prop>{wanted}")


def _document(name: str, inner: str) -> bytes:
    return f"{_HEAD.format(name=name)}{inner}</{name}>".encode()


def components(response: Response) -> Iterator[str]:
    """What a calendar may hold (supported-calendar-component-set), "VEVENT" and such; nothing if it does not say."""
    found = response.properties.get(f"{CALDAV}supported-calendar-component-set")
    for one in found.iter(f"{CALDAV}comp") if found is not None else ():
        yield one.get("name", "").upper()
