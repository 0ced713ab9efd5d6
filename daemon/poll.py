"""Reading one account: fetch, hand to the pipeline, fetch again while there is more; errors become a state.

The next batch is fetched and parsed while the present one is written. That is safe because a fetch only depends on
its cursor: if the write fails, the prefetched batch is thrown away and asked for again later.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from connectors.errors import CursorExpired
from connectors.model import Batch, Cursor, Message, Unreadable
from connectors.protocols import JunkReader, Rereader, Source, Thorough
from daemon.clock import Clock
from daemon.counts import Counts
from daemon.disk import REMEDY, DiskGuard
from daemon.pipeline import Pipeline
from daemon.policy import Verdict, is_expected, judge
from daemon.watchdog import Watchdog
from store import accounts
from store.engine import Store
from store.tables import Account

log = structlog.get_logger()

BATCH = 2000
STEP = 2.0
"""Seconds that one batch of a throttled back-fill may last."""
NEW_FOLDER = timedelta(hours=1)
NOTE_EVERY = timedelta(seconds=20)
"""A pass that changes nothing is written down this often: each write makes the disk sync."""


@dataclass(slots=True)
class Stop:
    """Tells every loop to end at the next safe point."""

    event: threading.Event = field(default_factory=threading.Event)

    def __bool__(self) -> bool:
        return self.event.is_set()


@dataclass(frozen=True, slots=True)
class Look:
    """A poll that asked every folder and came to the end of what was new. `at` = monotonic seconds when it began;
    `junk` holds what arrived in the Junk folder after `since`."""

    at: float
    since: datetime
    junk: tuple[Message, ...] = ()


class Poller:
    """Polls one account. `poll` never raises for what belongs to daily life; it records the account's state."""

    def __init__(
        self,
        source: Source,
        *,
        store: Store,
        pipeline: Pipeline,
        clock: Clock,
        jitter: random.Random,
        stop: Stop,
        backfill_rate: float = 0,
        watchdog: Watchdog | None = None,
        disk: DiskGuard | None = None,
        wanted_since: Callable[[str], datetime | None] = lambda _account: None,
    ) -> None:
        self.source = source
        self._store = store
        self._pipeline = pipeline
        self._clock = clock
        self._jitter = jitter
        self._stop = stop
        self._rate = backfill_rate
        self._watchdog = watchdog or Watchdog(clock.monotonic)
        self._disk = disk
        self._turn = threading.Lock()
        self._retired = False
        self.behind = False
        self.look: Look | None = None
        self._watched: set[str] = set()
        self._made: set[str] = set()
        self._wanted_since = wanted_since

    @property
    def account(self) -> str:
        """The account's name."""
        return self.source.account

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Use the source alone: waits until a running poll is over."""
        with self._watchdog.waiting():
            self._turn.acquire()
        try:
            with self._watchdog.step(f"read again {self.account}"):
                yield
        finally:
            self._turn.release()

    def is_due(self) -> bool:
        """False while a pause after a failure lasts."""
        row = self._row()
        return row is None or row.retry_at is None or row.retry_at <= self._clock.now()

    def poll(self, *, progress: Callable[[Batch, Counts], None] | None = None, once: bool = True) -> Counts:
        """One pass over what is there now. `once` False: the live mail and one batch of the back-fill, and nothing
        while a pause lasts. Waits for its turn, so a call that comes during another is not lost."""
        total = Counts()
        with self._turn:
            if self._stop or self._retired or not (once or self.is_due()):
                return total
            with self._watchdog.step(f"poll {self.account}"):
                self._poll_now(total, progress, once)
        return total

    def _poll_now(self, total: Counts, progress: Callable[[Batch, Counts], None] | None, once: bool) -> None:
        try:
            if not self._is_paused():
                self._pass(total, progress, once)
        except Exception as error:
            if not self._retired:  # then it is our own doing, and the account may be another one by now
                self._failed(error)
        finally:
            if self._retired:
                self.source.close()

    def retire(self) -> None:
        """Never poll again, and let go of the connection: at once, or at the end of the poll that runs now."""
        self._retired = True
        if self._turn.acquire(blocking=False):
            try:
                self.source.close()
            finally:
                self._turn.release()

    def reread(self, places: Sequence[tuple[str, str]]) -> tuple[Message | Unreadable, ...]:
        """Read single mails again, in turn with the polls; () where the source cannot. Raises ConnectorError."""
        with self.turn():
            return self.source.reread(places) if isinstance(self.source, Rereader) else ()

    def _pass(self, total: Counts, progress: Callable[[Batch, Counts], None] | None, once: bool) -> None:
        now, started = self._clock.now(), self._clock.monotonic()
        wanted = self._wanted_since(self.account)
        if wanted is not None and isinstance(self.source, Thorough):
            self.source.look_everywhere()
        row = self._row()
        cursor = Cursor(row.cursor) if row and row.cursor else self._pipeline.start(self.account, now)
        since = _new_folders_since(row, now)
        began = now
        for batch in self._batches(cursor, once):
            if self._retired or self._is_paused():
                return
            self.behind = batch.more
            if _is_quiet(batch) and batch.cursor == cursor:  # most polls: nothing to write, no sync of the disk
                break
            self._note_folders(batch.folders)
            counts = self._pipeline.handle(self.account, batch, since=since, made=self._made)
            total.add(counts)
            if progress:
                progress(batch, counts)
            self._slow_down(batch, began)
            self._watchdog.progress()
            began = self._clock.now()
        self._watched = self._watched or set(batch.folders)
        if not self._stop:
            self._note_look(started, wanted)
        self._succeeded()

    def _note_folders(self, folders: Sequence[str]) -> None:
        """A folder that appears behind the first pass was made by somebody just now; what is in it is no old mail."""
        if self._watched:
            self._made |= set(folders) - self._watched

    def _note_look(self, started: float, since: datetime | None) -> None:
        """Everything that was new when the pass began is in the history now; look into Junk where a send asks. A pass
        that nobody asked to be thorough left quiet folders out, and is no look."""
        if since is None:
            return
        junk: tuple[Message, ...] = ()
        if isinstance(self.source, JunkReader):
            with self._watchdog.step(f"fetch {self.account}"):
                junk = self.source.read_junk(since)
        self.look = Look(started, since, junk)

    def _row(self) -> Account | None:
        with self._store.session() as session:
            return accounts.load(session, self.account)

    def _batches(self, cursor: Cursor | None, once: bool) -> Iterator[Batch]:
        """What is to be read, the next batch being fetched while one is worked on."""
        batch = self._fetch(cursor)
        if not self._goes_on(batch, once):  # most polls: no thread is needed
            yield batch
            return
        with ThreadPoolExecutor(1, thread_name_prefix=f"fetch-{self.account}") as fetcher:
            while self._goes_on(batch, once):
                ahead = fetcher.submit(self._fetch, batch.cursor)
                yield batch
                if self._stop:
                    return
                with self._watchdog.waiting():  # the fetch has a deadline of its own
                    batch = ahead.result()
            yield batch

    def _goes_on(self, batch: Batch, once: bool) -> bool:
        return batch.more and not self._stop and not self._retired and (once or not batch.backfill)

    def _fetch(self, cursor: Cursor | None) -> Batch:
        # A throttled back-fill goes in steps of two seconds, so that new mail never waits longer than that.
        limit = max(1, min(BATCH, round(self._rate * STEP))) if self._rate else BATCH
        with self._watchdog.step(f"fetch {self.account}"):
            try:
                return self.source.fetch(cursor, limit=limit)
            except CursorExpired as error:
                log.warning("cursor.expired", account=self.account, reason=error.message)
                return self.source.fetch(None, limit=limit)

    def _slow_down(self, batch: Batch, began: datetime) -> None:
        """Let a batch of the back-fill take as long as the setting says, the work on it included."""
        if self._rate and batch.backfill:
            due = (len(batch.items) + len(batch.unreadable)) / self._rate
            self._stop.event.wait(max(0.0, due - (self._clock.now() - began).total_seconds()))

    def _is_paused(self) -> bool:
        """Whether there is no room for more mail; says so as the account's state. The cursor stays: nothing is lost."""
        reason = self._disk.trouble() if self._disk else ""
        if not reason:
            return False
        self.behind = False  # then nothing wakes us but the next tick
        now, row = self._clock.now(), self._row()
        if row is None or row.state != "paused":
            with self._store.writing() as session:
                accounts.begin(session, self.account, now)
                accounts.failed(session, self.account, now, state="paused", reason=reason, hint=REMEDY, retry_at=None)
            log.warning("account.paused", account=self.account, reason=reason)
        return True

    def _succeeded(self) -> None:
        now = self._clock.now()
        was = self._row()
        if was is not None and not _is_worth_noting(was, now):
            return
        with self._store.writing() as session:
            accounts.succeeded(session, self.account, now)
        if was is not None and was.state in ("failing", "parked", "paused"):
            log.info("account.recovered", account=self.account)

    def _failed(self, error: Exception) -> Verdict:
        now = self._clock.now()
        with self._store.writing() as session:
            row = accounts.begin(session, self.account, now)
            was, failures = row.state, row.failures + 1
            verdict = judge(error, failures, self._jitter)
            state = "parked" if verdict.parked else "failing"
            retry_at = now + verdict.pause
            accounts.failed(
                session, self.account, now, state=state, reason=verdict.reason, hint=verdict.hint, retry_at=retry_at
            )
        self._report(error, was, state, verdict)
        self.source.close()
        return verdict

    def _report(self, error: Exception, was: str, state: str, verdict: Verdict) -> None:
        # Once on loss and once on return, never in between: an outage of a night is two lines.
        if not is_expected(error):
            log.error("account.broke", account=self.account, exc_info=error)
        elif was != state:
            log.warning(
                f"account.{state}",
                account=self.account,
                reason=verdict.reason,
                pause=round(verdict.pause.total_seconds()),
            )


def _is_quiet(batch: Batch) -> bool:
    return not (batch.items or batch.unreadable or batch.removed or batch.changed or batch.more)


def _new_folders_since(row: Account | None, now: datetime) -> datetime:
    """Baseline of folders that are new in this pass: the last pass, since a rep may have made the folder and a filter
    filled it meanwhile; but never long ago, since an admin may have begun to watch an old folder."""
    last = row.last_success_at if row else None
    return max(last, now - NEW_FOLDER) if last else now


def _is_worth_noting(row: Account, now: datetime) -> bool:
    """Whether a pass that worked changes what is known of the account: its state, or its time by enough."""
    state = "behind" if row.backfill_done < row.backfill_total else "ok"
    recent = row.last_success_at is not None and timedelta(0) <= now - row.last_success_at < NOTE_EVERY
    return not recent or row.state != state or row.retry_at is not None
