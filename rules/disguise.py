"""A real mail made fit for a file of tests: addresses and names of outsiders replaced, everything else as it was."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from connectors.model import Address, Message
from rules.facts import ContactFacts, CustomerFacts, Directory
from rules.office import Office

PEOPLE = ("Alex Doe", "Sam Roe", "Kim Poe", "Robin Moe", "Chris Coe", "Jo Loe", "Lee Noe", "Pat Goe")
ADDRESS = re.compile(r"[^\s@<>()\[\],;:\"'“”«»*]+@[^\s@<>()\[\],;:\"'“”«»*]+\.[^\W\d_]{2,}")
_SHORTEST = 3
"""Letters of the shortest part of a name that is replaced where it stands alone in a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """What is replaced. A rule may ask for something that is; then the next, lesser care is tried."""

    names: bool = True
    domains: bool = True
    addresses: bool = True


CARES = (Care(), Care(names=False), Care(names=False, domains=False), Care(names=False, domains=False, addresses=False))
"""From everything to nothing."""


@dataclass(slots=True)
class Disguise:
    """Replaces one mail's people. The same person, domain or customer becomes the same wherever it stands."""

    office: Office
    care: Care
    _domains: dict[str, str] = field(default_factory=dict)
    _addresses: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _customers: dict[str, str] = field(default_factory=dict)

    def address(self, email: str) -> str:
        """The address of somebody outside, replaced; one of ours as it is."""
        key = email.lower()
        if self.office.is_internal(key) or not self.care.addresses:
            return email
        if key not in self._addresses:
            domain = key.rpartition("@")[2]
            number = sum(known.rpartition("@")[2] == domain for known in self._addresses) + 1
            self._addresses[key] = f"person{number}@{self.domain(domain)}"
        return self._addresses[key]

    def domain(self, domain: str) -> str:
        """A mail domain, replaced."""
        if not self.care.domains:
            return domain
        return self._domains.setdefault(domain, f"customer{len(self._domains) + 1}.example")

    def person(self, one: Address) -> Address:
        """Address and display name."""
        if self.office.is_internal(one.key):
            return one
        return Address(self.address(one.email), self._name(one.name) if one.name else "")

    def customer(self, facts: CustomerFacts) -> str:
        """The name of a customer."""
        if not self.care.addresses:
            return facts.name
        return self._customers.setdefault(facts.name, f"Customer {len(self._customers) + 1}")

    def _name(self, name: str) -> str:
        if not self.care.addresses:
            return name
        return self._names.setdefault(name, PEOPLE[len(self._names) % len(PEOPLE)])

    def text(self, text: str) -> str:
        """A text with the addresses, domains and names of everybody met so far replaced, and every other address."""
        if not self.care.addresses:
            return text
        text = ADDRESS.sub(lambda found: self.address(found[0]), text)
        if self.care.domains:
            text = _replaced(text, self._domains)
        text = _replaced(text, self._customers)
        return _replaced(text, dict(self._parts())) if self.care.names else text

    def _parts(self) -> Iterable[tuple[str, str]]:
        """Whole names, then first and last names alone."""
        for name, other in self._names.items():
            yield name, other
            words = [word for word in re.findall(r"[^\W\d_]+(?:['’-][^\W\d_]+)*", name) if len(word) >= _SHORTEST]
            given, family = other.split()
            for number, word in enumerate(words):
                yield word, family if number and number == len(words) - 1 else given


def _replaced(text: str, words: Mapping[str, str]) -> str:
    """Whole words, case ignored, the longest first; what was put in is not replaced again."""
    if not words:
        return text
    folded = {word.casefold(): other for word, other in words.items()}
    longest = sorted(folded, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)
    return pattern.sub(lambda found: folded.get(found[0].casefold(), found[0]), text)


def disguised(message: Message, disguise: Disguise) -> Message:
    """The mail with its people replaced: the header first, so that the text knows them."""
    people = {
        name: tuple(disguise.person(one) for one in getattr(message, name)) for name in ("to", "cc", "bcc", "reply_to")
    }
    sender = disguise.person(message.sender) if message.sender else None
    bounce = message.bounce
    if bounce:
        bounce = replace(bounce, recipients=tuple(disguise.address(one) for one in bounce.recipients))
    return replace(
        message,
        sender=sender,
        to=people["to"],
        cc=people["cc"],
        bcc=people["bcc"],
        reply_to=people["reply_to"],
        bounce=bounce,
        subject=disguise.text(message.subject),
        text=disguise.text(message.text),
        folder=disguise.text(message.folder),
        attachments=tuple(replace(one, name=disguise.text(one.name)) for one in message.attachments),
        headers=tuple((name, disguise.text(value)) for name, value in message.headers),
        markup=tuple((path, disguise.text(value)) for path, value in message.markup),
    )


def contacts_of(customer: int, directory: Directory) -> list[ContactFacts]:
    """The contacts of a customer that a mail names, each once."""
    found = {one.id: one for several in directory.contacts.values() for one in several if one.customer_id == customer}
    return list(found.values())
