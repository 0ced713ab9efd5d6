"""Which mailboxes were looked into lately, and what their Junk folders hold: what a send goes by besides the history.

A look is as old as the beginning of the poll that made it. An answer that was on the server before that is in the
history now, or in `junk`. Nobody waits here: a mailbox that was not looked into is polled, and the mail waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from connectors.model import Message
from daemon.clock import Clock
from daemon.last_look import FRESH, Unread
from daemon.poll import Poller
from store.tables import Account

SILENT = 600.0
"""Seconds after which a mailbox that was asked and does not answer is in trouble, whatever its state says."""
_BROKEN = ("failing", "parked", "paused")


@dataclass(slots=True)
class Lookout:
    """Asks the pollers. `wake` has an account polled soon."""

    pollers: Mapping[str, Poller]
    clock: Clock
    wake: Callable[[str], None]
    _due: deque[str] = field(default_factory=deque)
    _asked: dict[str, float] = field(default_factory=dict)
    _wanted: dict[str, tuple[datetime, float]] = field(default_factory=dict)

    def wanted_since(self, account: str) -> datetime | None:
        """From when on the Junk folder of an account is to be looked into, and every folder asked, because a mail waits
        for that; None = a usual poll will do. Asks nothing of the store: every poll comes here."""
        since, until = self._wanted.get(account, (None, 0.0))
        return since if self.clock.monotonic() < until else None

    def unread(self, accounts: Collection[str], since: datetime, rows: Mapping[str, Account]) -> tuple[Unread, ...]:
        """Those that may hold an answer nobody has seen: not looked into within FRESH seconds, or Junk not far enough
        back (`since` = when the event was that the mail follows up). `ask` has them polled."""
        return tuple(
            self._unread(name, rows.get(name), since) for name in sorted(accounts) if not self._is_fresh(name, since)
        )

    def ask(self) -> None:
        """Have the mailboxes polled that a mail waits for. Not inside a transaction: a poll writes."""
        with suppress(IndexError):  # the threads of two senders may ask at once
            while True:
                self.wake(self._due.popleft())

    def oldest(self, accounts: Collection[str]) -> float:
        """Monotonic seconds of the oldest of their looks that count now: a person may do without the others."""
        now = self.clock.monotonic()
        looks = [self.pollers[name].look for name in accounts if name in self.pollers]
        return min((look.at for look in looks if look is not None and now - look.at <= FRESH), default=now)

    def junk(self, accounts: Collection[str]) -> dict[str, tuple[Message, ...]]:
        """What lies in their Junk folders, by account."""
        return {name: look.junk for name in accounts if name in self.pollers and (look := self.pollers[name].look)}

    def _is_fresh(self, name: str, since: datetime) -> bool:
        poller = self.pollers.get(name)
        if poller is None or poller.look is None:
            return False
        return self.clock.monotonic() - poller.look.at <= FRESH and poller.look.since <= since

    def _unread(self, name: str, row: Account | None, since: datetime) -> Unread:
        if name not in self.pollers:
            return Unread(account=name, reason="it is not in the settings any more")
        if row is not None and row.state in _BROKEN:
            return Unread(account=name, reason=row.reason or row.state)
        now = self.clock.monotonic()
        earlier = self.wanted_since(name)
        self._wanted[name] = (min(since, earlier) if earlier else since, now + SILENT)
        if name not in self._due:
            self._due.append(name)
        if self._waited(name) > SILENT:
            return Unread(account=name, reason=f"no answer for {round(SILENT / 60)} minutes")
        return Unread(account=name)

    def _waited(self, name: str) -> float:
        """Seconds since it was first asked for a look that did not come yet."""
        now, look = self.clock.monotonic(), self.pollers[name].look
        asked = self._asked.get(name)
        if asked is None or (look is not None and look.at >= asked):
            asked = self._asked[name] = now
        return now - asked
