"""`given:` of a rule test: the customers there are, as the rules would find them in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from config.nodes import ListNode, MapNode, Node, Scalar
from config.values import LANGUAGE, MAIL, ascii_domain, mail_key
from rules.customer_conditions import OPEN
from rules.facts import ContactFacts, CustomerFacts, Directory
from rules.reader import Reader, entries
from rules.trial_clock import parse_past

CUSTOMER_KEYS = (
    *("name", "domain", "mail", "contacts", "stage", "segment", "owner", "tag", "field", "open", "language"),
    *("country", "zone", "source", "last_in", "last_out", "last_contact", "token", "in_sequence"),
)
CONTACT_KEYS = ("name", "mail", "alias", "title", "phone", "language", "country", "zone", "field")
_EXAMPLE = "{name: Padaria Sol, domain: padariasol.example}"


@dataclass(slots=True)
class World:
    """What is given, ready to become a Directory. `now` is the clock of the file."""

    now: datetime
    customers: list[CustomerFacts] = field(default_factory=list)
    contacts: list[ContactFacts] = field(default_factory=list)
    domains: dict[str, tuple[int, ...]] = field(default_factory=dict)
    tokens: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def directory(self, *, strangers: bool = False) -> Directory:
        """The look-ups. With `strangers` nobody has exchanged a mail with us yet."""
        customers = self.customers
        if strangers:
            customers = [replace(one, last_in_at=None, last_out_at=None) for one in customers]
        people: dict[str, tuple[ContactFacts, ...]] = {}
        for contact in self.contacts:
            for key in contact.emails:
                people[key] = (*people.get(key, ()), contact)
        return Directory(
            contacts=people,
            domains=dict(self.domains),
            tokens=dict(self.tokens),
            customers={one.id: one for one in customers},
        )

    def named(self, name: str) -> CustomerFacts | None:
        """The given customer of that name; case is ignored."""
        return next((one for one in self.customers if one.name.casefold() == name.strip().casefold()), None)

    def customer_of(self, contact: ContactFacts) -> CustomerFacts | None:
        """Whose contact it is; None where the customer itself has a fault."""
        return next((one for one in self.customers if one.id == contact.customer_id), None)


def read_given(node: Node | None, now: datetime, reader: Reader) -> World:
    """The world of a test file; faults go to the reader. None = an empty one."""
    world = World(now)
    mapping = reader.mapping(node, "`given`", f"customers: [{_EXAMPLE}]") if node is not None else None
    for _, value in entries(mapping, reader, ("customers",), "part of `given`") if mapping else ():
        for item in _list(value):
            one = reader.mapping(item, "a customer", _EXAMPLE)
            if one is not None:
                _add_customer(one, world, reader)
    return world


def _list(node: Node) -> Iterable[Node]:
    return node.items if isinstance(node, ListNode) else (node,)


def _add_customer(node: MapNode, world: World, reader: Reader) -> None:
    before, number = len(reader.problems), len(world.customers) + 1
    facts: dict[str, Any] = {"last_in_at": world.now, "last_out_at": world.now}
    for key, value in entries(node, reader, CUSTOMER_KEYS, "part of a customer"):
        if key.text in _CUSTOMER:
            facts |= _CUSTOMER[key.text](key.text, value, reader)
        elif key.text in ("last_in", "last_out", "last_contact"):
            facts |= _last(key.text, value, world, reader)
        elif key.text == "contacts":
            for item in _list(value):
                _add_contact(item, number, world, reader)
        elif key.text == "mail":
            for address in _addresses(value, reader):
                _keep_contact(world, number, {"emails": (address,)})
        else:
            _claim(key.text, value, number, world, reader)
    if "name" not in facts:
        if len(reader.problems) == before:  # else the misspelt part may be the name
            reader.report("E102", "a customer needs a name", node.place, "add: name: Padaria Sol")
        return
    world.customers.append(CustomerFacts(id=number, **facts))


def _claim(name: str, node: Node, number: int, world: World, reader: Reader) -> None:
    """`domain` and `token`: by what the customer is found."""
    for scalar in reader.scalars(node, f"`{name}`"):
        if name == "token":
            token = scalar.text.strip().upper()
            world.tokens[token] = (*world.tokens.get(token, ()), number)
            continue
        domain = ascii_domain(scalar.text.strip().removeprefix("@"))
        if "@" in domain or " " in domain or "." not in domain:
            help = "write for example padariasol.example"
            reader.report("E205", f'"{scalar.text}" is not a mail domain', scalar.place, help)
            continue
        world.domains[domain] = (*world.domains.get(domain, ()), number)


def _last(name: str, node: Node, world: World, reader: Reader) -> dict[str, Any]:
    scalar = reader.scalar(node, f"`{name}`")
    if scalar is None:
        return {}
    zone = reader.settings.zone
    found = reader.parsed(Scalar(scalar.text, scalar.place), lambda text: (parse_past(text, world.now, zone),), "E203")
    if found is None:
        return {}
    names = {"last_in": ("last_in_at",), "last_out": ("last_out_at",)}.get(name, ("last_in_at", "last_out_at"))
    return dict.fromkeys(names, found[0])


# --- contacts


def _add_contact(node: Node, customer: int, world: World, reader: Reader) -> None:
    mapping = reader.mapping(node, "a contact", "{name: Maria Lima, mail: maria@padariasol.example}")
    if mapping is None:
        return
    facts: dict[str, Any] = {"emails": ()}
    for key, value in entries(mapping, reader, CONTACT_KEYS, "part of a contact"):
        if key.text in ("mail", "alias"):
            found = _addresses(value, reader)
            facts["emails"] = (*found, *facts["emails"]) if key.text == "mail" else (*facts["emails"], *found)
            if key.text == "alias":
                facts["aliases"] = frozenset(found)
        else:
            facts |= _CONTACT[key.text](key.text, value, reader)
    if mapping.get("mail") is None:
        reader.report("E102", "a contact needs an address", mapping.place, "add: mail: maria@padariasol.example")
    _keep_contact(world, customer, facts)


def _keep_contact(world: World, customer: int, facts: Mapping[str, Any]) -> None:
    world.contacts.append(ContactFacts(id=len(world.contacts) + 1, customer_id=customer, **facts))


def _addresses(node: Node, reader: Reader) -> tuple[str, ...]:
    found = []
    for scalar in reader.scalars(node, "`mail`"):
        if MAIL.fullmatch(scalar.text.strip()):
            found.append(mail_key(scalar.text))
        else:
            help = "write for example maria@padariasol.example"
            reader.report("E205", f'"{scalar.text}" is not a mail address', scalar.place, help)
    return tuple(found)


# --- single values

Read = Callable[[str, Node, Reader], dict[str, Any]]


def _text(name: str, node: Node, reader: Reader) -> dict[str, Any]:
    scalar = reader.scalar(node, f"`{name}`")
    return {name: scalar.text.strip()} if scalar else {}


def _defined(what: str, known: Callable[[Reader], Iterable[str]]) -> Read:
    def read(name: str, node: Node, reader: Reader) -> dict[str, Any]:
        scalar = reader.scalar(node, f"`{name}`")
        found = reader.defined(scalar, known(reader), what) if scalar else None
        return {name: found} if found else {}

    return read


def _language(name: str, node: Node, reader: Reader) -> dict[str, Any]:
    scalar = reader.scalar(node, "`language`")
    if scalar and not LANGUAGE.fullmatch(scalar.text.strip()):
        reader.report("E213", f'"{scalar.text}" is not a language code', scalar.place, "write: pt")
        return {}
    return {name: scalar.text.strip()} if scalar else {}


def _zone(name: str, node: Node, reader: Reader) -> dict[str, Any]:
    from rules.clock import parse_zone

    scalar = reader.scalar(node, "`zone`")
    found = reader.parsed(scalar, parse_zone, "E204") if scalar else None
    return {name: found.key} if found else {}


def _fields(_name: str, node: Node, reader: Reader) -> dict[str, Any]:
    mapping = reader.mapping(node, "`field`", "{contract: gold}")
    pairs = [(key.text, reader.scalar(value, f"`{key.text}`")) for key, value in mapping.entries] if mapping else []
    return {"fields": {key: scalar.text for key, scalar in pairs if scalar}}


def _sequences(name: str, node: Node, reader: Reader) -> dict[str, Any]:
    scalars = reader.scalars(node, f"`{name}`")
    for scalar in scalars:
        if scalar.text not in reader.sequences:
            reader.unknown("sequence", scalar, reader.sequences, code="E442")
    return {"sequences": frozenset(scalar.text for scalar in scalars)}


def _words(target: str, known: tuple[str, ...] = ()) -> Read:
    def read(name: str, node: Node, reader: Reader) -> dict[str, Any]:
        scalars = reader.scalars(node, f"`{name}`")
        words = [reader.choice(one, known, f"`{name}`") if known else one.text.strip() for one in scalars]
        return {target: frozenset(word for word in words if word)}

    return read


_CONTACT: dict[str, Read] = {
    **dict.fromkeys(("name", "title", "phone", "country"), _text),
    "language": _language,
    "zone": _zone,
    "field": _fields,
}
_CUSTOMER: dict[str, Read] = {
    **dict.fromkeys(("name", "segment", "country", "source"), _text),
    "stage": _defined("stage", lambda reader: reader.settings.stages.order),
    "owner": _defined("person", lambda reader: reader.settings.team),
    "language": _language,
    "zone": _zone,
    "field": _fields,
    "tag": _words("tags"),
    "open": _words("open", OPEN),
    "in_sequence": _sequences,
}
