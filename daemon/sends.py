"""Mail to customers that leaves by itself: looked at, claimed, handed over, recorded. The only place that sends it.

Each step is: commit what we are about to do, do it on the wire, commit what came of it. Until the recipient was
accepted nothing is recorded and nothing can have arrived; then an attempt is committed, and from there on only a clear
answer of the server says what became of the mail. Where none comes it is uncertain: never sent again by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from config.errors import QuietcrmError
from connectors.errors import ConnectorError, OutcomeUnknown, SendRejected
from connectors.model import OutgoingMail
from connectors.outgoing import HeaderMismatch
from connectors.protocols import Mailer
from daemon.breaker import owner_of, stands_still
from daemon.clock import Clock, ClockWatch
from daemon.enclosures import references
from daemon.evidence import Dossier, Witness
from daemon.last_look import FRESH, RETRY_FOR, Obstacle, Step, Verdict, look
from daemon.leftovers import Leftovers
from daemon.letters import Held, frozen, send_mail
from daemon.office import Office
from daemon.outlets import Outlets
from daemon.poll import Stop
from daemon.settling import LATE
from daemon.watchdog import Watchdog
from store import outbox, pauses, sending
from store.engine import Store
from store.errors import StoreError
from store.tables import OutboxMail, OutboxState, SentCopy, Way

log = structlog.get_logger()

AT_ONCE = 20
"""Claims in one transaction. They are looked at together, so few enough to be sent while that look is fresh."""
NEWS_AFTER = 1.0
"""Seconds after the last look from which on it is asked whether an answer came in since."""
FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=2)
LOOK_AGAIN = timedelta(hours=1)
"""What a person has to mend may be mended by then, without a word to us."""
_MOVING = (OutboxState.CLAIMED, OutboxState.SENDING)


class _NotNow(QuietcrmError):
    """The look is too old, we are stopping, or the mail is not ours any more: nothing goes on the wire."""


@dataclass(slots=True, kw_only=True)
class _Claimed:
    """A mail that may go; when it was looked at, and until when that look counts (monotonic seconds)."""

    row: OutboxMail
    mail: OutgoingMail
    envelope_from: str
    looked_at: float
    fresh_until: float
    attempt: int | None = None

    @property
    def number(self) -> int:
        assert self.row.id is not None
        return self.row.id


@dataclass(slots=True, kw_only=True)
class Sends:
    """Everything that is due by one sender at a time. Call `begin` once, then `send_due` from one thread a sender."""

    store: Store
    office: Office
    clock: Clock
    witness: Witness
    outlets: Outlets
    watchdog: Watchdog
    stop: Stop
    fence: int = 0
    _busy: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _clock_watch: ClockWatch = field(default_factory=ClockWatch)
    clock_trouble: str = ""
    _leftovers: Leftovers = field(init=False)

    def __post_init__(self) -> None:
        self._leftovers = Leftovers(store=self.store, clock=self.clock, outlets=self.outlets, watchdog=self.watchdog)

    def begin(self) -> None:
        """Raise the fence, and settle what an earlier start left on its way."""
        with self.store.writing() as session:
            self.fence = sending.raise_fence(session)
            freed, doubtful = sending.take_over(session, self.fence, self.clock.now())
            self._look_at_clock(session, self.clock.now())
        if freed or doubtful:
            log.warning("sends.taken_over", planned_again=freed, uncertain=doubtful)

    def sweep(self) -> None:
        """Look at the clock; plan held mail again whose time has come; hold what nobody can send."""
        now, settings = self.clock.now(), self.office.settings
        with self.store.session() as session:
            planned = sending.due_of_others(session, now, [rep for rep in settings.team if settings.sender_for(rep)])
            left = [row for row in outbox.in_states(session, _MOVING) if row.id not in self._busy]
        with self.store.writing() as session:
            self._look_at_clock(session, now)
            sending.look_again(session, now)
            for row in planned:
                self._apply(session, row, _without_sender(row, now))
            for row in left:
                self._let_go(session, row)

    def _look_at_clock(self, session: Session, now: datetime) -> None:
        """See whether the clock can be trusted. A time that cannot is not kept as one that was seen: set right again
        after a jump ahead, the clock would seem to be behind."""
        highest = sending.highest_time(session, now)
        self.clock_trouble = self._clock_watch.trouble(now, self.clock.monotonic(), highest)
        if not self.clock_trouble:
            sending.note_time(session, now)

    def doubts_clock(self) -> bool:
        """Whether the clock is wrong, or was set since the last sweep: what seems to be due may not be."""
        stepped = self._clock_watch.has_stepped(self.clock.now(), self.clock.monotonic())
        return bool(self.clock_trouble) or stepped

    def _let_go(self, session: Session, row: OutboxMail) -> None:
        """A mail that some trouble of ours, or an earlier start, left on its way, though nobody works on it."""
        assert row.id is not None
        if row.fence <= self.fence and row.id not in self._busy:
            outbox.move(session, row.id, (OutboxState.CLAIMED,), OutboxState.PLANNED)
            reason = "quietcrm could not record what became of it"
            now = self.clock.now()
            moved = outbox.move(
                session, row.id, (OutboxState.SENDING,), OutboxState.UNCERTAIN, reason=reason, settled_at=now
            )
            if moved:
                sending.end_open_attempts(session, row.id, reason, now)

    # --- one sender --------------------------------------------------------------------------------------------------

    def send_due(self, sender: str) -> int:
        """Send what is due by this sender; how many left. A server that does not answer rests for a while."""
        if self.stop or self.doubts_clock() or not self.fence or self.outlets.is_resting(sender):
            return 0
        self._leftovers.clear(sender)
        settings = self.office.settings
        reps = [rep for rep in settings.team if settings.sender_for(rep) == sender]
        with self.store.session() as session:
            rows = sending.due(session, self.clock.now(), reps, AT_ONCE)
        if not rows:
            return 0
        try:
            mailer = self.outlets.mailer(sender)
        except QuietcrmError as error:  # a password that is not there
            self.outlets.rest(sender, error)
            return 0
        with self._at_work({row.id or 0 for row in rows}):
            with self.store.writing() as session:
                fresh = sending.all_of(session, [row.id or 0 for row in rows])
                dossier = self.witness.open_dossier(session, fresh, self.clock.now())
                claimed = [one for row in fresh if (one := self._look_safely(session, dossier, row))]
            done = sum(self._send(mailer, sender, one) for one in claimed)
        self.witness.lookout.ask()
        return done

    @contextmanager
    def _at_work(self, numbers: set[int]) -> Iterator[None]:
        with self._lock:
            self._busy = self._busy | numbers
        try:
            yield
        finally:
            with self._lock:
                self._busy = self._busy - numbers

    # --- the last look -----------------------------------------------------------------------------------------------

    def _look_safely(self, session: Session, dossier: Dossier, row: OutboxMail) -> _Claimed | None:
        """One mail that errs holds up none of the others."""
        assert row.id is not None
        try:
            with session.begin_nested():
                return self._look_at(session, dossier, row)
        except (StoreError, OperationalError, InterfaceError):
            raise
        except Exception as error:
            log.error("send.failed", row=row.id, rule=row.rule, exc_info=error)
            reason = f"unexpected {type(error).__name__}: see the log and report it"
            self._hold(session, row, Obstacle.UNFILLED, reason, self.clock.now() + LOOK_AGAIN)
        return None

    def _look_at(self, session: Session, dossier: Dossier, row: OutboxMail) -> _Claimed | None:
        """Look at one mail for the last time, and claim it if it may go."""
        now = dossier.now
        if row.id is None or row.state != OutboxState.PLANNED:
            return None
        verdict = look(self.witness.request(row), self.witness.gather(session, dossier, row))
        if verdict.step is not Step.GO:
            self._apply(session, row, verdict)
            return None
        try:
            mail, language, envelope_from = send_mail(session, self.office, row, now, dossier.card(row))
        except (Held, HeaderMismatch) as error:
            self._hold(session, row, Obstacle.UNFILLED, error.message, now + LOOK_AGAIN)
            return None
        kept = frozen(mail, envelope_from)
        text = {"subject": mail.subject, "text": mail.text, "html": mail.html, "language": language}
        fields = {
            "message_id": mail.message_id,
            "frozen": kept,
            "claimed_at": now,
            "obstacle": "",
            "reason": "",
            "files": references(mail.files),
            **text,
        }
        if not sending.claim(session, row.id, self.fence, **fields):
            return None
        dossier.note(row)
        until = self.witness.lookout.oldest(self.witness.accounts_for(dossier, row)) + FRESH
        looked_at = self.clock.monotonic()
        return _Claimed(row=row, mail=mail, envelope_from=envelope_from, looked_at=looked_at, fresh_until=until)

    def _apply(self, session: Session, row: OutboxMail, verdict: Verdict) -> None:
        assert row.id is not None
        assert verdict.obstacle is not None
        why = {"obstacle": verdict.obstacle.value, "reason": verdict.reason}
        if verdict.step is Step.HOLD:
            self._hold(session, row, verdict.obstacle, verdict.reason, verdict.until)
        elif verdict.step is Step.WAIT:
            shift = timedelta() if LATE in row.unless.split(",") else verdict.shift
            late = row.late_after + shift if row.late_after else None
            outbox.change(session, row.id, retry_at=verdict.until, late_after=late, **why)
        elif verdict.step is Step.CANCEL:
            now = self.clock.now()
            outbox.move(session, row.id, (OutboxState.PLANNED,), OutboxState.CANCELLED, settled_at=now, **why)
            log.info("send.cancelled", rule=row.rule, obstacle=verdict.obstacle.value)
        else:
            is_late = verdict.obstacle is not Obstacle.MODE
            outbox.change(session, row.id, way=Way.DRAFT.value, retry_at=None, late=is_late, **why)
            log.info("send.became_draft", rule=row.rule)

    def _hold(
        self, session: Session, row: OutboxMail, obstacle: Obstacle, reason: str, until: datetime | None = None
    ) -> None:
        assert row.id is not None
        fields = {"obstacle": obstacle.value, "reason": reason, "retry_at": until}
        moved = outbox.move(session, row.id, (OutboxState.PLANNED,), OutboxState.HELD, **fields)
        if moved and row.obstacle != obstacle:  # what is looked at every minute is said once
            log.info("send.held", rule=row.rule, obstacle=obstacle.value)

    # --- on the wire -------------------------------------------------------------------------------------------------

    def _send(self, mailer: Mailer, sender: str, one: _Claimed) -> bool:
        """Hand over one mail and record what came of it; whether it left."""
        if self.outlets.is_resting(sender):
            self._give_back(one)
            return False
        try:
            with self.watchdog.step(f"send by {sender}", self.outlets.patience(sender)):
                said = mailer.send(
                    one.mail,
                    envelope_from=one.envelope_from,
                    recipient=one.row.recipient,
                    committing=lambda: self._commit_attempt(sender, one),
                )
        except _NotNow:
            self._give_back(one)
        except SendRejected as error:
            self._refused(sender, one, error)
        except OutcomeUnknown as error:
            self._record(one, OutboxState.UNCERTAIN, "unknown", 0, error.message, reason=error.message)
            log.warning("send.uncertain", rule=one.row.rule, sender=sender)
        except HeaderMismatch as error:
            self._back(one, Obstacle.UNFILLED, error.message, OutboxState.HELD, None)
        except ConnectorError as error:
            self._back(one, Obstacle.SERVER, error.message, OutboxState.PLANNED, self.clock.now())
            self.outlets.rest(sender, error)
        except (StoreError, OperationalError, InterfaceError):
            raise
        except Exception as error:
            mailer.close()  # nobody knows what is on the line
            self._failed(one, error)
        else:
            copy = SentCopy.WANTED if self.outlets.keeps_copy(one.row.rep) else SentCopy.NONE
            fields = {"sent_message_id": one.mail.message_id, "copy_state": copy.value}
            code = int(said[:3]) if said[:3].isdecimal() else 0
            self._record(one, OutboxState.SENT, "sent", code, said, **fields)
            log.info("send.done", rule=one.row.rule, sender=sender)
            self.outlets.worked(sender)
            return True
        return False

    def _commit_attempt(self, sender: str, one: _Claimed) -> None:
        """The last moment at which nothing can have arrived. Raises what keeps the mail back."""
        if self.stop or self.doubts_clock() or self.clock.monotonic() > one.fresh_until:
            raise _NotNow("the last look is too old", hint="it is looked at again")
        now = self.clock.now()
        with self.store.writing() as session:
            if _stands_still(session, one.row):  # somebody said so while the mails before this one left
                raise _NotNow("it stands still", hint="it waits until the admin lets it go on")
            # Mails before this one took their time, and what came in meanwhile is known by now.
            is_old = self.clock.monotonic() - one.looked_at > NEWS_AFTER
            news = self.witness.ended(session, one.row, now) if is_old else None
            if news is not None and news.obstacle is not None:
                why = {"obstacle": news.obstacle.value, "reason": news.reason}
                outbox.move(session, one.number, (OutboxState.CLAIMED,), OutboxState.CANCELLED, settled_at=now, **why)
                log.info("send.cancelled", rule=one.row.rule, obstacle=news.obstacle.value)
            else:
                one.attempt = sending.begin_attempt(session, one.number, self.fence, sender, now)
        if one.attempt is None:
            raise _NotNow("the mail is not ours any more", hint="nothing to do")

    def _record(self, one: _Claimed, to: OutboxState, outcome: str, code: int, said: str, **fields: object) -> None:
        now = self.clock.now()
        # A later start calls uncertain what we had on the wire; whoever heard that it was taken knows better.
        before = (OutboxState.SENDING, OutboxState.UNCERTAIN) if to is OutboxState.SENT else (OutboxState.SENDING,)
        with self.store.writing() as session:
            fields = {"settled_at": now, "server_said": said, "retry_at": None, "reason": "", **fields}
            outbox.move(session, one.number, before, to, **fields)
            if one.attempt is not None:
                sending.end_attempt(session, one.attempt, outcome, code, said, now)

    def _failed(self, one: _Claimed, error: Exception) -> None:
        """A fault of ours: one mail that errs holds up none of those behind it."""
        log.error("send.failed", row=one.number, rule=one.row.rule, exc_info=error)
        reason = f"unexpected {type(error).__name__}: see the log and report it"
        if one.attempt is None:
            self._back(one, Obstacle.UNFILLED, reason, OutboxState.HELD, self.clock.now() + LOOK_AGAIN)
        else:
            self._record(one, OutboxState.UNCERTAIN, "unknown", 0, reason, reason=reason)

    def _give_back(self, one: _Claimed) -> None:
        """A claim that was not used: nothing was on the wire."""
        with self.store.writing() as session:
            outbox.move(session, one.number, (OutboxState.CLAIMED,), OutboxState.PLANNED)

    def _back(self, one: _Claimed, obstacle: Obstacle, reason: str, to: OutboxState, retry_at: datetime | None) -> None:
        """Nothing was sent, for certain: the mail waits again."""
        now = self.clock.now()
        with self.store.writing() as session:
            fields = {"obstacle": obstacle.value, "reason": reason, "retry_at": retry_at}
            outbox.move(session, one.number, _MOVING, to, **fields)
            if one.attempt is not None:
                sending.end_attempt(session, one.attempt, "broken", 0, reason, now)

    def _refused(self, sender: str, one: _Claimed, error: SendRejected) -> None:
        """The server said no: for good, or for now."""
        now = self.clock.now()
        with self.store.writing() as session:
            # A server that does not let us send at all has said nothing of this mail: its text is not fixed by that.
            counts = error.stage != "sender"
            attempt = one.attempt or sending.note_attempt(session, one.number, self.fence, sender, now, counts=counts)
            tries = sending.attempts(session, one.number)
            if attempt is None or not tries:
                return  # the customer was erased meanwhile, and the mail with them
            final = error.permanent and error.stage != "sender"
            outlived = not final and now - tries[0].at >= RETRY_FOR
            outcome = "refused" if final or outlived else "later"
            sending.end_attempt(session, attempt, outcome, error.code, error.message, now)
            fields = {"obstacle": Obstacle.SERVER.value, "reason": error.message, "server_said": error.message}
            if final or outlived:
                outbox.move(session, one.number, _MOVING, OutboxState.REFUSED, settled_at=now, **fields)
            else:
                retry_at = now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(len(tries) - 1, 10))
                outbox.move(session, one.number, _MOVING, OutboxState.PLANNED, retry_at=retry_at, **fields)
        log.warning("send.refused", rule=one.row.rule, sender=sender, code=error.code, final=final or outlived)
        if error.stage == "sender":
            self.outlets.rest(sender, error)


def _stands_still(session: Session, row: OutboxMail) -> bool:
    """Whether the admin or the breaker stopped it, and no person released it from that."""
    stands, released = pauses.everything(session).keys(), row.released.split(",")
    if pauses.BREAKER in stands and Obstacle.BREAKER.value not in released:
        return True
    return stands_still(stands - {pauses.BREAKER}, owner_of(row)) and Obstacle.PAUSED.value not in released


def _without_sender(row: OutboxMail, now: datetime) -> Verdict:
    """Nobody looks at the mail of a rep who has no sender, so its time is watched here."""
    if row.late_after is not None and now > row.late_after:
        return Verdict(step=Step.DRAFT, obstacle=Obstacle.NO_SENDER, reason="too late to go by itself")
    reason = f"{row.rep} has no sender in quietcrm.yaml"
    return Verdict(step=Step.HOLD, obstacle=Obstacle.NO_SENDER, reason=reason, until=now + LOOK_AGAIN)
