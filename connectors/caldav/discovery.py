"""Where a person's calendars are: from the address in the settings to the collections (RFC 6764, RFC 4791 6.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from connectors.caldav.settings import CaldavSettings
from connectors.caldav.wire import Wire
from connectors.caldav.xml import CALDAV, CALENDARSERVER, DAV, Response, components, propfind
from connectors.errors import Misconfigured

__all__ = ["Calendar", "discover"]

_ASKED = propfind("d:resourcetype", "d:current-user-principal", "c:calendar-home-set")
_LISTED = propfind(
    "d:resourcetype",
    "d:displayname",
    "d:sync-token",
    "cs:getctag",
    "c:supported-calendar-component-set",
    "d:supported-report-set",
    "d:current-user-privilege-set",
)
_PRINCIPAL, _HOME = f"{DAV}current-user-principal", f"{CALDAV}calendar-home-set"


@dataclass(frozen=True, slots=True)
class Calendar:
    """A calendar collection. `kinds`: what it holds ("VEVENT", "VTODO"); `syncs`: it answers sync-collection."""

    url: str
    path: str
    name: str
    kinds: frozenset[str]
    syncs: bool
    writable: bool


def discover(wire: Wire, settings: CaldavSettings) -> list[Calendar]:
    """All calendars of the login, in the server's order. Raises ConnectorError."""
    for start in _starts(settings.url):
        found = _look(wire, start)
        if found is None:
            continue
        here, response = found
        if f"{CALDAV}calendar" in response.kinds(f"{DAV}resourcetype"):
            return list(_list(wire, [here], "0"))
        homes = response.paths(_HOME) or _homes_of_principal(wire, here, response)
        if homes:
            return list(_list(wire, [urljoin(here, home) for home in homes], "1"))
    raise Misconfigured(
        settings.account,
        f"no calendars were found at {settings.url}",
        hint="correct url:, your provider tells which one",
    )


def _starts(url: str) -> Iterator[str]:
    """Where to look: at the address itself, at the place every server should know, at the root."""
    bare = urlsplit(url).path in ("", "/")
    if not bare:
        yield url
    yield urljoin(url, "/.well-known/caldav")
    yield urljoin(url, "/")


def _look(wire: Wire, url: str) -> tuple[str, Response] | None:
    """(where it is in the end, its properties); None if there is nothing of the kind."""
    answer = wire.ask("PROPFIND", url, _ASKED, depth="0")
    if answer.status == 207:
        responses = wire.read(answer).responses
        return (answer.url, responses[0]) if responses else None
    if answer.status >= 500:
        raise wire.refusal(answer)
    return None


def _homes_of_principal(wire: Wire, here: str, response: Response) -> list[str]:
    for principal in response.paths(_PRINCIPAL):
        found = _look(wire, urljoin(here, principal))
        if found:
            return [urljoin(found[0], home) for home in found[1].paths(_HOME)]
    return []


def _list(wire: Wire, homes: Sequence[str], depth: str) -> Iterator[Calendar]:
    for home in homes:
        answer = wire.ask("PROPFIND", home, _LISTED, depth=depth)
        if answer.status != 207:
            raise wire.refusal(answer)
        for response in wire.read(answer).responses:
            kinds = response.kinds(f"{DAV}resourcetype")
            if f"{CALDAV}calendar" in kinds and f"{CALENDARSERVER}deleted-calendar" not in kinds:
                yield _calendar(answer.url, response)


def _calendar(home: str, response: Response) -> Calendar:
    path = response.path if response.path.endswith("/") else f"{response.path}/"
    reports = response.properties.get(f"{DAV}supported-report-set")
    named = {str(one.tag) for one in reports.iter()} if reports is not None else set()
    rights = response.properties.get(f"{DAV}current-user-privilege-set")
    granted = {str(one.tag) for one in rights.iter()} if rights is not None else {f"{DAV}all"}
    return Calendar(
        url=urljoin(home, path),
        path=path,
        name=response.text(f"{DAV}displayname") or path.rstrip("/").rpartition("/")[2],
        kinds=frozenset(components(response)) or frozenset({"VEVENT", "VTODO"}),
        syncs=f"{DAV}sync-collection" in named or bool(response.text(f"{DAV}sync-token")),
        writable=bool(granted & {f"{DAV}all", f"{DAV}write", f"{DAV}write-content", f"{DAV}bind"}),
    )
