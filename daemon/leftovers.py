"""Drafts that a try to send left in a sender's mailbox, of mail that will not be sent: nobody shall find them there.

Microsoft 365 and Exchange make a draft of each mail before they send it. After a crash in between, or a try whose end
nobody knows, it stays; a mail that is sent once more takes it away by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from config.accounts import ExchangeSender, GraphSender
from config.errors import QuietcrmError
from connectors.protocols import Drafting
from daemon.clock import Clock
from daemon.outlets import Outlets
from daemon.watchdog import Watchdog
from store import outbox, sending
from store.engine import Store

log = structlog.get_logger()

LOOK_EVERY = timedelta(minutes=5)
AT_ONCE = 20


@dataclass(slots=True, kw_only=True)
class Leftovers:
    """Looks after them now and then. Call from the thread of the sender, whose connection it uses."""

    store: Store
    clock: Clock
    outlets: Outlets
    watchdog: Watchdog
    _looked_at: dict[str, datetime] = field(default_factory=dict)

    def clear(self, sender: str) -> int:
        """Take back what lies in this sender's Drafts for mail that is cancelled, refused or held; how many."""
        now, settings = self.clock.now(), self.outlets.settings
        looked_at = self._looked_at.get(sender)
        if looked_at is not None and now - looked_at < LOOK_EVERY:
            return 0
        self._looked_at[sender] = now
        if not isinstance(settings.senders.get(sender), GraphSender | ExchangeSender):
            return 0
        reps = [rep for rep in settings.team if settings.sender_for(rep) == sender]
        with self.store.session() as session:
            left = sending.left_in_drafts(session, reps, AT_ONCE)
        try:
            return sum(self._take_back(sender, number, message_id) for number, message_id in left)
        except QuietcrmError as error:  # it is no reason to send nothing
            log.warning("sender.drafts_stay", sender=sender, reason=error.message)
        except (OperationalError, InterfaceError):
            raise  # the store's trouble, not this mailbox's
        except Exception as error:
            log.error("sender.drafts_failed", sender=sender, exc_info=error)
        return 0

    def _take_back(self, sender: str, number: int, message_id: str) -> bool:
        mailer = self.outlets.mailer(sender)
        if not isinstance(mailer, Drafting):
            return False
        with self.watchdog.step(f"send by {sender}", self.outlets.patience(sender)):
            gone = mailer.take_back(message_id)
        with self.store.writing() as session:  # one that a person worked on is that person's own from now on
            outbox.change(session, number, gone_at=self.clock.now())
        return gone
