"""How a mailbox on an Exchange Server is reached: what accounts and senders of that type have in common."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from config.sign_in import SignIn
from config.values import Location, Mail, SecretSetting, Section, fault, is_loopback


def _check_endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or parts.scheme not in ("https", "http") or not parts.path.strip("/"):
        example = "write: https://mail.vendas.example/EWS/Exchange.asmx"
        raise fault("E307", f'"{text}" is not the address of an Exchange Server', example)
    if parts.scheme == "http" and not is_loopback(host):
        raise fault("E301", f"the password would travel to {host} unprotected", f"write: https{text[4:]}")
    return text


Endpoint = Annotated[str, AfterValidator(_check_endpoint)]


class ExchangeLogin(Section):
    """Server, login and mailbox."""

    endpoint: Endpoint = Field(
        description="address of Exchange Web Services on the server; nothing is guessed",
        examples=["https://mail.vendas.example/EWS/Exchange.asmx"],
    )
    login: str = Field(
        description="user name: DOMAIN\\name or name@domain", examples=["ana@vendas.example"], min_length=1
    )
    password: SecretSetting | None = Field(
        None,
        description="where the password lies: `{env: X}`, `{file: path}`, `{credential: name}`, `{keyring: service}`",
        examples=["{env: ANA_PASSWORD}"],
    )
    sign_in: SignIn | None = Field(
        None, description="sign in at a provider instead of by a password (hybrid modern authentication)",
        examples=["office"],
    )  # fmt: skip
    auth: Literal["ntlm", "basic"] = Field(
        "ntlm", description="how the password is shown to the server; `basic` only goes over TLS", examples=["ntlm"]
    )
    version: Literal["2013", "2016", "2019", "se"] = Field(
        "2016", description="release of the server that holds the mailbox", examples=["2019"]
    )
    mailbox: Mail | None = Field(
        None,
        description="primary address of the mailbox; default: `login`, where that is an address",
        examples=["ana@vendas.example"],
    )
    access: Literal["own", "delegate", "impersonation"] = Field(
        "own",
        description="whose login it is: the mailbox's `own`, a `delegate` with rights on it, or a service account with "
        "the role ApplicationImpersonation",
        examples=["impersonation"],
    )
    ca: Location | None = Field(
        None,
        description="certificate file (PEM) to trust instead of the system's, for a server with its own authority",
        examples=["ca.pem"],
    )

    @property
    def mailbox_address(self) -> str:
        """The mailbox's primary address."""
        return self.mailbox or self.login

    @property
    def host(self) -> str:
        """The server's name."""
        return urlsplit(self.endpoint).hostname or ""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.password is None and self.sign_in is None:
            raise fault("E304", "there is neither password nor sign_in", "add: password: {env: MAIL_PASSWORD}")
        if self.password is not None and self.sign_in is not None:
            raise fault("E305", "there are two ways to log in: password and sign_in", "keep one of them")
        if "@" not in self.mailbox_address:
            raise fault("E102", "it is not said whose mailbox this is", "add: mailbox: ana@vendas.example")
        return self
