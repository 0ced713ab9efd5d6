"""The ways out for mail to customers: one connection a sender, each used by one thread."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from config.errors import QuietcrmError
from config.settings import Settings
from connectors.protocols import Mailer
from daemon.clock import Clock
from daemon.policy import judge
from daemon.watchdog import STEP
from daemon.ways import DESKS, last_answer

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Outlets:
    """Mailers by sender name, built when first needed; a new configuration has them built again."""

    settings: Settings
    clock: Clock
    build: Callable[[str], Mailer]
    _mailers: dict[str, Mailer] = field(default_factory=dict)
    _old: dict[str, Mailer] = field(default_factory=dict)
    _resting: dict[str, datetime] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)
    _reasons: dict[str, str] = field(default_factory=dict)

    def mailer(self, name: str) -> Mailer:
        """The mailer of a sender. Raises SecretUnavailable where its password is not to be had."""
        if old := self._old.pop(name, None):
            old.close()
        if name not in self._mailers:
            self._mailers[name] = self.build(name)
        return self._mailers[name]

    def patience(self, name: str) -> float:
        """Seconds that handing over one mail may take."""
        return STEP + last_answer(self.settings.senders[name])

    def keeps_copy(self, rep: str) -> bool:
        """Whether the rep has a mailbox into which the copy of a sent mail can be laid."""
        return any(one.rep == rep and one.type in DESKS for one in self.settings.accounts.values())

    def is_resting(self, name: str) -> bool:
        """Whether a pause after a failure lasts, or the sender is gone."""
        until = self._resting.get(name)
        return name not in self.settings.senders or (until is not None and self.clock.now() < until)

    def rest(self, name: str, error: QuietcrmError) -> None:
        """Leave a server alone for a while; said once."""
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        verdict = judge(error, failures, random.SystemRandom())
        self._resting[name] = self.clock.now() + verdict.pause
        self._reasons[name] = verdict.reason
        if failures == 1:
            log.warning("sender.unreachable", sender=name, reason=verdict.reason)

    def troubles(self) -> dict[str, str]:
        """Senders that do not work now -> why."""
        return dict(self._reasons)

    def mend(self, name: str) -> None:
        """Something was done about a sender or the login it uses: its pause is over."""
        self._resting.pop(name, None)

    def worked(self, name: str) -> None:
        """The server took a mail."""
        self._reasons.pop(name, None)
        if self._failures.pop(name, 0):
            log.info("sender.recovered", sender=name)

    def renew(self, settings: Settings) -> None:
        """Take on new settings. A mail that is on the wire now ends by the old connection."""
        self.settings = settings
        self._old.update(self._mailers)
        self._mailers = {}
        self._resting.clear()
        self._reasons.clear()

    def close(self) -> None:
        """Let go of every connection."""
        for mailer in (*self._old.values(), *self._mailers.values()):
            mailer.close()
