"""Reading the calendars of one login: fetch, hand to the meetings, fetch again while there is more; errors become a
state, kept beside those of mailboxes under "calendars.NAME".
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from connectors.calendars import CalendarBatch, Window
from connectors.errors import ConnectorError, CursorExpired
from connectors.model import Cursor
from connectors.protocols import CalendarSource, EventRereader
from daemon.clock import Clock
from daemon.counts import Counts
from daemon.meeting_times import box_of
from daemon.meetings import Meetings
from daemon.policy import is_expected, judge
from daemon.poll import NOTE_EVERY, Stop
from daemon.watchdog import Watchdog
from store import accounts
from store.engine import Store
from store.tables import Account

log = structlog.get_logger()

OBJECTS = 200
"""How many objects one batch reads."""
BACK, AHEAD = timedelta(days=30), timedelta(days=90)
"""How far events are read. Both ends move once a day, as moving them means that everything is read anew."""


def window_at(now: datetime) -> Window:
    """The time that is read of calendars, on this day."""
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(day - BACK, day + AHEAD)


class CalendarPoller:
    """Polls the calendars of one login. `poll` never raises for what belongs to daily life; it records a state."""

    def __init__(
        self,
        source: CalendarSource,
        *,
        store: Store,
        meetings: Meetings,
        clock: Clock,
        jitter: random.Random,
        stop: Stop,
        watchdog: Watchdog,
    ) -> None:
        self.source = source
        self._store, self._meetings, self._clock = store, meetings, clock
        self._jitter, self._stop, self._watchdog = jitter, stop, watchdog
        self._turn = threading.Lock()
        self._retired = False

    @property
    def account(self) -> str:
        """The name below `calendars:`."""
        return self.source.account

    def is_due(self) -> bool:
        """False while a pause after a failure lasts."""
        row = self._row()
        return row is None or row.retry_at is None or row.retry_at <= self._clock.now()

    def poll(self) -> Counts:
        """One pass over what is there now."""
        total = Counts()
        with self._turn:
            if self._stop or self._retired:
                return total
            with self._watchdog.step(f"poll {box_of(self.account)}"):
                try:
                    self._pass(total)
                except Exception as error:
                    if not self._retired:
                        self._failed(error)
                finally:
                    if self._retired:
                        self.source.close()
        return total

    def look_again(self, places: Sequence[tuple[str, str]]) -> None:
        """A pass, and these objects once more: a server may tell what changed later than it shows it. What such a look
        does not find is not taken for gone."""
        self.poll()
        with self._turn:
            if self._stop or self._retired or not self.is_due() or not isinstance(self.source, EventRereader):
                return
            now = self._clock.now()
            window, row = window_at(now), self._row()
            with self._watchdog.step(f"poll {box_of(self.account)}"):
                try:
                    batch = self.source.reread(places, window)
                except ConnectorError as error:
                    log.warning("event.not_read_again", account=box_of(self.account), reason=error.message)
                    return
                seen = tuple(name for name in batch.calendars if name in {calendar for calendar, _ in places})
                batch = replace(batch, cursor=Cursor(""), removed=(), calendars=seen)
                last = row.last_success_at if row else None
                self._meetings.handle(self.account, batch, window, since=now, last=last, reach=AHEAD)

    def retire(self) -> None:
        """Never poll again, and let go of the connection: at once, or at the end of the poll that runs now."""
        self._retired = True
        if self._turn.acquire(blocking=False):
            try:
                self.source.close()
            finally:
                self._turn.release()

    def _pass(self, total: Counts) -> None:
        now = self._clock.now()
        cursor = self._meetings.start(self.account, now)
        row = self._row()
        last = row.last_success_at if row else None
        window = window_at(now)
        while not self._stop and not self._retired:
            batch = self._fetch(cursor, window)
            if batch.cursor != cursor or batch.read or batch.removed or batch.unreadable:
                total.add(self._meetings.handle(self.account, batch, window, since=now, last=last, reach=AHEAD))
            self._watchdog.progress()
            cursor = batch.cursor
            if not batch.more:
                break
        total.add(self._late(window))
        self._meetings.call_off(self.account)
        self._succeeded(row)

    def _fetch(self, cursor: Cursor | None, window: Window) -> CalendarBatch:
        try:
            return self.source.fetch(cursor, window, limit=OBJECTS)
        except CursorExpired as error:
            log.warning("cursor.expired", account=box_of(self.account), reason=error.message)
            return self.source.fetch(None, window, limit=OBJECTS)

    def _late(self, window: Window) -> Counts:
        """Events of people who became known since they were read."""
        due = self._meetings.due(self.account)
        if not due or not isinstance(self.source, EventRereader):
            return Counts()
        places = list(dict.fromkeys((calendar, ref) for _, calendar, ref in due))
        batch = self.source.reread(places, window)
        return self._meetings.handle_late(self.account, batch, [number for number, _, _ in due])

    def _row(self) -> Account | None:
        with self._store.session() as session:
            return accounts.load(session, box_of(self.account))

    def _succeeded(self, was: Account | None) -> None:
        now = self._clock.now()
        last = was.last_success_at if was else None
        if was and last and was.state == "ok" and not was.retry_at and timedelta(0) <= now - last < NOTE_EVERY:
            return
        with self._store.writing() as session:
            accounts.succeeded(session, box_of(self.account), now)
        if was is not None and was.state in ("failing", "parked"):
            log.info("account.recovered", account=box_of(self.account))

    def _failed(self, error: Exception) -> None:
        now, name = self._clock.now(), box_of(self.account)
        with self._store.writing() as session:
            row = accounts.begin(session, name, now)
            was = row.state
            verdict = judge(error, row.failures + 1, self._jitter)
            state = "parked" if verdict.parked else "failing"
            retry_at = now + verdict.pause
            accounts.failed(
                session, name, now, state=state, reason=verdict.reason, hint=verdict.hint, retry_at=retry_at
            )
        if not is_expected(error):
            log.error("account.broke", account=name, exc_info=error)
        elif was != state:
            log.warning(f"account.{state}", account=name, reason=verdict.reason)
        self.source.close()
