"""Asks Microsoft Graph: one question at a time or four, again where that is harmless, and never before a pause is over.

What may be asked again: every GET, PATCH and DELETE, after 429, 5xx, a broken line or silence. A POST makes or moves
something, so after anything but a clear no it raises `Lost`: it may have been done, and who asked has to look.
Limits of the service (Microsoft, "Throttling limits", Outlook): 4 requests at once and 10,000 in 10 minutes for each
mailbox; Retry-After is obeyed for the mailbox as a whole, by its source, its desk and its mailer alike.
"""

from __future__ import annotations

import functools
import json
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit
from weakref import WeakValueDictionary

from connectors.graph.settings import GraphSettings, Pace

if TYPE_CHECKING:
    import httpx

__all__ = ["AT_ONCE", "Garbled", "GraphClient", "Json", "Lost", "Refused", "entries"]

Json = dict[str, Any]

AT_ONCE: Final = 4
TRIES: Final = 4
PATIENCE: Final = 15.0
"""Seconds that one question may wait inside a call; longer pauses are the business of whoever called."""
_AGAIN = frozenset({408, 429, 500, 502, 503, 504, 509})
_UNCLEAR = frozenset({408, *range(500, 600)}) - {501, 507}
"""What may come from something in front of the service while the service does its work. 507 is its own word: full."""
_IMMUTABLE = 'IdType="ImmutableId"'
_LARGEST = 16 << 20
_PIECE = 10 * 320 * 1024
"""Pieces of a file have to be multiples of 320 kB, below 4 MB."""
_WORST_WAIT = 3600.0


class Refused(Exception):
    """The service said no. `code` is the word of its error object ("ErrorItemNotFound"), `inner` that of the error
    within; `retry_after` in seconds, 0 if it named no pause."""

    def __init__(
        self, status: int, code: str = "", text: str = "", *, inner: str = "", retry_after: float = 0.0, asked: str = ""
    ) -> None:
        super().__init__(f"{status} {code} {text}".strip())
        self.status = status
        self.code = code
        self.text = text
        self.inner = inner
        self.retry_after = retry_after
        self.asked = asked


class Lost(Exception):
    """A POST was handed over and nobody knows whether it was done: no answer, or one that says nothing (5xx)."""


class Garbled(Exception):
    """An answer that is not what the protocol allows."""


@dataclass(slots=True, weakref_slot=True)
class _Gate:
    """What all connections to one mailbox share: four places, and the end of a pause (monotonic seconds)."""

    places: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))
    opens_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def close_until(self, at: float) -> None:
        """A pause lasts until then, or longer if a longer one was told to another connection."""
        with self._lock:
            self.opens_at = max(self.opens_at, at)


_gates: WeakValueDictionary[tuple[str, str], _Gate] = WeakValueDictionary()
_gates_lock = threading.Lock()


def _gate_of(settings: GraphSettings) -> _Gate:
    key = (settings.service, settings.login.lower())
    with _gates_lock:
        gate = _gates.get(key)
        if gate is None:
            gate = _gates[key] = _Gate()
        return gate


class GraphClient:
    """Questions to one mailbox. May be used from several threads; `close` it after use, it connects again when asked.

    Paths start with "/" and lie below the mailbox; links that the service gave (`@odata.nextLink`) are taken whole.
    """

    def __init__(self, settings: GraphSettings, heard: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._heard = heard
        self._gate = _gate_of(settings)
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None

    @property
    def where(self) -> str:
        """The host, for messages."""
        return urlsplit(self._settings.service).netloc

    @property
    def pace(self) -> Pace:
        """How time passes."""
        return self._settings.pace

    def close(self) -> None:
        """Let go of the connections. Safe to call twice."""
        with self._lock:
            http, self._http = self._http, None
        if http is not None:
            http.close()

    # -- questions

    def get(self, path: str, params: Mapping[str, str] | None = None, *, prefer: Iterable[str] = ()) -> Json:
        """An object. Raises Refused, Garbled, httpx.TransportError and what `Tokens.bearer` raises, as all do."""
        return _object(self._ask("GET", path, params=params, prefer=prefer))

    def get_bytes(self, path: str) -> bytes:
        """A file: the mail as MIME, an attachment. At most 16 MB of it."""
        return self._ask("GET", path).content[:_LARGEST]

    def pages(self, path: str, params: Mapping[str, str], *, prefer: Iterable[str] = ()) -> Iterator[Json]:
        """The entries of a list, following its links."""
        answer = self.get(path, params, prefer=prefer)
        while True:
            yield from entries(answer)
            link = answer.get("@odata.nextLink")
            if not link:
                return
            answer = self.get(str(link), prefer=prefer)

    def patch(self, path: str, changes: Json, *, etag: str = "") -> Json:
        """Change an object; the object as it is then."""
        return _object(self._ask("PATCH", path, body=changes, etag=etag))

    def delete(self, path: str, *, etag: str = "") -> None:
        """Delete an object; no error if it is gone already."""
        try:
            self._ask("DELETE", path, etag=etag)
        except Refused as error:
            if error.status != 404:
                raise

    def post(self, path: str, body: Json | None = None, *, timeout: float = 0.0) -> Json:
        """Make, move or send something, once. Raises Lost where nobody knows whether it was done."""
        answer = self._ask("POST", path, body=body, once=True, timeout=timeout)
        return _object(answer) if answer.content else {}

    def upload(self, url: str, content: bytes) -> None:
        """Put a file where the service said, piece by piece. That address has a permission of its own in it, so it gets
        no token, and may lie on another host."""
        if urlsplit(url).scheme != "https" and urlsplit(url).netloc != self.where:
            raise Garbled(f"an address for a file that is not protected, {url[:80]!r}")
        for start in range(0, len(content), _PIECE):
            piece = content[start : start + _PIECE]
            answer = self._put(url, piece, f"bytes {start}-{start + len(piece) - 1}/{len(content)}")
            if not answer.is_success:
                raise _refusal(answer)

    def _put(self, url: str, piece: bytes, place: str) -> httpx.Response:
        import httpx

        for attempt in range(1, TRIES + 1):
            try:
                answer = self._client().put(
                    url, content=piece, headers={"Content-Range": place}, timeout=self._settings.timeout
                )
            except httpx.TransportError:
                if attempt == TRIES:
                    raise
            else:
                if answer.status_code not in _AGAIN or attempt == TRIES:
                    return answer
            self._pause(attempt)
        raise AssertionError("unreachable")

    # -- one question

    def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Json | None = None,
        prefer: Iterable[str] = (),
        etag: str = "",
        once: bool = False,
        timeout: float = 0.0,
    ) -> httpx.Response:
        request = self._client().build_request(
            method,
            self._url(path),
            params=params or None,
            content=None if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8"),
            headers=_headers(prefer, body is not None, etag),
            timeout=timeout or self._settings.timeout,
        )
        if method == "POST" and body is None:
            request.headers["Content-Length"] = "0"
        return self._insist(request, once=once)

    def _insist(self, request: httpx.Request, *, once: bool) -> httpx.Response:
        """Again where that is harmless, while the pauses stay short. Raises Refused, Lost or httpx.TransportError."""
        import httpx

        for attempt in range(1, TRIES + 1):
            try:
                answer = self._send_signed(request)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):  # nothing was handed over
                if attempt == TRIES:
                    raise
            except httpx.TransportError as error:
                if once:
                    raise Lost(f"no answer came: {error or type(error).__name__}") from error
                if attempt == TRIES:
                    raise
            else:
                if answer.is_success:
                    return answer
                refused = _refusal(answer)
                if once and answer.status_code in _UNCLEAR:
                    raise Lost(f"answered with {refused}") from refused
                if attempt == TRIES or answer.status_code not in _AGAIN:
                    raise refused
                if refused.retry_after > PATIENCE:
                    raise refused
            self._pause(attempt)
        raise AssertionError("unreachable")

    def _send_signed(self, request: httpx.Request) -> httpx.Response:
        """With a token; if the service would not take it, once more with another one."""
        token = self._settings.tokens.bearer()
        answer = self._send(request, token)
        if answer.status_code == 401:
            answer = self._send(request, self._settings.tokens.bearer(refused=token))
        return answer

    def _send(self, request: httpx.Request, token: str) -> httpx.Response:
        request.headers["Authorization"] = f"Bearer {token}"
        with self._place():
            answer = self._client().send(request)
            if not answer.is_success:  # the next one who gets this place has to know
                self._rest(_seconds(answer.headers.get("Retry-After", "")))
        self._heard()
        return answer

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One of the four places, once a pause that the service asked for is over. Raises Refused if it is long."""
        with self._gate.places:
            while (left := self._gate.opens_at - self.pace.monotonic()) > 0:  # it may grow meanwhile
                if left > PATIENCE:
                    raise Refused(429, "paused", "the service asked for a pause", retry_after=left)
                self.pace.sleep(left)
            yield

    def _rest(self, seconds: float) -> None:
        if seconds > 0:
            self._gate.close_until(self.pace.monotonic() + min(seconds, _WORST_WAIT))

    def _pause(self, attempt: int) -> None:
        """Before another try: 0.5, 1, 2 seconds and up to as much again; not after a mere keep-alive that ended."""
        self.pace.sleep(0.25 * 2**attempt * (1 + self.pace.chance()))

    def _client(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._http is None:
                limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=90.0)
                trust = _trust() if self._settings.service.startswith("https:") else False
                self._http = httpx.Client(verify=trust, limits=limits, follow_redirects=False)
            return self._http

    def _url(self, path: str) -> str:
        """The whole address; a link is believed only if it leads to the service itself, since it gets the token."""
        if path[:1] in ("", "/"):
            return f"{self._settings.service}{quote(self._settings.root)}{path}"
        ours, theirs = urlsplit(self._settings.service), urlsplit(path)
        if (theirs.scheme, theirs.netloc.lower()) != (ours.scheme, ours.netloc.lower()):
            raise Garbled(f"a link leads to another host, {theirs.netloc[:80]!r}")
        return path


@functools.cache
def _trust() -> ssl.SSLContext:
    """The authorities that this machine trusts; read once for all mailboxes."""
    return ssl.create_default_context()


def entries(answer: Json) -> list[Json]:
    """The entries of a page. Raises Garbled."""
    value = answer.get("value")
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Garbled("a list without entries")
    return value


def _headers(prefer: Iterable[str], has_body: bool, etag: str) -> dict[str, str]:
    headers = {"Prefer": ", ".join((_IMMUTABLE, *prefer)), "Accept": "application/json"}
    if has_body:
        headers["Content-Type"] = "application/json"
    if etag:
        headers["If-Match"] = etag
    return headers


def _object(answer: httpx.Response) -> Json:
    try:
        found = json.loads(answer.content)
    except ValueError as error:
        raise Garbled("an answer that is not JSON") from error
    if not isinstance(found, dict):
        raise Garbled("an answer that is no object")
    return found


def _refusal(answer: httpx.Response) -> Refused:
    try:
        error = json.loads(answer.content)["error"]
        code, text = str(error.get("code", "")), str(error.get("message", ""))
        inner = str((error.get("innerError") or error.get("innererror") or {}).get("code", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        code, text, inner = "", answer.reason_phrase, ""
    if answer.status_code == 401 and "claims=" in answer.headers.get("WWW-Authenticate", ""):
        inner = inner or "ClaimsChallenge"
    return Refused(
        answer.status_code,
        code,
        " ".join(text.split())[:300],
        inner=inner,
        retry_after=_seconds(answer.headers.get("Retry-After", "")),
        asked=f"{answer.request.method} {answer.request.url.path}",
    )


def _seconds(text: str) -> float:
    """Retry-After (RFC 9110 10.2.3) in seconds; the service never sends the form with a date."""
    return min(float(text), _WORST_WAIT) if text.strip().isdecimal() else 0.0
