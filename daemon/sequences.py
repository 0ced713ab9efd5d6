"""Sequences going on: what is due is prepared, what came of it counts, what ends them is read again each time.

A step becomes an ordinary row of the outbox, or what rules do, keyed by the enrolment and the step: it is never made
twice. The next step counts from when it really happened. Nothing here sends or lays out anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from daemon import breaker, last_look
from daemon.cause import desk_of
from daemon.clock import Clock
from daemon.enrolling import stop
from daemon.evidence import Witness
from daemon.last_look import Obstacle, Verdict
from daemon.letters import new_long_token
from daemon.office import Office, later
from daemon.settling import CUSTOMER_WROTE
from daemon.signs import card_of, contact_of, why_ended, window_of
from daemon.steps import perform_effects
from daemon.versions import book_of
from rules.clock import instant
from rules.hours import OfficeHours
from rules.pacing import back_on, free_slot, step_due
from rules.sequence import NEXT, REPLIED, Sequence, Step
from store import enrolments, outbox, pauses
from store.customers import CustomerCard
from store.engine import Store
from store.errors import StoreError
from store.hashing import HashKey
from store.tables import Enrolment, EnrolmentState, OutboxMail, OutboxState, Way

log = structlog.get_logger()

AT_ONCE = 200
ROUND = timedelta(minutes=5)
"""Within this time everybody in a sequence is looked at, due or not."""
STANDS = timedelta(minutes=1)
"""Until what stands still is looked at again."""
MENDED = timedelta(minutes=10)
"""Until a sequence that cannot go on is tried again."""
DECLINED = "the rep deleted the draft"


@dataclass(slots=True)
class Sequences:
    """Everybody who is in a sequence. One thread at a time."""

    store: Store
    office: Office
    key: HashKey
    clock: Clock
    witness: Witness
    is_clock_doubtful: Callable[[], bool] = lambda: False
    _round_began: datetime | None = None
    _looked_at: int = 0
    _failed: set[int] = field(default_factory=set)

    def tick(self) -> int:
        """Do what is due; how many went on or ended."""
        if self.is_clock_doubtful():
            return 0
        now = self.clock.now()
        with self.store.session() as session:
            rows = self._wanted(session, now)
        done = 0
        for start in range(0, len(rows), AT_ONCE // 4):
            with self.store.writing() as session:
                breaker.watch(session, self.office, now)
                stands = pauses.everything(session)
                fresh = enrolments.by_ids(session, [row.id or 0 for row in rows[start : start + AT_ONCE // 4]])
                for number in sorted(fresh):
                    done += self._look_safely(session, fresh[number], frozenset(stands), now)
        if not rows:
            with self.store.writing() as session:
                breaker.watch(session, self.office, now)
        self.witness.lookout.ask()
        return done

    def _wanted(self, session: Session, now: datetime) -> list[Enrolment]:
        """Whoever is due, whose mail is settled, and a part of all others."""
        soon = later(now, self.office.settings.send.hold, self.office)
        found = enrolments.due(session, soon, now, AT_ONCE) + enrolments.settled(session, AT_ONCE)
        if self._round_began is None or now - self._round_began >= ROUND or now < self._round_began:
            self._round_began, self._looked_at = now, 0
        others = enrolments.active_after(session, self._looked_at, AT_ONCE)
        self._looked_at = others[-1].id or 0 if others else self._looked_at
        several = {row.id: row for row in [*found, *others]}
        return list(several.values())

    def _look_safely(self, session: Session, row: Enrolment, stands: frozenset[str], now: datetime) -> bool:
        """One that errs holds up none of the others."""
        assert row.id is not None
        try:
            with session.begin_nested():
                return self._look(session, row, stands, now)
        except (StoreError, OperationalError, InterfaceError):
            raise
        except Exception as error:
            if row.id not in self._failed:
                log.error("sequence.failed", sequence=row.sequence, enrolment=row.id, exc_info=error)
            self._failed.add(row.id)
            reason = f"unexpected {type(error).__name__}: see the log and report it"
            enrolments.change(session, row.id, retry_at=now + MENDED, reason=reason)
        return False

    # --- one of them -------------------------------------------------------------------------------------------------

    def _look(self, session: Session, row: Enrolment, stands: frozenset[str], now: datetime) -> bool:
        if row.state != EnrolmentState.ACTIVE:
            return False
        sequence = book_of(self.office).find(session, row)
        if isinstance(sequence, str):
            return self._wait(session, row, now + MENDED, sequence)
        card = card_of(session, row)
        why = why_ended(session, self.office, self.key, row, sequence, card)
        if why:
            return stop(session, row, why, now)
        assert card is not None
        at = _At(self.office, self.key, sequence, row, card, window_of(self.office, sequence, card, row), now)
        if row.outbox_id is not None:
            return self._after_mail(session, at, row.outbox_id)
        if breaker.stands_still(stands, f"sequence {sequence.name}"):
            return self._wait(session, row, now + STANDS, "stands still")
        return self._go_on(session, at)

    def _wait(self, session: Session, row: Enrolment, until: datetime, reason: str) -> bool:
        if row.due_at is not None and (row.reason != reason or row.retry_at is None or row.retry_at < until):
            enrolments.change(session, row.id or 0, retry_at=until, reason=reason)
        return False

    def _go_on(self, session: Session, at: _At) -> bool:
        """Prepare what is due."""
        row, number = at.row, at.row.id or 0
        assert row.due_at is not None
        back = at.back
        if back is not None and row.due_at < back:
            enrolments.change(session, number, due_at=back, retry_at=None, reason="")
            return True
        step = at.sequence.step(row.step)
        if step is not None and step.mail is not None:
            return self._prepare(session, at, step)
        if row.due_at > at.now:
            return False
        answered = self.witness.before_step(session, row, at.now)
        if answered is not None:
            return self._heed(session, row, answered)
        if step is None:
            return self._finish(session, at)
        perform_effects(session, at, step.slot, step.effects)
        _next(session, at, at.now)
        return True

    def _heed(self, session: Session, row: Enrolment, verdict: Verdict) -> bool:
        """They may have answered where no history knows of it: it ends, or waits until that was looked at."""
        if verdict.step is last_look.Step.CANCEL:
            return stop(session, row, verdict.reason, self.clock.now())
        assert verdict.until is not None
        return self._wait(session, row, verdict.until, verdict.reason if verdict.step is last_look.Step.HOLD else "")

    def _prepare(self, session: Session, at: _At, step: Step) -> bool:
        """The mail of a step becomes a row of the outbox. What leaves by itself is prepared so early that it can be
        cancelled until it is due (`send: hold`)."""
        row = at.row
        assert row.due_at is not None
        if row.due_at > at.earliest:
            return False
        mail = _mail_of(session, at, step)
        number = outbox.plan(session, mail)
        if number is None:  # made before, whatever became of it: never twice
            _next(session, at, at.now)
            return True
        enrolments.change(session, row.id or 0, outbox_id=number, due_at=None, retry_at=None, reason="")
        log.info("sequence.step", sequence=at.sequence.name, enrolment=row.id, step=step.slot)
        return True

    def _finish(self, session: Session, at: _At) -> bool:
        """Nobody answered the last step."""
        perform_effects(session, at, "done", at.sequence.done)
        log.info("sequence.done", sequence=at.sequence.name, enrolment=at.row.id)
        return enrolments.end(session, at.row.id or 0, EnrolmentState.DONE, "nobody answered", at.now)

    # --- what became of its mail -------------------------------------------------------------------------------------

    def _after_mail(self, session: Session, at: _At, number: int) -> bool:
        mail = outbox.find(session, number)
        if mail is None:
            return stop(session, at.row, "its mail is gone", at.now)
        settled_at = mail.settled_at or at.now
        if mail.state == OutboxState.SENT:
            return self._went(session, at, mail, settled_at)
        if mail.state == OutboxState.DECLINED or mail.reason == "cancelled by the admin":
            return self._unsent(session, at, at.sequence.declined, mail.reason or DECLINED, settled_at)
        if mail.state == OutboxState.EXPIRED:
            return self._unsent(session, at, at.sequence.expired, mail.reason, settled_at)
        if mail.state in (OutboxState.CANCELLED, OutboxState.WITHDRAWN, OutboxState.KEPT):
            return stop(session, at.row, mail.reason or "its mail was cancelled", at.now)
        if mail.state in (OutboxState.REFUSED, OutboxState.BOUNCED):
            return stop(session, at.row, f"its mail was not delivered: {mail.server_said or mail.reason}", at.now)
        return self._put_off(session, at, mail)

    def _went(self, session: Session, at: _At, mail: OutboxMail, settled_at: datetime) -> bool:
        """It left: its other actions happen, and the next step counts from now on. The thread goes on with it."""
        step = at.sequence.step(at.row.step)
        message_id = mail.sent_message_id or mail.message_id
        if message_id:
            at.row.references = [*at.row.references, message_id]
            fields = {"in_reply_to": message_id, "references": at.row.references}
            enrolments.change(session, at.row.id or 0, **fields)
        if step is not None:
            perform_effects(session, at, step.slot, step.effects)
        _next(session, at, settled_at)
        return True

    def _unsent(self, session: Session, at: _At, then: str, reason: str, settled_at: datetime) -> bool:
        if then != NEXT:
            return stop(session, at.row, reason, at.now)
        _next(session, at, settled_at)
        return True

    def _put_off(self, session: Session, at: _At, mail: OutboxMail) -> bool:
        """They are away, and the mail was prepared before we knew: not before they are back."""
        back = at.back
        if mail.state != OutboxState.PLANNED or back is None or mail.due_at >= back or mail.id is None:
            return False
        late = mail.late_after + (back - mail.due_at) if mail.late_after else None
        outbox.change(session, mail.id, due_at=back, late_after=late)
        return True


@dataclass(slots=True)
class _At:
    """One enrolment at one moment, with all that is known of it."""

    office: Office
    key: HashKey
    sequence: Sequence
    row: Enrolment
    card: CustomerCard
    window: OfficeHours
    now: datetime

    @property
    def earliest(self) -> datetime:
        """When a mail prepared now may leave: what leaves by itself can be cancelled until then."""
        hold = self.office.settings.send.hold
        return later(self.now, hold, self.office) if self.sequence.mode == "auto" else self.now

    @property
    def back(self) -> datetime | None:
        """When they can be written to again, None if they are not away."""
        contact = contact_of(self.card, self.row)
        until = self.row.away_until or (contact.away_until if contact else None)
        back = back_on(until, self.window) if until else None
        return back if back is not None and back > self.now else None


def _next(session: Session, at: _At, since: datetime) -> None:
    """The step under way is over since then; what comes next, and when."""
    row, sequence = at.row, at.sequence
    step = sequence.step(row.step + 1)
    fields: dict[str, object] = {"outbox_id": None, "retry_at": None, "reason": "", "since": since}
    if step is None and not sequence.done:
        enrolments.end(session, row.id or 0, EnrolmentState.DONE, "the last step is over", at.now)
        return
    due = step_due(step.wait if step else sequence.done_after, since, at.window)
    enrolments.change(session, row.id or 0, step=row.step + 1, due_at=due, **fields)


def _mail_of(session: Session, at: _At, step: Step) -> OutboxMail:
    """The row of a step: when it is due, and from when on it is too late to leave by itself."""
    row, sequence, now = at.row, at.sequence, at.now
    assert row.due_at is not None
    assert step.mail is not None
    by_itself = sequence.mode != "draft"
    wanted = max(row.due_at, at.earliest)
    due = _slot(session, at, step, wanted) if by_itself else at.window.next_open(wanted)
    late_after = step.late_after.after(row.due_at, at.window)
    is_late = now > late_after
    rep = row.rep if row.rep in at.office.settings.team else at.office.settings.admin
    return OutboxMail(
        event=f"enrolment {row.id}",
        event_at=row.event_at,
        rule=sequence.name,
        slot=step.slot,
        way=Way.SEND if by_itself and not is_late else Way.DRAFT,
        account=desk_of(at.office, rep, row.account),
        rep=rep,
        customer_id=row.customer_id,
        contact_id=row.contact_id,
        interaction_id=row.interaction_id,
        enrolment_id=row.id,
        recipient=row.recipient,
        template=step.mail.template,
        language=row.language,
        attach=list(step.mail.attach),
        reply=step.mail.reply,
        unless=CUSTOMER_WROTE if REPLIED in sequence.stop_when.signs else "",
        in_reply_to=row.in_reply_to if step.mail.reply else "",
        references=list(row.references) if step.mail.reply else [],
        due_at=due if not is_late else now,
        late_after=late_after if is_late else late_after + max(due - row.due_at, timedelta()),
        late=is_late,
        created_at=now,
        token=new_long_token() if by_itself else "",
        obstacle=Obstacle.LATE.value if is_late and by_itself else "",
        reason="too late to go by itself" if is_late and by_itself else "",
    )


def _slot(session: Session, at: _At, step: Step, wanted: datetime) -> datetime:
    """A moment that keeps its distance from the other mails of the sequence, and a day that has room."""
    pace, zone = at.sequence.pace, at.office.settings.zone
    if not pace.per_day and pace.gap is None:
        return at.window.next_open(wanted)
    since = instant(wanted.astimezone(zone).date(), 0, zone) - (pace.gap.high if pace.gap else timedelta())
    taken = enrolments.departures(session, at.sequence.name, since)
    return free_slot(wanted, taken, pace, at.window, office_zone=zone, key=f"{at.row.id} {step.slot}")
