"""Drafts and reminders in the reps' own mailboxes, from due to done. The only place that lays mail into a mailbox;
what goes into calendars is laid by daemon.calendar_items.

Each step is: commit what we are about to do, do it on the wire, commit what came of it. A crash in between is healed
by looking for our own Message-ID in the mailbox before laying a second copy. What a rep touched is never taken away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from config.errors import QuietcrmError
from connectors.errors import Misconfigured
from connectors.model import OutgoingMail, Placed
from connectors.outgoing import HeaderMismatch
from connectors.protocols import Desk
from daemon.breaker import owner_of, stands_still
from daemon.clock import Clock
from daemon.enclosures import references
from daemon.evidence import Witness
from daemon.last_look import DAY_OVER, Step, Verdict
from daemon.letters import Held, draft_mail, reminder_mail
from daemon.office import Office, later
from daemon.settling import LATE, answered_since, meeting_of
from daemon.ways import Ways, calendar_of
from store import outbox, pauses, reminders
from store.engine import Store
from store.tables import LaidAs, OutboxMail, OutboxState, Reminder, ReminderState, Way

log = structlog.get_logger()

GRACE = timedelta(minutes=10)
"""How long a vanished draft may wait for its copy in Sent before it counts as declined."""

LOOK_EVERY = timedelta(minutes=5)
TRY_HELD_EVERY = timedelta(hours=1)
AT_ONCE = 100
EXPIRED = "nobody touched it in time"
ERASED = "the customer was erased"
_OPEN_DRAFT = (OutboxState.PLANNED, OutboxState.PLACING)
_LYING_DRAFT = (OutboxState.PLACING, OutboxState.PLACED, OutboxState.WITHDRAWING)
_LYING_REMINDER = (ReminderState.PLACING, ReminderState.PLACED, ReminderState.WITHDRAWING)
_OPEN_REMINDER = (ReminderState.PLANNED, ReminderState.PLACING)
_ITEM = (LaidAs.EVENT, LaidAs.TASK)
_Row = TypeVar("_Row", OutboxMail, Reminder)


@dataclass(slots=True)
class Desks:
    """One pass over everything that is due at the reps' desks. Blocking; call from one thread."""

    store: Store
    office: Office
    ways: Ways
    clock: Clock
    witness: Witness
    freshen: Callable[[Collection[int]], None] = lambda _meetings: None
    """Reads these meetings again before somebody is reminded of them."""
    _looked_at: datetime | None = None
    _retried_at: datetime | None = None

    def tidy(self) -> int:
        """Lay out what is due, take away what is settled, look after what lies there. How many things were done."""
        self._try_held_again()
        self._leave_calendars()
        done = self._drafts_due() + self._drafts_withdrawing() + self._reminders_due() + self._reminders_withdrawing()
        now = self.clock.now()
        if self._looked_at is None or now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            done += self._look_at_drafts() + self._look_at_reminders()
        self.witness.lookout.ask()
        return done

    def _try_held_again(self) -> None:
        """What kept a mail back may be mended by now (a folder, a certificate, a missing value); else it is held again.
        Nobody could release a reminder by hand."""
        now = self.clock.now()
        if self._retried_at is not None and now - self._retried_at < TRY_HELD_EVERY:
            return
        self._retried_at = now
        with self.store.session() as session:
            held = outbox.in_states(session, (OutboxState.HELD,))
            drafts = [row for row in held if row.way == Way.DRAFT][:AT_ONCE]
            waiting = reminders.in_states(session, (ReminderState.HELD,), limit=AT_ONCE)
        if not drafts and not waiting:
            return
        with self.store.writing() as session:
            for draft in drafts:
                outbox.move(session, draft.id or 0, (OutboxState.HELD,), OutboxState.PLANNED)
            for reminder in waiting:
                way = None if reminder.laid_as in _ITEM else reminder.laid_as  # how an item comes is open again
                reminders.move(session, reminder.id or 0, (ReminderState.HELD,), ReminderState.PLANNED, laid_as=way)

    def _leave_calendars(self) -> None:
        """Calendars that are not set up any more take nothing: what was on its way there goes as a mail, and what was
        to be taken out of them stays."""
        with self.store.session() as session:
            rows = reminders.stranded(session, self.office.settings.calendars)
        if not rows:
            return
        with self.store.writing() as session:
            for row in rows:
                way = {"laid_as": LaidAs.MAIL, "item_uid": None, "attempts": 0, "reason": "the calendar is not set up"}
                reminders.move(session, row.id or 0, (ReminderState.PLACING,), ReminderState.PLANNED, **way)
                left = {"settled_at": self.clock.now()}
                reminders.move(session, row.id or 0, (ReminderState.WITHDRAWING,), ReminderState.KEPT, **left)

    # --- drafts ----------------------------------------------------------------------------------------------------

    def _drafts_due(self) -> int:
        now = self.clock.now()
        with self.store.session() as session:
            due = outbox.in_states(session, (OutboxState.PLACING,), limit=AT_ONCE)
            stands = pauses.everything(session)
            waiting = outbox.due(session, now, AT_ONCE, way=Way.DRAFT)
            due += [one for one in waiting if not stands_still(stands, owner_of(one))]
        return sum(self._guard(draft.account, self._place_draft, draft) for draft in due)

    def _place_draft(self, draft: OutboxMail) -> bool:
        now = self.clock.now()
        assert draft.id is not None
        with self.store.writing() as session:
            verdict = self._why_not(session, draft, now) if draft.state == OutboxState.PLANNED else None
            if verdict is not None and verdict.step is Step.WAIT:
                return False
            if verdict is not None:
                fields = {"settled_at": now, "reason": verdict.reason}
                return outbox.move(session, draft.id, (OutboxState.PLANNED,), OutboxState.CANCELLED, **fields)
            try:
                mail, language = draft_mail(session, self.office, draft, now)
            except Held as held:
                return outbox.move(
                    session, draft.id, (OutboxState.PLANNED, OutboxState.PLACING), OutboxState.HELD, reason=held.message
                )
            claimed = outbox.move(
                session,
                draft.id,
                (OutboxState.PLANNED, OutboxState.PLACING),
                OutboxState.PLACING,
                message_id=mail.message_id,
                subject=mail.subject,
                text=mail.text,
                html=mail.html,
                language=language,
                files=references(mail.files),
                attempts=draft.attempts + 1,
                late=draft.late_after is not None and now > draft.late_after,
            )
        if not claimed:
            return False
        again = draft.attempts > 0 or draft.claimed_at is not None  # a try to send it may have left its draft there
        placed = _lay(self.ways.desk(draft.account), mail, drafts=True, again=again)
        with self.store.writing() as session:
            moved = outbox.move(
                session, draft.id, (OutboxState.PLACING,), OutboxState.PLACED, placed_at=now, **_where(placed)
            )
            if not moved:  # settled while we were on the wire: it has to go again
                outbox.change(session, draft.id, placed_at=now, **_where(placed))
        log.info("draft.placed", rule=draft.rule, account=draft.account)
        return True

    def _why_not(self, session: Session, draft: OutboxMail, now: datetime) -> Verdict | None:
        """Why a draft is not wanted any more, or has to wait for a look."""
        why = answered_since(session, draft) or _day_over(draft, now)
        if why:
            return Verdict(step=Step.CANCEL, reason=why)
        return self.witness.before_draft(session, draft, now)

    def _drafts_withdrawing(self) -> int:
        with self.store.session() as session:
            rows = outbox.in_states(session, (OutboxState.WITHDRAWING,), limit=AT_ONCE)
        return sum(self._guard(row.account, self._withdraw_draft, row) for row in rows)

    def _withdraw_draft(self, draft: OutboxMail) -> bool:
        assert draft.id is not None
        gone = _take_away(self.ways.desk(draft.account), draft, drafts=True)
        end = OutboxState.KEPT if not gone else OutboxState.WITHDRAWN
        if gone and draft.reason == EXPIRED:
            end = OutboxState.EXPIRED
        with self.store.writing() as session:
            outbox.move(session, draft.id, (OutboxState.WITHDRAWING,), end, settled_at=self.clock.now())
        log.info(f"draft.{end}", rule=draft.rule, account=draft.account)
        return True

    def _look_at_drafts(self) -> int:
        with self.store.session() as session:
            rows = outbox.in_states(session, (OutboxState.PLACED,), limit=10 * AT_ONCE)
        return sum(self._guard(row.account, self._look_at_draft, row) for row in rows)

    def _look_at_draft(self, draft: OutboxMail) -> bool:
        now = self.clock.now()
        assert draft.id is not None
        assert draft.placed_at is not None
        found = self.ways.desk(draft.account).find(draft.message_id, drafts=True)
        with self.store.writing() as session:
            if found:
                untouched = all(copy.content_hash == draft.content_hash for copy in found)
                if untouched and now >= self._expires(draft.placed_at):
                    return outbox.move(
                        session, draft.id, (OutboxState.PLACED,), OutboxState.WITHDRAWING, reason=EXPIRED
                    )
                return False
            if draft.gone_at is None:
                outbox.change(session, draft.id, gone_at=now)
                return False
            if now - draft.gone_at < GRACE:
                return False
            return outbox.move(
                session,
                draft.id,
                (OutboxState.PLACED,),
                OutboxState.DECLINED,
                settled_at=now,
                reason="the rep deleted the draft",
            )

    def _expires(self, placed_at: datetime) -> datetime:
        return later(placed_at, self.office.settings.drafts.expire, self.office)

    # --- reminders -------------------------------------------------------------------------------------------------

    def _reminders_due(self) -> int:
        with self.store.session() as session:
            due = reminders.mails(session, (ReminderState.PLACING,), AT_ONCE)
            stands = pauses.everything(session)
            waiting = reminders.due(session, self.clock.now(), AT_ONCE)
            due += [one for one in waiting if self._is_mail(one) and not stands_still(stands, owner_of(one))]
        self.freshen({number for one in due if (number := meeting_of(one.event)) is not None})
        return sum(self._guard(reminder.account, self._place_reminder, reminder) for reminder in due)

    def _is_mail(self, reminder: Reminder) -> bool:
        """Whether it comes as a mail. What waits for a calendar is settled by that (daemon.calendar_items)."""
        if reminder.laid_as is not None or reminder.wanted_as is None:
            return reminder.laid_as in (None, LaidAs.MAIL)
        return not calendar_of(self.office.settings, reminder.rep)

    def _place_reminder(self, reminder: Reminder) -> bool:
        now = self.clock.now()
        assert reminder.id is not None
        with self.store.writing() as session:
            why = answered_since(session, reminder)
            if why and reminder.state == ReminderState.PLANNED:
                return reminders.move(
                    session, reminder.id, (ReminderState.PLANNED,), ReminderState.CANCELLED, settled_at=now, reason=why
                )
            mail = reminder_mail(session, self.office, reminder, now)
            claimed = reminders.move(
                session,
                reminder.id,
                (ReminderState.PLANNED, ReminderState.PLACING),
                ReminderState.PLACING,
                laid_as=LaidAs.MAIL,
                message_id=mail.message_id,
                attempts=reminder.attempts + 1,
            )
        if not claimed:
            return False
        self._deliver(reminder, mail, now)
        log.info("reminder.placed", rule=reminder.rule, account=reminder.account)
        return True

    def _deliver(self, reminder: Reminder, mail: OutgoingMail, now: datetime) -> None:
        assert reminder.id is not None
        if self.ways.by_smtp(reminder.rep):
            self.ways.send(reminder.rep, mail)
            placed, end = Placed(folder="", ref="", content_hash=""), ReminderState.DONE
        else:
            desk = self.ways.desk(reminder.account)
            placed, end = _lay(desk, mail, drafts=False, again=reminder.attempts > 0), ReminderState.PLACED
        with self.store.writing() as session:
            moved = reminders.move(session, reminder.id, (ReminderState.PLACING,), end, placed_at=now, **_where(placed))
            if not moved:
                reminders.change(session, reminder.id, placed_at=now, **_where(placed))

    def _reminders_withdrawing(self) -> int:
        with self.store.session() as session:
            rows = reminders.mails(session, (ReminderState.WITHDRAWING,), AT_ONCE)
        return sum(self._guard(row.account, self._withdraw_reminder, row) for row in rows)

    def _withdraw_reminder(self, reminder: Reminder) -> bool:
        assert reminder.id is not None
        gone = _take_away(self.ways.desk(reminder.account), reminder, drafts=False)
        end = ReminderState.WITHDRAWN if gone else ReminderState.KEPT
        with self.store.writing() as session:
            reminders.move(session, reminder.id, (ReminderState.WITHDRAWING,), end, settled_at=self.clock.now())
        log.info(f"reminder.{end}", rule=reminder.rule, account=reminder.account)
        return True

    def _look_at_reminders(self) -> int:
        with self.store.session() as session:
            rows = reminders.mails(session, (ReminderState.PLACED,), 10 * AT_ONCE)
        return sum(self._guard(row.account, self._look_at_reminder, row) for row in rows)

    def _look_at_reminder(self, reminder: Reminder) -> bool:
        assert reminder.id is not None
        if self.ways.desk(reminder.account).find(reminder.message_id, drafts=False):
            return False
        with self.store.writing() as session:
            return reminders.move(
                session,
                reminder.id,
                (ReminderState.PLACED,),
                ReminderState.DONE,
                settled_at=self.clock.now(),
                reason="the rep moved or deleted it",
            )

    # --- somebody is erased ------------------------------------------------------------------------------------------

    def take_back(self, customer: int) -> int:
        """Withdraw what lies in mailboxes for a customer; how many mails stay (edited, or out of reach now)."""
        with self.store.writing() as session:
            drafts = outbox.of_customers(session, [customer], states=_LYING_DRAFT)
            every = reminders.of_customers(session, [customer], states=_LYING_REMINDER)
            lying = [one for one in every if one.laid_as in (None, LaidAs.MAIL)]
            for draft in drafts:
                outbox.move(session, draft.id or 0, _LYING_DRAFT, OutboxState.WITHDRAWING, reason=ERASED)
            for reminder in lying:
                reminders.move(session, reminder.id or 0, _LYING_REMINDER, ReminderState.WITHDRAWING, reason=ERASED)
        for draft in drafts:
            self._guard(draft.account, self._withdraw_draft, draft)
        for reminder in lying:
            self._guard(reminder.account, self._withdraw_reminder, reminder)
        with self.store.session() as session:
            gone = [row.id for row in outbox.of_customers(session, [customer], states=(OutboxState.WITHDRAWN,))]
            quiet = [row.id for row in reminders.of_customers(session, [customer], states=(ReminderState.WITHDRAWN,))]
        return sum(row.id not in gone for row in drafts) + sum(row.id not in quiet for row in lying)

    # --- one account's trouble is its own ---------------------------------------------------------------------------

    def _guard(self, account: str, act: Callable[[_Row], bool], row: _Row) -> bool:
        """Do one thing; a mailbox that does not answer leaves its row as it is, for the next pass."""
        if self.ways.is_resting(account):
            return False
        try:
            return act(row)
        except (Misconfigured, HeaderMismatch, Held) as error:
            self._hold(row, error)
        except QuietcrmError as error:
            self.ways.rest(account, error)  # the server, or a password that is not there: said once, then waited for
        except (OperationalError, InterfaceError):
            raise  # the store's trouble, not this row's
        except Exception as error:
            log.error("desk.failed", account=account, row=row.id, exc_info=error)  # the others go on
        return False

    def _hold(self, row: OutboxMail | Reminder, error: QuietcrmError) -> None:
        assert row.id is not None
        reason = f"{error.message}; {error.hint}" if error.hint else error.message
        with self.store.writing() as session:
            if isinstance(row, OutboxMail):
                outbox.move(session, row.id, _OPEN_DRAFT, OutboxState.HELD, reason=reason)
            else:
                reminders.move(session, row.id, _OPEN_REMINDER, ReminderState.HELD, reason=reason)


def _day_over(draft: OutboxMail, now: datetime) -> str:
    """Why a greeting is dropped, "" if it is of today."""
    late = draft.late_after is not None and now > draft.late_after
    return DAY_OVER if late and LATE in draft.unless.split(",") else ""


def _lay(desk: Desk, mail: OutgoingMail, *, drafts: bool, again: bool) -> Placed:
    """Lay a mail out once: after a crash the copy that is already there is the one."""
    if again:
        found = desk.find(mail.message_id, drafts=drafts)
        if found:
            return found[0]
    return desk.place_draft(mail) if drafts else desk.place_mail(mail)


def _take_away(desk: Desk, row: OutboxMail | Reminder, *, drafts: bool) -> bool:
    """Remove our copies as far as nobody touched them. False if an edited one stays."""
    copies = desk.find(row.message_id, drafts=drafts)
    if any(copy.content_hash != row.content_hash for copy in copies):
        return False
    left = [copy for copy in copies if not desk.withdraw(copy, row.message_id)]
    return not left


def _where(placed: Placed) -> dict[str, str]:
    return {"folder": placed.folder, "ref": placed.ref, "content_hash": placed.content_hash}
