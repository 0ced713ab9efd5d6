"""What the IMAP connector needs to know of an account."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from connectors.protocols import Tokens

__all__ = ["ImapSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapSettings:
    """One account. `security` is none, starttls or tls; `since` is the first day read (UTC), None for everything.

    tokens          logs in with an access token instead of the password
    ca              file of certificates to trust instead of the system's, "" for the system's
    only, skip      folders by display name, see `connectors.folders.choose_folders`
    markup          whether HTML is read beside plain text, for rules that ask for its data
    connect_timeout, read_timeout, folders_every    seconds; the last is how often folders other than the Inbox are
                    looked at while nothing happens in the Inbox
    """

    account: str
    host: str
    port: int
    security: str = "tls"
    ca: str = ""
    login: str
    password: str = field(default="", repr=False)
    tokens: Tokens | None = field(default=None, repr=False, hash=False)
    since: date | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    markup: bool = False
    connect_timeout: float = 20.0
    read_timeout: float = 60.0
    folders_every: float = 300.0
