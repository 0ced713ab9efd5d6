"""What the daily notice says of mail that leaves by itself: what is held or uncertain, what did not arrive, what left.

A person hears of the mail in their own name, and of mail that waits because they wrote to the customer themselves. The
admin hears of everybody's, for the commands that settle it are for the admin's terminal.
"""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from config.settings import Settings
from daemon.last_look import IN_JUNK, Obstacle
from daemon.notice_blocks import block
from daemon.page import Block, Line
from daemon.phrases import day_words, mails_words, phrase
from daemon.reasons import reason_words
from store import customers, enrolments, outbox
from store.tables import Enrolment, OutboxMail, OutboxState

_MISSING_FIELD = re.compile(r"no value for (?:[\w.]+, )*customer\.fields\.(\w+)")
_COLLEAGUE = re.compile(r"(\S+) wrote to the customer on ")
_ENDS = (OutboxState.REFUSED, OutboxState.BOUNCED)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendsNotice:
    """The part of one person's notice. `since` = of their last look at such things (the notice before)."""

    session: Session
    settings: Settings
    rep: str
    since: datetime
    told: datetime

    @property
    def language(self) -> str:
        return self.settings.language_for(self.rep)

    def pressing(self) -> list[Block]:
        """What a person should decide or know: uncertain, held, not arrived, answered in Junk."""
        rows = [row for row in outbox.for_people(self.session, self.since) if self._concerns(row)]
        held = [row for row in rows if row.state == OutboxState.HELD]
        uncertain = [row for row in rows if row.state == OutboxState.UNCERTAIN]
        return [
            *self._block("uncertain", uncertain, self._uncertain, "trouble", phrase("uncertain_note", self.language)),
            *self._held(held),
            *self._block("undelivered", [row for row in rows if row.state in _ENDS], self._undelivered, "trouble"),
            *self._junk([row for row in rows if row.state == OutboxState.CANCELLED and row.obstacle == Obstacle.JUNK]),
        ]

    def _junk(self, rows: Sequence[OutboxMail]) -> list[Block]:
        """Answers in Junk, which are in no history: those that stopped a mail, and those that ended a sequence."""
        told = {row.enrolment_id for row in rows}
        over = enrolments.stopped_since(self.session, self.since, IN_JUNK)
        ended = [one for one in over if one.id not in told and self.rep in (one.rep, self.settings.admin)]
        lines = [*map(self._plain, rows), *map(self._over, ended)]
        return block("junk", lines, self.language, "act", phrase("junk_note", self.language))

    def calm(self) -> list[Block]:
        """What left since the last notice that went out."""
        rows = outbox.for_people(self.session, self.told)
        gone = [row for row in rows if row.state == OutboxState.SENT and self._concerns(row)]
        return self._block("sent_by_itself", gone, self._gone, "calm")

    def _concerns(self, row: OutboxMail) -> bool:
        return self.rep in (row.rep, self.settings.admin, self._colleague(row))

    def _colleague(self, row: OutboxMail) -> str | None:
        """Who of the team wrote to the customer, where that is what holds the mail."""
        found = _COLLEAGUE.match(row.reason) if row.obstacle == Obstacle.COLLEAGUE else None
        return (found[1] if found[1] in self.settings.team else self.settings.rep_of(found[1])) if found else None

    # --- blocks -------------------------------------------------------------------------------------------------------

    def _block(
        self, name: str, rows: Sequence[OutboxMail], line: Callable[[OutboxMail], Line], tone: str, note: str = ""
    ) -> list[Block]:
        return block(name, [line(row) for row in rows], self.language, tone, note)

    def _held(self, rows: Sequence[OutboxMail]) -> list[Block]:
        """Held mail one by one; what the breaker holds in one line a rule, for there may be hundreds."""
        bursts: dict[str, list[OutboxMail]] = defaultdict(list)
        for row in rows:
            if row.obstacle == Obstacle.BREAKER:
                bursts[row.rule].append(row)
        lines = [self._burst(rule, several) for rule, several in bursts.items()]
        lines += [self._waiting(row) for row in rows if row.obstacle != Obstacle.BREAKER]
        return block("held_sends", lines, self.language, "act", count=len(rows))

    def _burst(self, rule: str, rows: Sequence[OutboxMail]) -> Line:
        name = shlex.quote(rule)
        return Line(
            lead=rule,
            text=mails_words(len(rows), self.language),
            reason=reason_words(rows[-1].reason, self.language),
            command=f"quietcrm outbox release --rule {name}\nquietcrm outbox cancel --rule {name}",
        )

    # --- lines --------------------------------------------------------------------------------------------------------

    def _waiting(self, row: OutboxMail) -> Line:
        reason = reason_words(row.reason, self.language)
        cancel = f"quietcrm outbox cancel {row.id}"
        if row.obstacle == Obstacle.UNREACHABLE:
            by_itself = phrase("by_itself", self.language)
            return self._line(row, f"{reason}; {by_itself}", f"quietcrm doctor\n{cancel}")
        if row.retry_at is not None:
            reason += f"; {phrase('next_try', self.language).format(self._when(row.retry_at))}"
        return self._line(row, reason, f"{release_commands(row, self._name(row))}\n{cancel}")

    def _uncertain(self, row: OutboxMail) -> Line:
        looked = phrase("not_looked_yet", self.language)
        if row.looked_at is not None:
            looked = phrase("looked_in_sent", self.language).format(self._when(row.looked_at))
        commands = (f"sent {row.id}", f"release --again {row.id}", f"cancel {row.id}")
        command = "\n".join(f"quietcrm outbox {one}" for one in commands)
        return self._line(row, f"{reason_words(row.reason, self.language)}; {looked}", command)

    def _undelivered(self, row: OutboxMail) -> Line:
        """Refused, in the server's words; or come back, by the report's."""
        said = row.server_said if row.state == OutboxState.REFUSED else reason_words(row.reason, self.language)
        return self._line(row, said or row.reason or row.server_said, f"quietcrm outbox show {row.id}")

    def _plain(self, row: OutboxMail) -> Line:
        return self._line(row, reason_words(row.reason, self.language))

    def _over(self, row: Enrolment) -> Line:
        whose = f", {row.rep}" if row.rep != self.rep else ""
        reason = (
            f"{reason_words(row.reason, self.language)} ({phrase('sequence', self.language)} {row.sequence}{whose})"
        )
        return Line(lead=customers.get(self.session, row.customer_id).name, text=row.recipient, reason=reason)

    def _gone(self, row: OutboxMail) -> Line:
        at = self._when(row.settled_at) if row.settled_at else ""
        late = f"; {reason_words(row.reason, self.language)}" if row.reason.startswith("not delivered yet") else ""
        return Line(lead=self._name(row), text=row.subject, reason=f"{row.recipient}, {at}{late} {self._by(row)}")

    def _line(self, row: OutboxMail, reason: str, command: str = "") -> Line:
        text = row.subject or phrase("mail_for", self.language).format(row.template, row.recipient)
        return Line(lead=self._name(row), text=text, reason=f"{reason} {self._by(row)}", command=command)

    def _by(self, row: OutboxMail) -> str:
        """ "(rule thanks)"; with the name of the person, where the mail is another's."""
        whose = f", {row.rep}" if row.rep != self.rep else ""
        return f"({phrase('rule', self.language)} {row.rule}{whose})"

    def _name(self, row: OutboxMail) -> str:
        return customers.get(self.session, row.customer_id).name if row.customer_id else row.recipient

    def _when(self, at: datetime) -> str:
        return day_words(at.astimezone(self.settings.zone_for(self.rep)), self.language)


def release_commands(row: OutboxMail, customer: str) -> str:
    """The commands that let a held mail go, one a line: what it lacks is filled in first."""
    release = f"quietcrm outbox release {row.id}"
    if missing := _MISSING_FIELD.match(row.reason):
        return f"{shlex.join(['quietcrm', 'customer', 'edit', customer, '--set', f'{missing[1]}=...'])}\n{release}"
    return release
