"""Answers that no history knows of: in a Junk folder, in a mailbox nobody looked into lately, in mail that could not be
read. Asked before a mail leaves, before a sequence lays out a draft, and before anybody becomes lost. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from connectors.model import Message
from daemon.last_look import Unread
from daemon.lookout import Lookout
from daemon.office import Office
from rules.office import office_of
from store import interactions, quarantine
from store.customers import CustomerCard
from store.tables import Account, Enrolment, OutboxMail

WATCHED = timedelta(days=180)
"""A mailbox that saw a customer within this time may get their answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """What an answer would answer. Nothing before `since` counts; `thread`: Message-IDs that an answer may name."""

    rep: str
    customer: int | None
    recipient: str
    since: datetime
    thread: frozenset[str]

    @classmethod
    def of_mail(cls, mail: OutboxMail) -> Trail:
        """The answer that would settle a mail."""
        return cls._of(mail, mail.message_id)

    @classmethod
    def of_sequence(cls, row: Enrolment) -> Trail:
        """The answer that would end a sequence."""
        return cls._of(row)

    @classmethod
    def _of(cls, one: OutboxMail | Enrolment, *more: str) -> Trail:
        return cls(
            rep=one.rep,
            customer=one.customer_id,
            recipient=one.recipient.lower(),
            since=one.event_at,
            thread=frozenset({*one.references, one.in_reply_to, *more} - {""}),
        )


def mailboxes_of(office: Office, rep: str, watchers: Collection[str]) -> set[str]:
    """The rep's own mailboxes, and all that saw the customer, as far as they are in the settings."""
    return {name for name, one in office.settings.accounts.items() if one.rep == rep or name in watchers}


@dataclass(frozen=True, slots=True)
class Unlogged:
    """Where the answer of one customer may lie. `watchers`: mailboxes that saw them lately."""

    session: Session
    office: Office
    lookout: Lookout
    trail: Trail
    card: CustomerCard | None
    watchers: Collection[str]

    @property
    def mailboxes(self) -> set[str]:
        """Where it may lie."""
        return mailboxes_of(self.office, self.trail.rep, self.watchers)

    def unread(self, rows: Mapping[str, Account]) -> tuple[Unread, ...]:
        """Mailboxes in which it may lie and nobody has seen it."""
        return (*self._not_understood(), *self.lookout.unread(self.mailboxes, self.trail.since, rows))

    def in_junk(self) -> str:
        """The account in whose Junk folder something of this customer lies that came after the event, "" if none."""
        junk = self.lookout.junk(self.mailboxes)
        news = [(name, one) for name, several in junk.items() for one in several if one.received_at > self.trail.since]
        if not news or self.card is None:
            return ""
        named = {one for _, message in news for one in (*message.references, message.in_reply_to)}
        known = interactions.by_message_ids(self.session, named)
        ours = {one for one, row in known.items() if self.card.customer.id in row.customers}
        return next((name for name, one in news if self._is_theirs(one, self.trail.thread | ours)), "")

    def _not_understood(self) -> Iterator[Unread]:
        """A mail that came after the event, names this customer, and could not be read: it may be the answer."""
        names = {name.encode() for name in (self.trail.recipient, *map(str.lower, self.trail.thread)) if name}
        names |= {one.encode() for one in self._people} | {f"@{one}".encode() for one in self._domains}
        for account, raw in quarantine.since(self.session, self.mailboxes, self.trail.since):
            lower = raw.lower()
            if any(name in lower for name in names):
                yield Unread(account=account, reason="a mail that may be the customer's answer could not be read")

    @property
    def _people(self) -> set[str]:
        return {email for contact in self.card.contacts for email in contact.emails} if self.card else set()

    @property
    def _domains(self) -> set[str]:
        """The domains at which everybody is of this customer."""
        if self.card is None:
            return set()
        return {one for one in self.card.domains if not office_of(self.office.settings).is_public(one)}

    def _is_theirs(self, message: Message, thread: frozenset[str]) -> bool:
        if thread & {*message.references, message.in_reply_to}:
            return True
        if message.sender is None:
            return False
        domain = message.sender.domain
        return message.sender.key in self._people | {self.trail.recipient} or any(
            domain == one or domain.endswith(f".{one}") for one in self._domains
        )
