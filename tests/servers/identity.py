"""A real OAuth 2.0 and OpenID provider on loopback, by Authlib: code with PKCE, device code, client credentials by
assertion, refresh with rotation and detection of reuse, revocation, introspection (for Dovecot), userinfo.

A person at a browser is `person`: whoever asks /authorize is that person and agrees; None declines.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    OAuth2Error,
    OAuth2Request,
    TokenMixin,
    grants,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant
from authlib.oidc.core import AuthorizationCodeMixin, OpenIDCode
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, RSAKey
from servers.listener import Listener

Rotation = Literal["stays", "replaced", "ends_on_use", "ends_at_once"]
SCOPES = ("imap", "smtp", "mail", "calendar", "openid", "email", "profile", "offline_access")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What the token endpoint does instead, once. Without `error` it is the usual answer, spoilt.

    error, text    an OAuth error, as JSON with status 400; `more` further members of it
    status, body   an answer that is none of OAuth
    done           the work is done and then the connection is closed without an answer
    wait           the answer is held back until then
    """

    error: str = ""
    text: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    status: int = 0
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    done: bool = False
    wait: threading.Event | None = None


@dataclass(slots=True)
class Client(ClientMixin):  # type: ignore[misc]
    """A registered application. Any port of a loopback redirect is good (RFC 8252 7.3)."""

    client_id: str
    secret: str = ""
    public_key: str = ""
    redirects: tuple[str, ...] = ("http://localhost", "http://127.0.0.1")

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return ""

    def get_allowed_scope(self, scope: str | None) -> str:
        asked = (scope or "").split()
        return " ".join(one for one in asked if one in SCOPES or one.startswith("https://"))

    def check_redirect_uri(self, uri: str) -> bool:
        parts = urlsplit(uri)
        return f"{parts.scheme}://{parts.hostname}" in self.redirects

    def check_client_secret(self, secret: str) -> bool:
        return bool(self.secret) and secrets.compare_digest(secret, self.secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        wanted = {"client_assertion_jwt"} if self.public_key else {"client_secret_post", "client_secret_basic"}
        return method in (wanted if self.public_key or self.secret else {"none"})

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type != "client_credentials" or bool(self.public_key or self.secret)


@dataclass(slots=True)
class Family:
    """What one sign-in of a person gave: every token that came of it ends with it."""

    user: str
    client: Client
    scope: str
    ended: bool = False


@dataclass(slots=True)
class Token(TokenMixin):  # type: ignore[misc]
    """One answer of the token endpoint."""

    access: str
    refresh: str
    scope: str
    until: float
    family: Family
    now: Callable[[], float]
    before: Token | None = None
    refresh_ended: bool = False

    def check_client(self, client: Client) -> bool:
        return self.family.client.client_id == client.client_id

    def get_scope(self) -> str:
        return self.family.scope  # a renewal may ask for anything that was allowed, whatever the last one asked for

    def get_expires_in(self) -> float:
        return self.until - self.now()

    def is_expired(self) -> bool:
        return self.now() >= self.until

    def is_revoked(self) -> bool:
        return self.family.ended

    def get_user(self) -> str:
        return self.family.user

    def get_client(self) -> Client:
        return self.family.client


@dataclass(slots=True)
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code on its way through a browser, or typed in by a person."""

    value: str
    client_id: str
    redirect_uri: str
    scope: str
    user: str
    code_challenge: str = ""
    code_challenge_method: str = ""
    user_code: str = ""
    expired: bool = False

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return ""

    def get_auth_time(self) -> int:
        return 0

    def get_acr(self) -> str:
        return ""

    def get_amr(self) -> list[str]:
        return []

    def get_client_id(self) -> str:
        return self.client_id

    def get_user_code(self) -> str:
        return self.user_code

    def is_expired(self) -> bool:
        return self.expired


def settings_at(port: int) -> dict[str, Any]:
    """What quietcrm.yaml says of a provider of the tests, below `providers:`."""
    places = {name: f"http://127.0.0.1:{port}/{name}" for name in ("authorize", "token", "device", "revoke")}
    return {"client_id": "quietcrm", "scopes": ["imap", "smtp", "openid", "offline_access"], **places}


class IdentityServer:
    """`with IdentityServer() as provider:` then `provider.url("token")`, `provider.person = "ana@vendas.example"`.

    rotation    `stays`: the refresh token stays the same (Google). `replaced`: a new one comes, the old ones stay good
                (Microsoft). `ends_on_use`: the old one ends when the new access or refresh token first shows up
                (Doorkeeper). `ends_at_once`: the old one ends with the answer. Whoever shows an ended one ends the
                whole sign-in (RFC 9700 4.14.2)
    life        seconds of an access token
    faults      for the token endpoint, one a question; `refusal` stands for every renewal until it is None
    asked       (path, form) of everything asked, in order
    answered    called with the answer right after its last byte was sent
    """

    host = "127.0.0.1"

    def __init__(self, *, rotation: Rotation = "ends_on_use", life: float = 3600.0) -> None:
        self.rotation = rotation
        self.life = life
        self.person: str | None = "ana@vendas.example"
        self.clients = {"quietcrm": Client("quietcrm")}
        self.typed: dict[str, bool] = {}
        self.faults: list[Fault] = []
        self.refusal: Fault | None = None
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answered: Callable[[dict[str, Any]], None] = lambda _: None
        self.now: Callable[[], float] = time.time
        self.tokens: list[Token] = []
        self.codes: dict[str, Code] = {}
        self.key = OctKey.generate_key(256)
        self.lock = threading.RLock()
        self._server = _Flows(self)
        self._listener = Listener("identity", lambda link: self._serve(link))
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and every connection."""
        self._listener.stop()

    def url(self, path: str) -> str:
        """The address of an endpoint: authorize, token, device, revoke, introspect, userinfo."""
        return f"http://{self.host}:{self.port}/{path}"

    def settings(self, **more: Any) -> dict[str, Any]:
        """What quietcrm.yaml says of this provider, below `providers:`."""
        return settings_at(self.port) | more

    def sign_in(
        self, user: str = "ana@vendas.example", *, scope: str = "imap smtp openid", client: str = "quietcrm"
    ) -> Token:
        """A person signed in earlier, by whatever way: their tokens."""
        with self.lock:
            family = Family(user, self.clients[client], scope)
            until = self.now() + self.life
            token = Token(secrets.token_urlsafe(24), secrets.token_urlsafe(24), scope, until, family, self.now)
            self.tokens.append(token)
            return token

    def end_all(self) -> None:
        """Every sign-in ends: as after a changed password."""
        with self.lock:
            for token in self.tokens:
                token.family.ended = True

    def seen(self, access: str) -> Token | None:
        """A resource was shown this token: it, if it is good. What it replaced ends now, if that is the rule."""
        with self.lock:
            token = next((one for one in self.tokens if one.access == access), None)
            if token is not None and token.before is not None and self.rotation == "ends_on_use":
                token.before.refresh_ended = True
            return None if token is None or token.is_revoked() or token.is_expired() else token

    def questions(self, grant: str) -> int:
        """How often the token endpoint was asked by this grant type."""
        return sum(form.get("grant_type") == grant for path, form in self.asked if path == "token")

    def _serve(self, link: Any) -> None:
        provider = self

        class Conversation(_Conversation):
            identity = provider

        Conversation(link, link.getpeername(), None)  # type: ignore[arg-type]

    def handle(self, path: str, request: OAuth2Request) -> tuple[int, Any, list[tuple[str, str]]]:
        """One question."""
        with self.lock:
            form = dict(request.payload.data)
            self.asked.append((path, form))
            if path == "authorize":
                return self._server.authorize(request, self.person)
            if path == "token":
                return self._server.create_token_response(request)  # type: ignore[no-any-return]
            if path == "userinfo":
                token = self.seen(request.headers.get("Authorization", "").removeprefix("Bearer "))
                return (200, {"sub": token.get_user()}, []) if token else (401, {"error": "invalid_token"}, [])
            names = {"device": "device_authorization", "revoke": "revocation", "introspect": "introspection"}
            if path in names:
                return self._server.create_endpoint_response(names[path], request)  # type: ignore[no-any-return]
            return 404, "not here", []


class _Request(OAuth2Request):  # type: ignore[misc]
    """As if it came through a proxy that speaks TLS: Authlib wants https."""

    def __init__(self, method: str, path: str, headers: Mapping[str, str], body: str) -> None:
        super().__init__(method, f"https://id.example{path}", headers=headers)
        self._args = dict(parse_qsl(urlsplit(path).query))
        self._form = dict(parse_qsl(body))
        self.payload = BasicOAuth2Payload({**self._args, **self._form})

    @property
    def args(self) -> dict[str, str]:
        return self._args

    @property
    def form(self) -> dict[str, str]:
        return self._form


class _Conversation(BaseHTTPRequestHandler):
    identity: IdentityServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer("")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())

    def _answer(self, body: str) -> None:
        path = urlsplit(self.path).path.strip("/")
        request = _Request(self.command, self.path, dict(self.headers), body)
        fault = self._fault(path, request)
        if fault is not None and (fault.error or fault.status):
            self.identity.asked.append((path, dict(request.payload.data)))
            answer: Any = {"error": fault.error, "error_description": fault.text, **fault.more}
            self._send(fault.status or 400, fault.body if fault.status else answer, list(fault.headers))
            return
        status, answer, headers = self.identity.handle(path, request)
        if fault is not None and fault.wait is not None:
            fault.wait.wait(30)
        if fault is not None and fault.done:
            self.close_connection = True
            return
        self._send(status, answer, headers)
        if path == "token" and status == 200:
            self.identity.answered(answer)

    def _fault(self, path: str, request: OAuth2Request) -> Fault | None:
        if path != "token":
            return None
        if self.identity.faults:
            return self.identity.faults.pop(0)
        renews = request.payload.data.get("grant_type") in ("refresh_token", "client_credentials")
        return self.identity.refusal if renews else None

    def _send(self, status: int, answer: Any, headers: list[tuple[str, str]]) -> None:
        content = (json.dumps(answer) if isinstance(answer, dict) else str(answer)).encode()
        self.send_response(status)
        for name, value in headers:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()


class _Flows(AuthorizationServer):  # type: ignore[misc]
    """Authlib's server over our memory."""

    def __init__(self, identity: IdentityServer) -> None:
        super().__init__()
        self.identity = identity
        make = lambda **_: secrets.token_urlsafe(24)  # noqa: E731
        self.register_token_generator("default", BearerTokenGenerator(make, make, lambda *_: identity.life))
        self.register_client_auth_method("client_assertion_jwt", _Assertion(identity))
        self.register_grant(_CodeGrant, [CodeChallenge(required=True), _IdToken(identity)])
        for grant in (_RefreshGrant, _DeviceGrant, _AppGrant):
            self.register_grant(grant)
        for endpoint in (_Device, _Revocation, _Introspection):
            self.register_endpoint(endpoint)

    def query_client(self, client_id: str) -> Client | None:
        return self.identity.clients.get(client_id)

    def save_token(self, token: dict[str, Any], request: OAuth2Request) -> None:
        identity, before = self.identity, request.refresh_token
        family = before.family if before else Family(str(request.user or ""), request.client, token.get("scope", ""))
        refresh = token.get("refresh_token", "")
        until = identity.now() + identity.life
        identity.tokens.append(
            Token(token["access_token"], refresh, token.get("scope", ""), until, family, identity.now, before)
        )

    def authorize(self, raw: OAuth2Request, person: str | None) -> tuple[int, Any, list[tuple[str, str]]]:
        try:
            grant = self.get_consent_grant(raw, person)
        except OAuth2Error as error:
            return self.handle_error_response(raw, error)  # type: ignore[no-any-return]
        return self.create_authorization_response(raw, person, grant)  # type: ignore[no-any-return]

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> tuple[int, Any, list[tuple[str, str]]]:
        return status, body, list(headers)

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


_ANY_CLIENT = ["client_assertion_jwt", "client_secret_basic", "client_secret_post", "none"]


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]
    def __init__(self, identity: IdentityServer) -> None:
        super().__init__()
        self._identity = identity
        self._seen: set[str] = set()

    def process_assertion_claims(self, assertion: str, resolve_key: Any) -> Any:
        try:
            token = jwt.decode(assertion, resolve_key, algorithms=["PS256"])  # the one Microsoft asks for
        except JoseError as error:
            raise InvalidClientError(description=str(error)) from error
        if "x5t#S256" not in token.header:
            raise InvalidClientError(description="which certificate?")
        self.verify_claims(token.claims)
        return token.claims

    def get_audiences(self) -> list[str]:
        return [self._identity.url("token"), self._identity.url("revoke")]

    def validate_jti(self, claims: Any, jti: str) -> bool:
        fresh = jti not in self._seen
        self._seen.add(jti)
        return fresh

    def resolve_client_public_key(self, client: Client) -> Any:
        return RSAKey.import_key(client.public_key)


class _IdToken(OpenIDCode):  # type: ignore[misc]
    def __init__(self, identity: IdentityServer) -> None:
        super().__init__(require_nonce=False)
        self._identity = identity

    def exists_nonce(self, nonce: str, request: OAuth2Request) -> bool:
        return False

    def resolve_client_private_key(self, client: Client) -> Any:
        return self._identity.key

    def get_client_algorithm(self, client: Client) -> str:
        return "HS256"

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": self._identity.url(""), "aud": [client.client_id]}

    def generate_user_info(self, user: str, scope: str) -> dict[str, str]:
        return {"sub": user, "preferred_username": user, "email": user}


class _CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _ANY_CLIENT

    def save_authorization_code(self, code: str, request: OAuth2Request) -> Code:
        data = request.payload.data
        saved = Code(
            code, request.client.client_id, request.payload.redirect_uri, request.payload.scope or "", request.user,
            data.get("code_challenge", ""), data.get("code_challenge_method", ""),
        )  # fmt: skip
        self.server.identity.codes[code] = saved
        return saved

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found: Code | None = self.server.identity.codes.get(code)
        return found if found and found.client_id == client.client_id else None

    def delete_authorization_code(self, code: Code) -> None:
        self.server.identity.codes.pop(code.value)

    def authenticate_user(self, code: Code) -> str:
        return code.user


class _RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _ANY_CLIENT

    @property
    def INCLUDE_NEW_REFRESH_TOKEN(self) -> bool:
        return self.server.identity.rotation != "stays"  # type: ignore[no-any-return]

    def authenticate_refresh_token(self, refresh: str) -> Token | None:
        identity = self.server.identity
        found = next((one for one in identity.tokens if one.refresh and one.refresh == refresh), None)
        if found is None or found.family.ended:
            return None
        if found.refresh_ended:
            found.family.ended = True  # somebody has a copy
            return None
        if found.before is not None and identity.rotation == "ends_on_use":
            found.before.refresh_ended = True
        return found  # type: ignore[no-any-return]

    def authenticate_user(self, token: Token) -> str:
        return token.family.user

    def revoke_old_credential(self, token: Token) -> None:
        token.refresh_ended = self.server.identity.rotation == "ends_at_once"


class _DeviceGrant(DeviceCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _ANY_CLIENT

    def query_device_credential(self, device_code: str) -> Code | None:
        return self.server.identity.codes.get(device_code)  # type: ignore[no-any-return]

    def query_user_grant(self, user_code: str) -> tuple[str, bool] | None:
        agreed = self.server.identity.typed.get(user_code)
        return None if agreed is None else (self.server.identity.person, agreed)

    def should_slow_down(self, credential: Code) -> bool:
        return False


class _AppGrant(grants.ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _ANY_CLIENT[:-1]


class _Device(DeviceAuthorizationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = _ANY_CLIENT

    def get_verification_uri(self) -> str:
        return self.server.identity.url("typed")  # type: ignore[no-any-return]

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        code = Code(data["device_code"], client_id, "", scope or "", "", user_code=data["user_code"])
        self.server.identity.codes[code.value] = code


class _Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = _ANY_CLIENT

    def query_token(self, value: str, hint: str | None) -> Token | None:
        return next((one for one in self.server.identity.tokens if value in (one.access, one.refresh)), None)

    def revoke_token(self, token: Token, request: OAuth2Request) -> None:
        token.family.ended = True


class _Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = _ANY_CLIENT

    def check_permission(self, token: Token, client: Client, request: OAuth2Request) -> bool:
        return True

    def query_token(self, value: str, hint: str | None) -> Token | None:
        return self.server.identity.seen(value)  # type: ignore[no-any-return]

    def introspect_token(self, token: Token) -> dict[str, Any]:
        return {"active": True, "username": token.get_user(), "email": token.get_user(), "scope": token.scope}
