"""How an account or a sender signs in at an identity provider (OAuth 2.0) instead of by a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from config.values import Location, Mail, Name, SecretSetting, Section, Words, fault, is_loopback

Flow = Literal["browser", "device", "app"]
KNOWN_PROVIDERS = ("microsoft", "google")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}")
_SHARED_TENANTS = ("organizations", "common", "consumers")


def _check_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or parts.scheme not in ("https", "http") or parts.username is not None or parts.fragment:
        raise fault("E307", f'"{text}" is not a web address', "write: https://id.vendas.example/oauth2/token")
    if parts.scheme == "http" and not is_loopback(host):
        raise fault("E307", f"tokens would travel to {host} unprotected", f"write: https{text[4:]}")
    return text


def _check_tenant(text: str) -> str:
    if not _TENANT.fullmatch(text):
        raise fault("E306", f'"{text}" is not a tenant', "write: vendas.example")
    return text


WebAddress = Annotated[str, AfterValidator(_check_address)]
Tenant = Annotated[str, AfterValidator(_check_tenant)]


class Provider(Section):
    """An identity provider and how quietcrm is registered there. `microsoft` and `google` need no addresses."""

    client_id: str | None = Field(
        None,
        description="the id under which quietcrm is registered there (Microsoft: application id)",
        examples=["11111111-2222-3333-4444-555555555555"],
        min_length=1,
    )
    tenant: Tenant | None = Field(
        None,
        description="Microsoft: the organisation, by its domain or id; default: any organisation",
        examples=["vendas.example"],
    )
    client_secret: SecretSetting | None = Field(
        None,
        description="where the client's secret lies, if it has one, as for passwords",
        examples=["{file: client-secret.txt}"],
    )
    certificate: Location | None = Field(
        None,
        description="certificate (PEM) by which quietcrm itself signs in, without a person; needs `key`",
        examples=["quietcrm.pem"],
    )
    key: SecretSetting | None = Field(
        None, description="where the private key (PEM) of the certificate lies", examples=["{file: quietcrm.key}"]
    )
    flow: Flow | None = Field(
        None,
        description="`browser`, `device` (a code typed in on another machine) or `app` (quietcrm itself, for servers); "
        "default `app` with a certificate, else `browser`",
        examples=["browser"],
    )
    scopes: Words = Field(
        (),
        description="what is asked for, if not what the protocol needs at this provider",
        examples=["[imap, smtp, offline_access]"],
    )
    keep: Literal["file", "keyring"] | None = Field(
        None,
        description="where tokens are kept: a `file` in the state folder, closed to others (default), or the `keyring`",
        examples=["file"],
    )
    authorize: WebAddress | None = Field(
        None,
        description="where a person signs in; not for microsoft and google",
        examples=["https://id.vendas.example/oauth2/authorize"],
    )
    token: WebAddress | None = Field(
        None, description="where tokens are got", examples=["https://id.vendas.example/oauth2/token"]
    )
    device: WebAddress | None = Field(
        None, description="where device codes are got", examples=["https://id.vendas.example/oauth2/device"]
    )
    revoke: WebAddress | None = Field(
        None, description="where a sign-in is ended (RFC 7009)", examples=["https://id.vendas.example/oauth2/revoke"]
    )


class SignIn(Provider):
    """How one mailbox signs in. What is not said here holds as in `providers`. `sign_in: microsoft` says the same as
    `sign_in: {provider: microsoft}`."""

    provider: Name = Field(description="`microsoft`, `google` or a name of `providers`", examples=["microsoft"])
    user: Mail | None = Field(
        None,
        description="who signs in, if not the owner of the mailbox (a shared mailbox has no login of its own)",
        examples=["ana@vendas.example"],
    )

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        return {"provider": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if missing := self._missing():
            raise fault("E306", f"sign-in at {self.provider}: {missing[0]}", missing[1])
        return self

    def _missing(self) -> tuple[str, str] | None:
        below = f"below `providers:` say {self.provider}: {{client_id: ..., tenant: ...}}"
        if self.client_id is None:
            return "there is no client_id", below
        if self.provider not in KNOWN_PROVIDERS and self.token is None:
            return "its addresses are not known", f"below `providers:` give {self.provider} its authorize: and token:"
        if self.provider not in KNOWN_PROVIDERS and not self.scopes:
            return "what to ask for is not known", f"below `providers:` give {self.provider} its scopes:"
        if (self.certificate is None) != (self.key is None):
            return "a certificate needs its key, and a key its certificate", "give certificate: and key:"
        if self.by_itself and self.provider == "google":
            return "Google knows no sign-in of a program by itself", "write flow: browser and sign in once by a person"
        if self.by_itself and self.certificate is None and self.client_secret is None:
            return "`flow: app` needs a certificate", "give certificate: and key: (or client_secret:)"
        if self.by_itself and self.provider == "microsoft" and self.organisation in _SHARED_TENANTS:
            return "`flow: app` needs the tenant", "give tenant: with the domain of your organisation"
        return None

    @property
    def way(self) -> Flow:
        """The flow, with its default."""
        return self.flow or ("app" if self.certificate else "browser")

    @property
    def by_itself(self) -> bool:
        """Whether quietcrm signs in as itself, without a person."""
        return self.way == "app"

    @property
    def organisation(self) -> str:
        """The tenant, with its default."""
        return self.tenant or "organizations"


def with_providers(data: Mapping[str, Any]) -> dict[str, Any]:
    """The raw settings with every `sign_in` filled up from `providers`; faults are left for the models to find."""
    providers = data.get("providers")
    known = providers if isinstance(providers, dict) else {}
    filled = dict(data)
    for section in ("accounts", "calendars", "senders"):
        if isinstance(entries := data.get(section), dict):
            filled[section] = {name: _filled(entry, known) for name, entry in entries.items()}
    return filled


def _filled(entry: Any, providers: Mapping[str, Any]) -> Any:
    if not isinstance(entry, dict) or not entry.get("sign_in"):
        return entry
    own = entry["sign_in"]
    own = {"provider": own} if isinstance(own, str) else own
    shared = providers.get(str(own.get("provider"))) if isinstance(own, dict) else None
    return {**entry, "sign_in": {**shared, **own}} if isinstance(shared, dict) else entry
