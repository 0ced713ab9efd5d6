"""A person signs in: by browser with the code coming back to this machine, or by a code typed in elsewhere.

Authorization code with PKCE on a loopback redirect (RFC 6749 4.1, RFC 7636, RFC 8252 7.3); device code (RFC 8628). What
comes back is believed only with the state of this attempt: anything else that reaches the port is answered and passed
over.
"""

from __future__ import annotations

import base64
import hashlib
import html
import secrets
import selectors
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self, TextIO
from urllib.parse import parse_qsl, urlencode, urlsplit

from connectors.errors import AuthRejected, Misconfigured, ProtocolViolation
from connectors.oauth.providers import extra_of_authorize, identity_scopes, names_scopes
from connectors.oauth.wire import Answer, Desk, Refusing
from connectors.refusals import login_command

__all__ = ["BrowserLogin", "DeviceLogin", "TypedCode", "revoke"]

_LONGEST_REQUEST = 32 << 10
_SLOWER = 5.0


class BrowserLogin:
    """One attempt. Show `url` to the person, `wait`, then `redeem`; use it in a `with` block.

    scopes   everything that is to be allowed; `first` is what the first access token is for
    """

    def __init__(
        self, desk: Desk, user: str, scopes: tuple[str, ...], first: tuple[str, ...], *, port: int = 0
    ) -> None:
        self._desk = desk
        self._first = first
        if not desk.places.authorize:
            raise Misconfigured(desk.account, "the provider has no page to sign in", hint="set authorize: or --device")
        self._listener = _listen(desk.account, port)
        host = "localhost" if desk.sign_in.provider == "microsoft" else "127.0.0.1"
        self.port: int = self._listener.getsockname()[1]
        self.redirect = f"http://{host}:{self.port}"
        self._state = secrets.token_urlsafe(32)
        self._verifier = secrets.token_urlsafe(64)
        asked = (*scopes, *identity_scopes(desk.sign_in))
        self.url = self._address(user, tuple(dict.fromkeys(asked)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _address(self, user: str, scopes: tuple[str, ...]) -> str:
        digest = hashlib.sha256(self._verifier.encode()).digest()
        fields = {
            "response_type": "code",
            "client_id": self._desk.sign_in.client_id or "",
            "redirect_uri": self.redirect,
            "scope": " ".join(scopes),
            "state": self._state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **extra_of_authorize(self._desk.sign_in, user),
        }
        page = self._desk.places.authorize
        return f"{page}{'&' if urlsplit(page).query else '?'}{urlencode(fields)}"

    def wait(self, seconds: float, *, typed: TextIO | None = None) -> str:
        """The code. It comes by the browser of this machine, or a person pastes the address at which their browser
        ended into `typed`. Raises AuthRejected for a refusal, and after `seconds`."""
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            if typed is not None:
                selector.register(typed, selectors.EVENT_READ)
            while (left := end - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.fileobj is self._listener:
                        fields = self._called()
                    else:
                        line = typed.readline() if typed else ""
                        if not line:  # nobody types there any more
                            selector.unregister(key.fileobj)
                        fields = _fields(line.strip())
                    if self._is_ours(fields):
                        return self._code(fields)
        minutes = round(seconds / 60)
        hint = f"begin again: {login_command(self._desk.account)}"
        raise AuthRejected(self._desk.account, f"nobody signed in within {minutes} minutes", hint=hint)

    def redeem(self, code: str) -> Answer:
        """Tokens for the code. Raises ConnectorError."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect,
            "code_verifier": self._verifier,
        }
        if names_scopes(self._desk.sign_in):
            form["scope"] = " ".join((*self._first, *identity_scopes(self._desk.sign_in)))
        try:
            return self._desk.tokens(form)
        except Refusing as refusing:
            raise self._desk.rejected(refusing, scopes=self._first) from refusing

    def _is_ours(self, fields: Mapping[str, str]) -> bool:
        return secrets.compare_digest(fields.get("state", "").encode(), self._state.encode())

    def _code(self, fields: Mapping[str, str]) -> str:
        if code := fields.get("code"):
            return code
        said = fields.get("error_description", "").replace("\r\n", " ")
        error = fields.get("error_subtype") or fields.get("error") or "access_denied"
        raise self._desk.rejected(Refusing(error[:80], said[:300]), scopes=self._first)

    def _called(self) -> dict[str, str]:
        """The fields of one request to our port, {} for what is no redirect of ours; it gets a page in any case."""
        try:
            line, _ = self._listener.accept()
        except OSError:
            return {}
        with line:
            try:
                line.settimeout(5.0)
                request = _read_head(line)
                verb, _, rest = request.partition(" ")
                fields = _fields(rest.split(" ")[0]) if verb == "GET" else {}
                line.sendall(_page(fields, ours=self._is_ours(fields)))
            except OSError:
                return {}
        return fields


def _listen(account: str, port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        hint = "leave out --port, or name another"
        raise Misconfigured(account, f"port {port} of this machine cannot be used", hint=hint) from error


def _read_head(line: socket.socket) -> str:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _LONGEST_REQUEST:
        part = line.recv(4096)
        if not part:
            break
        head += part
    return head.split(b"\r\n")[0].decode("latin-1")


def _fields(address: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(urlsplit(address).query))
    except ValueError:
        return {}


def _page(fields: Mapping[str, str], *, ours: bool) -> bytes:
    title, text = "Signed in", "quietcrm may read this mailbox now. You can close this window."
    if not ours:
        title, text = "Not expected", "This address belongs to no sign-in that is under way."
    elif "code" not in fields:
        title, text = "Not signed in", fields.get("error_description") or fields.get("error") or "The provider refused."
    body = (
        f"<!doctype html><meta charset=utf-8><title>{title}</title>"
        f'<body style="font:18px sans-serif;margin:4em"><h1>{title}</h1><p>{html.escape(text)}</p>'
    ).encode()
    status = "200 OK" if ours else "400 Bad Request"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Cache-Control: no-store\r\nConnection: close\r\n\r\n".encode() + body


@dataclass(frozen=True, slots=True)
class TypedCode:
    """What a person types in, and where. Times in seconds."""

    user_code: str
    page: str
    device_code: str
    interval: float
    lasts: float


class DeviceLogin:
    """Sign-in on another machine: show the `code`, then `wait`."""

    def __init__(self, desk: Desk, scopes: tuple[str, ...], first: tuple[str, ...]) -> None:
        self._desk = desk
        self._first = first
        if not desk.places.device:
            raise Misconfigured(desk.account, "the provider offers no device codes", hint="leave out --device")
        asked = dict.fromkeys((*scopes, *identity_scopes(desk.sign_in)))
        try:
            data = desk.ask(desk.places.device, {"scope": " ".join(asked)})
        except Refusing as refusing:
            raise desk.rejected(refusing, scopes=scopes) from refusing
        page = data.get("verification_uri") or data.get("verification_url")  # Google's is of before the RFC
        if not all(isinstance(one, str) and one for one in (data.get("user_code"), data.get("device_code"), page)):
            raise ProtocolViolation(desk.account, "the provider's answer holds no device code", hint="try by browser")
        interval, lasts = _number(data.get("interval"), 5.0), _number(data.get("expires_in"), 900.0)
        self.code = TypedCode(data["user_code"], str(page), data["device_code"], max(interval, 1.0), lasts)

    def wait(self, *, pause: Callable[[float], None] = time.sleep) -> Answer:
        """Ask until the person has agreed. Raises AuthRejected if they decline, or do not come in time."""
        waited, interval = 0.0, self.code.interval
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": self.code.device_code}
        while waited < self.code.lasts:
            pause(interval)
            waited += interval
            try:
                return self._desk.tokens(form)
            except Refusing as refusing:
                if refusing.error == "slow_down":
                    interval += _SLOWER
                elif refusing.error != "authorization_pending":
                    raise self._desk.rejected(refusing, scopes=self._first) from refusing
        raise self._desk.rejected(Refusing("expired_token", "nobody typed it in"), scopes=self._first)


def _number(value: object, otherwise: float) -> float:
    try:
        return min(max(float(str(value)), 0.0), 3600.0)
    except ValueError:
        return otherwise


def revoke(desk: Desk, refresh_token: str) -> bool:
    """Tell the provider that the sign-in is over (RFC 7009); False where it cannot be told. Raises ConnectorError."""
    if not desk.places.revoke:
        return False
    try:
        desk.ask(desk.places.revoke, {"token": refresh_token, "token_type_hint": "refresh_token"})
    except Refusing:
        return False  # it was over already
    return True
