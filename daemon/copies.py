"""The copies in Sent of mail that left by itself, and the look-up there of mail nobody knows the end of.

A copy is looked for before one is laid in, so a crash in between makes no second one, nor does a server that keeps one
itself (Gmail, Exchange). What lies in Sent proves that a mail was sent; what does not proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from config.accounts import ExchangeSender, GraphSender, SmtpSender
from config.errors import QuietcrmError
from connectors.errors import Misconfigured
from connectors.outgoing import HeaderMismatch
from daemon.clock import Clock
from daemon.enclosures import FileTrouble
from daemon.letters import thawed
from daemon.office import Office
from daemon.ways import DESKS, Ways
from store import outbox, sending
from store.engine import Store
from store.tables import OutboxMail, OutboxState, SentCopy

log = structlog.get_logger()

AT_ONCE = 50
SERVER_TIME = timedelta(seconds=30)
"""How long a server may take to lay a copy into Sent by itself before we do."""
LOOK_EVERY = timedelta(minutes=5)
FOUND = "it lies in Sent"


@dataclass(slots=True, kw_only=True)
class Copies:
    """Looks after Sent. Blocking; on the thread that touches the reps' mailboxes."""

    store: Store
    office: Office
    ways: Ways
    clock: Clock

    def tidy(self) -> int:
        """Look up what is uncertain, lay in the copies that are wanted; how many things were settled."""
        now = self.clock.now()
        with self.store.session() as session:
            doubtful = sending.in_doubt(session, now - LOOK_EVERY)
            wanted = sending.without_copy(session, AT_ONCE, not_of=self._resting())
        done = sum(self._guard(row, self._look_up) for row in doubtful)
        return done + sum(self._guard(row, self._keep) for row in wanted)

    def _resting(self) -> list[str]:
        """The people none of whose mailboxes answers now: their copies wait, however many, and the others' do not."""
        ways, settings = self.ways, self.office.settings
        return [
            rep
            for rep in settings.team
            if (theirs := [name for name, one in settings.accounts.items() if one.rep == rep and one.type in DESKS])
            and all(ways.is_resting(name) for name in theirs)
        ]

    def _look_up(self, row: OutboxMail) -> bool:
        """A look-up may turn uncertain into sent, never into unsent (decision 29)."""
        assert row.id is not None
        lies = bool(self.ways.desk(self.ways.account_of(row.rep, row.account)).find_sent(row.message_id))
        now = self.clock.now()
        with self.store.writing() as session:
            outbox.change(session, row.id, looked_at=now)
            if not lies:
                return False
            fields = {"reason": FOUND, "copy_state": SentCopy.LIES.value, "settled_at": now, "obstacle": ""}
            fields["sent_message_id"] = row.message_id
            return outbox.move(session, row.id, (OutboxState.UNCERTAIN,), OutboxState.SENT, **fields)

    def _keep(self, row: OutboxMail) -> bool:
        """See to it that the copy of a sent mail lies in Sent, once."""
        assert row.id is not None
        way = self._way(row.rep)
        if way == "server":
            return self._note(row.id, SentCopy.NONE)
        if way == "auto" and row.settled_at is not None and self.clock.now() - row.settled_at < SERVER_TIME:
            return False
        desk = self.ways.desk(self.ways.account_of(row.rep, row.account))
        if not desk.find_sent(row.message_id):
            desk.place_sent(thawed(row, self.office.directory)[0])
        return self._note(row.id, SentCopy.LIES)

    def _way(self, rep: str) -> str:
        sender = self.office.settings.senders.get(self.office.settings.sender_for(rep) or "")
        if isinstance(sender, ExchangeSender | GraphSender):  # the copy in Sent is the server's own
            return "server"
        return sender.sent_copy if isinstance(sender, SmtpSender) else "append"

    def _note(self, number: int, state: SentCopy) -> bool:
        with self.store.writing() as session:
            outbox.change(session, number, copy_state=state.value)
        return True

    def _guard(self, row: OutboxMail, act: Callable[[OutboxMail], bool]) -> bool:
        """Do one thing; a mailbox that does not answer is left alone for a while, the others go on."""
        account = self.ways.account_of(row.rep, row.account)
        if self.ways.is_resting(account):
            return False
        try:
            return act(row)
        except (Misconfigured, HeaderMismatch, FileTrouble) as error:  # no Sent folder, say: the mail left all the same
            log.warning("copy.impossible", account=account, reason=error.message)
            with self.store.writing() as session:
                outbox.change(session, row.id or 0, copy_state=SentCopy.NONE.value, looked_at=self.clock.now())
        except QuietcrmError as error:
            self.ways.rest(account, error)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.error("copy.failed", account=account, row=row.id, exc_info=error)
        return False
