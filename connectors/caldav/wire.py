"""One HTTP line to a CalDAV server: login, redirects, limits, and what its refusals mean."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from config.values import is_loopback
from connectors.caldav.settings import CaldavSettings
from connectors.caldav.xml import Multistatus, parse
from connectors.errors import AuthRejected, Misconfigured, ProtocolViolation, Throttled, Unavailable

if TYPE_CHECKING:
    import httpx

__all__ = ["Answer", "Wire"]

_LARGEST = 64 << 20
_REDIRECTS = 5
_LATER = "quietcrm tries again by itself; if it lasts, look at the calendar server"
_LONGEST_PAUSE = 3600.0
_FAMILIES = ("icloud.com",)
"""Providers whose servers send on to another one of theirs: caldav.icloud.com to p01-caldav.icloud.com."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of any status below 500. `url` is where it came from in the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    @property
    def etag(self) -> str:
        """The version it states, "" for none."""
        return self.headers.get("etag", "").strip()


class Wire:
    """Questions and answers, blocking; opened at the first question, closed at will."""

    def __init__(self, settings: CaldavSettings) -> None:
        self._settings = settings
        self._client: httpx.Client | None = None
        self._auth: httpx.Auth | None = None
        self._token = ""

    @property
    def where(self) -> str:
        """The host, for messages."""
        return urlsplit(self._settings.url).hostname or self._settings.url

    def close(self) -> None:
        """Close the line. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def multistatus(self, method: str, url: str, body: bytes, *, depth: str = "0") -> Multistatus:
        """Ask and read a 207 answer. Raises ConnectorError for any other status, ProtocolViolation for no XML."""
        answer = self.ask(method, url, body, depth=depth)
        if answer.status != 207:
            raise self.refusal(answer)
        return self.read(answer)

    def read(self, answer: Answer) -> Multistatus:
        """The XML of an answer. Raises ProtocolViolation."""
        try:
            return parse(answer.body)
        except ValueError as error:
            raise ProtocolViolation(
                self._settings.account, f"{self.where} does not answer as a calendar server does: {error}", hint=_LATER
            ) from error

    def ask(
        self, method: str, url: str, body: bytes = b"", *, depth: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask, log in where told to, follow redirects within the same provider. Raises ConnectorError for a refused
        login, a server's trouble and everything that is no answer."""
        sent = {"Content-Type": "application/xml; charset=utf-8"} if body else {}
        sent |= {"Depth": depth} if depth else {}
        sent |= dict(headers or {})
        for _ in range(_REDIRECTS):
            self._require_ours(url)
            answer = self._once(method, url, body, sent)
            if answer.status == 401:
                answer = self._log_in(answer, method, url, body, sent)
            if answer.status not in (301, 302, 303, 307, 308):
                return self._judged(answer)
            url = urljoin(url, answer.headers.get("location", ""))
        raise ProtocolViolation(self._settings.account, f"{self.where} redirects for ever", hint="check url:")

    def refusal(self, answer: Answer) -> Misconfigured | Unavailable:
        """What a status says that nobody can go on with."""
        path = urlsplit(answer.url).path
        if answer.status == 403:
            message, hint = f"{self.where} does not let this login use {path}", "check login: and the calendar's shares"
        elif answer.status in (404, 405, 410):
            message, hint = f"{self.where} has no calendars at {path}", "correct url:, your provider tells which one"
        else:
            return Unavailable(self._settings.account, f"{self.where} answers {answer.status} for {path}", hint=_LATER)
        return Misconfigured(self._settings.account, message, hint=hint)

    def _once(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        import httpx

        if self._client is None:
            self._client = self._open()
        sent = {**headers, "Authorization": f"Bearer {self._token}"} if self._token else dict(headers)
        try:
            request = self._client.build_request(method, url, content=body, headers=sent)
            response = self._client.send(request, auth=self._auth, stream=True)
            try:
                return Answer(response.status_code, response.headers, self._body(response), url)
            finally:
                response.close()
        except httpx.InvalidURL as error:
            raise Misconfigured(self._settings.account, f"{url} is no address", hint="correct url:") from error
        except (httpx.HTTPError, ssl.SSLError) as error:
            what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
            message = f"{self.where} {what}: {str(error)[:200]}"
            raise Unavailable(self._settings.account, message, hint=_LATER) from error

    def _open(self) -> httpx.Client:
        import httpx  # 20 MB: only where there is a calendar server

        try:
            context = ssl.create_default_context(cafile=self._settings.ca or None)
        except (OSError, ssl.SSLError) as error:
            raise Misconfigured(
                self._settings.account, f"{self._settings.ca} cannot be read as certificates", hint="correct ca:"
            ) from error
        return httpx.Client(
            verify=context, timeout=httpx.Timeout(60.0, connect=20.0), headers={"User-Agent": "quietcrm"}
        )

    def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > _LARGEST:
                raise ProtocolViolation(
                    self._settings.account, f"{self.where} answers more than {_LARGEST >> 20} MB at once", hint=_LATER
                )
        return bytes(body)

    def _log_in(self, refused: Answer, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Answer a 401 as the server wants it, a second time only with a fresh token. Raises AuthRejected."""
        if self._settings.tokens is not None:
            self._token = self._settings.tokens.bearer(refused=self._token)
        elif self._auth is not None:
            raise self._rejected(refused)
        else:
            self._auth = self._choose(refused)
        answer = self._once(method, url, body, headers)
        if answer.status == 401 and self._settings.tokens is not None and self._token:
            self._token = self._settings.tokens.bearer(refused=self._token)
            answer = self._once(method, url, body, headers)
        if answer.status == 401:
            raise self._rejected(answer)
        return answer

    def _choose(self, refused: Answer) -> httpx.Auth:
        """Digest where it is offered: then the password does not go over the line."""
        import httpx

        offered = refused.headers.get("www-authenticate", "").lower()
        pair = self._settings.login, self._settings.password
        return httpx.DigestAuth(*pair) if "digest" in offered else httpx.BasicAuth(*pair)

    def _rejected(self, answer: Answer) -> AuthRejected:
        self._auth, self._token = None, ""
        offered = answer.headers.get("www-authenticate", "").lower()
        hint = "check login: and password:; many providers want an app password here"
        if self._settings.tokens is None and "bearer" in offered and "basic" not in offered:
            hint = "this server takes no passwords: write sign_in: instead of password:"
        return AuthRejected(self._settings.account, f"{self.where} refused the login", hint=hint)

    def _judged(self, answer: Answer) -> Answer:
        pause = _retry_after(answer)
        if answer.status == 429 or (answer.status == 503 and pause):
            raise Throttled(
                self._settings.account, f"{self.where} asks for a pause", retry_after=pause or 60.0, hint=_LATER
            )
        return answer

    def _require_ours(self, url: str) -> None:
        """The password goes to the server of the settings, what is below it and its siblings. Raises Misconfigured."""
        asked, home = urlsplit(url), urlsplit(self._settings.url)
        host, own = (asked.hostname or "").lower(), (home.hostname or "").lower()
        kin = (
            host == own or host.endswith(f".{own}") or any(_under(host, one) and _under(own, one) for one in _FAMILIES)
        )
        safe = asked.scheme == "https" or (asked.scheme == "http" and is_loopback(host))
        if not kin or not safe:
            raise Misconfigured(
                self._settings.account,
                f"{own} sends us on to {asked.scheme}://{host or '?'}",
                hint=f"if that is your provider's calendar server, write: url: https://{host or own}/",
            )


def _under(host: str, domain: str) -> bool:
    return host.endswith(f".{domain}")


def _retry_after(answer: Answer) -> float:
    """Seconds that a server wants to be left alone (RFC 9110 10.2.3), an hour at the most; 0 if it does not say."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 9:
        return min(float(text), _LONGEST_PAUSE)
    with suppress(ValueError, TypeError, OverflowError):
        return min(max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_PAUSE)
    return 0.0
