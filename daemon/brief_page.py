"""What a brief says of a meeting: who, where, and everything that is open between the customer and us. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from daemon.office import Office
from daemon.page import Block, Line
from daemon.phrases import date_words, day_words, phrase
from rules.amounts import Money
from store import customers, history, meetings, outbox, records, reminders
from store.meetings import MeetingRow
from store.tables import Case, Lead, Order, OutboxState, ReminderState, Task

MAILS = 3
PAST = 3
MOST = 5
"""Lines of one kind."""
YEARS = timedelta(days=730)
_OPEN = ("open",)
_PROMISED = (ReminderState.PLANNED, ReminderState.PLACING, ReminderState.PLACED)
_PREPARED = (OutboxState.PLANNED, OutboxState.PLACING, OutboxState.PLACED, OutboxState.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class BriefPage:
    """Writes about meetings for one person."""

    session: Session
    office: Office
    rep: str
    now: datetime

    @property
    def language(self) -> str:
        """The person's."""
        return self.office.settings.language_for(self.rep)

    def title(self, row: MeetingRow) -> str:
        """ "segunda, 23/11 10:00–11:00 · Padaria Sol: Demonstração"; an all-day event has no clock time."""
        zone = self.office.settings.zone_for(self.rep)
        start, end = row.start_at.astimezone(zone), row.end_at.astimezone(zone)
        when = date_words(start, self.language) if row.start_day else f"{day_words(start, self.language)}–{end:%H:%M}"
        if row.start_day:
            when = date_words(datetime.combine(row.start_day, start.timetz()), self.language)
        names = ", ".join(self.names(row))
        return f"{when} · {': '.join(part for part in (names, row.title) if part)}"

    def names(self, row: MeetingRow) -> list[str]:
        """The customers' names."""
        return meetings.names_of(self.session, [row.id]).get(row.id, [])

    def block(self, row: MeetingRow) -> Block:
        """Everything about one meeting."""
        lines = [*self._place(row), *self._people(row)]
        several = meetings.customers_of(self.session, [row.id]).get(row.id, [])
        for number in several:
            if len(several) > 1:
                lines.append(Line(text="", lead=customers.get(self.session, number).name))
            lines += self._about(number, row)
        return Block(title=self.title(row), lines=lines, tone="act")

    def _place(self, row: MeetingRow) -> Iterator[Line]:
        if row.place:
            yield self._line("brief_where", row.place)

    def _people(self, row: MeetingRow) -> Iterator[Line]:
        internal = self.office.settings.is_internal
        invited = [one for one in row.attendees if not internal(one["email"])]
        known = {one["email"].lower() for one in invited}
        if row.organizer and not internal(row.organizer) and row.organizer.lower() not in known:
            invited.insert(0, {"email": row.organizer, "name": "", "answer": "accepted"})
        for one in invited[:MOST]:
            name = f"{one['name']} <{one['email']}>" if one["name"] else one["email"]
            answer = phrase(f"answer_{one['answer']}", self.language) if one["answer"] else ""
            yield self._line("brief_who", name, answer)
        if len(invited) > MOST:
            yield self._line("brief_who", phrase("more", self.language).format(len(invited) - MOST))

    def _about(self, number: int, row: MeetingRow) -> Iterator[Line]:
        yield from self._records(number)
        yield from self._promises(number, row)
        yield from self._mails(number)
        yield from self._past(number)

    def _records(self, number: int) -> Iterator[Line]:
        for case in records.of_customer(self.session, Case, number, states=_OPEN)[:MOST]:
            yield self._line("brief_case", case.title, self._day(case.created_at))
        for order in records.of_customer(self.session, Order, number, states=_OPEN)[:MOST]:
            total = Money.of_minor(order.amount, order.currency).plain if order.amount >= 0 else ""
            text = " · ".join(filter(None, (order.number, total)))
            yield self._line("brief_order", text, self._day(order.created_at))
        for lead in records.of_customer(self.session, Lead, number, states=_OPEN)[:MOST]:
            yield self._line("brief_lead", lead.title, self._day(lead.created_at))

    def _promises(self, number: int, row: MeetingRow) -> Iterator[Line]:
        for task in records.of_customer(self.session, Task, number, states=_OPEN)[:MOST]:
            yield self._line("brief_task", task.title, self._day(task.due_at) if task.due_at else "")
        for one in reminders.of_customers(self.session, [number], states=_PROMISED)[:MOST]:
            if f"|meeting {row.id}|" not in one.event:  # what is to remind of this meeting says nothing new
                yield self._line("brief_task", one.text, self._day(one.due_at))
        for mail in outbox.of_customers(self.session, [number], states=_PREPARED)[:MOST]:
            text = mail.subject or phrase("draft_for", self.language).format(mail.template, mail.recipient)
            yield self._line("brief_draft", text, self._day(mail.due_at))

    def _mails(self, number: int) -> Iterator[Line]:
        mails = [one for one in history.timeline(self.session, number, 40) if one.kind == "human"]
        for one in mails[:MAILS]:
            arrow = "→" if one.direction == "out" else "←"
            text = one.subject or phrase("no_subject", self.language)
            yield self._line("brief_mail", f"{arrow} {text}", ", ".join([self._day(one.at), *one.contacts[:2]]))

    def _past(self, number: int) -> Iterator[Line]:
        rows = meetings.of_customer(self.session, number, self.now - YEARS, self.now)
        held = [one for one in reversed(rows) if not one.cancelled][:PAST]
        for one in held:
            missed = phrase("brief_missed", self.language) if one.missed_at else ""
            yield self._line("brief_met", one.title, ", ".join(filter(None, (self._day(one.start_at), missed))))

    def _line(self, name: str, text: str, reason: str = "") -> Line:
        return Line(lead=phrase(name, self.language), text=text, reason=reason)

    def _day(self, at: datetime) -> str:
        return date_words(at.astimezone(self.office.settings.zone_for(self.rep)), self.language)
