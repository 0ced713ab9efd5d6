"""Gathers what the last look goes by: the history, the contact, the mailboxes. Reads only.

A dossier holds what is known of all mails of one tick, so that each fact is asked of the store once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlmodel import Session

from daemon.blocks import why_blocked
from daemon.breaker import owner_of, stands_still
from daemon.last_look import (
    BRAKE_WINDOW,
    PEER_PAUSE,
    RETRY_FOR,
    Evidence,
    InSequence,
    Obstacle,
    Request,
    Step,
    Unread,
    Verdict,
    ended,
    unanswered,
)
from daemon.lookout import Lookout
from daemon.office import Office
from daemon.settling import LATE, settled_by
from daemon.signs import step_over, why_ended, window_of
from daemon.unlogged import WATCHED, Trail, Unlogged, mailboxes_of
from daemon.versions import book_of
from rules.clock import instant
from rules.hours import OfficeHours
from rules.sequence import REPLIED
from store import accounts, customers, enrolments, pauses, sending
from store.customers import ContactRow, CustomerCard
from store.exchanges import LastWords
from store.hashing import HashKey
from store.sending import Departure
from store.tables import Account, Enrolment, EnrolmentState, OutboxMail, Pause

BURST = timedelta(hours=1)
COLLEAGUE_DAYS = 2


@dataclass(slots=True, kw_only=True)
class Dossier:
    """What is known of several mails at one moment. `departures` grows as mails of this tick are claimed."""

    now: datetime
    cards: dict[int, CustomerCard]
    rows: dict[str, Account]
    watched: dict[int, set[str]]
    team: dict[int, list[tuple[str, datetime]]]
    departures: list[Departure]
    reactive: int
    enrolments: dict[int, Enrolment]
    pauses: dict[str, Pause]
    claimed: int = 0
    _today: dict[datetime, int] = field(default_factory=dict)
    _bursts: dict[datetime, int] = field(default_factory=dict)

    def card(self, mail: OutboxMail) -> CustomerCard | None:
        """The customer the mail is for."""
        return self.cards.get(mail.customer_id or 0)

    def contact(self, mail: OutboxMail) -> tuple[ContactRow | None, bool]:
        """The person the mail is for, and whether the planned address is still theirs."""
        if mail.contact_id is None:
            return None, True
        card = self.card(mail)
        contact = next((one for one in card.contacts if one.id == mail.contact_id), None) if card else None
        return contact, contact is not None and mail.recipient.lower() in contact.emails

    def last_left(self, mail: OutboxMail, *, reactive: bool = False) -> datetime | None:
        """When a mail last left by itself for the contact or address of this one."""
        key = mail.recipient.lower()
        whose = (
            one.at
            for one in self.departures
            if (one.recipient == key or (one.contact_id is not None and one.contact_id == mail.contact_id))
            and (one.reactive or not reactive)
        )
        return max(whose, default=None)

    def note(self, mail: OutboxMail) -> None:
        """This mail was claimed: it counts for those behind it."""
        self.departures.append(Departure(mail.recipient.lower(), mail.contact_id, self.now, mail.reactive))
        self.claimed += 1
        self.reactive += mail.reactive

    def today(self, session: Session, midnight: datetime) -> int:
        """How many mails left since."""
        if midnight not in self._today:
            self._today[midnight] = sending.count_since(session, midnight) - self.claimed
        return self._today[midnight] + self.claimed

    def burst(self, session: Session, created_at: datetime) -> int:
        """How many mails rules planned within an hour of this moment, before and after."""
        minute = created_at.replace(second=0, microsecond=0)
        if minute not in self._bursts:
            self._bursts[minute] = sending.planned_around(session, minute, BURST)
        return self._bursts[minute]


@dataclass(slots=True)
class Witness:
    """Looks at everything for one mail at a time, inside the caller's transaction."""

    office: Office
    key: HashKey
    lookout: Lookout

    def open_dossier(self, session: Session, mails: Sequence[OutboxMail], now: datetime) -> Dossier:
        """What is known of these mails now."""
        people = {one.customer_id for one in mails if one.customer_id is not None}
        recipients = {one.recipient.lower() for one in mails}
        contacts = {one.contact_id for one in mails if one.contact_id is not None}
        since = _business_days_before(self.office.hours, now, COLLEAGUE_DAYS)
        return Dossier(
            now=now,
            cards=customers.cards(session, people),
            rows={row.name: row for row in accounts.everything(session)},
            watched=sending.watchers(session, people, now - WATCHED),
            team=sending.team_mail(session, people, since),
            departures=sending.departures(session, recipients, contacts, now - PEER_PAUSE),
            reactive=sending.count_since(session, now - BRAKE_WINDOW, reactive=True),
            enrolments=enrolments.by_ids(session, [one.enrolment_id for one in mails if one.enrolment_id is not None]),
            pauses=pauses.everything(session),
        )

    def request(self, mail: OutboxMail) -> Request:
        """What wants to go. The time for which a server may put a mail off does not make it late."""
        limits = self.office.settings.limits
        of_its_day = LATE in mail.unless.split(",")
        put_off = RETRY_FOR if mail.attempts and not of_its_day else timedelta()
        return Request(
            late_after=mail.late_after + put_off if mail.late_after else None,
            reactive=mail.reactive,
            of_its_day=of_its_day,
            released=frozenset(filter(None, mail.released.split(","))),
            day_limit=limits.sends_per_day,
            hour_limit=limits.actions_per_hour,
        )

    def accounts_for(self, dossier: Dossier, mail: OutboxMail) -> set[str]:
        """The mailboxes an answer may lie in: the rep's own, and all that saw this customer in 180 days."""
        watchers = dossier.watched.get(mail.customer_id or 0, ())
        return mailboxes_of(self.office, mail.rep, watchers)

    def gather(self, session: Session, dossier: Dossier, mail: OutboxMail) -> Evidence:
        """Everything, as it is now."""
        settings, card = self.office.settings, dossier.card(mail)
        watchers = dossier.watched.get(mail.customer_id or 0, ())
        unlogged = Unlogged(session, self.office, self.lookout, Trail.of_mail(mail), card, watchers)
        contact, theirs = dossier.contact(mail)
        enrolment = dossier.enrolments.get(mail.enrolment_id or 0)
        sequence = self._sequence(session, dossier.now, mail, enrolment, card)
        hours = self._hours(session, enrolment, card, contact)
        breaker = dossier.pauses.get(pauses.BREAKER)
        midnight = instant(dossier.now.astimezone(hours.zone).date(), 0, hours.zone)
        return Evidence(
            now=dossier.now,
            hours=hours,
            own=settings.is_internal(mail.recipient) or mail.recipient.lower() in settings.own_addresses(),
            answered=settled_by(mail, _last_words(card, contact)),
            junk=unlogged.in_junk() if self._ends_by_answer(session, enrolment) else "",
            unwanted=why_blocked(session, self.key, mail.recipient),
            bounced=_came_back(contact),
            theirs=theirs,
            away_until=(enrolment.away_until if enrolment else None) or (contact.away_until if contact else None),
            colleague=_colleague(dossier, mail),
            unread=self._unread(mail, unlogged, dossier),
            to_contact=dossier.last_left(mail),
            answered_by_us=dossier.last_left(mail, reactive=True),
            reactive=dossier.reactive,
            today=dossier.today(session, midnight),
            burst=dossier.burst(session, mail.created_at) if enrolment is None else 0,
            paused=stands_still(dossier.pauses.keys() - {pauses.BREAKER}, owner_of(mail)),
            breaker=breaker.reason if breaker else "",
            sequence=sequence,
        )

    def _sequence(
        self, session: Session, now: datetime, mail: OutboxMail, enrolment: Enrolment | None, card: CustomerCard | None
    ) -> InSequence | None:
        """What the sequence says of the mail of its step, as it is now."""
        if mail.enrolment_id is None:
            return None
        if enrolment is None:
            return InSequence(ended="the enrolment is gone")
        if enrolment.state != EnrolmentState.ACTIVE:
            return InSequence(ended=enrolment.reason or "the sequence is over")
        found = book_of(self.office).find(session, enrolment)
        if isinstance(found, str):
            return InSequence(trouble=found)
        zone = self.office.settings.zone
        midnight = instant(now.astimezone(zone).date(), 0, zone)
        return InSequence(
            ended=why_ended(session, self.office, self.key, enrolment, found, card),
            mode=found.mode,
            pace=found.pace,
            left=tuple(enrolments.left_since(session, found.name, midnight)),
            key=f"{enrolment.id} {mail.slot}",
        )

    def _unread(self, mail: OutboxMail, unlogged: Unlogged, dossier: Dossier) -> tuple[Unread, ...]:
        found = unlogged.unread(dossier.rows)
        if not any(one.rep == mail.rep for one in self.office.settings.accounts.values()):
            return (Unread(account=mail.rep, reason="no mailbox of theirs is in the settings"), *found)
        return found

    def before_draft(self, session: Session, mail: OutboxMail, now: datetime) -> Verdict | None:
        """What stands in the way of laying out the draft of a step: its sequence is over, or their answer may lie where
        it can be looked for. What cannot be read holds up nothing that a person looks at."""
        if mail.enrolment_id is None:
            return None
        if why := step_over(self.office, self.key, session, mail):
            return Verdict(step=Step.CANCEL, obstacle=Obstacle.SEQUENCE, reason=why)
        row = enrolments.by_ids(session, [mail.enrolment_id])[mail.enrolment_id]
        return self.before_step(session, row, now, broken=False)

    def before_step(self, session: Session, row: Enrolment, now: datetime, *, broken: bool = True) -> Verdict | None:
        """What stands in the way of a step without a mail, and of `done`: an answer that no history knows of, or a
        mailbox it may lie in (`broken`: one that cannot be read counts too)."""
        if not self._ends_by_answer(session, row):
            return None
        watchers = sending.watchers(session, [row.customer_id], now - WATCHED).get(row.customer_id, ())
        card = customers.cards(session, [row.customer_id]).get(row.customer_id)
        unlogged = Unlogged(session, self.office, self.lookout, Trail.of_sequence(row), card, watchers)
        unread = unlogged.unread({one.name: one for one in accounts.everything(session)})
        counted = tuple(one for one in unread if broken or not one.reason)
        return unanswered(Evidence(now=now, hours=self.office.hours, junk=unlogged.in_junk(), unread=counted))

    def _ends_by_answer(self, session: Session, enrolment: Enrolment | None) -> bool:
        """Whether an answer ends the mail: but for sequences that go on in spite of one."""
        found = book_of(self.office).find(session, enrolment) if enrolment else ""
        return isinstance(found, str) or REPLIED in found.stop_when.signs

    def ended(self, session: Session, mail: OutboxMail, now: datetime) -> Verdict | None:
        """What came in since the last look and ends the mail: an answer, a wish to get none, a report."""
        card = customers.cards(session, [mail.customer_id]).get(mail.customer_id) if mail.customer_id else None
        contact = next((one for one in card.contacts if one.id == mail.contact_id), None) if card else None
        inside = enrolments.by_ids(session, [mail.enrolment_id] if mail.enrolment_id else [])
        return ended(
            Evidence(
                now=now,
                hours=self.office.hours,
                sequence=self._sequence(session, now, mail, inside.get(mail.enrolment_id or 0), card),
                answered=settled_by(mail, _last_words(card, contact)),
                unwanted=why_blocked(session, self.key, mail.recipient),
                bounced=_came_back(contact),
            )
        )

    def _hours(
        self, session: Session, enrolment: Enrolment | None, card: CustomerCard | None, contact: ContactRow | None
    ) -> OfficeHours:
        """The office's hours by the contact's clock: their own zone, else the customer's, else the office's. For a step
        of a sequence those that it says."""
        found = book_of(self.office).find(session, enrolment) if enrolment else ""
        if enrolment is not None and not isinstance(found, str):
            return window_of(self.office, found, card, enrolment)
        for name in (contact.zone if contact else "", card.customer.zone if card else ""):
            try:
                if name:
                    return self.office.hours.in_zone(ZoneInfo(name))
            except (ZoneInfoNotFoundError, ValueError):
                continue  # an import may bring anything; the office's clock is a sane answer
        return self.office.hours


def _came_back(contact: ContactRow | None) -> str:
    return (contact.bounce_reason or "undeliverable") if contact and contact.bounced_at else ""


def _last_words(card: CustomerCard | None, contact: ContactRow | None) -> LastWords:
    """When the customer last wrote (any contact of theirs), and when we last wrote to the contact."""
    if card is None:
        return LastWords(in_at=None, out_at=None)
    return LastWords(in_at=card.customer.last_in_at, out_at=(contact or card.customer).last_out_at)


def _colleague(dossier: Dossier, mail: OutboxMail) -> tuple[str, datetime] | None:
    """Who of us wrote to the customer within two business days, after what this mail follows up."""
    return next((one for one in dossier.team.get(mail.customer_id or 0, ()) if one[1] > mail.event_at), None)


def _business_days_before(hours: OfficeHours, now: datetime, count: int) -> datetime:
    """The same clock time `count` business days ago."""
    local = now.astimezone(hours.zone)
    day = local.date()
    for _ in range(60):
        if count <= 0:
            break
        day -= timedelta(days=1)
        count -= hours.is_business_day(day)
    return instant(day, local.hour * 60 + local.minute, hours.zone).astimezone(UTC)
