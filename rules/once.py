"""`once: per customer every 30 days`: how often a rule may act for the same mail, thread, person, customer or deal.

Pure. What was done is in `Directory.once`, by rule and key; the daemon writes it down behind the actions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.nodes import Node
from connectors.model import Message
from rules.clock import GrammarError
from rules.decision import Check
from rules.moments import parse_age
from rules.needs import refuse
from rules.reader import Reader
from rules.view import View

SCOPES = ("mail", "thread", "contact", "customer", "deal")
_HELP = 'write for example "per customer" or "per contact every 30 days"'


@dataclass(frozen=True, slots=True)
class Once:
    """Once for each `scope`; with `every`, again when so much time went by between the arrivals of two mails.

    written   as the rule says it
    """

    scope: str
    every: timedelta | None = None
    written: str = ""

    def allows(self, last: datetime | None, at: datetime) -> bool:
        """Whether a rule that acted for a mail of `last` may act for one that arrived at `at`."""
        return last is None or (self.every is not None and at - last >= self.every)

    def check(self, view: View, names: tuple[str, ...]) -> Check:
        """Whether the rule may act, under any of its names, with what was seen."""
        last = self.last(view, names)
        seen = f"{last:%Y-%m-%d %H:%M} UTC" if last else "not yet"
        return Check(condition="once", held=self.allows(last, view.at), wanted=self.written, seen=seen)

    def last(self, view: View, names: tuple[str, ...]) -> datetime | None:
        """When the rule acted last for what this mail belongs to; None for never, and where that is not known yet."""
        contact = view.contact.id if view.contact else None
        customer = view.customer
        deal = customer.deal if customer else ""
        key = once_key(self.scope, view.message, contact, customer.id if customer else None, deal)
        return last_time(view.directory.once, names, key)


def last_time(done: Mapping[tuple[str, str], datetime], names: tuple[str, ...], key: str) -> datetime | None:
    """The latest time under any of the names."""
    return max((at for name in names if (at := done.get((name, key)))), default=None) if key else None


def once_key(scope: str, message: Message, contact: int | None, customer: int | None, deal: str) -> str:
    """What a rule acts once for: "customer 5", "deal lead 7"; "" where the mail has nothing of the kind (yet).

    deal   the customer's newest open lead or order ("lead 7"), else the customer stands for it
    """
    if scope == "thread":
        return f"thread {thread_mark(message)}" if message.sender else ""
    return once_key_of(scope, contact, customer, deal)


def once_key_of(scope: str, contact: int | None, customer: int | None, deal: str) -> str:
    """The same where there is no mail: for a contact, customer or deal."""
    if scope == "contact":
        return f"contact {contact}" if contact is not None else ""
    if customer is None:
        return ""
    return f"deal {deal}" if scope == "deal" and deal else f"{scope} {customer}"


def thread_mark(message: Message) -> str:
    """The thread a mail belongs to, as a hash of the Message-ID it began with."""
    first = message.references[0] if message.references else message.in_reply_to or message.message_id
    return hashlib.sha256(first.encode("utf-8", "replace")).hexdigest()[:32]


def read_once(node: Node, reader: Reader) -> Once | None:
    """`per mail`, `per customer`, `per contact every 30 days`. None for `per mail`: that holds for every rule."""
    scalar = reader.scalar(node, "`once`")
    if scalar is None:
        return None
    words = scalar.text.lower().split()
    every = " ".join(words[3:])
    if words[:1] != ["per"] or len(words) < 2 or words[1] not in SCOPES or (words[2:] and words[2] != "every"):
        near = next((word for word in words if word in SCOPES), "")
        help = f"write: per {near}" if near else "write: per mail"
        reader.report("E104", f'`once` cannot be "{scalar.text}"', scalar.place, help)
        return None
    try:
        length = parse_age(every) if words[2:] else None
    except GrammarError as error:
        reader.report("E202", f"`once`: {error.message}", scalar.place, f"write: per {words[1]} every 30 days")
        return None
    if words[1] == "thread":
        refuse("mail", "`once: per thread`", scalar.place, reader)
    if words[1] == "mail":
        if length:
            reader.report("E104", "a mail comes once only", scalar.place, "write: per mail")
        return None
    return Once(words[1], length, " ".join(words))
