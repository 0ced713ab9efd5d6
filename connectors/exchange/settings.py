"""What the Exchange connector needs to know of an account. Free of exchangelib, so that asking costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Literal
from urllib.parse import urlsplit

from connectors.protocols import Tokens

__all__ = ["ACCESS", "AUTH", "VERSIONS", "Access", "Auth", "ExchangeSettings", "ServerVersion", "is_microsoft_cloud"]

Auth = Literal["ntlm", "basic", "oauth"]
Access = Literal["own", "delegate", "impersonation"]
ServerVersion = Literal["2013", "2016", "2019", "se"]
AUTH: tuple[Auth, ...] = ("ntlm", "basic", "oauth")
ACCESS: tuple[Access, ...] = ("own", "delegate", "impersonation")
VERSIONS: dict[ServerVersion, tuple[tuple[int, int, int], str]] = {
    "2013": ((15, 0, 847), "Exchange2013_SP1"),
    "2016": ((15, 1, 0), "Exchange2016"),
    "2019": ((15, 2, 0), "Exchange2016"),
    "se": ((15, 2, 2562), "Exchange2016"),
}
"""Build and the newest EWS schema that the release knows (RequestServerVersion)."""

_CLOUD = (
    "office365.com", "office.com", "office365.us", "outlook.com", "hotmail.com", "live.com", "partner.outlook.cn",
    "office.de", "microsoft.com",
)  # fmt: skip


def is_microsoft_cloud(host: str) -> bool:
    """Whether a host belongs to Exchange Online or outlook.com, where EWS ends on 1 April 2027 and is shut already for
    applications that no admin has listed."""
    name = host.lower().rstrip(".")
    return any(name == one or name.endswith(f".{one}") for one in _CLOUD)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """One mailbox on an Exchange Server.

    endpoint        "https://mail.vendas.example/EWS/Exchange.asmx": nothing is guessed, nothing discovered
    mailbox         its primary SMTP address
    access          "own" login, "delegate" with rights on the mailbox, or "impersonation" by a service account
    ca              file of certificates to trust instead of the system's, "" for the system's
    tokens          where access tokens come from, with `auth` "oauth"
    since, only, skip    as for other mailboxes
    connect_timeout, read_timeout, folders_every    seconds; the last is how often the list of folders is asked for
    """

    account: str
    endpoint: str
    mailbox: str
    login: str = ""
    password: str = field(default="", repr=False)
    auth: Auth = "ntlm"
    access: Access = "own"
    version: ServerVersion = "2016"
    ca: str = ""
    tokens: Tokens | None = field(default=None, repr=False, compare=False)
    since: date | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    connect_timeout: float = 20.0
    read_timeout: float = 60.0
    folders_every: float = 600.0

    @property
    def host(self) -> str:
        """The server's name, for messages."""
        return urlsplit(self.endpoint).hostname or self.endpoint
