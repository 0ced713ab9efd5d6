"""Reminders as items in the reps' own calendars and lists of tasks, from the day they are set until they are settled.
The only place that writes into calendars, and only items of ours: each has a UID of our own and invites nobody.

Each step is: commit what we are about to do, do it on the wire, commit what came of it. After a crash the desk finds
the item under its UID and lays no second one. Where a calendar does not answer until the time has come, the store
settles that the reminder goes as a mail; from then on it never goes into a calendar, and what may lie there is taken
out.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from config.errors import QuietcrmError
from connectors.calendars import OWN_UID, ItemKind, PlacedItem
from connectors.errors import Misconfigured
from connectors.protocols import CalendarDesk
from daemon.breaker import owner_of, stands_still
from daemon.clock import Clock
from daemon.letters import Held, reminder_item
from daemon.meeting_times import box_of
from daemon.office import Office
from daemon.policy import judge
from daemon.settling import answered_since
from daemon.watchdog import Watchdog
from daemon.ways import calendar_of
from rules.clock import same_clock
from store import pauses, reminders
from store.engine import Store
from store.tables import LaidAs, Reminder, ReminderState

log = structlog.get_logger()

GRACE = timedelta(minutes=10)
"""How long an item may be gone before that means that the rep deleted it: programs that move one take it out first."""
PAST = timedelta(days=30)
"""So long behind its time an event is still looked after."""
SOON = timedelta(minutes=5)
"""What is due already is set for the next moment of the clock that such a step ends at, so that it rings."""
AT_ONCE = 100
_OPEN = (ReminderState.PLANNED, ReminderState.PLACING)
_LYING = (ReminderState.PLACING, ReminderState.PLACED, ReminderState.WITHDRAWING)
ERASED = "the customer was erased"
NO_ANSWER = "the calendar did not answer in time: it came as a mail"


@dataclass(slots=True, kw_only=True)
class CalendarItems:
    """The reminders in the calendars of one login. Thread-safe; blocking.

    build   makes the desk; raises SecretUnavailable
    """

    name: str
    office: Office
    store: Store
    clock: Clock
    watchdog: Watchdog
    build: Callable[[], CalendarDesk]
    _turn: threading.Lock = field(default_factory=threading.Lock)
    _desk: CalendarDesk | None = None
    _rests_until: datetime | None = None
    _refused: dict[int, datetime] = field(default_factory=dict)
    """Reminder -> when it is tried again: what is wrong with it is not wrong with the others."""
    _failures: int = 0
    _looked_at: datetime | None = None
    _retired: bool = False

    def tidy(self) -> int:
        """Lay out what is new, take away what is settled, look after what lies there. How many things were done."""
        with self._turn:
            if self._retired:
                return 0
            with self.watchdog.step(f"items {self.name}"):
                done = self._lay_out() + self._take_away()
                every = self.office.settings.calendars[self.name].every.delta()
                now = self.clock.now()
                if self._looked_at is None or now - self._looked_at >= every:
                    self._looked_at = now
                    done += self._look()
                done += self._give_up()
            if self._retired:
                self._close()
            return done

    def take_back(self, customer: int) -> int:
        """Remove what lies there for a customer; how many items stay (edited, or out of reach now)."""
        with self._turn:
            with self.store.writing() as session:
                rows = reminders.of_customers(session, [customer], states=_LYING)
                mine = [one for one in rows if one.calendar == self.name and one.laid_as != LaidAs.MAIL]
                for row in mine:
                    reminders.move(session, row.id or 0, _LYING, ReminderState.WITHDRAWING, reason=ERASED)
            return sum(not self._guard(self._withdraw, row) for row in mine)

    def mend(self) -> None:
        """Something was done about the login: its pauses are over. Waits for nothing that is done now."""
        self._rests_until = None
        self._refused.clear()

    def retire(self) -> None:
        """Touch nothing any more and let go of the connection: at once, or at the end of what is done now."""
        self._retired = True
        if self._turn.acquire(blocking=False):
            try:
                self._close()
            finally:
                self._turn.release()

    def _close(self) -> None:
        if self._desk is not None:
            self._desk.close()

    # --- laying out

    def _lay_out(self) -> int:
        now = self.clock.now()
        with self.store.session() as session:
            begun = reminders.items(session, (ReminderState.PLACING,), self.name, AT_ONCE)
            fresh = self._unsettled(session)[:AT_ONCE]
        done = sum(self._guard(self._lay if row.due_at > now else self._lay_or_mail, row) for row in begun)
        return done + sum(self._guard(self._lay, row) for row in fresh)

    def _unsettled(self, session: Session) -> list[Reminder]:
        """Those that shall go into these calendars and do not stand still."""
        stands = pauses.everything(session)
        mine = [row for row in reminders.unsettled(session) if calendar_of(self.office.settings, row.rep) == self.name]
        return [row for row in mine if not stands_still(stands, owner_of(row))]

    def _lay(self, row: Reminder) -> bool:
        now, uid = self.clock.now(), row.item_uid or f"{OWN_UID}{secrets.token_hex(12)}"
        assert row.id is not None
        start = row.due_at if row.due_at > now else _next_step(now)
        with self.store.writing() as session:
            why = answered_since(session, row)
            if why and row.state == ReminderState.PLANNED:
                return reminders.move(
                    session, row.id, (ReminderState.PLANNED,), ReminderState.CANCELLED, settled_at=now, reason=why
                )
            item = reminder_item(session, self.office, row, uid, start, now)
            fields = {"laid_as": LaidAs(item.kind.value), "calendar": self.name, "item_uid": uid, "due_at": start}
            fields["attempts"] = row.attempts + 1
            # From the state it was found in: a worker that a reload let go may have claimed it under another UID.
            claimed = reminders.move(session, row.id, (row.state,), ReminderState.PLACING, **fields)
        if not claimed:
            return False
        try:
            return self._note(row, self._reach().put(item))
        except Misconfigured as error:  # no calendar of this kind, or no room: a try before may have left an item
            return self._as_mail(row, error.message)

    def _lay_or_mail(self, row: Reminder) -> bool:
        """Its time has come while it was not known to lie there: it does, or it goes as a mail."""
        found = self._find(row)
        return self._note(row, found) if found else self._as_mail(row, NO_ANSWER, item_uid=None)

    def _note(self, row: Reminder, placed: PlacedItem) -> bool:
        assert row.id is not None
        now = self.clock.now()
        seen = {"folder": placed.calendar, "ref": placed.ref, "content_hash": content_of(placed), "placed_at": now}
        with self.store.writing() as session:
            if not reminders.move(session, row.id, (ReminderState.PLACING,), ReminderState.PLACED, **seen):
                reminders.change(session, row.id, **seen)  # settled while we were on the wire: it has to go again
        log.info("reminder.laid", rule=row.rule, calendar=self.name, kind=placed.kind.value)
        return True

    # --- when the calendar does not answer

    def _give_up(self) -> int:
        """What is due and does not lie in the calendar goes as a mail instead."""
        now = self.clock.now()
        with self.store.session() as session:
            rows = reminders.items(session, (ReminderState.PLACING,), self.name) + self._unsettled(session)
        return sum(self._as_mail(row, NO_ANSWER) for row in rows if row.due_at <= now)

    def _as_mail(self, row: Reminder, reason: str, **fields: Any) -> bool:
        assert row.id is not None
        with self.store.writing() as session:
            moved = reminders.move(
                session, row.id, _OPEN, ReminderState.PLANNED, laid_as=LaidAs.MAIL, reason=reason, attempts=0, **fields
            )
        log.warning("reminder.goes_as_mail", rule=row.rule, calendar=self.name, reason=reason)
        return moved

    # --- taking away

    def _take_away(self) -> int:
        with self.store.session() as session:
            rows = reminders.items(session, (ReminderState.WITHDRAWING,), self.name, AT_ONCE)
            left = reminders.leftovers(session, self.name)
        return sum(self._guard(self._withdraw, row) for row in rows) + sum(
            self._guard(self._clear, row) for row in left
        )

    def _withdraw(self, row: Reminder) -> bool:
        assert row.id is not None
        end = self._remove(row)
        if end is None:
            return False
        with self.store.writing() as session:
            reminders.move(session, row.id, (ReminderState.WITHDRAWING,), end, settled_at=self.clock.now())
        log.info(f"reminder.{end}", rule=row.rule, calendar=self.name)
        return True

    def _clear(self, row: Reminder) -> bool:
        """It came as a mail: no item of it may stay."""
        assert row.id is not None
        if self._remove(row) is None:
            return False
        with self.store.writing() as session:
            reminders.change(session, row.id, item_uid=None)
        return True

    def _remove(self, row: Reminder) -> ReminderState | None:
        """What became of the item; None if it was changed this moment: then it is looked at again."""
        found = self._find(row)
        if found is None:
            return ReminderState.WITHDRAWN
        noted = row.content_hash if row.laid_as != LaidAs.MAIL else ""  # a mail has a hash of its own there
        if not found.ours or found.done or (noted and noted != content_of(found)):
            return ReminderState.KEPT
        return ReminderState.WITHDRAWN if self._reach().remove(found) else None

    # --- what the rep does with it

    def _look(self) -> int:
        with self.store.session() as session:
            rows = reminders.items(session, (ReminderState.PLACED,), self.name)
        return sum(self._guard(self._look_at, row) for row in rows)

    def _look_at(self, row: Reminder) -> bool:
        assert row.id is not None
        found, now = self._find(row), self.clock.now()
        if found is None and row.gone_at is None:
            with self.store.writing() as session:
                reminders.change(session, row.id, gone_at=now)
            return False
        why = self._why_over(row, found, now)
        if why or found is None:
            return bool(why) and self._end(row, found, why, now)
        due = snoozed(row.due_at, found, self.office, row.rep)
        place = {"folder": found.calendar, "ref": found.ref}
        if due is None and row.gone_at is None and place == {"folder": row.folder, "ref": row.ref}:
            return False
        with self.store.writing() as session:
            reminders.change(session, row.id, gone_at=None, due_at=due or row.due_at, **place)
        if due is not None:
            log.info("reminder.snoozed", rule=row.rule, calendar=self.name, until=due.isoformat())
        return due is not None

    def _why_over(self, row: Reminder, found: PlacedItem | None, now: datetime) -> str:
        if found is None:
            return "the rep deleted it" if row.gone_at and now - row.gone_at >= GRACE else ""
        if not found.ours:
            return "somebody was invited by it: it is the rep's own now"
        if found.done:
            return "the rep ticked it off"
        return "its time is long over" if row.laid_as == LaidAs.EVENT and now - row.due_at > PAST else ""

    def _end(self, row: Reminder, found: PlacedItem | None, why: str, now: datetime) -> bool:
        end = ReminderState.DONE if found is None or found.ours else ReminderState.KEPT
        with self.store.writing() as session:
            done = reminders.move(
                session, row.id or 0, (ReminderState.PLACED,), end, settled_at=now, reason=why, gone_at=None
            )
        log.info(f"reminder.{end}", rule=row.rule, calendar=self.name, why=why)
        return done

    # --- the desk

    def _reach(self) -> CalendarDesk:
        if self._desk is None:
            self._desk = self.build()
        self.watchdog.progress()
        return self._desk

    def _find(self, row: Reminder) -> PlacedItem | None:
        assert row.item_uid is not None
        return self._reach().find(row.item_uid, ItemKind.TASK if row.wanted_as == "task" else ItemKind.EVENT)

    def _guard(self, act: Callable[[Reminder], bool], row: Reminder) -> bool:
        """Do one thing. A calendar that does not answer leaves the row as it is and gets a rest; one that cannot have
        this row leaves it as it is, and the others go on."""
        now, number = self.clock.now(), row.id or 0
        if any(until is not None and now < until for until in (self._rests_until, self._refused.get(number))):
            return False
        try:
            done = act(row)
        except Held as held:
            with self.store.writing() as session:
                reminders.move(session, number, _OPEN, ReminderState.HELD, reason=held.message)
        except Misconfigured as error:
            self._set_aside(row, error)
        except QuietcrmError as error:
            self._rest(error)
        except (OperationalError, InterfaceError):
            raise  # the store's trouble, not this row's
        except Exception as error:
            log.error("desk.failed", account=box_of(self.name), row=row.id, exc_info=error)  # the others go on
        else:
            self._failures, self._rests_until = 0, None
            self._refused.pop(number, None)
            return done
        return False

    def _set_aside(self, row: Reminder, error: Misconfigured) -> None:
        number, verdict = row.id or 0, judge(error, 1, random.SystemRandom())
        if number not in self._refused:
            log.warning("reminder.refused", rule=row.rule, calendar=self.name, reason=verdict.reason)
        self._refused[number] = self.clock.now() + verdict.pause

    def _rest(self, error: QuietcrmError) -> None:
        self._failures += 1
        verdict = judge(error, self._failures, random.SystemRandom())
        self._rests_until = self.clock.now() + verdict.pause
        if self._failures == 1:
            log.warning("desk.unreachable", account=box_of(self.name), reason=verdict.reason)


def snoozed(due: datetime, found: PlacedItem, office: Office, rep: str) -> datetime | None:
    """When the reminder is due since its owner moved the item; None if it is where it was. On a whole day: at the clock
    time that it had."""
    if found.start is None:
        return None
    zone = office.settings.zone_for(rep)
    moved = found.start if isinstance(found.start, datetime) else same_clock(due, found.start, zone)
    if found.kind is ItemKind.TASK and moved.astimezone(zone).date() == due.astimezone(zone).date():
        return None  # lists of tasks keep days, and some no clock
    same = moved.replace(second=0, microsecond=0) == due.replace(second=0, microsecond=0)
    return None if same else moved


def content_of(placed: PlacedItem) -> str:
    """A hash of the words of an item; where it lies and when it is are not of them."""
    said = repr((placed.summary.split(), (placed.text or "").split()))
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _next_step(now: datetime) -> datetime:
    """The next full five minutes, a minute away at least."""
    later = now + timedelta(minutes=1)
    return later + (SOON - (later - datetime.min.replace(tzinfo=later.tzinfo)) % SOON)


def reminder_line(row: Reminder, office: Office) -> str:
    """One reminder, how it comes and how it stands, by which rule."""
    settings = office.settings
    at = row.due_at.astimezone(settings.zone_for(row.rep) if row.rep in settings.team else settings.zone)
    lies = {LaidAs.EVENT: "in the calendar", LaidAs.TASK: "in the tasks"}.get(LaidAs(row.laid_as or LaidAs.MAIL))
    wanted = f"as a mail, though {row.wanted_as} is wanted" if row.wanted_as else "as a mail"
    how = f"{lies} of calendars.{row.calendar}" if lies else wanted
    why = f" ({row.reason})" if row.reason else ""
    return f"{row.rep}, {at:%Y-%m-%d %H:%M}, {row.text!r}: {how}, {row.state}{why}, by rule {row.rule}"
