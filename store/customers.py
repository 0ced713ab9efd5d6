"""Customers, their contacts, addresses and domains: looking them up by the batch, and changing them one by one.

Every change is written down (store.changes) and can be undone. Names and addresses may repeat: two customers may
share a name, two contacts an address.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from shlex import quote
from typing import Any

from sqlalchemy import and_, delete, func, insert, literal, select, union_all, update
from sqlalchemy.orm import Session

from config.values import ascii_domain, mail_key
from store import changes
from store.errors import Conflict, NotFound
from store.folding import fold
from store.gate import storable, storable_values
from store.statements import LIKE_ESCAPE, among, insert_new, like, table
from store.tables import (
    AddressRow,
    Case,
    Contact,
    Customer,
    CustomerDomain,
    CustomerTag,
    Enrolment,
    EnrolmentState,
    Lead,
    Order,
    Participant,
)

_CUSTOMER = table(Customer)
_TAG = table(CustomerTag)
_DOMAIN = table(CustomerDomain)
_CONTACT = table(Contact)
_ADDRESS = table(AddressRow)
_PARTICIPANT = table(Participant)
_ENROLMENT = table(Enrolment)

CUSTOMER_FIELDS = ("name", "stage", "segment", "owner", "language", "country", "zone", "source")
CONTACT_FIELDS = ("name", "title", "phone", "language", "country", "zone", "away_until", "bounced_at", "bounce_reason")
"""Fields with a column of their own; every other field lives in `fields`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRow:
    """A person at a customer. emails: address keys (lower case), main one first; aliases: those learnt or stated."""

    id: int
    customer_id: int
    name: str
    emails: tuple[str, ...]
    aliases: frozenset[str]
    title: str
    phone: str
    language: str
    country: str
    zone: str
    fields: Mapping[str, Any]
    last_in_at: datetime | None
    last_out_at: datetime | None
    away_until: date | None
    bounced_at: datetime | None
    bounce_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRow:
    """A customer. open: "lead", "case", "order" where one is open; deal: the newest open lead, else the newest open
    order ("lead 7"); sequences: those that somebody there is in."""

    id: int
    name: str
    stage: str
    segment: str
    owner: str
    language: str
    country: str
    zone: str
    source: str
    fields: Mapping[str, Any]
    created_at: datetime
    last_in_at: datetime | None
    last_out_at: datetime | None
    tags: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    deal: str = ""
    sequences: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerCard:
    """Everything `customer show` prints but the timeline."""

    customer: CustomerRow
    contacts: tuple[ContactRow, ...]
    domains: tuple[str, ...]


HISTORY = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who changes and when: "rule NAME", "admin", "rep NAME", "import". `chain`: how many rules led to it; HISTORY for
    what belongs to the past and sets no rule off."""

    name: str
    now: datetime
    chain: int = 0


# --- looking up ----------------------------------------------------------------------------------------------------


def lookup_addresses(session: Session, keys: Collection[str]) -> dict[str, tuple[ContactRow, ...]]:
    """Address key (lower case) -> every contact that has it, by id; unknown keys are missing. One query."""
    wanted = set(keys)
    if not wanted:
        return {}
    having = select(_ADDRESS.c.contact_id).where(among(session, _ADDRESS.c.key, wanted))
    found: dict[str, list[ContactRow]] = defaultdict(list)
    for contact in _contacts(session, _CONTACT.c.id.in_(having)):
        for email in contact.emails:
            if email in wanted:
                found[email].append(contact)
    return {key: tuple(contacts) for key, contacts in found.items()}


def lookup_domains(session: Session, domains: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Mail domain (lower case) -> the customers that claim it; unknown domains are missing."""
    if not domains:
        return {}
    found: dict[str, list[int]] = defaultdict(list)
    statement = select(_DOMAIN.c.domain, _DOMAIN.c.customer_id).where(among(session, _DOMAIN.c.domain, domains))
    for domain, customer in session.execute(statement.order_by(_DOMAIN.c.domain, _DOMAIN.c.customer_id)):
        found[domain].append(customer)
    return {domain: tuple(customers) for domain, customers in found.items()}


def facts(session: Session, customer_ids: Collection[int]) -> dict[int, CustomerRow]:
    """Customers with tags, what is open and what they are in; unknown ids are missing. Four queries however many."""
    if not customer_ids:
        return {}
    tags: dict[int, set[str]] = defaultdict(set)
    for number, tag in session.execute(
        select(_TAG.c.customer_id, _TAG.c.tag).where(among(session, _TAG.c.customer_id, customer_ids))
    ):
        tags[number].add(tag)
    opened: dict[int, dict[str, int]] = defaultdict(dict)
    for number, what, record in session.execute(_open_records(session, customer_ids)):
        opened[number][what] = max(record, opened[number].get(what, 0))
    entered: dict[int, set[str]] = defaultdict(set)
    active = (_ENROLMENT.c.state == EnrolmentState.ACTIVE, among(session, _ENROLMENT.c.customer_id, customer_ids))
    for number, name in session.execute(select(_ENROLMENT.c.customer_id, _ENROLMENT.c.sequence).where(*active)):
        entered[number].add(name)
    rows = session.execute(select(*_FACTS).where(among(session, _CUSTOMER.c.id, customer_ids))).all()
    return {
        row[0]: CustomerRow(
            **dict(zip(_FACT_NAMES, row, strict=True)),
            tags=frozenset(tags.get(row[0], ())),
            open=frozenset(opened.get(row[0], ())),
            deal=_deal(opened.get(row[0], {})),
            sequences=frozenset(entered.get(row[0], ())),
        )
        for row in rows
    }


_FACTS = [_CUSTOMER.c.id, *(one for one in _CUSTOMER.c if one.name not in ("id", "name_key", "merged_into"))]
_FACT_NAMES = [column.name for column in _FACTS]


def _deal(opened: Mapping[str, int]) -> str:
    return next((f"{what} {opened[what]}" for what in ("lead", "order") if what in opened), "")


def _open_records(session: Session, customer_ids: Collection[int]) -> Any:
    parts = []
    for what, model in (("lead", Lead), ("case", Case), ("order", Order)):
        columns = table(model).c
        parts.append(
            select(columns.customer_id, literal(what), columns.id).where(
                among(session, columns.customer_id, customer_ids), columns.state == "open"
            )
        )
    return union_all(*parts)


def get(session: Session, customer_id: int) -> CustomerRow:
    """One customer; NotFound."""
    found = facts(session, [customer_id]).get(customer_id)
    if found is None:
        raise NotFound(f"there is no customer {customer_id}", hint="find it: quietcrm customer search NAME")
    return found


def cards(session: Session, customer_ids: Collection[int]) -> dict[int, CustomerCard]:
    """Several customers as `show` gives them; unknown ids are missing, merged ones are not followed. Six queries."""
    people: dict[int, list[ContactRow]] = defaultdict(list)
    for contact in _contacts(session, among(session, _CONTACT.c.customer_id, customer_ids)) if customer_ids else ():
        people[contact.customer_id].append(contact)
    domains: dict[int, list[str]] = defaultdict(list)
    statement = select(_DOMAIN.c.customer_id, _DOMAIN.c.domain).order_by(_DOMAIN.c.domain)
    for number, domain in session.execute(statement.where(among(session, _DOMAIN.c.customer_id, customer_ids))):
        domains[number].append(domain)
    return {
        number: CustomerCard(customer=row, contacts=tuple(people[number]), domains=tuple(domains[number]))
        for number, row in facts(session, customer_ids).items()
    }


def show(session: Session, customer_id: int) -> CustomerCard:
    """A customer with contacts and domains; NotFound. A merged customer leads to the one it became."""
    became = session.execute(select(_CUSTOMER.c.merged_into).where(_CUSTOMER.c.id == customer_id)).scalar()
    if became is not None:
        return show(session, int(became))
    domains = session.execute(
        select(_DOMAIN.c.domain).where(_DOMAIN.c.customer_id == customer_id).order_by(_DOMAIN.c.domain)
    ).scalars()
    return CustomerCard(
        customer=get(session, customer_id),
        contacts=tuple(_contacts(session, _CONTACT.c.customer_id == customer_id)),
        domains=tuple(domains),
    )


def contacts_at(session: Session, domain: str) -> int:
    """How many contacts have an address in a mail domain."""
    statement = (
        select(func.count()).select_from(_ADDRESS).where(_ADDRESS.c.key.like(f"%@{like(domain)}", escape=LIKE_ESCAPE))
    )
    return int(session.execute(statement).scalar_one())


def by_name(session: Session, name: str) -> list[int]:
    """The customers of this name, case and accents aside."""
    statement = select(_CUSTOMER.c.id).where(_CUSTOMER.c.name_key == fold(name), _CUSTOMER.c.merged_into.is_(None))
    return list(session.execute(statement.order_by(_CUSTOMER.c.id)).scalars())


def resolve(session: Session, text: str) -> list[int]:
    """The customers that a person means by a number, an address, a domain or a name. Exact; see search."""
    name = text.strip()
    if name.isdecimal() and len(name) < 19:
        return list(facts(session, [int(name)]))
    if "@" in name.strip("@"):
        return sorted({one.customer_id for one in lookup_addresses(session, [mail_key(name)]).get(mail_key(name), ())})
    domain = ascii_domain(name.lstrip("@"))
    return by_name(session, name) or list(lookup_domains(session, [domain]).get(domain, ()))


def listing(session: Session, *, limit: int = 100, after: int = 0) -> list[CustomerRow]:
    """Customers by id, from the one behind `after`."""
    statement = select(_CUSTOMER.c.id).where(_CUSTOMER.c.id > after, _CUSTOMER.c.merged_into.is_(None))
    ids = list(session.execute(statement.order_by(_CUSTOMER.c.id).limit(limit)).scalars())
    return list(facts(session, ids).values()) if ids else []


_LONGEST_QUESTION = 500
_NEAR_ALL = 5_000
"""Names that are compared sign by sign (about 50 ms)."""
_READ_ALL = 100_000
"""Customers up to which a search reads every name (about 30 ms)."""


def search(session: Session, q: str, limit: int = 20) -> list[CustomerRow]:
    """Customers whose name, contact's address or domain begins with `q`, then those that contain it.

    Beginnings come from an index. Containing means reading every name, so in a big store it is tried only when
    nothing begins with `q`.
    """
    q = q[:_LONGEST_QUESTION]  # SQLite refuses a pattern of 50,000 characters
    name, key = fold(q), mail_key(q) if "@" in q else ascii_domain(q.strip())
    if not name:
        return []
    ids: dict[int, None] = {}
    for before in ("", "%"):
        if before and ids and (session.execute(select(func.max(_CUSTOMER.c.id))).scalar() or 0) > _READ_ALL:
            break
        for statement in _searches(before, name, key):
            if len(ids) < limit:
                ids.update(dict.fromkeys(session.execute(statement.limit(limit)).scalars()))
    chosen = list(ids)[:limit]
    found = facts(session, chosen)
    return [found[number] for number in chosen if number in found]


def unknown(session: Session, text: str) -> NotFound:
    """That nobody is called so, and who nearly is."""
    alike = [f'"{one}"' for one in near(session, text)]
    hint = f"did you mean {' or '.join(alike)}? else" if alike else "find it"
    return NotFound(f'no customer "{text}"', hint=f"{hint}: quietcrm customer search {quote(text)}")


def near(session: Session, name: str, limit: int = 2) -> list[str]:
    """Names of customers that are spelt nearly so, the nearest first; in a big store of those that begin alike."""
    key = fold(name)[:_LONGEST_QUESTION]
    known = select(_CUSTOMER.c.name_key, _CUSTOMER.c.name).where(_CUSTOMER.c.merged_into.is_(None))
    if (session.execute(select(func.max(_CUSTOMER.c.id))).scalar() or 0) > _NEAR_ALL:
        known = known.where(_CUSTOMER.c.name_key >= key[:3], _CUSTOMER.c.name_key < key[:3] + "\U0010ffff")
    names = {row[0]: row[1] for row in session.execute(known.order_by(_CUSTOMER.c.name_key).limit(_NEAR_ALL))}
    return [names[one] for one in difflib.get_close_matches(key, list(names), n=limit, cutoff=0.75)] if key else []


def _searches(before: str, name: str, key: str) -> list[Any]:
    def holds(column: Any, text: str) -> Any:
        if before:
            return column.like(f"%{like(text)}%", escape=LIKE_ESCAPE)
        # A range, not LIKE: both databases then use the index.
        return and_(column >= text, column < text + "\U0010ffff")

    people = select(_CONTACT.c.customer_id).join(_ADDRESS, _ADDRESS.c.contact_id == _CONTACT.c.id)
    return [
        select(_CUSTOMER.c.id)
        .where(holds(_CUSTOMER.c.name_key, name), _CUSTOMER.c.merged_into.is_(None))
        .order_by(_CUSTOMER.c.name_key),
        people.where(holds(_ADDRESS.c.key, key)).order_by(_ADDRESS.c.key),
        select(_DOMAIN.c.customer_id).where(holds(_DOMAIN.c.domain, key.lstrip("@"))).order_by(_DOMAIN.c.domain),
    ]


def _contacts(session: Session, where: Any) -> list[ContactRow]:
    statement = (
        select(*_CONTACT_COLUMNS, _ADDRESS.c.key, _ADDRESS.c.alias)
        .join(_ADDRESS, _ADDRESS.c.contact_id == _CONTACT.c.id, isouter=True)
        .where(where)
        .order_by(_CONTACT.c.id, _ADDRESS.c.alias, _ADDRESS.c.id)
    )
    people: dict[int, Sequence[Any]] = {}
    emails: dict[int, list[str]] = defaultdict(list)
    aliases: dict[int, list[str]] = defaultdict(list)
    for number, *person, key, alias in session.execute(statement).all():
        people[number] = person
        if key is not None:
            emails[number].append(key)
            if alias:
                aliases[number].append(key)
    return [
        ContactRow(
            id=number,
            **dict(zip(_CONTACT_NAMES, person, strict=True)),
            emails=tuple(emails[number]),
            aliases=frozenset(aliases.get(number, ())),
        )
        for number, person in people.items()
    ]


_CONTACT_COLUMNS = [_CONTACT.c.id, *(one for one in _CONTACT.c if one.name not in ("id", "created_at"))]
_CONTACT_NAMES = [column.name for column in _CONTACT_COLUMNS[1:]]


# --- changing ------------------------------------------------------------------------------------------------------


def add(session: Session, name: str, by: Actor, fields: Mapping[str, Any] | None = None) -> int:
    """A new customer; its id. `fields`: see CUSTOMER_FIELDS, all others go into the customer's free fields."""
    name = storable(name)
    own, free = _split(fields or {}, CUSTOMER_FIELDS)
    values = {**_EMPTY_CUSTOMER, **own, "name": name, "name_key": fold(name), "fields": free, "created_at": by.now}
    number = int(session.execute(insert(_CUSTOMER).values(values).returning(_CUSTOMER.c.id)).scalar_one())
    _note(session, by, "create", ("customer", number), {}, {"name": name})
    return number


def add_contact(session: Session, customer_id: int, by: Actor, fields: Mapping[str, Any] | None = None) -> int:
    """A new contact of a customer, without address yet; its id."""
    own, free = _split(fields or {}, CONTACT_FIELDS)
    values = {**_EMPTY_CONTACT, **own, "customer_id": customer_id, "fields": free, "created_at": by.now}
    number = int(session.execute(insert(_CONTACT).values(values).returning(_CONTACT.c.id)).scalar_one())
    _note(session, by, "create", ("contact", number), {}, {"customer_id": customer_id})
    return number


def add_address(session: Session, contact_id: int, email: str, by: Actor, *, alias: bool = False) -> bool:
    """Give a contact an address; False if it has it. Older mails of that address become this contact's."""
    email = storable(email.strip())
    key = mail_key(email)
    row = {"contact_id": contact_id, "email": email, "key": key, "alias": alias}
    if not insert_new(session, _ADDRESS, [row], key=("contact_id", "key")):
        return False
    number = session.execute(
        select(_ADDRESS.c.id).where(_ADDRESS.c.contact_id == contact_id, _ADDRESS.c.key == key)
    ).scalar_one()
    session.execute(
        update(_PARTICIPANT)
        .where(_PARTICIPANT.c.key == key, _PARTICIPANT.c.contact_id.is_(None))
        .values(contact_id=contact_id)
    )
    _note(session, by, "rows", ("contact", contact_id), {}, {"rows": {"address": [{"id": number, "key": key}]}})
    return True


def add_domain(session: Session, customer_id: int, domain: str, by: Actor) -> bool:
    """Give a customer a mail domain; False if it has it."""
    row = {"customer_id": customer_id, "domain": ascii_domain(domain.strip().lstrip("@"))}
    if not insert_new(session, _DOMAIN, [row], key=("customer_id", "domain")):
        return False
    _note(session, by, "rows", ("customer", customer_id), {}, {"rows": {"customer_domain": [row]}})
    return True


def tag(session: Session, customer_id: int, tag: str, by: Actor) -> bool:
    """Put a tag on a customer; False if it has it."""
    row = {"customer_id": customer_id, "tag": tag}
    if not insert_new(session, _TAG, [row], key=("customer_id", "tag")):
        return False
    _note(session, by, "rows", ("customer", customer_id), {}, {"rows": {"customer_tag": [row]}})
    return True


def untag(session: Session, customer_id: int, tag: str, by: Actor) -> bool:
    """Take a tag off a customer; False if it has not got it."""
    row = {"customer_id": customer_id, "tag": tag}
    gone = delete(_TAG).where(_TAG.c.customer_id == customer_id, _TAG.c.tag == tag)
    if not session.connection().execute(gone).rowcount:
        return False
    _note(session, by, "rows", ("customer", customer_id), {"rows": {"customer_tag": [row]}}, {})
    return True


def edit(session: Session, customer_id: int, values: Mapping[str, Any], by: Actor) -> int | None:
    """Set fields of a customer (stage, owner, segment, any free field ...); number of the change, None if nothing new.

    A free field set to None is removed. Raises NotFound.
    """
    return _edit(session, ("customer", customer_id), CUSTOMER_FIELDS, values, by)


def edit_contact(session: Session, contact_id: int, values: Mapping[str, Any], by: Actor) -> int | None:
    """Set fields of a contact; like edit."""
    return _edit(session, ("contact", contact_id), CONTACT_FIELDS, values, by)


def owner_if_none(session: Session, customer_id: int, rep: str) -> bool:
    """The rep becomes the owner where there is none yet (decision 13: who sent the first mail)."""
    statement = update(_CUSTOMER).where(_CUSTOMER.c.id == customer_id, _CUSTOMER.c.owner == "").values(owner=rep)
    return bool(session.connection().execute(statement).rowcount)


_EMPTY_CUSTOMER = dict.fromkeys(CUSTOMER_FIELDS, "")
_EMPTY_CONTACT: dict[str, Any] = dict.fromkeys(CONTACT_FIELDS, "") | {"away_until": None, "bounced_at": None}


def _edit(
    session: Session, row: tuple[str, int], columns: Sequence[str], values: Mapping[str, Any], by: Actor
) -> int | None:
    owner = _CUSTOMER if row[0] == "customer" else _CONTACT
    found = session.execute(select(owner).where(owner.c.id == row[1])).mappings().first()
    if found is None:
        raise NotFound(f"there is no {row[0]} {row[1]}", hint="find it: quietcrm customer search NAME")
    own, free = _split(values, columns)
    wanted: dict[str, Any] = {name: value for name, value in own.items() if found[name] != value}
    merged = {name: value for name, value in {**found["fields"], **free}.items() if value is not None}
    if merged != found["fields"]:
        wanted["fields"] = merged
    if not wanted:
        return None
    if row[0] == "customer" and "name" in wanted:
        wanted["name_key"] = fold(wanted["name"])
    session.execute(update(owner).where(owner.c.id == row[1]).values(wanted))
    return _note(session, by, "set", row, {name: found[name] for name in wanted}, wanted)


def _split(values: Mapping[str, Any], columns: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    values = storable_values(values)
    own = {name: value for name, value in values.items() if name in columns}
    free = {name: value for name, value in values.items() if name not in columns}
    return _stated_moments(own), changes.plain(free)


def _stated_moments(values: dict[str, Any]) -> dict[str, Any]:
    """The values with dates that came as text (a table, the command line) as dates; Conflict if one is none."""
    if not {"away_until", "bounced_at"} & values.keys():
        return values
    try:
        stated = changes.typed(_CONTACT, values)
        if (at := stated.get("bounced_at")) is not None and at.tzinfo is None:
            raise ValueError("a moment needs a zone")
        return stated
    except ValueError as error:
        hint = "write dates as 2027-02-09 and moments as 2027-02-09T10:00:00+00:00"
        raise Conflict(f"away_until or bounced_at is no date: {error}", hint=hint) from error


def _note(
    session: Session, by: Actor, what: str, row: tuple[str, int], before: Mapping[str, Any], after: Mapping[str, Any]
) -> int:
    return changes.note(
        session, at=by.now, actor=by.name, what=what, row=row, before=before, after=after, chain=by.chain
    )
