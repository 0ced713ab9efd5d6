"""Works off what people did to logged mail in their mailboxes: the mail is read again, and the rules that wait for it
run, each once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from connectors.errors import ConnectorError
from connectors.model import Message
from daemon.clock import Clock
from daemon.directory import directory_for
from daemon.gestures import TAGGED
from daemon.happening import Happening
from daemon.office import Office
from daemon.poll import Poller
from rules.occasion import Occasion
from store import gestures
from store.engine import Store
from store.errors import StoreError
from store.hashing import HashKey
from store.tables import Gesture

log = structlog.get_logger()

AT_ONCE = 100
TRIES = 5


class Reactions:
    """Works off what people did: reads the mail again and runs the rules that wait for it, each once."""

    def __init__(self, store: Store, office: Office, key: HashKey, pollers: Mapping[str, Poller], clock: Clock) -> None:
        self._store = store
        self._key = key
        self._pollers = pollers
        self._clock = clock
        self.office = office

    def run(self) -> int:
        """How many had a rule run."""
        with self._store.session() as session:
            rows = gestures.waiting(session, AT_ONCE)
        by_account: dict[str, list[Gesture]] = {}
        for row in rows:
            by_account.setdefault(row.account, []).append(row)
        return sum(self._react(account, some) for account, some in by_account.items())

    def _react(self, account: str, rows: list[Gesture]) -> int:
        poller = self._pollers.get(account)
        try:
            found = poller.reread([(row.folder, row.ref) for row in rows]) if poller else ()
        except ConnectorError as error:
            log.warning("gesture.unreachable", account=account, reason=error.message)
            return 0
        mails = {(item.folder, item.ref): item for item in found if isinstance(item, Message)}
        return sum(self._safely(row, mails.get((row.folder, row.ref))) for row in rows)

    def _safely(self, row: Gesture, message: Message | None) -> bool:
        """One that errs holds up none of those behind it."""
        assert row.id is not None
        try:
            return self._one(row, message)
        except (StoreError, OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.error("gesture.failed", account=row.account, what=row.what, exc_info=error)
            self._try_again(row)
        return False

    def _try_again(self, row: Gesture) -> None:
        assert row.id is not None
        with self._store.writing() as session:
            if row.attempts + 1 >= TRIES:
                gestures.done(session, row.id)
            else:
                gestures.tried(session, row.id)

    def _one(self, row: Gesture, message: Message | None) -> bool:
        assert row.id is not None
        if message is None:
            self._try_again(row)  # moved on or deleted meanwhile; if it lies elsewhere now, that is told as well
            return False
        with self._store.writing() as session:
            if not gestures.done(session, row.id):
                return False
            if row.what == TAGGED:
                message = replace(message, categories=(row.name,))
            occasion = Occasion(when=row.what, event=f"{row.what}|{row.id}", at=row.at, seen=row.name or row.folder)
            directory = directory_for(session, self._key, self.office.settings, (message,), self.office.rules)
            happening = Happening(session=session, office=self.office, key=self._key, now=self._clock.now())
            return happening.happen(occasion, directory, message=message, interaction_id=row.interaction_id)
