"""Watches the sign-ins that accounts and senders use: which were renewed by `quietcrm auth login`, which have ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from connectors.oauth.household import Household, households
from connectors.oauth.shelf import Shelf, Signed
from connectors.refusals import login_command
from daemon.office import Office

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LostSignIn:
    """A sign-in that only a person can mend.

    key      the same for the same sign-in
    names    the accounts and senders that use it
    reps     whose mailboxes they are
    """

    key: str
    names: tuple[str, ...]
    reps: tuple[str, ...]
    reason: str
    hint: str
    command: str


@dataclass(slots=True)
class _Watched:
    household: Household
    shelf: Shelf
    stamp: tuple[int, int] = (-1, -1)
    signed: Signed | None = None
    known_at: float = 0.0

    @property
    def at(self) -> float:
        """When somebody signed in; 0 if nobody has."""
        return self.signed.at if self.signed else 0.0


@dataclass(slots=True)
class SignIns:
    """`news` from one thread; `lost` may be asked from any."""

    office: Office
    _watched: list[_Watched] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.renew(self.office)

    def renew(self, office: Office) -> None:
        """Take on new settings. What lies there now is no news."""
        self.office = office
        by_person = [one for one in households(office.settings, office.state) if not one.first.sign_in.by_itself]
        self._watched = [_Watched(one, one.first.shelf(office.state)) for one in by_person]
        for watched in self._watched:
            self._look(watched)
            watched.known_at = watched.at

    def news(self) -> tuple[str, ...]:
        """Accounts and senders for which somebody has signed in since the last look. Costs one stat each."""
        names: list[str] = []
        for watched in self._watched:
            self._look(watched)
            if watched.at not in (0.0, watched.known_at):
                log.info("sign_in.renewed", accounts=watched.household.names)
                names += watched.household.names
            watched.known_at = watched.at
        return tuple(names)

    def lost(self) -> list[LostSignIn]:
        """Those that were refused and stand so."""
        return [found for watched in self._watched for found in self._lost(watched)]

    def _look(self, watched: _Watched) -> None:
        stamp = watched.shelf.stamp()
        if stamp != watched.stamp:
            with suppress(OSError):  # it will say so itself when a token is wanted
                watched.stamp, watched.signed = stamp, watched.shelf.load()

    def _lost(self, watched: _Watched) -> Iterator[LostSignIn]:
        self._look(watched)
        refusal = watched.household.refusal(watched.signed)
        if refusal is None:
            return
        names, settings = watched.household.names, self.office.settings
        users = [*settings.accounts.items(), *settings.calendars.items(), *settings.senders.items()]
        reps = dict.fromkeys(one.rep or name for name, one in users if name in names)
        yield LostSignIn(
            key=watched.shelf.key,
            names=names,
            reps=tuple(rep for rep in reps if rep in settings.team),
            reason=refusal.message,
            hint=refusal.hint,
            command=login_command(names[0]),
        )
