"""The history: writing mails into it by the batch, and reading it.

Everything here works on whole batches: one statement for many rows, never one for each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, or_, select, text, update
from sqlalchemy.orm import Session

from connectors.model import Address, Message
from store.gate import storable, storable_values
from store.identity import Identity, subject_key
from store.sightings import add_sightings, sighted
from store.statements import among, insert_new, is_sqlite, table
from store.tables import AddressRow, Contact, Customer, Interaction, InteractionCustomer, Participant, Trace

_INTERACTION = table(Interaction)
_LINK = table(InteractionCustomer)
_PARTICIPANT = table(Participant)
_TRACE = table(Trace)
_CUSTOMER = table(Customer)
_CONTACT = table(Contact)
_ADDRESS = table(AddressRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInteraction:
    """A mail that belongs into the history.

    kind, direction   as text: `Kind` value; "in" or "out" as seen from the office
    customers         (customer id, rung of the ladder), the sender's first
    contacts          address key -> contact id, for the participants we know
    headers_only      the text is not kept (a rule or the office said so)
    headers           the few headers worth keeping; none by default
    trace             why it was treated so (plain JSON data), None = nothing worth keeping; see compact_trace
    """

    message: Message
    identity: Identity
    kind: str
    direction: str
    customers: Sequence[tuple[int, str]] = ()
    contacts: Mapping[str, int] = field(default_factory=dict)
    rep: str = ""
    logged_by: str = ""
    degraded: str = ""
    backfill: bool = False
    headers_only: bool = False
    headers: Sequence[tuple[str, str]] = ()
    trace: Mapping[str, Any] | None = None
    config_hash: str = ""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """Where a Message-ID that we logged belongs. `subject` is folded (subject_key)."""

    customers: tuple[int, ...]
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """A mail's arrival as seen by the customers and contacts it is about."""

    at: datetime
    direction: str
    customer_ids: Collection[int] = ()
    contact_ids: Collection[int] = ()


# --- writing -----------------------------------------------------------------------------------------------------


def find_known(session: Session, identities: Sequence[Identity]) -> dict[str, int]:
    """Identity key -> id of the interaction that is the same mail; a key that is missing is new.

    The first identity decides. The second one (`content`) finds the mail whose Message-ID is missing on one side or
    was rewritten: there everything else is equal, From and Date included. The same id with another From or Date has
    another key and another content, so it stays a mail of its own.
    """
    found = _ids_by(session, _INTERACTION.c.identity, {one.key for one in identities})
    rest = {one.content: None for one in identities if one.content and one.key not in found}
    if rest:
        by_content = _ids_by(session, _INTERACTION.c.content_key, rest)
        for one in identities:
            if one.key not in found and one.content in by_content:
                found[one.key] = by_content[one.content]
    return found


def repeated_ids(session: Session, message_ids: Collection[str]) -> set[str]:
    """Those Message-IDs that some interaction has already: a new mail under one of them deserves a warning."""
    wanted = {one for one in message_ids if one}
    if not wanted:
        return set()
    column = _INTERACTION.c.message_id
    return set(session.execute(select(column).where(among(session, column, wanted))).scalars())


def record(session: Session, rows: Sequence[NewInteraction]) -> list[int]:
    """Insert new interactions with customers, participants, a sighting each and traces; their ids in order.

    Call find_known first, inside the same write transaction. Rows of one call that are the same mail become one
    interaction with several sightings. A mail that another writer was faster with gets a sighting only.
    """
    if not rows:
        return []
    fresh, place = _once(rows)
    first = _reserve(session, len(fresh))
    ids = list(range(first, first + len(fresh)))
    ours = _insert(session, fresh, ids)
    mine = [(number, row) for number, row in zip(ids, fresh, strict=True) if number in ours]
    insert_new(session, _LINK, [one for number, row in mine for one in _links(number, row)])
    insert_new(session, _PARTICIPANT, [one for number, row in mine for one in _participants(number, row)])
    insert_new(session, _TRACE, [one for number, row in mine if (one := _trace(number, row))])
    placed = [ids[index] for index in place]
    if len(ours) < len(fresh):
        faster = find_known(session, [row.identity for row in rows])
        placed = [
            number if number in ours else faster[row.identity.key] for number, row in zip(placed, rows, strict=True)
        ]
    add_sightings(session, [sighted(number, row.message) for number, row in zip(placed, rows, strict=True)])
    return placed


def touch(session: Session, touches: Sequence[Touch]) -> None:
    """Move last_in_at and last_out_at of customers and contacts forward (never back) to the newest mail."""
    for owner, members in ((_CUSTOMER, "customer_ids"), (_CONTACT, "contact_ids")):
        for direction, name in (("in", "last_in_at"), ("out", "last_out_at")):
            newest: dict[int, datetime] = {}
            for one in touches:
                if one.direction == direction:
                    for number in getattr(one, members):
                        newest[number] = max(newest.get(number, one.at), one.at)
            _advance(session, owner, name, newest)


def compact_trace(data: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is worth keeping of a trace, None if nothing is.

    Rules that never looked at such a mail are dropped (reading the rules again tells the same), so are empty
    values. One answer of the ladder and no rule involved: the row itself says all of that.
    """
    rules = [
        {key: value for key, value in rule.items() if value}
        for rule in data.get("rules", ())
        if rule.get("result") not in _SILENT
    ]
    if not rules and not data.get("actions") and len(data.get("who", ())) <= 1:
        return None
    kept = {key: value for key, value in data.items() if value and key != "rules"}
    kept["who"] = [{key: value for key, value in answer.items() if value} for answer in data.get("who", ())]
    if rules:
        kept["rules"] = rules
    return kept


_SILENT = {"not_for", "off", "too_old"}


def _ids_by(session: Session, column: ColumnElement[Any], values: Collection[str]) -> dict[str, int]:
    statement = (
        select(column, _INTERACTION.c.id).where(among(session, column, values)).order_by(_INTERACTION.c.id.desc())
    )
    return {row[0]: row[1] for row in session.execute(statement)}  # the oldest row wins


def _once(rows: Sequence[NewInteraction]) -> tuple[list[NewInteraction], list[int]]:
    """The rows that are different mails, and for each given row the index of its mail among them."""
    seen: dict[str, int] = {}
    fresh: list[NewInteraction] = []
    place: list[int] = []
    for row in rows:
        key, content = row.identity.key, row.identity.content
        index = seen.get(key)
        if index is None and content:
            index = seen.get("=" + content)
        if index is None:
            index = len(fresh)
            fresh.append(row)
        seen.setdefault(key, index)
        if content:
            seen.setdefault("=" + content, index)
        place.append(index)
    return fresh, place


def _reserve(session: Session, count: int) -> int:
    """The first of `count` ids in a row that nobody else will get."""
    if is_sqlite(session):
        # Inside BEGIN IMMEDIATE nobody else inserts. sqlite_sequence never goes back, so no number is used twice.
        last = session.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'interaction'")).scalar()
        return int(last or 0) + 1
    # nextval of several writers could interleave; one setval under a lock gives a run without gaps.
    session.execute(text("SELECT pg_advisory_xact_lock(7264001)"))
    statement = text("SELECT setval('interaction_id_seq', nextval('interaction_id_seq') + :more) - :more")
    return int(session.execute(statement, {"more": count - 1}).scalar_one())


def _insert(session: Session, rows: Sequence[NewInteraction], ids: Sequence[int]) -> set[int]:
    """Insert the interactions; the ids that are really in (all, unless another writer was faster)."""
    values = [_values(number, row) for number, row in zip(ids, rows, strict=True)]
    if insert_new(session, _INTERACTION, values, key=("identity",)) == len(values):
        return set(ids)
    mine = select(_INTERACTION.c.id).where(among(session, _INTERACTION.c.id, ids))
    return set(session.execute(mine).scalars())


def _values(number: int, row: NewInteraction) -> dict[str, Any]:
    mail = row.message
    sender = mail.sender or _NOBODY
    return {
        "id": number,
        "identity": row.identity.key,
        "content_key": row.identity.content,
        "channel": "mail",
        "kind": row.kind,
        "direction": row.direction,
        "at": mail.received_at,
        "sent_at": mail.sent_at,
        "message_id": storable(mail.message_id),
        "thread": storable(mail.references[0] if mail.references else mail.in_reply_to or mail.message_id),
        "subject": storable(mail.subject),
        "text": "" if row.headers_only else storable(mail.text),
        "sender": storable(sender.key),
        "sender_name": storable(sender.name),
        "attachments": [[storable(part.name), storable(part.content_type), part.size] for part in mail.attachments],
        "headers": [[storable(name), storable(value)] for name, value in row.headers],
        "size": mail.size,
        "rep": row.rep,
        "logged_by": row.logged_by,
        "degraded": row.degraded,
        "backfill": row.backfill,
        "created_at": row.created_at,
    }


_NOBODY = Address("")


def _links(number: int, row: NewInteraction) -> list[dict[str, Any]]:
    at = row.message.received_at
    return [
        {"interaction_id": number, "customer_id": customer, "at": at, "rung": rung}
        for customer, rung in dict(row.customers).items()
    ]


def _participants(number: int, row: NewInteraction) -> list[dict[str, Any]]:
    mail = row.message
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    for role, people in (
        ("from", (mail.sender,)),
        ("sender", (mail.sent_by,)),
        ("reply_to", mail.reply_to),
        ("to", mail.to),
        ("cc", mail.cc),
        ("bcc", mail.bcc),
    ):
        for person in people:
            if person is None or (role, key := storable(person.key)) in seen:
                continue
            seen[role, key] = {
                "interaction_id": number,
                "role": role,
                "key": key,
                "email": storable(person.email),
                "name": storable(person.name),
                "contact_id": row.contacts.get(key),
            }
    return list(seen.values())


def _trace(number: int, row: NewInteraction) -> dict[str, Any] | None:
    data = compact_trace(row.trace) if row.trace else None
    if data is None:
        return None
    kept = storable_values(data)
    return {"interaction_id": number, "config_hash": row.config_hash, "at": row.created_at, "data": kept}


def _advance(session: Session, owner: Table, name: str, newest: Mapping[int, datetime]) -> None:
    if not newest:
        return
    column = owner.c[name]
    at = bindparam("newest", type_=column.type)
    statement = (
        update(owner).where(owner.c.id == bindparam("number"), or_(column.is_(None), column < at)).values({name: at})
    )
    # Sorted: two writers on PostgreSQL then take the row locks in the same order.
    session.connection().execute(statement, [{"number": number, "newest": newest[number]} for number in sorted(newest)])


def by_message_ids(session: Session, message_ids: Collection[str]) -> dict[str, ThreadRow]:
    """Message-ID -> customers and folded subject of the interaction that carries it. Unknown ids are missing."""
    wanted = {one for one in message_ids if one}
    if not wanted:
        return {}
    statement = (
        select(_INTERACTION.c.message_id, _INTERACTION.c.subject, _LINK.c.customer_id)
        .join(_LINK, _LINK.c.interaction_id == _INTERACTION.c.id)
        .where(among(session, _INTERACTION.c.message_id, wanted))
        .order_by(_INTERACTION.c.id, _LINK.c.customer_id)
    )
    customers: dict[str, dict[int, None]] = defaultdict(dict)
    subjects: dict[str, str] = {}
    for message_id, subject, customer in session.execute(statement):
        customers[message_id][customer] = None
        subjects.setdefault(message_id, subject)
    return {one: ThreadRow(tuple(ids), subject_key(subjects[one])) for one, ids in customers.items()}
