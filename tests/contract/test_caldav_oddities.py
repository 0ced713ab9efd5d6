"""What real calendar servers do now and then and not on demand: other logins, pages, lost tokens, pauses, bombs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from calendar_contract import WINDOW, Round, event, read_all
from servers.scripted import Reply, Request, ScriptedServer

from connectors.caldav.settings import CaldavSettings
from connectors.caldav.source import CaldavDesk, CaldavSource
from connectors.calendars import OwnItem
from connectors.errors import AuthRejected, ConnectorError, Misconfigured, ProtocolViolation, Throttled, Unavailable
from connectors.parsing import InlineParser

Answer = Callable[[Request], Reply]
NAMESPACES = 'xmlns="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav" xmlns:cs="http://calendarserver.org/ns/"'


def multi(*responses: str, token: str = "") -> Reply:
    tail = f"<sync-token>{token}</sync-token>" if token else ""
    return Reply(207, f"<multistatus {NAMESPACES}>{''.join(responses)}{tail}</multistatus>".encode())


def found(href: str, properties: str) -> str:
    status = "<status>HTTP/1.1 200 OK</status>"
    return f"<response><href>{href}</href><propstat><prop>{properties}</prop>{status}</propstat></response>"


def gone(href: str, status: int = 404) -> str:
    return f"<response><href>{href}</href><status>HTTP/1.1 {status} Odd</status></response>"


CALENDAR = (
    "<resourcetype><collection/><c:calendar/></resourcetype><displayname>Work</displayname>"
    "<supported-report-set><supported-report><report><sync-collection/></report></supported-report></supported-report-set>"
)


class Calendars:
    """A calendar at /cal/ with objects; `pages` splits a sync into so many objects a page, `lost` refuses any token."""

    def __init__(self, count: int = 0) -> None:
        self.objects = {f"e{number}.ics": event(f"e{number}") for number in range(count)}
        self.pages = 0
        self.lost = False

    def __call__(self, request: Request) -> Reply:
        if request.method == "PROPFIND":
            return multi(found("/cal/", CALENDAR)) if request.path == "/cal/" else Reply(404)
        if b"sync-collection" in request.body:
            return self.sync(request)
        if b"calendar-multiget" in request.body:
            wanted = re.findall(rb"href>/cal/([^<]+)<", request.body)
            return multi(*(self.one(name.decode()) for name in wanted))
        return Reply(404)

    def one(self, name: str) -> str:
        if name not in self.objects:
            return gone(f"/cal/{name}")
        data = self.objects[name].decode()
        return found(f"/cal/{name}", f"<getetag>{self.tag(name)}</getetag><c:calendar-data>{data}</c:calendar-data>")

    def tag(self, name: str) -> str:
        return f'"{hashlib.sha256(self.objects[name]).hexdigest()[:8]}"'

    def sync(self, request: Request) -> Reply:
        token = (re.findall(rb"sync-token>([^<]*)<", request.body) or [b""])[0].decode()
        if token.startswith("old") or (token and self.lost):
            return Reply(403, f"<error {NAMESPACES}><valid-sync-token/></error>".encode())
        names = sorted(self.objects)
        start = int(token or 0)
        page = names[start : start + self.pages] if self.pages else names[start:]
        listed = [found(f"/cal/{name}", f"<getetag>{self.tag(name)}</getetag>") for name in page]
        more = start + len(page) < len(names)
        return multi(*listed, *([gone("/cal/", 507)] if more else ()), token=str(start + len(page)))


def settings(server: ScriptedServer, **changes: object) -> CaldavSettings:
    known: dict[str, object] = {"account": "ana", "url": server.url + "cal/", "login": "ana", "password": "secret"}
    return CaldavSettings(**(known | changes))  # type: ignore[arg-type]


@contextmanager
def source(server: ScriptedServer, **changes: object) -> Iterator[CaldavSource]:
    reading = CaldavSource(settings(server, **changes), InlineParser())
    yield reading
    reading.close()


def read(server: ScriptedServer, **changes: object) -> Round:
    with source(server, **changes) as reading:
        return read_all(reading)


def failing(answer: Answer, **changes: object) -> ConnectorError:
    """The error of a first fetch. It has a remedy."""
    with (
        ScriptedServer(answer) as server,
        source(server, **changes) as reading,
        pytest.raises(ConnectorError) as caught,
    ):
        reading.fetch(None, WINDOW, limit=5)
    assert caught.value.hint
    return caught.value


def test_a_listing_in_pages_is_read_to_its_end() -> None:
    calendars = Calendars(23)
    calendars.pages = 5
    with ScriptedServer(calendars) as server:
        run = read(server)
        assert len(run.names) == 23
        assert sum(b"sync-collection" in one.body for one in server.seen) == 5
        assert max(one.body.count(b"<d:href>") for one in server.seen) <= 50


def test_a_lost_token_compares_all_and_reads_what_differs() -> None:
    calendars = Calendars(6)
    with ScriptedServer(calendars) as server, source(server) as reading:
        run = read_all(reading)
        calendars.lost = True
        del calendars.objects["e1.ics"]
        calendars.objects["e2.ics"] = event("e2", "SEQUENCE:1")
        later = read_all(reading, run.cursor)
        assert (later.names, later.removed) == (["e2"], [("Work", "e1.ics")])
        assert read_all(reading, later.cursor).read == []


def digest(request: Request) -> Reply:
    """RFC 7616, checked."""
    header = request.headers.get("authorization", "")
    parts = dict(re.findall(r'(\w+)="?([^",]+)"?', header))
    if not header.startswith("Digest"):
        challenge = 'Digest realm="cal", nonce="n1", qop="auth", algorithm=MD5'
        return Reply(401, headers={"WWW-Authenticate": f'{challenge}, Basic realm="cal"'})
    secret = hashlib.md5(b"ana:cal:secret").hexdigest()
    asked = hashlib.md5(f"{request.method}:{parts['uri']}".encode()).hexdigest()
    line = ":".join((secret, parts["nonce"], parts["nc"], parts["cnonce"], parts["qop"], asked))
    good = hashlib.md5(line.encode()).hexdigest() == parts["response"]
    return Calendars(2)(request) if good else Reply(401, headers={"WWW-Authenticate": 'Digest realm="cal", nonce="n1"'})


def test_digest_is_taken_where_it_is_offered() -> None:
    with ScriptedServer(digest) as server:
        assert len(read(server).names) == 2
        assert not any(one.headers.get("authorization", "").startswith("Basic") for one in server.seen)
    assert isinstance(failing(digest, password="wrong"), AuthRejected)


class Renewing:
    """Tokens of which the first is no longer good."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    def bearer(self, *, refused: str = "") -> str:
        if refused == self.tokens[0] and len(self.tokens) > 1:
            self.tokens.pop(0)
        return self.tokens[0]


def bearer(request: Request) -> Reply:
    if request.headers.get("authorization") == "Bearer fresh":
        return Calendars(1)(request)
    return Reply(401, headers={"WWW-Authenticate": 'Bearer realm="cal"'})


def test_a_token_is_renewed_once() -> None:
    with ScriptedServer(bearer) as server:
        assert len(read(server, tokens=Renewing("stale", "fresh")).names) == 1
        assert {one.headers["authorization"] for one in server.seen[1:]} == {"Bearer stale", "Bearer fresh"}
    assert isinstance(failing(bearer, tokens=Renewing("stale")), AuthRejected)
    assert "sign_in" in failing(bearer).hint


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(401, headers={"WWW-Authenticate": "Basic"}), AuthRejected),
        (Reply(403), Misconfigured),
        (Reply(404), Misconfigured),
        (Reply(500), Unavailable),
        (Reply(503, headers={"Retry-After": "120"}), Throttled),
        (Reply(429, headers={"Retry-After": "Mon, 30 Nov 2099 10:00:00 GMT"}), Throttled),
        (Reply(207, b"<html>not XML"), ProtocolViolation),
        (
            Reply(207, b'<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><multistatus>&c;</multistatus>'),
            ProtocolViolation,
        ),
        (Reply(207, b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><multistatus/>'), ProtocolViolation),
        (Reply(302, headers={"Location": "https://elsewhere.invalid/"}), Misconfigured),
        (Reply(302, headers={"Location": "http://elsewhere.invalid/"}), Misconfigured),
        (Reply(302, headers={"Location": "file:///etc/passwd"}), Misconfigured),
        (Reply(307, headers={"Location": "/cal/"}), ProtocolViolation),
    ],
)
def test_what_goes_wrong_is_named(reply: Reply, kind: type[ConnectorError]) -> None:
    assert type(failing(lambda _: reply)) is kind


def test_a_pause_is_at_most_an_hour() -> None:
    error = failing(lambda _: Reply(503, headers={"Retry-After": "99999"}))
    assert isinstance(error, Throttled)
    assert error.retry_after == 3600


def test_the_password_goes_nowhere_else() -> None:
    """A redirect to another host ends there; nothing was sent to it."""
    with ScriptedServer(lambda _: Reply(200)) as other:
        to_other = other.url.replace("127.0.0.1", "localhost")
        error = failing(lambda _: Reply(301, headers={"Location": to_other}))
        assert isinstance(error, Misconfigured)
        assert other.seen == []


def test_discovery_from_the_root_by_the_well_known_address() -> None:
    def answer(request: Request) -> Reply:
        match request.path:
            case "/.well-known/caldav":
                return Reply(301, headers={"Location": "/dav/"})
            case "/dav/":
                return multi(
                    found("/dav/", "<current-user-principal><href>/dav/p/ana/</href></current-user-principal>")
                )
            case "/dav/p/ana/":
                return multi(found("/dav/p/ana/", "<c:calendar-home-set><href>/cal/</href></c:calendar-home-set>"))
            case "/cal/" if request.headers.get("depth") == "1" and request.method == "PROPFIND":
                inbox = "<resourcetype><collection/><c:schedule-inbox/></resourcetype>"
                return multi(found("/cal/inbox/", inbox), found("/cal/", CALENDAR))
        return Calendars(3)(request)

    with ScriptedServer(answer) as server:
        assert len(read(server, url=server.url).names) == 3


def test_an_object_on_which_the_server_fails_costs_no_other() -> None:
    calendars = Calendars(4)

    def answer(request: Request) -> Reply:
        if b"calendar-multiget" in request.body:
            return Reply(500)
        if request.method == "GET":
            name = request.path.removeprefix("/cal/")
            return (
                Reply(500) if name == "e2.ics" else Reply(200, calendars.objects[name], {"ETag": calendars.tag(name)})
            )
        return calendars(request)

    with ScriptedServer(answer) as server:
        run = read(server)
        assert run.names == ["e0", "e1", "e3"]
        assert [(bad.ref, bad.stage) for bad in run.unreadable] == [("e2.ics", "fetch")]


def test_a_write_that_comes_too_late_changes_nothing() -> None:
    """Somebody else changed the item between our look and our writing: 412."""
    item = OwnItem(uid="quietcrm-1", summary="Call", start=datetime(2026, 12, 1, 9, tzinfo=UTC))
    theirs = event("x").replace(b"x@acme.example", b"quietcrm-1")
    calendars = Calendars()

    def answer(request: Request) -> Reply:
        if request.method == "PUT":
            assert request.headers["if-none-match"] == "*"
            calendars.objects["quietcrm-1.ics"] = theirs
            return Reply(412)
        if request.method == "GET":
            return Reply(200) if calendars.objects else Reply(404)
        if b"calendar-query" in request.body:
            return multi()
        return calendars(request)

    with ScriptedServer(answer) as server:
        desk = CaldavDesk(settings(server), InlineParser())
        placed = desk.put(item)
        desk.close()
        assert (placed.written, placed.summary) == (False, "Meeting x")
        assert [one.method for one in server.seen].count("PUT") == 1
