"""By which way mail of ours reaches a rep: the desk of one of their own mailboxes, or their sender."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from config.accounts import GraphSender, Sender, SmtpSender
from config.errors import QuietcrmError
from config.settings import Settings
from connectors.calendar_factory import CALENDAR_DESKS
from connectors.errors import Misconfigured
from connectors.model import OutgoingMail
from connectors.protocols import Desk, Mailer
from daemon.clock import Clock
from daemon.policy import judge
from daemon.watchdog import STEP, Watchdog

log = structlog.get_logger()


@dataclass(slots=True)
class Ways:
    """Desks by account name, mailers by sender name, built when first needed. One thread at a time."""

    settings: Settings
    clock: Clock
    build_desk: Callable[[str], Desk | None]
    build_mailer: Callable[[str], Mailer]
    watchdog: Watchdog
    _desks: dict[str, Desk | None] = field(default_factory=dict)
    _mailers: dict[str, Mailer] = field(default_factory=dict)
    _resting: dict[str, datetime] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)

    def desk(self, account: str) -> Desk:
        """The desk of an account. Raises Misconfigured where the account has none."""
        if account not in self._desks:
            self._desks[account] = self.build_desk(account) if account in self.settings.accounts else None
        desk = self._desks[account]
        if desk is None:
            raise Misconfigured(
                account,
                f'mail cannot be laid into "{account or "no account"}"',
                hint="give the person an account of type imap, graph or maildir with rep: NAME in quietcrm.yaml",
            )
        self._failures.pop(account, None)
        self.watchdog.progress()
        return desk

    def account_of(self, rep: str, preferred: str = "") -> str:
        """The account whose desk serves a rep: the preferred one if it is theirs, else their first; "" if none."""
        theirs = [name for name, one in self.settings.accounts.items() if one.rep == rep and one.type in DESKS]
        return preferred if preferred in theirs else next(iter(theirs), "")

    def by_smtp(self, rep: str) -> bool:
        """Whether reminders and notices are sent to this rep instead of laid into the Inbox."""
        if self.settings.sender_for(rep) is None:
            return False
        return self.settings.reminders.via == "smtp" or not self.account_of(rep)

    def lay(self, rep: str, mail: OutgoingMail) -> None:
        """Let a person have a mail of ours, once: in their Inbox, or by their sender. Raises ConnectorError."""
        if self.by_smtp(rep):
            self.send(rep, mail)
            return
        desk = self.desk(self.account_of(rep))
        if not desk.find(mail.message_id, drafts=False):
            desk.place_mail(mail)

    def send(self, rep: str, mail: OutgoingMail) -> None:
        """Send a mail to a rep by their own sender, and to nobody else. Raises ConnectorError."""
        name = self.settings.sender_for(rep)
        assert name is not None
        self.send_by(name, rep, mail)

    def send_by(self, name: str, rep: str, mail: OutgoingMail) -> None:
        """Send a mail to a rep by a named sender, and to nobody else. Raises ConnectorError."""
        own = {address.lower() for address in (self.settings.team[rep].mail, *self.settings.team[rep].aliases)}
        recipient = mail.to[0].email
        assert recipient.lower() in own, "only mail to the rep goes this way"
        if name not in self._mailers:
            self._mailers[name] = self.build_mailer(name)
        with self.watchdog.step(f"send by {name}", STEP + self._last_answer(name)):
            self._mailers[name].send(mail, envelope_from=mail.sender.email, recipient=recipient)

    def _last_answer(self, name: str) -> float:
        """Seconds that a server may take to say that it has the mail."""
        return last_answer(self.settings.senders[name])

    def is_resting(self, account: str) -> bool:
        """Whether a pause after a failure lasts."""
        until = self._resting.get(account)
        return until is not None and self.clock.now() < until

    def rest(self, account: str, error: QuietcrmError) -> None:
        """Leave an account alone for a while after an error; said once."""
        failures = self._failures[account] = self._failures.get(account, 0) + 1
        verdict = judge(error, failures, random.SystemRandom())
        self._resting[account] = self.clock.now() + verdict.pause
        if failures == 1:
            log.warning("desk.unreachable", account=account, reason=verdict.reason)

    def mend(self, account: str) -> None:
        """Something was done about an account or its login: its pause is over."""
        self._resting.pop(account, None)

    def close(self) -> None:
        """Let go of every connection."""
        for desk in self._desks.values():
            if desk is not None:
                desk.close()
        for mailer in self._mailers.values():
            mailer.close()


def calendar_of(settings: Settings, rep: str) -> str:
    """The name below `calendars:` of the calendars that reminders of a rep go to, "" if none is theirs."""
    theirs = (name for name in settings.calendars if settings.calendar_owner(name) == rep)
    return next((name for name in theirs if type(settings.calendars[name]) in CALENDAR_DESKS), "")


def last_answer(sender: Sender) -> float:
    """Seconds that a sender's server may take to say that it has the mail (for SMTP see RFC 5321 4.5.3.2.6)."""
    return sender.timeout.delta().total_seconds() if isinstance(sender, SmtpSender | GraphSender) else 0.0


DESKS = ("imap", "graph", "exchange", "maildir", "memory")
"""Account types into which mail can be laid."""
