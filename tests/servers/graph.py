"""A stateful Microsoft Graph for mail over real HTTP on loopback, answering as documented, with faults on demand.

`with GraphServer() as server:` then `server.add_mailbox("ana@vendas.example")` and `server.settings_url`. What a client
does that it must not (ids that change, a fifth request at once, a call within a pause, a request that the published
description refuses) is written down in `server.violations`; a test ends with none.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import re
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from servers.graph_mailbox import FakeMail, GraphMailbox, Json, Unaddressable
from servers.graph_queries import BadQuery, Shape, filter_of, pack, page_size, shape_of, unpack

AT_ONCE = 4
PER_TEN_MINUTES = 10_000
ON_THEIR_WAY = AT_ONCE - 1
"""Requests that may have been on their way when a pause was told to another one. Each is told of it in its turn."""
_ROUNDING = 0.001
"""Seconds by which a client that adds up the same pauses may come to another sum."""
_STATUS = {"ErrorFolderExists": 409, "ErrorInvalidIdMalformed": 400}
_LARGEST_POST = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How the service fails one request.

    after        the work is done all the same, and then the answer is this
    drop         no answer: the connection ends
    hang_up      the usual answer, after which the connection ends without a word of it
    repeat       a page of changes is given a second time before the next one
    """

    status: int = 0
    code: str = ""
    text: str = "by script"
    inner: str = ""
    retry_after: float = 0
    after: bool = False
    drop: bool = False
    hang_up: bool = False
    repeat: bool = False
    claims: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came. `path` lies below the mailbox."""

    method: str
    path: str
    mailbox: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    target: str

    @property
    def json(self) -> Json:
        """The body as an object."""
        return dict(json.loads(self.body or b"{}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer."""

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class ServiceError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, text: str = "", **more: Any) -> None:
        super().__init__(code)
        self.fault = Fault(status=status, code=code, text=text or code, **more)


class StillResting(ServiceError):
    """Asked within a pause: told so, and the pause stays as long as it is."""


def json_reply(value: Json, status: int = 200) -> Reply:
    """An object as answer."""
    return Reply(status=status, body=json.dumps(value, ensure_ascii=False).encode())


class GraphServer:
    """The service. `faults` decides per request whether it fails and how; `script` are faults for the next requests
    that fit (method, pattern of the path), one each, and come first. `tokens` maps bearer tokens to mailboxes."""

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        check: Callable[[Call, Reply], str] = lambda call, reply: "",
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.check = check
        self.monotonic = monotonic
        self.clock = clock
        self.mailboxes: dict[str, GraphMailbox] = {}
        self.tokens: dict[str, str] = {}
        self.owner_of: Callable[[str], str | None] = self.tokens.get
        """Who a bearer token belongs to; "*" may open every mailbox."""
        self.faults: Callable[[Call], Fault | None] = lambda call: None
        self.script: list[tuple[str, str, Fault]] = []
        self.violations: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.counts: Counter[str] = Counter()
        self.sent: list[tuple[str, tuple[str, ...], bytes]] = []
        self.send_delay = 0
        """Requests that pass before a mail that was sent lies in Sent."""
        self.partial_updates = False
        """Whether changes name only what has changed."""
        self.page_limit = 1000
        self.bytes_out = 0
        self.uploads: dict[int, tuple[GraphMailbox, FakeMail, Json, bytearray]] = {}
        self._passed = 0.0
        self._waiting: list[tuple[int, GraphMailbox, str]] = []
        self._lock = threading.RLock()
        self._busy: Counter[str] = Counter()
        self._recent: dict[str, deque[float]] = {}
        self._paused: dict[str, tuple[float, int]] = {}
        """Until when, and how many more may be on their way."""
        self._http: _Http | None = None
        self.port = 0
        self.listen()

    # -- life

    def listen(self) -> None:
        """Take connections (again, on the same port)."""
        server = self

        class Handler(_Handler):
            graph = server

        self._http = _Http((self.host, self.port), Handler)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), name="graph", daemon=True).start()

    def refuse(self) -> None:
        """Take no connections until `listen`, and end those that are open."""
        http, self._http = self._http, None
        if http is not None:
            http.shutdown()
            http.server_close()
            http.end_connections()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()

    @property
    def url(self) -> str:
        """The address of the service, with its version."""
        return f"http://{self.host}:{self.port}/v1.0"

    def add_mailbox(self, address: str, token: str = "") -> GraphMailbox:
        """A mailbox, which the token "token of ADDRESS" opens."""
        mailbox = self.mailboxes[address] = GraphMailbox(address, clock=self.clock)
        self.tokens[token or f"token-{address}"] = address
        return mailbox

    def pass_time(self, seconds: float) -> None:
        """Let this much time pass at once, as far as pauses and limits are concerned."""
        with self._lock:
            self._passed += seconds

    def now(self) -> float:
        """Monotonic seconds."""
        return self.monotonic() + self._passed

    # -- one request

    def answer(self, call: Call) -> tuple[Reply, Fault | None]:
        """What the service says, and how the transport fails it."""
        fault: Fault | None = None
        try:
            owner = self._admit(call)
            with self._counted(owner):
                fault = self._fault(call)
                if fault and fault.status and not fault.after:
                    raise ServiceError(fault.status, fault.code, fault.text)
                if fault and fault.drop and not fault.after:
                    return Reply(), fault
                with self._lock:
                    self._settle()
                    reply = self._route(self.mailboxes[owner], call, fault)
                if fault and fault.status:
                    reply = _error(fault)
                    self._note_pause(call, fault)
        except ServiceError as error:
            reply = _error(fault if fault and fault.status else error.fault)
            if not isinstance(error, StillResting):
                self._note_pause(call, fault or error.fault)
        except Unaddressable as error:
            code = str(error)
            reply = _error(Fault(status=_STATUS.get(code, 404), code=code, text="The specified object was not found."))
        except BadQuery as error:
            reply = _error(Fault(status=400, code=str(error), text="The query is not supported."))
        self.bytes_out += len(reply.body)
        if problem := self.check(call, reply):
            self.violations.append(f"{call.method} {call.path}: {problem}")
        return reply, fault

    def _admit(self, call: Call) -> str:
        """Whose mailbox it is. Raises ServiceError for a bad token or another's mailbox."""
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        person = self.owner_of(token)
        if person is None:
            raise ServiceError(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
        owner = call.mailbox or person
        if owner not in self.mailboxes:
            raise ServiceError(404, "ErrorInvalidUser", f"The requested user '{owner}' is invalid.")
        if owner != person and person != "*":
            raise ServiceError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        if 'IdType="ImmutableId"' not in call.headers.get("prefer", ""):
            self.violations.append(f"{call.method} {call.path}: without immutable ids")
        return owner

    @contextlib.contextmanager
    def _counted(self, owner: str) -> Iterator[None]:
        """Within the limits of the service, which tell of themselves when they are passed."""
        with self._lock:
            now = self.now()
            recent = self._recent.setdefault(owner, deque())
            recent.append(now)
            while recent[0] < now - 600:
                recent.popleft()
            self._busy[owner] += 1
            pause = self._rest_of_pause(owner, now)
            if len(recent) > PER_TEN_MINUTES:
                self.violations.append(f"{owner}: more than {PER_TEN_MINUTES} requests in ten minutes")
            too_many = self._busy[owner] > AT_ONCE
        try:
            if too_many:
                self.violations.append(f"{owner}: more than {AT_ONCE} requests at once")
                raise ServiceError(429, "ApplicationThrottled", inner="MailboxConcurrency", retry_after=1)
            if pause:
                raise StillResting(429, "ApplicationThrottled", "within a pause", retry_after=math.ceil(pause))
            yield
        finally:
            with self._lock:
                self._busy[owner] -= 1

    def _rest_of_pause(self, owner: str, now: float) -> float:
        """Seconds that a mailbox has still to rest. Who asks all the same, and had not been on the way, is noted."""
        until, on_their_way = self._paused.get(owner, (0.0, 0))
        if now >= until - _ROUNDING:
            return 0.0
        if not on_their_way:
            self.violations.append(f"{owner}: asked within a pause")
        self._paused[owner] = (until, max(0, on_their_way - 1))
        return until - now

    def _note_pause(self, call: Call, fault: Fault) -> None:
        if not fault.retry_after or fault.status not in (429, 503):
            return
        person = self.owner_of(call.headers.get("authorization", "").removeprefix("Bearer "))
        owner, end = call.mailbox or person or "", self.now() + fault.retry_after
        with self._lock:
            if end > self._paused.get(owner, (0.0, 0))[0]:
                self._paused[owner] = (end, ON_THEIR_WAY)

    def _fault(self, call: Call) -> Fault | None:
        with self._lock:
            self.calls.append((call.method, call.path))
            self.counts[_kind_of(call)] += 1
            for index, (method, pattern, fault) in enumerate(self.script):
                if method == call.method and re.search(pattern, call.path):
                    del self.script[index]
                    return fault
            return self.faults(call)

    def take_piece(self, number: int, place: str, piece: bytes) -> Reply:
        """A piece of a file that is uploaded; with the last one it is attached."""
        with self._lock:
            box, mail, item, content = self.uploads[number]
            match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", place)
            if match is None or int(match[2]) - int(match[1]) + 1 != len(piece) or len(piece) > _LARGEST_POST:
                return _error(Fault(status=416, code="ErrorInvalidRange"))
            content[int(match[1]) :] = piece
            if len(content) < int(match[3]):
                return json_reply({"nextExpectedRanges": [f"{len(content)}-"]})
            encoded = base64.b64encode(bytes(content)).decode()
            box.attach(mail, {"name": item["name"], "contentType": item["contentType"], "contentBytes": encoded})
            return Reply(status=201)

    def _settle(self) -> None:
        """Mails on their way to Sent come nearer by one request."""
        left = []
        for count, mailbox, ref in self._waiting:
            if count > 0:
                left.append((count - 1, mailbox, ref))
            elif ref in mailbox.mails:
                mailbox.move(mailbox.mails[ref], "sentitems")
        self._waiting = left

    # -- what it knows to do

    def _route(self, box: GraphMailbox, call: Call, fault: Fault | None) -> Reply:
        for method, pattern, act in _ROUTES:
            match = re.fullmatch(pattern, call.path)
            if match and method == call.method:
                return act(_Work(self, box, call, fault), *match.groups())
        raise ServiceError(404, "UnknownError", f"no such resource: {call.path}")

    def send(self, box: GraphMailbox, mail: FakeMail) -> None:
        """A draft leaves, lands in Sent after a while and arrives at whom it is for."""
        if not mail.fields["isDraft"]:
            raise ServiceError(400, "ErrorInvalidOperation", "The item is not a draft.")
        recipients = tuple(
            str(one["emailAddress"]["address"])
            for key in ("toRecipients", "ccRecipients", "bccRecipients")
            for one in mail.fields[key]
        )
        if not recipients:
            raise ServiceError(400, "ErrorInvalidRecipients", "At least one recipient isn't valid.")
        if str(mail.fields["from"]["emailAddress"]["address"]).lower() != box.address.lower():
            raise ServiceError(403, "ErrorSendAsDenied", "The user account does not have the right to send as that.")
        raw = box.leave(mail)
        self.sent.append((box.address, recipients, raw))
        self._waiting.append((self.send_delay, box, mail.id))
        if not self.send_delay:
            self._settle()
        for address in recipients:
            if address in self.mailboxes:
                self.mailboxes[address].deliver(raw)


@dataclass(frozen=True, slots=True)
class _Work:
    """One request at work."""

    server: GraphServer
    box: GraphMailbox
    call: Call
    fault: Fault | None

    def person(self) -> Reply:
        return json_reply({"id": self.box.root[:36], "mail": self.box.address, "userPrincipalName": self.box.address})

    # folders

    def folders_delta(self) -> Reply:
        rows = [self.box.describe_folder(one) for one in self.box.folders.values()]
        select = set(shape_of(self.call.query).select) | {"id"}
        rows = [{key: value for key, value in row.items() if key in select} for row in rows]
        return json_reply({"value": rows, "@odata.deltaLink": f"{self._here}?$deltatoken={self.box.version}"})

    def folder(self, key: str) -> Reply:
        return json_reply(self.box.describe_folder(self.box.folder(key)))

    def make_folder(self, parent: str = "msgfolderroot") -> Reply:
        parent = parent if parent == "msgfolderroot" else self.box.folder(parent).id
        made = self.box.make_folder(str(self.call.json["displayName"]), parent)
        return json_reply(self.box.describe_folder(made), 201)

    def child_folders(self, parent: str = "") -> Reply:
        key = self.box.folder(parent).id if parent else self.box.root
        rows = [self.box.describe_folder(one) for one in self.box.folders.values() if one.parent == key]
        return json_reply({"value": rows})

    # mails

    def mails(self, folder: str = "") -> Reply:
        query = self.call.query
        shape, holds = shape_of(query), filter_of(query.get("$filter", ""))
        source = self.box.in_folder(folder) if folder else list(self.box.mails.values())
        found = [mail for mail in source if holds(mail)]
        if order := query.get("$orderby"):
            if order != "receivedDateTime desc":
                raise BadQuery("ErrorInvalidUrlQueryOrderBy")
            found.sort(key=lambda mail: (mail.fields["receivedDateTime"], mail.id), reverse=True)
        top, skip = min(int(query.get("$top", "10")), self.server.page_limit), int(query.get("$skip", "0"))
        page = found[skip : skip + top]
        answer: Json = {"value": [self._show(mail, shape) for mail in page]}
        if len(found) > skip + top:
            rest = "&".join(f"{key}={_escaped(value)}" for key, value in query.items() if key != "$skip")
            answer["@odata.nextLink"] = f"{self._here}?{rest}&$skip={skip + top}"
        return json_reply(answer)

    def mails_delta(self, key: str) -> Reply:
        folder, query = self.box.folder(key), self.call.query
        token = query.get("$skiptoken") or query.get("$deltatoken")
        if token:
            state = unpack(token)
            if state["e"] != self.box.epoch or state["f"] != folder.id:
                raise ServiceError(410, "SyncStateNotFound", "The sync state generation is not found.")
        else:
            if set(query) - {"$select", "$top", "changeType"}:
                raise BadQuery("ErrorInvalidUrlQuery")
            state = {"f": folder.id, "e": self.box.epoch, "from": 0, "to": 0, "at": 0, "s": query.get("$select", "")}
        if "$skiptoken" not in query:
            state |= {"to": self.box.version, "at": 0}
        rows = self._changes(folder.id, state)
        size = min(page_size(self.call.headers.get("prefer", ""), 10), self.server.page_limit)
        end = state["at"] + size
        answer: Json = {"value": rows[state["at"] : end]}
        if len(rows) > end:
            at = state["at"] if self.fault and self.fault.repeat else end
            answer["@odata.nextLink"] = f"{self._here}?$skiptoken={pack(**{**state, 'at': at})}"
        else:
            answer["@odata.deltaLink"] = f"{self._here}?$deltatoken={pack(**{**state, 'from': state['to'], 'at': 0})}"
        return json_reply(answer)

    def _changes(self, folder: str, state: Json) -> list[Json]:
        """What happened in a folder after one version and up to another, each mail once."""
        if state["from"]:
            log = self.box.folders[folder].log
            last = {ref: came for at, ref, came in log if state["from"] < at <= state["to"]}
        else:
            last = {mail.id: True for mail in self.box.in_folder(folder)}
        shape = Shape(tuple(filter(None, state["s"].split(","))))
        rows: list[Json] = []
        for ref, came in last.items():
            mail = self.box.mails.get(ref)
            if came and mail is not None and mail.folder == folder:
                only = mail.changed if self.server.partial_updates and state["from"] else frozenset()
                rows.append(shape.show(mail, only=only))
            elif state["from"]:
                rows.append({"id": ref, "@removed": {"reason": "changed" if mail else "deleted"}})
        return rows

    def mail(self, ref: str) -> Reply:
        return json_reply(self._show(self.box.mail(ref), shape_of(self.call.query)))

    def _show(self, mail: FakeMail, shape: Shape) -> Json:
        if mail.broken and (not shape.select or "body" in shape.select):
            raise ServiceError(500, "ErrorInternalServerError", "An internal server error occurred.")
        return shape.show(mail)

    def mime(self, ref: str) -> Reply:
        mail = self.box.mail(ref)
        if mail.broken:
            raise ServiceError(500, "ErrorMimeContentConversionFailed")
        return Reply(body=self.box.mime(mail), kind="text/plain")

    def create(self, folder: str = "drafts") -> Reply:
        if self.call.headers.get("content-type") == "text/plain":
            made = self.box.deliver(base64.b64decode(self.call.body), folder="Drafts", seen=True)
            return json_reply(self._show(made, Shape(())), 201)
        if len(self.call.body) > _LARGEST_POST:
            raise ServiceError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
        _require_x_headers(self.call.json)
        made = self.box.create(self.box.folder(folder), self.call.json)
        return json_reply(self._show(made, Shape(())), 201)

    def create_reply(self, ref: str) -> Reply:
        given = dict(self.call.json.get("message") or {})
        if given.get("body") and self.call.json.get("comment"):
            raise ServiceError(400, "ErrorInvalidRequest", "Both a comment and a body.")
        _require_x_headers(given)
        made = self.box.reply_to(self.box.mail(ref), given)
        return json_reply(self._show(made, Shape(())), 201)

    def change(self, ref: str) -> Reply:
        mail, given = self.box.mail(ref), self.call.json
        self._require_match(mail)
        fixed = {"subject", "body", "toRecipients", "ccRecipients", "bccRecipients", "from", "internetMessageId"}
        if not mail.fields["isDraft"] and given.keys() & fixed:
            raise ServiceError(403, "ErrorAccessDenied", "Mail-Advanced.ReadWrite is needed for sent mail.")
        self.box.change(mail, given)
        return json_reply(self._show(mail, Shape(())))

    def delete(self, ref: str) -> Reply:
        mail = self.box.mail(ref)
        self._require_match(mail)
        self.box.move(mail, "deleteditems")
        return Reply(status=204)

    def _require_match(self, mail: FakeMail) -> None:
        wanted = self.call.headers.get("if-match")
        if wanted and wanted != mail.etag:
            raise ServiceError(412, "ErrorIrresolvableConflict", "The change key passed in the request is old.")

    def move(self, ref: str) -> Reply:
        moved = self.box.move(self.box.mail(ref), str(self.call.json["destinationId"]))
        return json_reply(self._show(moved, Shape(())), 201)

    def send(self, ref: str) -> Reply:
        self.server.send(self.box, self.box.mail(ref))
        return Reply(status=202)

    # attachments, categories

    def attachments(self, ref: str) -> Reply:
        return json_reply({"value": self.box.mail(ref).attachments})

    def attach(self, ref: str) -> Reply:
        return json_reply(self.box.attach(self.box.mail(ref), self.call.json), 201)

    def begin_upload(self, ref: str) -> Reply:
        item = self.call.json["AttachmentItem"]
        number = len(self.server.uploads) + 1
        self.server.uploads[number] = (self.box, self.box.mail(ref), item, bytearray())
        answer = {"uploadUrl": f"http://{self.server.host}:{self.server.port}/upload/{number}"}
        return json_reply({**answer, "expirationDateTime": "2030-01-01T00:00:00Z", "nextExpectedRanges": ["0-"]}, 201)

    def categories(self) -> Reply:
        return json_reply({"value": self.box.categories})

    def make_category(self) -> Reply:
        name = str(self.call.json["displayName"])
        if any(str(one["displayName"]).lower() == name.lower() for one in self.box.categories):
            raise ServiceError(409, "CategoryAlreadyExists", "A category with this name exists.")
        made = {"id": f"category-{len(self.box.categories)}", "color": "none", **self.call.json}
        self.box.categories.append(made)
        return json_reply(made, 201)

    @property
    def _here(self) -> str:
        return f"http://{self.call.headers['host']}{urlsplit(self.call.target).path}"


_REF = r"([^/]+)"
_ROUTES: tuple[tuple[Literal["GET", "POST", "PATCH", "DELETE"], str, Callable[..., Reply]], ...] = (
    ("GET", "", _Work.person),
    ("GET", "/mailFolders/delta", _Work.folders_delta),
    ("GET", "/mailFolders", _Work.child_folders),
    ("POST", "/mailFolders", _Work.make_folder),
    ("GET", f"/mailFolders/{_REF}", _Work.folder),
    ("GET", f"/mailFolders/{_REF}/childFolders", _Work.child_folders),
    ("POST", f"/mailFolders/{_REF}/childFolders", _Work.make_folder),
    ("GET", f"/mailFolders/{_REF}/messages/delta", _Work.mails_delta),
    ("GET", f"/mailFolders/{_REF}/messages", _Work.mails),
    ("POST", f"/mailFolders/{_REF}/messages", _Work.create),
    ("GET", "/messages", _Work.mails),
    ("POST", "/messages", _Work.create),
    ("GET", f"/messages/{_REF}", _Work.mail),
    ("PATCH", f"/messages/{_REF}", _Work.change),
    ("DELETE", f"/messages/{_REF}", _Work.delete),
    ("GET", rf"/messages/{_REF}/\$value", _Work.mime),
    ("POST", f"/messages/{_REF}/createReply", _Work.create_reply),
    ("POST", f"/messages/{_REF}/move", _Work.move),
    ("POST", f"/messages/{_REF}/send", _Work.send),
    ("GET", f"/messages/{_REF}/attachments", _Work.attachments),
    ("POST", f"/messages/{_REF}/attachments", _Work.attach),
    ("POST", f"/messages/{_REF}/attachments/createUploadSession", _Work.begin_upload),
    ("GET", "/outlook/masterCategories", _Work.categories),
    ("POST", "/outlook/masterCategories", _Work.make_category),
)


def _require_x_headers(given: Json) -> None:
    headers = given.get("internetMessageHeaders") or ()
    if any(not str(one["name"]).lower().startswith("x-") for one in headers):
        raise ServiceError(400, "InvalidInternetMessageHeader", "The header name should start with 'x-' or 'X-'.")
    if len(headers) > 5:
        raise ServiceError(400, "InvalidInternetMessageHeaderCollection", "Maximum number of headers exceeded.")


def _kind_of(call: Call) -> str:
    """The request with ids left out, for counting."""
    return f"{call.method} {re.sub(r'/AAk[^/]+', '/{id}', call.path)}"


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace(" ", "%20").replace("&", "%26").replace("#", "%23").replace("+", "%2B")


def _error(fault: Fault) -> Reply:
    inner = {"code": fault.inner} if fault.inner else {}
    error = {"code": fault.code or "UnknownError", "message": fault.text, "innerError": {"date": "x", **inner}}
    headers = {"Retry-After": f"{fault.retry_after:.0f}"} if fault.retry_after else {}
    if fault.claims:
        headers["WWW-Authenticate"] = 'Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="'
    return Reply(status=fault.status, body=json.dumps({"error": error}).encode(), headers=headers)


# -- HTTP


class _Http(ThreadingHTTPServer):
    """Keeps its connections at hand, so that they can be ended."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def end_connections(self) -> None:
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    graph: GraphServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Silence."""

    def finish(self) -> None:
        getattr(self.server, "open", set()).discard(self.request)
        super().finish()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        if parts.path.startswith("/pass/"):  # a client in another process slept: time passes for both
            self.graph.pass_time(float(parts.path.removeprefix("/pass/")))
            self._say(Reply(status=204))
            return
        match = re.fullmatch(r"/v1\.0(?:/me|/users/([^/]+))(/.*)?", parts.path)
        if match is None:
            self._say(Reply(status=404, body=b'{"error":{"code":"BadRequest","message":"no such resource"}}'))
            return
        call = Call(
            method=self.command,
            path=unquote(match[2] or ""),
            mailbox=unquote(match[1] or ""),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={key.lower(): value for key, value in self.headers.items()},
            body=body,
            target=self.path,
        )
        reply, fault = self.graph.answer(call)
        if fault and fault.drop:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._say(reply)
        if fault and fault.hang_up:
            self.close_connection = True

    def _say(self, reply: Reply) -> None:
        """In one piece, so that nothing waits for an acknowledgement."""
        headers = {"Content-Length": str(len(reply.body)), "Content-Type": reply.kind, **reply.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.wfile.write(f"HTTP/1.1 {reply.status} x\r\n{head}\r\n".encode("latin-1") + reply.body)

    def do_PUT(self) -> None:
        """Pieces of files; without a token, for the address is secret enough."""
        piece = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "Authorization" in self.headers:
            self.graph.violations.append("a token was sent to an address for uploads")
        number = int(self.path.rpartition("/")[2])
        self._say(self.graph.take_piece(number, self.headers.get("Content-Range", ""), piece))

    do_GET = do_POST = do_PATCH = do_DELETE = _serve
