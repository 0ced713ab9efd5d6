"""One mail or occasion as conditions see it: facts worked out when first asked for, and kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from connectors.model import Address, Message
from rules.decision import Direction, Match
from rules.facts import ContactFacts, CustomerFacts, Directory
from rules.ladder import primary
from rules.lazy import Lazy
from rules.occasion import MeetingFacts, Occasion
from rules.office import Office
from rules.patterns import Searchable
from rules.text_match import Folded, Joined, folded


class View:
    """A mail, who it is about, and the moment. Made for one evaluation and thrown away.

    With an `occasion` the mail is blank, unless it is one at hand (a person marked it).
    """

    def __init__(
        self,
        message: Message,
        match: Match,
        direction: Direction,
        directory: Directory,
        office: Office,
        occasion: Occasion | None = None,
    ) -> None:
        self.message = message
        self.match = match
        self.direction = direction
        self.directory = directory
        self.office = office
        self.occasion = occasion

    @property
    def at(self) -> datetime:
        """When the mail arrived or the occasion came true; conditions on time ask this, so an evaluation can be
        repeated."""
        return self.occasion.at if self.occasion else self.message.received_at

    @property
    def is_blank(self) -> bool:
        """Whether there is no mail at hand."""
        return self.occasion is not None and self.message.sender is None

    @property
    def meeting(self) -> MeetingFacts | None:
        """The meeting at hand."""
        return self.occasion.meeting if self.occasion else None

    @Lazy
    def customer(self) -> CustomerFacts | None:
        """The customer that things are created for; None while it is not clear who that is."""
        found = primary(self.match)
        return self.directory.customers.get(found) if found is not None else None

    @property
    def contact(self) -> ContactFacts | None:
        """The person at the other end."""
        return self.match.contact

    @Lazy
    def customers(self) -> tuple[CustomerFacts, ...]:
        """Every customer the mail is about, as far as the directory has them."""
        known = self.directory.customers
        return tuple(known[one] for one in self.match.customers if one in known)

    @Lazy
    def subject(self) -> Folded:
        """The subject, folded."""
        return folded(self.message.subject)

    @Lazy
    def body(self) -> Folded:
        """The newly written text, folded."""
        return folded(self.message.text)

    @Lazy
    def text(self) -> Folded:
        """Subject and new text."""
        return Joined(self.subject, self.body)

    @Lazy
    def subject_pattern(self) -> Searchable:
        """The subject, ready for patterns."""
        return Searchable(self.message.subject)

    @Lazy
    def body_pattern(self) -> Searchable:
        """The new text, ready for patterns."""
        return Searchable(self.message.text)

    @Lazy
    def text_pattern(self) -> Searchable:
        """Subject and new text, ready for patterns."""
        return Searchable(f"{self.message.subject}\n{self.message.text}")

    @Lazy
    def language(self) -> str:
        """The language of the mail by a guess, else of the contact, else of the customer; "" if unknown."""
        own = "" if self.is_blank else mail_language(self.message)
        return own or _first(one.language for one in (self.contact, self.customer) if one is not None)

    @Lazy
    def is_open(self) -> bool:
        """Whether the office was open when the mail arrived."""
        return self.office.hours.is_open(self.at)

    @Lazy
    def country(self) -> str:
        """The country of the contact, else of the customer; upper case."""
        return _first(one.country for one in (self.contact, self.customer) if one is not None).upper()

    @Lazy
    def people(self) -> tuple[Address, ...]:
        """From, Sender, Reply-To, To, Cc and Bcc."""
        return tuple(self.message.people())


def mail_language(message: Message) -> str:
    """The language a mail is written in ("pt", "ru" ...), "" where that cannot be told."""
    from rules.language import guess_language  # its word tables load when the first rule asks

    return guess_language(f"{message.subject}\n{message.text}"[:4000]) or ""


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")
