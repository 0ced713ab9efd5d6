"""Which accounts and senders share a sign-in, and how that sign-in stands. For the command line and doctor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from connectors.oauth.opening import Party, party_of
from connectors.oauth.shelf import Refused, Signed
from connectors.oauth.tokens import access_of, key_of
from connectors.oauth.wire import Answer, Desk

__all__ = ["Household", "find_household", "households"]


@dataclass(frozen=True, slots=True)
class Household:
    """Parties with one sign-in; the accounts come first."""

    parties: tuple[Party, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of accounts and senders, each once."""
        return tuple(dict.fromkeys(party.name for party in self.parties))

    @property
    def first(self) -> Party:
        """The one whose tokens are got first."""
        return self.parties[0]

    @property
    def scopes(self) -> tuple[str, ...]:
        """Everything that any of them needs."""
        return tuple(dict.fromkeys(scope for party in self.parties for scope in party.scopes))

    def signed(self, desk: Desk, answer: Answer, now: float) -> Signed:
        """What is to be kept of a fresh sign-in."""
        first = self.first
        return Signed(
            user=first.user,
            provider=first.sign_in.provider,
            client_id=first.sign_in.client_id or "",
            at=now,
            who=answer.who,
            granted=answer.granted,
            refresh_token=answer.refresh_token,
            access={key_of(desk, first.scopes): access_of(answer, now)},
        )

    def refusal(self, signed: Signed | None) -> Refused | None:
        """What was refused to any of them, and stands."""
        return next(iter(signed.refused.values()), None) if signed else None

    def missing(self, signed: Signed) -> tuple[str, ...]:
        """Needed scopes that were not granted; () where the provider did not say what it granted."""
        granted = {_plain(scope) for scope in signed.granted}
        kept_apart = {scope for key in signed.access for scope in key.split()}  # got, so granted
        silent = {"offline_access", "openid", "profile", "email"}  # some providers never repeat these
        lacking = [one for one in self.scopes if _plain(one) not in granted and one not in kept_apart | silent]
        return tuple(lacking) if granted else ()


def _plain(scope: str) -> str:
    return scope.lower().rstrip("/")


def _all_parties(settings: Settings) -> Iterable[Party]:
    found = [party_of(*one) for one in settings.accounts.items()]
    for name, one in settings.calendars.items():
        found.append(party_of(name, settings.calendar_mailbox(name) or one, calendar=True))
    found += [party_of(*one) for one in settings.senders.items()]
    return [party for party in found if party is not None]


def households(settings: Settings, state: Path) -> list[Household]:
    """All of them, those of the accounts first."""
    found: dict[object, list[Party]] = {}
    for party in _all_parties(settings):
        key: object = (party.name, id(party)) if party.sign_in.by_itself else party.shelf(state)
        found.setdefault(key, []).append(party)
    return [Household(tuple(parties)) for parties in found.values()]


def find_household(settings: Settings, state: Path, name: str) -> Household | None:
    """That of the account, else the sender, of this name. None if it does not sign in."""
    every = households(settings, state)
    found = next((one for one in every if name in one.names), None)
    if found is None:
        return None
    mine = [party for party in found.parties if party.name == name]
    return Household((*mine, *(party for party in found.parties if party.name != name)))
