"""An Exchange Server as far as EWS goes: real HTTP and SOAP on loopback, mailboxes with state, faults at will.

It stands here because no Exchange runs on Linux. It keeps to what Microsoft documents, and every request and answer is
held against Microsoft's published schema where that lies beside the repository. What a client must never do is noted in
`violations`; a test ends with `assert not server.violations`.
"""

from __future__ import annotations

import base64
import itertools
import os
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lxml import etree
from servers.certificates import Certificates
from servers.ews_faults import SOAP, Faults, Oracle, envelope, soap_fault
from servers.ews_items import TNS, Element, M, T, local, stamp
from servers.ews_operations import Caller, Refusal, answer
from servers.ews_store import START, Change, Folder, Item, Mailbox

MOST_AT_ONCE = 27
MOST_HANGING = 10


class EwsServer:
    """`with EwsServer() as server: server.url`. One mailbox, ana@vendas.example with password "secret", is there.

    auth            "basic", "ntlm" (both really verified), "bearer", or "none" = every login is refused
    delegates       (login, address) pairs that may open another's mailbox; `impersonators` may act as anybody
    fraction        what stands behind the seconds of times, ".1234567"
    takes_any_state an unknown sync state is taken as none, silently
    repeats_pages   each page of a sync begins with the one before
    commit_times    whether folders tell when they last changed (0x670A)
    quota_reached   mailboxes that take nothing more; `refuse` = a code that every request is answered with
    send_refusal    a code that SendItem is answered with
    wraps_uids      UIDs of others come as GlobalObjectIds; `hides_uids` = none come at all
    drifts_originals    changed occurrences tell an original start that is an hour off, as after a change of the clocks
    most_in_view    how many entries a CalendarView gives at most, whatever is asked for
    breaks_views    a CalendarView in which something broken stands is refused as a whole
    calendar_delegates  (login, address) pairs that may open another's calendar and nothing else
    invitations     (operation, subject, address) of all that would have been sent to people invited
    fails_on        ids of items over which every GetItem breaks down (504)
    drops_idle      the connection is closed after each answer, without a word
    """

    def __init__(self, *, auth: str = "basic", certificates: Certificates | None = None) -> None:
        self.auth = auth
        self.certificates = certificates
        self.read_only = False
        self.users = {"ana@vendas.example": "secret"}
        self.tokens: dict[str, str] = {}
        self.boxes: dict[str, Mailbox] = {}
        self.delegates: set[tuple[str, str]] = set()
        self.impersonators: set[str] = set()
        self.faults = Faults()
        self.oracle = Oracle()
        self.violations: list[str] = []
        self.requests: Counter[str] = Counter()
        self.bytes_in = self.bytes_out = 0
        self.early = 0
        self.back_off = 5.0
        self.clock: Callable[[], float] = time.monotonic
        self.fraction = ""
        self.takes_any_state = False
        self.repeats_pages = False
        self.repeated: dict[str, list[Change]] = {}
        self.commit_times = True
        self.quota_reached: set[str] = set()
        self.refuse = ""
        self.send_refusal = ""
        self.refuse_http: tuple[int, dict[str, str], bytes] | None = None
        self.wraps_uids = self.hides_uids = self.drifts_originals = False
        self.most_in_view = 1000
        self.breaks_views = False
        self.calendar_delegates: set[tuple[str, str]] = set()
        self.invitations: list[tuple[str, str, str]] = []
        self.fails_on: set[str] = set()
        self.drops_idle = False
        self.silent = False
        self.sent: list[tuple[str, bytes]] = []
        self.subscriptions: dict[str, tuple[Mailbox, list[tuple[str, str, str]]]] = {}
        self.streams = 0
        self.news = threading.Condition(threading.RLock())
        self._ids = itertools.count(1)
        self._busy_until: dict[str, float] = {}
        self._running: Counter[str] = Counter()
        self._folder = TemporaryDirectory()
        self._closing = False
        self._stream_epoch = 0
        self.add_mailbox("ana@vendas.example")

    # -- life

    def start(self, port: int = 0) -> None:
        self._closing = False
        self._http = _Http(("127.0.0.1", port), self)
        if self.certificates:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificates.certificate, self.certificates.key)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        accounts = Path(self._folder.name) / "ntlm"
        accounts.write_text("".join(f"{_domain(name)}:{_plain(name)}:{word}\n" for name, word in self.users.items()))
        os.environ["NTLM_USER_FILE"] = str(accounts)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections from now on; `start(server.port)` opens the same port again."""
        self._closing = True
        self.end_streams()
        self._http.shutdown()
        self._http.drop_all()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> EwsServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        os.environ.pop("NTLM_USER_FILE", None)
        self._folder.cleanup()

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificates else ''}://127.0.0.1:{self.port}/EWS/Exchange.asmx"

    def drop_connections(self) -> None:
        """Cut every open connection, as a proxy does with what was idle for long."""
        self._http.drop_all()

    # -- mailboxes

    def add_mailbox(self, address: str) -> Mailbox:
        box = self.boxes[address] = Mailbox(address, len(self.boxes) + 1)

        def notify(event: str, item: Item) -> None:
            with self.news:
                for owner, waiting in self.subscriptions.values():
                    if owner is box and not self.silent:
                        waiting.append((event, item.id, item.folder))
                self.news.notify_all()

        box.notify = notify
        return box

    @property
    def box(self) -> Mailbox:
        return next(iter(self.boxes.values()))

    def deliver(self, raw: bytes, *, folder: str = "inbox", received: datetime = START, **fields: object) -> Item:
        """A mail comes into the first mailbox, into a folder by its distinguished name or its path."""
        with self.news:
            try:
                place = self.box.folder(folder)
            except KeyError:
                place = self.box.folder_path(folder)
            return self.box.add(raw, place, received=received, **fields)

    def address_of(self, folder: str) -> str:
        """Whose folder it is."""
        return next((one.address for one in self.boxes.values() if folder in one.folders), "")

    def box_for(
        self, login: str, address: str, *, beside: Mailbox | None = None, folder: Folder | None = None
    ) -> Mailbox:
        """The mailbox, if this login may open it, or this folder of it. Raises Refusal."""
        if address not in self.boxes:
            raise Refusal("ErrorNonExistentMailbox", f"No mailbox with such guid or address: {address}")
        box = self.boxes[address]
        allowed = login == address or box is beside or (login, address) in self.delegates
        if folder is not None and folder.distinguished == "calendar":
            allowed = allowed or (login, address) in self.calendar_delegates
        if not allowed and login not in self.impersonators:
            raise Refusal("ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return box

    def require_room(self, box: Mailbox) -> None:
        if box.address in self.quota_reached:
            raise Refusal("ErrorQuotaExceeded", "The mailbox has exceeded its quota.")

    def send(self, box: Mailbox, item: Item) -> None:
        """Hand a draft over: it lies in Sent under a new id, and in the mailbox of whom it is for, if that is here."""
        self.sent.append((box.address, item.raw))
        item.draft = False
        box.move(item, box.folder("sentitems"))
        for address, other in self.boxes.items():
            if address in item.text("To").lower():
                other.add(item.raw, other.folder("inbox"), received=item.received)

    # -- streaming

    def subscribe(self, box: Mailbox) -> str:
        name = f"sub{next(self._ids)}"
        self.subscriptions[name] = box, []
        self.news.notify_all()
        return name

    def end_streams(self, *, forget: bool = False) -> None:
        """Say goodbye on every open stream; `forget` = the subscriptions are gone as well."""
        with self.news:
            self._stream_epoch += 1
            if forget:
                self.subscriptions.clear()
            self.news.notify_all()

    # -- one request

    def handle(self, login: str, data: bytes) -> tuple[int, dict[str, str], bytes, str]:
        """(status, headers, body, how the connection ends: "", "cut" or "half")."""
        request = etree.fromstring(data)
        body = request.find(f"{{{SOAP}}}Body")[0]
        name = local(body)
        with self.news:
            self.requests[name] += 1
            self.bytes_in += len(data)
            self.violations += self.oracle.complaints(request)
            busy = self._throttled(login)
            if busy:
                return busy
            fault = "504" if name == "GetItem" and self._breaks_on(body) else self.faults.next(name)
            self.news.notify_all()
            if fault in _ANSWERS:
                if fault in ("429", "busy500", "busy200"):
                    self._busy_until[login] = self.clock() + self.back_off
                return _ANSWERS[fault](self)
            status, headers, content = self._carry_out(login, request, body)
            self.bytes_out += len(content)
        if fault == "504-done":
            return 504, {}, b"<html>Gateway Timeout</html>", ""
        return status, headers, content, {"cut-done": "cut", "half-done": "half"}.get(fault, "")

    def _breaks_on(self, body: Element) -> bool:
        return any(one.get("Id") in self.fails_on for one in body.iter(f"{{{TNS}}}ItemId"))

    def _throttled(self, login: str) -> tuple[int, dict[str, str], bytes, str] | None:
        """Within a back-off every further request is one too early."""
        if self.clock() >= self._busy_until.get(login, -1e9):
            return None
        self.early += 1
        return _ANSWERS["busy500"](self)

    def _carry_out(self, login: str, request: Element, body: Element) -> tuple[int, dict[str, str], bytes]:
        if self.refuse_http:
            return self.refuse_http
        try:
            if self.refuse:
                raise Refusal(self.refuse)
            content = envelope(answer(self, self._caller(login, request), body))
        except Refusal as refusal:
            return 500, {}, soap_fault(refusal.code, refusal.text)
        self.violations += [f"answer: {one}" for one in self.oracle.complaints(etree.fromstring(content))]
        return 200, {}, content

    def _caller(self, login: str, request: Element) -> Caller:
        acting = request.find(f".//{{{TNS}}}ExchangeImpersonation")
        if acting is not None:
            if login not in self.impersonators:
                raise Refusal("ErrorImpersonateUserDenied", "The account does not have permission to impersonate.")
            address = acting.findtext(f".//{{{TNS}}}PrimarySmtpAddress") or ""
            return Caller(login, self.box_for(login, address))
        own = self.boxes.get(login)
        return Caller(login, own if own is not None else self.box)

    def enter(self, login: str) -> None:
        with self.news:
            self._running[login] += 1
            if self._running[login] > MOST_AT_ONCE:
                self.violations.append(f"more than {MOST_AT_ONCE} requests of {login} at once")

    def leave(self, login: str) -> None:
        with self.news:
            self._running[login] -= 1

    def stream(self, names: list[str], minutes: float, write: Callable[[bytes], None]) -> None:
        """GetStreamingEvents: one document after another until the time is over. Raises OSError when nobody listens."""
        with self.news:
            self.streams += 1
            epoch = self._stream_epoch
            if self.streams > MOST_HANGING:
                self.violations.append(f"more than {MOST_HANGING} streams at once")
        try:
            if any(name not in self.subscriptions for name in names):
                write(envelope(_stream_refused(names)))
                return
            write(envelope(_stream_page([], "OK")))
            end = time.monotonic() + minutes * 60
            while time.monotonic() < end and not self._closing:
                with self.news:
                    events = [(name, self.subscriptions[name][1]) for name in names if name in self.subscriptions]
                    if not any(waiting for _, waiting in events) and epoch == self._stream_epoch:
                        self.news.wait(1.0)
                    told = [(name, waiting[:]) for name, waiting in events if waiting]
                    for _, waiting in events:
                        waiting.clear()
                if told:
                    write(envelope(_stream_page(told, "OK")))
                if epoch != self._stream_epoch:
                    break
            write(envelope(_stream_page([], "Closed")))
        finally:
            with self.news:
                self.streams -= 1


def _stream_page(told: list[tuple[str, list[tuple[str, str, str]]]], status: str) -> Element:
    message = M.GetStreamingEventsResponseMessage(M.ResponseCode("NoError"), ResponseClass="Success")
    if told:
        notifications = M.Notifications()
        for name, events in told:
            one = T.Notification(T.SubscriptionId(name))
            for event, item, folder in events:
                at = T.TimeStamp(stamp(START))
                one.append(T(event, at, T.ItemId(Id=item, ChangeKey="CQ=="), T.ParentFolderId(Id=folder)))
            notifications.append(one)
        message.append(notifications)
    message.append(M.ConnectionStatus(status))
    return M.GetStreamingEventsResponse(M.ResponseMessages(message))


def _stream_refused(names: list[str]) -> Element:
    message = M.GetStreamingEventsResponseMessage(
        M.MessageText("The specified subscription was not found."),
        M.ResponseCode("ErrorSubscriptionNotFound"),
        M.DescriptiveLinkKey("0"),
        M.ErrorSubscriptionIds(*(T.SubscriptionId(name) for name in names)),
        M.ConnectionStatus("Closed"),
        ResponseClass="Error",
    )
    return M.GetStreamingEventsResponse(M.ResponseMessages(message))


def _busy(server: EwsServer, status: int) -> tuple[int, dict[str, str], bytes, str]:
    text = "The server cannot service this request right now. Try again later."
    return status, {}, soap_fault("ErrorServerBusy", text, back_off=server.back_off), ""


_ANSWERS: dict[str, Callable[[EwsServer], tuple[int, dict[str, str], bytes, str]]] = {
    "503": lambda _: (503, {}, b"<html>Service Unavailable</html>", ""),
    "429": lambda server: (429, {"Retry-After": str(int(server.back_off))}, b"", ""),
    "busy500": lambda server: _busy(server, 500),
    "busy200": lambda server: _busy(server, 200),
    "504": lambda _: (504, {}, b"<html>Gateway Timeout</html>", ""),
    "cut": lambda _: (200, {}, b"", "cut"),
    "html": lambda _: (200, {}, b"<html><body>Welcome to the proxy</body></html>", ""),
}


def _plain(login: str) -> str:
    return login.rpartition("\\")[2]


def _domain(login: str) -> str:
    return login.rpartition("\\")[0]


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], server: EwsServer) -> None:
        self.ews = server
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def drop_all(self) -> None:
        for one in list(self._open):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._open.discard(one)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Http

    def setup(self) -> None:
        super().setup()
        self.login = ""
        self.ntlm: Any = None

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        ews = self.server.ews
        if not self._authorised(ews):
            return
        ews.enter(self.login)
        try:
            if b"GetStreamingEvents" in data:
                self._stream(ews, data)
                return
            status, headers, body, end = ews.handle(self.login, data)
            if end == "cut":
                self.close_connection = True
                return
            self._say(status, headers, body, half=end == "half")
        finally:
            ews.leave(self.login)
        if ews.drops_idle or end == "half":
            self.close_connection = True

    def _say(self, status: int, headers: dict[str, str], body: bytes, *, half: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/xml; charset=utf-8" if body[:1] == b"<" else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        self.wfile.flush()

    def _stream(self, ews: EwsServer, data: bytes) -> None:
        request = etree.fromstring(data)
        with ews.news:
            ews.requests["GetStreamingEvents"] += 1
            ews.violations += ews.oracle.complaints(request)
            fault = ews.faults.next("GetStreamingEvents")
            ews.news.notify_all()
        if fault:
            status, headers, body, end = _ANSWERS[fault](ews)
            self.close_connection = True
            if end != "cut":
                self._say(status, headers, body)
            return
        names = [one.text or "" for one in request.iter(f"{{{TNS}}}SubscriptionId")]
        minutes = float(next(one for one in request.iter() if local(one) == "ConnectionTimeout").text or 0)
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

        def write(document: bytes) -> None:
            ews.violations += [f"answer: {one}" for one in ews.oracle.complaints(etree.fromstring(document))]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(document), document))
            self.wfile.flush()

        try:
            ews.stream(names, minutes, write)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    # -- who is it

    def _authorised(self, ews: EwsServer) -> bool:
        if self.login and ews.auth == "ntlm":  # NTLM vouches for a connection, not for a request
            return True
        kind, _, said = self.headers.get("Authorization", "").partition(" ")
        if ews.auth == "basic" and kind.lower() == "basic":
            name, _, word = base64.b64decode(said).decode("utf-8", "replace").partition(":")
            if ews.users.get(name) == word:
                self.login = name
                return True
        if ews.auth == "bearer" and said in ews.tokens:
            self.login = ews.tokens[said]
            return True
        if ews.auth == "ntlm" and kind in ("NTLM", "Negotiate"):
            return self._negotiate(ews, said)
        self._refuse({"basic": 'Basic realm="exchange"', "bearer": "Bearer", "ntlm": "NTLM"}.get(ews.auth, "NTLM"))
        return False

    def _negotiate(self, ews: EwsServer, said: str) -> bool:
        import spnego

        try:
            self.ntlm = self.ntlm or spnego.server(protocol="ntlm")
            token = self.ntlm.step(base64.b64decode(said))
        except spnego.exceptions.SpnegoError:
            self.ntlm = None
            self._refuse("NTLM")
            return False
        if self.ntlm.complete:
            name = _plain(str(self.ntlm.client_principal))
            self.login = next((one for one in ews.users if _plain(one).lower() == name.lower()), "")
            return bool(self.login)
        self._refuse(f"NTLM {base64.b64encode(token).decode()}")
        return False

    def _refuse(self, challenge: str) -> None:
        self._say(401, {"WWW-Authenticate": challenge}, b"")
