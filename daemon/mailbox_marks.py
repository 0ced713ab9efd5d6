"""Makes the marks that rules want in the reps' mailboxes, once their plan is committed: categories, flags, folders.

Each step is: commit that a try begins, do it on the wire, commit what came of it. Doing it twice changes nothing more,
so a crash in between is healed by doing it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from config.errors import QuietcrmError
from connectors.errors import Misconfigured
from connectors.model import NO_DAY, Marked, Marks
from connectors.protocols import Marker
from daemon.clock import Clock
from daemon.office import Office
from daemon.ways import Ways
from store import mailbox_marks, sightings
from store.engine import Store
from store.sightings import FLAGGED, Copy, marks_of, names_in
from store.tables import MailboxMark, MarkState

log = structlog.get_logger()

AT_ONCE = 100
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
GIVE_UP = timedelta(days=7)
GONE = "the mail is no longer in the mailbox"
LATE = "the mailbox could not be marked for 7 days"


@dataclass(slots=True, kw_only=True)
class MailboxMarks:
    """Blocking; on the thread that touches the reps' mailboxes."""

    store: Store
    office: Office
    ways: Ways
    clock: Clock

    def tidy(self) -> int:
        """Make the marks that are due; how many were settled."""
        resting = [name for name in self.office.settings.accounts if self.ways.is_resting(name)]
        with self.store.session() as session:
            rows = mailbox_marks.due(session, self.clock.now(), AT_ONCE, not_in=resting)
        return sum(self._guard(row) for row in rows)

    def _guard(self, row: MailboxMark) -> bool:
        """Make one mark; a mailbox that does not answer leaves it for later."""
        if self.ways.is_resting(row.account):
            return False
        now = self.clock.now()
        try:
            return self._make(row, now)
        except Misconfigured as error:
            self._give_up(row, f"{error.message}; {error.hint}" if error.hint else error.message, now)
            return True
        except QuietcrmError as error:
            self.ways.rest(row.account, error)
        except (OperationalError, InterfaceError):
            raise  # the store's trouble, not this row's
        except Exception as error:
            log.error("mark.failed", account=row.account, row=row.id, exc_info=error)  # the others go on
        if now - row.created_at > GIVE_UP:
            self._give_up(row, LATE, now)
            return True
        return False

    def _make(self, row: MailboxMark, now: datetime) -> bool:
        assert row.id is not None
        marks = mailbox_marks.from_data(row.marks)
        with self.store.writing() as session:
            if not mailbox_marks.begin(session, row.id, now + _pause(row.attempts)):
                return False
            copies = sightings.of_mails(session, [row.interaction_id], row.account).get(row.interaction_id, [])
        lies = _lies(row, copies, now)
        desk = self.ways.desk(row.account)
        if not isinstance(desk, Marker):
            raise Misconfigured(row.account, "mail in such an account cannot be marked", hint="")
        marked = desk.mark(lies.folder, lies.ref, row.message_id, marks)
        if not marked.folder:
            self._give_up(row, GONE, now)
            return True
        self._done(row, marks, lies, marked)
        return True

    def _done(self, row: MailboxMark, marks: Marks, lies: Copy, marked: Marked) -> None:
        assert row.id is not None
        now = self.clock.now()
        reason = "; ".join(marked.missing)
        done = _was_done(marks, marked)
        new = lies._replace(folder=marked.folder, ref=marked.ref, marks=_after(lies.marks, marks, marked))
        with self.store.writing() as session:
            state = MarkState.DONE if done else MarkState.IMPOSSIBLE
            before = {"marks": lies.marks or "", "folder": lies.folder}
            mailbox_marks.settle(session, row.id, state, now, reason=reason, before=before, folder=new.folder)
            sightings.moved(session, lies, new)
        log.info(f"mark.{state}", rule=row.rule, account=row.account, slot=row.slot.partition(":")[0])

    def _give_up(self, row: MailboxMark, reason: str, now: datetime) -> None:
        assert row.id is not None
        with self.store.writing() as session:
            mailbox_marks.settle(session, row.id, MarkState.IMPOSSIBLE, now, reason=reason)
        log.warning("mark.impossible", rule=row.rule, account=row.account, reason=reason)


def mark_line(row: MailboxMark) -> str:
    """One mark in a line: what, where, how it stands, by which rule."""
    stands = {MarkState.PLANNED: "waiting", MarkState.DONE: "done", MarkState.IMPOSSIBLE: "not possible"}
    why = f" ({row.account} {row.reason})" if row.reason and row.state == MarkState.DONE else ""
    why = why or (f" ({row.reason})" if row.reason else "")
    by = f"rule {row.rule}" if not row.event.startswith("undo ") else f"{row.event} of rule {row.rule}"
    where = f"{row.account}/{row.folder}"
    return f"{mark_words(row.marks)} in {where}: {stands.get(MarkState(row.state), row.state)}{why}, by {by}"


def mark_words(asked: Mapping[str, Any]) -> str:
    """What a mark asks for, in words: "category CRM: lead"."""
    marks = mailbox_marks.from_data(asked)
    words = [f"category {name}" for name in marks.add] + [f"no category {name}" for name in marks.remove]
    words += [f"flag by {marks.flag}"] if marks.flag else []
    words += ["no flag"] if marks.unflag else []
    return ", ".join([*words, *([f"into {marks.move}"] if marks.move else [])])


def _pause(attempts: int) -> timedelta:
    return min(FIRST_PAUSE * (1 << min(attempts, 10)), LONGEST_PAUSE)


def _lies(row: MailboxMark, copies: list[Copy], now: datetime) -> Copy:
    """The copy that the rule acted on, or where it lies by now; another one of the mailbox if that is gone."""
    same = next((copy for copy in copies if copy.folder == row.folder), None)
    return same or next(iter(copies), Copy(row.interaction_id, row.account, row.folder, row.ref, now))


def _was_done(marks: Marks, marked: Marked) -> bool:
    """Whether anything came of it: each row asks for one thing, and the day of a flag is the least part of it."""
    refused = [words for words in marked.missing if words != NO_DAY]
    return not refused or bool(marks.remove or marks.unflag)


def _after(known: str | None, marks: Marks, marked: Marked) -> str | None:
    """How the copy is marked now, as far as we know."""
    was = names_in(known)
    if known is None or not _was_done(marks, marked):
        return known
    gone = {name.casefold() for name in marks.remove}
    kept = [name for name in was if name != FLAGGED and name.casefold() not in gone]
    had = {name.casefold() for name in kept}
    kept += [name for name in marks.add if name.casefold() not in had]
    flagged = (FLAGGED in was or marks.flag is not None) and not marks.unflag
    return marks_of([FLAGGED] if flagged else [], kept)
