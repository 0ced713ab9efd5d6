"""One question to a provider's token endpoint (RFC 6749 3.2), and what its answers mean. Keeps nothing."""

from __future__ import annotations

import base64
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from config.sign_in import SignIn
from connectors.errors import AuthRejected, ConnectorError, Misconfigured, ProtocolViolation, Throttled, Unavailable
from connectors.oauth.providers import Endpoints, admin_consent_url, endpoints, identity_scopes
from connectors.refusals import find_refusal, login_command

if TYPE_CHECKING:
    import httpx

__all__ = ["Answer", "Desk", "Refusing", "fold_claims"]

_PATIENCE = 30.0
_LARGEST = 1 << 20
_LATER = "quietcrm tries again by itself; if it lasts, look at the network and the provider's status page"
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")
_USUAL_LIFE = 3600.0
_ASSERTION_LIFE = 300
_CLIP = 300


class Refusing(Exception):
    """The provider's answer is an error of the protocol. `error` as in RFC 6749 5.2, `text` what it said beside."""

    def __init__(self, error: str, text: str) -> None:
        super().__init__(f"{error}: {text}")
        self.error = error
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Tokens as they came. `life` in seconds; `who` is the name in the id token, "" if there is none."""

    access_token: str = field(repr=False)
    life: float
    refresh_token: str = field(default="", repr=False)
    granted: tuple[str, ...] = ()
    who: str = ""


@dataclass(frozen=True, slots=True)
class Desk:
    """The provider as one account sees it. `secret` and `key` fetch what the settings point to when it is needed, so a
    changed secret is used at the next question. Raises ConnectorError, or Refusing where that is said."""

    account: str
    sign_in: SignIn
    secret: Callable[[], str] = field(compare=False)
    key: Callable[[], str] = field(compare=False)

    @property
    def places(self) -> Endpoints:
        """The provider's addresses."""
        return endpoints(self.sign_in)

    def tokens(self, form: Mapping[str, str]) -> Answer:
        """Ask for tokens. Raises Refusing, ConnectorError."""
        data = self.ask(self.places.token, form)
        return _answer(self.account, data)

    def ask(self, url: str, form: Mapping[str, str], *, names_us: bool = True) -> dict[str, Any]:
        """POST a form as this client; the JSON object of the answer. Raises Refusing, ConnectorError."""
        where = urlsplit(url).hostname or url
        fields, headers = dict(form), {"Accept": "application/json"}
        if names_us:
            self._name_us(fields, headers, url)
        response, text = self._post(url, where, fields, headers)
        data = _json(text)
        if response.status_code == 200 and data is not None:
            return data
        if data is not None and isinstance(data.get("error"), str) and response.status_code < 500:
            raise Refusing(data["error"][:80], _description(data))
        if response.status_code == 200 and not text.strip():
            return {}
        raise self._no_answer(where, response)

    def _name_us(self, fields: dict[str, str], headers: dict[str, str], url: str) -> None:
        """Client authentication (RFC 6749 2.3.1, RFC 7523 2.2); a public client only names itself."""
        client = self.sign_in.client_id or ""
        fields["client_id"] = client
        if self.sign_in.certificate is not None:
            fields["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            fields["client_assertion"] = self._assertion(url, client)
        elif self.sign_in.client_secret is not None and self.sign_in.provider in ("microsoft", "google"):
            fields["client_secret"] = self.secret()
        elif self.sign_in.client_secret is not None:
            pair = f"{quote(client, safe='')}:{quote(self.secret(), safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"

    def _assertion(self, url: str, client: str) -> str:
        """A JWT signed by the certificate's key. https://learn.microsoft.com/entra/identity-platform/certificate-credentials"""
        import secrets

        import jwt
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        path, now = Path(str(self.sign_in.certificate)), int(time.time())
        claims = {"iss": client, "sub": client, "aud": url, "jti": secrets.token_hex(16), "nbf": now - 60, "iat": now}
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            print_ = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
            signed = {**claims, "exp": now + _ASSERTION_LIFE}
            return jwt.encode(signed, self.key(), algorithm="PS256", headers={"x5t#S256": print_})
        except OSError as error:
            hint = "correct certificate: in quietcrm.yaml"
            raise Misconfigured(self.account, f"{path} cannot be read: {error.strerror}", hint=hint) from error
        except (ValueError, TypeError, jwt.PyJWTError) as error:
            hint = "certificate: wants a PEM certificate, key: its RSA key in PEM without a passphrase"
            raise Misconfigured(self.account, f"{path} and its key cannot be used: {error}", hint=hint) from error

    def _post(
        self, url: str, where: str, fields: dict[str, str], headers: dict[str, str]
    ) -> tuple[httpx.Response, str]:
        import httpx  # 20 MB: only where somebody signs in

        end = time.monotonic() + _PATIENCE
        trusted = ssl.create_default_context() if url.startswith("https:") else False  # http: this machine alone
        try:
            with (
                httpx.Client(verify=trusted, timeout=httpx.Timeout(15.0, connect=10.0)) as client,
                client.stream("POST", url, data=fields, headers=headers) as response,
            ):
                body = b""
                for part in response.iter_bytes():
                    body += part
                    if len(body) > _LARGEST or time.monotonic() > end:
                        raise Unavailable(self.account, f"{where} does not come to an end", hint=_LATER)
                return response, body.decode("utf-8", "replace")
        except httpx.HTTPError as error:
            what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
            raise Unavailable(self.account, f"{where} {what}: {_clipped(str(error))}", hint=_LATER) from error
        except httpx.InvalidURL as error:
            raise Misconfigured(self.account, f"{url} is no address", hint="correct `providers:`") from error

    def _no_answer(self, where: str, response: httpx.Response) -> ConnectorError:
        wait = response.headers.get("Retry-After", "")
        text = f"{where} answers {response.status_code}"
        if response.status_code in (429, 503) and wait.isdigit():
            return Throttled(self.account, f"{text} and asks for a pause", retry_after=min(float(wait), 3600.0))
        if response.status_code == 429 or response.status_code >= 500:
            return Unavailable(self.account, text, hint=_LATER)
        hint = "a proxy or a sign-in page of the network may answer instead of the provider"
        return ProtocolViolation(self.account, f"{text}, and not as a provider of tokens does", hint=hint)

    def rejected(self, refusing: Refusing, *, scopes: tuple[str, ...] = ()) -> ConnectorError:
        """What a refusal means to a person: the cause, and the one command that mends it."""
        sign_in = self.sign_in
        row = find_refusal(refusing.text, code=refusing.error, provider=sign_in.provider)
        if row is None and refusing.error in ("temporarily_unavailable", "server_error"):
            return Unavailable(self.account, f"{sign_in.provider} cannot answer now", hint=_LATER)
        said = _clipped(f"{refusing.error}: {refusing.text}" if refusing.text else refusing.error)
        login = login_command(self.account)
        wanted = (*scopes, *identity_scopes(sign_in))
        consent = admin_consent_url(sign_in, wanted, "http://localhost") or "the provider's page for administrators"
        cause = row.cause if row else "the provider refuses the sign-in"
        remedy = row.remedy if row else "sign in again: {login}"
        hint = remedy.replace("{login}", "quietcrm doctor" if sign_in.by_itself else login).replace(
            "{consent}", consent
        )
        return AuthRejected(self.account, f"{cause} ({said})", hint=hint)


def _answer(account: str, data: dict[str, Any]) -> Answer:
    """Raises ProtocolViolation for what is no token answer."""
    token, kind = data.get("access_token"), str(data.get("token_type", "bearer"))
    if not isinstance(token, str) or not _TOKEN.fullmatch(token) or kind.lower() != "bearer":
        raise ProtocolViolation(account, "the provider's answer holds no token that can be used", hint=_LATER)
    refresh, scope = data.get("refresh_token"), data.get("scope")
    return Answer(
        access_token=token,
        life=_seconds(data.get("expires_in")),
        refresh_token=refresh if isinstance(refresh, str) else "",
        granted=tuple(scope.split()) if isinstance(scope, str) else (),
        who=fold_claims(data.get("id_token")),
    )


def _seconds(value: object) -> float:
    try:
        return min(max(float(str(value)), 0.0), 86_400.0 * 30)
    except ValueError:
        return _USUAL_LIFE


def fold_claims(id_token: object) -> str:
    """The name in an id token. It came straight from the provider over TLS, so its signature is not needed (OpenID
    Connect Core 3.1.3.7, item 6); it is only shown and compared."""
    try:
        body = str(id_token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        found = next((claims[name] for name in ("preferred_username", "email", "upn") if claims.get(name)), "")
    except (IndexError, ValueError, AttributeError, TypeError, RecursionError):
        return ""
    return str(found)[:320]


def _json(text: str) -> dict[str, Any] | None:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _description(data: Mapping[str, Any]) -> str:
    """What the provider said, with Microsoft's codes and Google's subtype; without its trace ids on further lines."""
    text = str(data.get("error_description") or "").split("\r\n")[0]
    text = text.split(" Trace ID:")[0]
    codes = data.get("error_codes")
    named = [f"AADSTS{code}" for code in codes if isinstance(code, int)] if isinstance(codes, list) else []
    missing = [code for code in named if code not in text]
    return _clipped(" ".join([*missing, str(data.get("error_subtype") or ""), text]))


def _clipped(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_CLIP]
