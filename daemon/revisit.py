"""Reads mails again that matched nobody when they came, now that an address, domain or thread of theirs is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from connectors.errors import ConnectorError
from connectors.model import Message
from connectors.protocols import Rereader
from daemon.clock import Clock
from daemon.counts import Counts
from daemon.pipeline import Pipeline
from daemon.poll import Poller
from store import quarantine, unmatched
from store.engine import Store
from store.tables import Quarantine
from store.unmatched import UnmatchedRow

log = structlog.get_logger()

AT_ONCE = 200


TRIES = 3
PAUSE = timedelta(minutes=10)


def _may_be_retried(row: Quarantine, now: datetime) -> bool:
    return row.stage == "fetch" and row.attempts < TRIES and now >= row.created_at + row.attempts * PAUSE


class Revisit:
    """Works off the unmatched mails that are due. Nothing of them was stored, so the mailbox is asked again."""

    def __init__(self, store: Store, pipeline: Pipeline, pollers: Mapping[str, Poller], clock: Clock) -> None:
        self._clock = clock
        self._store = store
        self._pipeline = pipeline
        self._pollers = pollers

    def run(self) -> dict[str, Counts]:
        """Read again until nothing is due (logging one may make its answers due). Counts by account."""
        total: dict[str, Counts] = defaultdict(Counts)
        self._retry_unread(total)
        tried: set[int] = set()
        while True:
            with self._store.session() as session:
                rows = [
                    row
                    for row in unmatched.due(session, limit=10 * AT_ONCE)
                    if row.id not in tried and row.kind != "meeting"
                ]
            if not rows:
                return dict(total)
            tried.update(row.id for row in rows)
            by_account: dict[str, list[UnmatchedRow]] = defaultdict(list)
            for row in rows:
                by_account[row.account].append(row)
            for account, some in by_account.items():
                for start in range(0, len(some), AT_ONCE):
                    total[account].add(self._read_again(account, some[start : start + AT_ONCE]))

    def _retry_unread(self, total: dict[str, Counts]) -> None:
        """Mails that could not be fetched are asked for again, ten and twenty minutes later; then they stay aside."""
        now = self._clock.now()
        with self._store.session() as session:
            rows = [row for row in quarantine.pending(session, AT_ONCE) if _may_be_retried(row, now)]
        for row in rows:
            poller = self._pollers.get(row.account)
            if poller is None or not isinstance(poller.source, Rereader):
                continue
            try:
                with poller.turn():
                    found = poller.source.reread([(row.folder, row.ref)])
            except ConnectorError:
                continue  # the account has its own trouble, and is told of it there
            total[row.account].add(self._pipeline.handle_again(row.account, found))

    def _read_again(self, account: str, rows: list[UnmatchedRow]) -> Counts:
        poller = self._pollers.get(account)
        source = poller.source if poller else None
        if not isinstance(source, Rereader):
            return Counts()  # the account is gone from the settings: its rows wait for its return
        try:
            assert poller is not None
            with poller.turn():
                found = source.reread([(row.folder, row.ref) for row in rows])
        except ConnectorError as error:
            log.warning("unmatched.unreachable", account=account, reason=error.message)
            return Counts()
        messages = [item for item in found if isinstance(item, Message)]
        return self._pipeline.log_late(account, messages, [row.id for row in rows])
