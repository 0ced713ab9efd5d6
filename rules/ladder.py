"""Who is this mail about? A ladder of questions; every answer is kept for the explanation.

Token, plus-address and thread speak for the whole mail; address, alias and domain for each person outside, and their
union counts (decision 14). An address that belongs to several customers is a normal outcome, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from config.settings import Settings
from connectors.model import Address, Kind, Message
from rules.decision import Answer, Direction, Match
from rules.facts import ContactFacts, Directory
from rules.office import Office, office_of
from rules.subjects import subject_key

_TOKEN = re.compile(r"\[CRM-([0-9A-Za-z]{2,32})\]", re.IGNORECASE | re.ASCII)
_MAIL_RUNGS = ("token", "plus_address", "thread")


def match(message: Message, directory: Directory, settings: Settings) -> Match:
    """Find the customers of a mail. Pure; what `directory` does not name is not known."""
    office = office_of(settings)
    people = outside_people(message, office)
    end = _other_end(message, people, office)
    if not people:
        return Match(answers=tuple(_unused(_mail_answers(message, directory, office), "only our own people")))
    found = [_ask_person(person, directory, office) for person in _end_first(people, end)]
    asked = list(_mail_answers(message, directory, office))
    said = [_thread_beaten(answer, message, directory, found, end) for answer in asked]
    return _decide(said, found, people, end)


def direction_of(message: Message, office: Office) -> Direction:
    """Out if one of us wrote it. A delivery report comes in, even from a server of our own domain."""
    if message.kind is Kind.BOUNCE:
        return Direction.IN
    if message.sender is None:
        return Direction.OUT if office.is_ours(message.sent_by) else Direction.IN
    # A Sender of our own domain may be our mailing list passing on a customer's mail; a person's is not.
    if office.is_ours(message.sender) or office.rep_of(message.sent_by):
        return Direction.OUT
    return Direction.IN


def outside_people(message: Message, office: Office) -> tuple[Address, ...]:
    """Everyone who is not one of us, once each; of a delivery report also those whom the mail did not reach."""
    seen: dict[str, Address] = {}
    for person in _named(message):
        key = person.email.lower()
        if key and key not in seen and not office.is_internal(key):
            seen[key] = person
    return tuple(seen.values())


def primary(found: Match) -> int | None:
    """The one customer that things are created for: the first, unless it is first only by ambiguity."""
    if not found.customers:
        return None
    first = found.customers[0]
    decisive = next((answer for answer in found.answers if answer.used and first in answer.customers), None)
    if decisive and decisive.rung not in _MAIL_RUNGS and len(decisive.customers) > 1:
        return None
    return first


def _named(message: Message) -> Iterator[Address]:
    yield from message.people()
    if message.bounce:
        for recipient in message.bounce.recipients:
            yield Address(recipient)


def _other_end(message: Message, people: tuple[Address, ...], office: Office) -> Address | None:
    """The person whom the mail is from or, for our own, to."""
    outside = {person.email.lower() for person in people}
    first: tuple[Address | None, ...] = (message.sender or message.sent_by, *message.reply_to)
    if message.bounce and message.bounce.recipients:
        first = tuple(Address(recipient) for recipient in message.bounce.recipients)
    elif direction_of(message, office) is Direction.OUT:
        first = (*message.to, *message.cc, *message.bcc, *message.reply_to)
    for person in (*first, *people):
        if person and person.email.lower() in outside:
            return person
    return None


def _end_first(people: tuple[Address, ...], end: Address | None) -> list[Address]:
    if end is None:
        return list(people)
    key = end.email.lower()
    return [end, *(person for person in people if person.email.lower() != key)]


# --- the rungs that speak for the whole mail


def _mail_answers(message: Message, directory: Directory, office: Office) -> Iterator[Answer]:
    if "token" in office.rungs and directory.tokens and "[" in message.subject:
        for token in _TOKEN.findall(message.subject):
            yield _answer("token", token.upper(), directory.tokens.get(token.upper(), ()))
    if "plus_address" in office.rungs and directory.tokens:
        for tag in _plus_tags(message, office):
            yield _answer("plus_address", tag, _tagged(directory, tag))
    if "thread" in office.rungs and directory.threads:
        parents = (message.in_reply_to, *reversed(message.references))
        known = next((parent for parent in parents if parent in directory.threads), "")
        if known:
            yield _answer("thread", known, directory.threads[known].customers)


def plus_tags(message: Message, settings: Settings) -> tuple[str, ...]:
    """What stands behind the + of our own addresses among the recipients, as written."""
    return tuple(_plus_tags(message, office_of(settings)))


def tokens_in(subject: str) -> tuple[str, ...]:
    """The tokens of a subject, upper case: "Re: [CRM-4f2k] x" gives ("4F2K",)."""
    return tuple(token.upper() for token in _TOKEN.findall(subject))


def _plus_tags(message: Message, office: Office) -> Iterator[str]:
    for person in (*message.to, *message.cc, *message.bcc):
        local, _, domain = person.email.rpartition("@")
        name, plus, tag = local.partition("+")
        if plus and tag and (office.is_internal(person.key) or office.is_internal(f"{name}@{domain}".lower())):
            yield tag


def _tagged(directory: Directory, tag: str) -> tuple[int, ...]:
    for form in (tag, tag.upper(), tag.lower()):
        if form in directory.tokens:
            return directory.tokens[form]
    return ()


def _thread_beaten(
    answer: Answer, message: Message, directory: Directory, found: list[_Person], end: Address | None
) -> Answer:
    """A thread does not speak for a mail from (or all to) another customer, nor under a new subject to nobody of it."""
    if answer.rung != "thread" or not answer.customers:
        return answer
    customers = set(answer.customers)
    if any(customers.intersection(person.customers) for person in found):
        # Somebody of that customer is in the mail. Only a From at another customer is stronger.
        elsewhere = found[0].customers and not customers.intersection(found[0].customers)
        from_end = message.sender is not None and end is not None and message.sender.key == end.key
        return (
            replace(answer, used=False, why="the sender is at another customer") if elsewhere and from_end else answer
        )
    if found and found[0].customers:
        return replace(answer, used=False, why="the other end is at another customer")
    before = directory.threads[answer.seen].subject_key
    if before and subject_key(before) != subject_key(message.subject):
        return replace(answer, used=False, why="the subject is new and nobody of that customer takes part")
    return answer


# --- the rungs that speak for one person


@dataclass(slots=True)
class _Person:
    """What the ladder says of one person outside."""

    address: Address
    answers: list[Answer] = field(default_factory=list)
    customers: tuple[int, ...] = ()
    contacts: tuple[ContactFacts, ...] = ()
    rung: str = ""


def _ask_person(address: Address, directory: Directory, office: Office) -> _Person:
    person = _Person(address)
    key = address.email.lower()
    contacts = directory.contacts.get(key, ())
    if contacts:
        proper = tuple(one for one in contacts if key not in one.aliases)
        _settle(person, "address", key, proper, office)
        _settle(person, "alias", key, tuple(one for one in contacts if key in one.aliases), office)
    if "domain" in office.rungs and directory.domains:
        _ask_domain(person, address.domain, directory, office)
    return person


def _settle(person: _Person, rung: str, key: str, contacts: tuple[ContactFacts, ...], office: Office) -> None:
    if not contacts or rung not in office.rungs:
        return
    customers = tuple(dict.fromkeys(one.customer_id for one in contacts))
    _hear(person, _answer(rung, key, customers), contacts)


def _ask_domain(person: _Person, domain: str, directory: Directory, office: Office) -> None:
    for claimed, customers in _claims(domain, directory):
        if not office.is_public(claimed):
            _hear(person, _answer("domain", claimed, customers), ())
            return
        person.answers.append(Answer(rung="domain", seen=claimed, customers=customers, used=False, why=_PUBLIC))


def domain_customers(domain: str, directory: Directory, office: Office) -> tuple[int, ...]:
    """Who has that mail domain; nobody for a provider's."""
    claims = _claims(domain, directory)
    return next((customers for claimed, customers in claims if not office.is_public(claimed)), ())


def _claims(domain: str, directory: Directory) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The domain itself, then the domains above it: a customer's subdomains are the customer's."""
    while domain:
        customers = directory.domains.get(domain)
        if customers:
            yield domain, customers
        domain = domain.partition(".")[2]


def _hear(person: _Person, answer: Answer, contacts: tuple[ContactFacts, ...]) -> None:
    """Take the first answer; keep later ones as not used."""
    if person.rung:
        person.answers.append(replace(answer, used=False, why=f"{person.rung} answered before"))
        return
    person.rung, person.customers, person.contacts = answer.rung, answer.customers, contacts
    person.answers.append(answer)


# --- putting it together


def _decide(
    said: list[Answer],
    found: list[_Person],
    people: tuple[Address, ...],
    end: Address | None,
) -> Match:
    speaker = next((answer for answer in said if answer.customers and answer.used), None)
    spoken = speaker.customers if speaker else ()
    # An unknown sender belongs to the thread it writes in; whoever else takes part comes behind.
    rungs: dict[int, str] = {} if speaker is None or found[0].customers else dict.fromkeys(spoken, speaker.rung)
    answers = [_against(answer, speaker) for answer in said]
    ambiguous = False
    for person in found:
        agreed = tuple(one for one in person.customers if one in spoken)
        chosen = agreed or person.customers
        ambiguous = ambiguous or (len(chosen) > 1 and not agreed)
        for customer in chosen:
            rungs.setdefault(customer, speaker.rung if speaker and agreed else person.rung)
        answers.extend(_narrowed(person, agreed, speaker))
    for customer in spoken:
        rungs.setdefault(customer, speaker.rung if speaker else "")
    return Match(
        answers=tuple(answers),
        customers=tuple(rungs),
        rungs=rungs,
        contact=_contact(found[0], rungs) if found else None,
        other_end=end,
        outside=people,
        ambiguous=ambiguous,
    )


def _against(answer: Answer, speaker: Answer | None) -> Answer:
    """A later answer for the whole mail yields to the first."""
    if answer is speaker or not answer.used:
        return answer
    why = f"{speaker.rung} answered before" if speaker and answer.customers else "unknown"
    return replace(answer, used=False, why=why)


def _narrowed(person: _Person, agreed: tuple[int, ...], speaker: Answer | None) -> list[Answer]:
    """What a person's rungs said; where the mail's own answer settles an ambiguity, the person's steps back."""
    if speaker is None or not agreed or len(agreed) == len(person.customers):
        return person.answers
    why = f"{speaker.rung} says which one"
    return [replace(one, used=False, why=why) if one.used else one for one in person.answers]


def _contact(person: _Person, rungs: dict[int, str]) -> ContactFacts | None:
    """The person at the other end, if exactly one of the customers found has it."""
    fitting = [one for one in person.contacts if one.customer_id in rungs]
    if len(fitting) > 1 and rungs:
        first = next(iter(rungs))
        agreed = [one for one in fitting if one.customer_id == first]
        fitting = agreed if len(set(person.customers) & set(rungs)) == 1 else fitting
    return fitting[0] if len(fitting) == 1 else None


def _answer(rung: str, seen: str, customers: tuple[int, ...]) -> Answer:
    return Answer(rung=rung, seen=seen, customers=customers, used=bool(customers), why="" if customers else "unknown")


def _unused(answers: Iterator[Answer], why: str) -> Iterator[Answer]:
    return (replace(answer, used=False, why=why) for answer in answers)


_PUBLIC = "public mail domain"
