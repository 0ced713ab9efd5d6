"""From the settings of an account or sender to its tokens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config.accounts import Account, Sender
from config.calendars import Calendar
from config.secrets import SecretRef
from config.sign_in import SignIn
from connectors.oauth.providers import Want, scopes_for
from connectors.oauth.shelf import Shelf
from connectors.oauth.tokens import AppTokens, PersonTokens
from connectors.oauth.wire import Desk

__all__ = ["Party", "party_of", "tokens_for"]


@dataclass(frozen=True, slots=True)
class Party:
    """Who signs in where and for what: the account or sender `name`, the person `user`."""

    name: str
    user: str
    sign_in: SignIn
    want: Want

    @property
    def scopes(self) -> tuple[str, ...]:
        """What its tokens must allow."""
        return scopes_for(self.sign_in, self.want)

    def shelf(self, state: Path) -> Shelf:
        """Where its sign-in is kept."""
        return Shelf.of(state, self.sign_in, self.user)

    def desk(self, secret: Callable[[SecretRef | None], str]) -> Desk:
        """Its provider."""
        mine = self.sign_in
        return Desk(self.name, mine, lambda: secret(mine.client_secret), lambda: secret(mine.key))


def party_of(name: str, one: Account | Calendar | Sender, *, calendar: bool = False) -> Party | None:
    """None for what does not sign in. `calendar`: for the calendars of a mailbox."""
    sign_in: SignIn | None = getattr(one, "sign_in", None)
    if sign_in is None:
        return None
    mailbox = str(getattr(one, "mailbox", None) or getattr(one, "login", None) or "")
    user = sign_in.user or str(getattr(one, "login", None) or mailbox)
    return Party(name, user, sign_in, Want(one.type, _host(one), user.lower() != mailbox.lower(), calendar))


def _host(one: Account | Calendar | Sender) -> str:
    """The server's name, however the settings say it."""
    address = str(getattr(one, "endpoint", "") or getattr(one, "service", ""))
    return (urlsplit(address).hostname or "") if address else str(getattr(one, "host", ""))


def tokens_for(
    name: str,
    one: Account | Calendar | Sender,
    *,
    state: Path,
    secret: Callable[[SecretRef | None], str],
    clock: Callable[[], float] = time.time,
    calendar: bool = False,
) -> PersonTokens | AppTokens:
    """Its tokens. `state` is the state folder, `secret` fetches what the settings point to, `clock` gives seconds
    since 1970."""
    party = party_of(name, one, calendar=calendar)
    assert party is not None, "the account has sign_in"
    desk = party.desk(secret)
    if party.sign_in.by_itself:
        return AppTokens(desk, party.scopes, clock)
    return PersonTokens(desk, party.user, party.scopes, party.shelf(state), clock)
