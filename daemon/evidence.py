"""Gathers what the last look goes by: the history, the contact, the mailboxes. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlmodel import Session

from connectors.model import Message
from daemon.directory import untagged
from daemon.last_look import BRAKE_WINDOW, Evidence, Request, Unread
from daemon.lookout import Lookout
from daemon.office import Office
from daemon.settling import answered_since
from rules.clock import instant
from rules.hours import OfficeHours
from rules.office import office_of
from store import accounts, customers, sending, suppressions
from store.customers import ContactRow
from store.hashing import HashKey
from store.tables import Account, OutboxMail

WATCHED = timedelta(days=180)
BURST = timedelta(hours=1)
COLLEAGUE_DAYS = 2


@dataclass(slots=True)
class Witness:
    """Looks at everything for one mail at a time, inside the caller's transaction."""

    office: Office
    key: HashKey
    lookout: Lookout

    def request(self, mail: OutboxMail) -> Request:
        """What wants to go. A mail that was tried before is not late any more: the server made it wait."""
        limits = self.office.settings.limits
        return Request(
            late_after=None if mail.attempts else mail.late_after,
            reactive=mail.reactive,
            released=frozenset(filter(None, mail.released.split(","))),
            day_limit=limits.sends_per_day,
            hour_limit=limits.actions_per_hour,
        )

    def accounts_for(self, session: Session, mail: OutboxMail, now: datetime) -> set[str]:
        """The mailboxes an answer may lie in: the rep's own, and all that saw this customer in 180 days."""
        known = self.office.settings.accounts
        found = {name for name, one in known.items() if one.rep == mail.rep}
        if mail.customer_id is not None:
            found |= sending.watchers(session, mail.customer_id, now - WATCHED) & set(known)
        return found

    def gather(self, session: Session, mail: OutboxMail, now: datetime) -> Evidence:
        """Everything, as it is now."""
        settings = self.office.settings
        watched = self.accounts_for(session, mail, now)
        rows = {row.name: row for row in accounts.everything(session)}
        contact, theirs = _contact(session, mail)
        hours = self._hours(session, mail, contact)
        today = instant(now.astimezone(hours.zone).date(), 0, hours.zone)
        return Evidence(
            now=now,
            hours=hours,
            own=settings.is_internal(mail.recipient) or mail.recipient.lower() in settings.own_addresses(),
            answered=answered_since(session, mail),
            junk=self._answer_in_junk(session, mail, self.lookout.junk(watched)),
            unwanted=self._unwanted(session, mail.recipient),
            bounced=_bounced(contact),
            theirs=theirs,
            away_until=contact.away_until if contact else None,
            colleague=self._colleague(session, mail, now),
            unread=self._unread(mail, watched, rows),
            to_contact=sending.last_to(session, mail.recipient, mail.contact_id),
            answered_by_us=sending.last_to(session, mail.recipient, mail.contact_id, reactive=True),
            reactive=sending.count_since(session, now - BRAKE_WINDOW, reactive=True) if mail.reactive else 0,
            today=sending.count_since(session, today),
            burst=sending.planned_around(session, mail.created_at, BURST),
        )

    def _unread(self, mail: OutboxMail, watched: Collection[str], rows: Mapping[str, Account]) -> tuple[Unread, ...]:
        if not any(self.office.settings.accounts[name].rep == mail.rep for name in watched):
            return (Unread(account=mail.rep, reason="no mailbox of theirs is in the settings"),)
        return self.lookout.unread(watched, mail.event_at, rows)

    def _unwanted(self, session: Session, recipient: str) -> str:
        domain = recipient.rpartition("@")[2].lower()
        hashes = [self.key.address(recipient), self.key.address(untagged(recipient.lower())), self.key.domain(domain)]
        return next(iter(suppressions.which(session, hashes, "mail").values()), "")

    def _colleague(self, session: Session, mail: OutboxMail, now: datetime) -> tuple[str, datetime] | None:
        """Who of us wrote to the customer within two business days, after what this mail follows up."""
        if mail.customer_id is None:
            return None
        since = _business_days_before(self.office.hours, now, COLLEAGUE_DAYS)
        return sending.last_by_team(session, mail.customer_id, since, mail.event_at)

    def _hours(self, session: Session, mail: OutboxMail, contact: ContactRow | None) -> OfficeHours:
        """The office's hours by the contact's clock: their own zone, else the customer's, else the office's."""
        customer = customers.facts(session, [mail.customer_id]) if mail.customer_id is not None else {}
        zones = [contact.zone if contact else "", *(one.zone for one in customer.values())]
        for name in filter(None, zones):
            try:
                return self.office.hours.in_zone(ZoneInfo(name))
            except (ZoneInfoNotFoundError, ValueError):
                continue  # an import may bring anything; the office's clock is a sane answer
        return self.office.hours

    def _answer_in_junk(self, session: Session, mail: OutboxMail, junk: Mapping[str, Collection[Message]]) -> str:
        """The account in whose Junk folder something of this customer lies that came after the event."""
        news = [(name, one) for name, several in junk.items() for one in several if one.received_at > mail.event_at]
        if not news or mail.customer_id is None:
            return ""
        card = customers.show(session, mail.customer_id)
        people = {email for contact in card.contacts for email in contact.emails} | {mail.recipient.lower()}
        domains = {one for one in card.domains if not office_of(self.office.settings).is_public(one)}
        thread = {*mail.references, mail.in_reply_to, mail.message_id} - {""}
        return next((name for name, one in news if _is_theirs(one, people, domains, thread)), "")


def _is_theirs(message: Message, people: Collection[str], domains: Collection[str], thread: set[str]) -> bool:
    if thread & {*message.references, message.in_reply_to}:
        return True
    return message.sender is not None and (message.sender.key in people or message.sender.domain in domains)


def _contact(session: Session, mail: OutboxMail) -> tuple[ContactRow | None, bool]:
    """The person the mail is for, and whether the planned address is still theirs (nobody's else's name goes there)."""
    key = mail.recipient.lower()
    if mail.contact_id is None:
        return None, True
    people = customers.lookup_addresses(session, [key]).get(key, ())
    contact = next((one for one in people if one.id == mail.contact_id), None)
    return contact, contact is not None


def _bounced(contact: ContactRow | None) -> str:
    if contact is None or contact.bounced_at is None:
        return ""
    return contact.bounce_reason or "undeliverable"


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
