"""What is kept of the mails of some time, and how their customers stood right before each: for looking back.

Records know only how they are now. How they were comes from the numbered changes, taken back one by one in thought.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import literal, select, union_all
from sqlalchemy.orm import Session

from store import customers
from store.customers import CustomerRow
from store.statements import among, table
from store.tables import (
    AccountFolder,
    ActionDone,
    Case,
    Change,
    Enrolment,
    Interaction,
    InteractionCustomer,
    Lead,
    Order,
    OutboxMail,
    Participant,
    Sighting,
    Trace,
    Way,
)

_INTERACTION = table(Interaction)
_LINK = table(InteractionCustomer)
_PARTICIPANT = table(Participant)
_SIGHTING = table(Sighting)
_TRACE = table(Trace)
_DONE = table(ActionDone)
_CHANGE = table(Change)
_OUTBOX = table(OutboxMail)
_ENROLMENT = table(Enrolment)
_FOLDER = table(AccountFolder)
AT_ONCE = 500
Row = Mapping[str, Any]
BY_RULES = ("created", "file_under")
"""Rungs that no ladder gave: a rule said whose mail it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastMail:
    """One mail of the history with everything that is kept of it.

    row        the columns of `interaction`
    people     (role, email, name) of its header
    places     (account, folder, ref), the copy seen first in front
    customers  customer id -> rung that said so
    done       (rule, slot) of the effects it had
    trace      why it was treated so, None if nothing was kept
    """

    row: Mapping[str, Any]
    people: tuple[tuple[str, str, str], ...] = ()
    places: tuple[tuple[str, str, str], ...] = ()
    customers: Mapping[int, str] = field(default_factory=dict)
    done: frozenset[tuple[str, str]] = frozenset()
    trace: Mapping[str, Any] | None = None

    @property
    def id(self) -> int:
        """Number of the interaction."""
        return int(self.row["id"])

    @property
    def known(self) -> tuple[int, ...]:
        """The customers that the ladder found, without those a rule added."""
        return tuple(number for number, rung in self.customers.items() if rung not in BY_RULES)


def mails_since(session: Session, since: datetime) -> list[int]:
    """The mails that arrived since, in the order of their arrival."""
    statement = select(_INTERACTION.c.id).where(_INTERACTION.c.at >= since, _INTERACTION.c.channel == "mail")
    return list(session.execute(statement.order_by(_INTERACTION.c.at, _INTERACTION.c.id)).scalars())


def acted_upon(session: Session, since: datetime) -> list[PastMail]:
    """The mails written down since that had effects, in the order in which they were worked through."""
    events = select(_DONE.c.event)
    statement = select(_INTERACTION.c.id).where(_INTERACTION.c.created_at >= since, _INTERACTION.c.identity.in_(events))
    return load(
        session, list(session.execute(statement.order_by(_INTERACTION.c.created_at, _INTERACTION.c.id)).scalars())
    )


def numbers_of(session: Session, ids: Collection[int]) -> list[int]:
    """Those of the mails that there are, in the order of their arrival."""
    statement = select(_INTERACTION.c.id).where(among(session, _INTERACTION.c.id, ids))
    return list(session.execute(statement.order_by(_INTERACTION.c.at, _INTERACTION.c.id)).scalars())


def load(session: Session, ids: Sequence[int]) -> list[PastMail]:
    """These mails in the given order; a handful of queries."""
    rows = {
        row["id"]: row for row in _rows(session, select(_INTERACTION).where(among(session, _INTERACTION.c.id, ids)))
    }
    people = _grouped(session, select(_PARTICIPANT).where(among(session, _PARTICIPANT.c.interaction_id, ids)))
    copies = _grouped(session, select(_SIGHTING).where(among(session, _SIGHTING.c.interaction_id, ids)))
    links = _grouped(session, select(_LINK).where(among(session, _LINK.c.interaction_id, ids)))
    traces = _grouped(session, select(_TRACE).where(among(session, _TRACE.c.interaction_id, ids)))
    effects = done(session, [row["identity"] for row in rows.values()])
    return [
        PastMail(
            row=row,
            people=tuple((one["role"], one["email"], one["name"]) for one in people.get(number, ())),
            places=tuple(_first_seen_first(row["at"], copies.get(number, ()))),
            customers={one["customer_id"]: one["rung"] for one in links.get(number, ())},
            done=frozenset(effects.get(row["identity"], ())),
            trace=next((one["data"] for one in traces.get(number, ())), None),
        )
        for number in ids
        if (row := rows.get(number)) is not None
    ]


def baselines(session: Session) -> dict[tuple[str, str], datetime]:
    """(account, folder) -> the time before which its mail is old."""
    return {(row["account"], row["folder"]): row["baseline_at"] for row in _rows(session, select(_FOLDER))}


def _rows(session: Session, statement: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in session.execute(statement).mappings()]


def _grouped(session: Session, statement: Any) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in _rows(session, statement):
        found[row["interaction_id"]].append(row)
    return found


def done(session: Session, events: Collection[str]) -> dict[str, list[tuple[str, str]]]:
    """Event -> (rule, slot) of the effects it had."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in _rows(session, select(_DONE).where(among(session, _DONE.c.event, events))):
        found[row["event"]].append((row["rule"], row["slot"]))
    return found


def _first_seen_first(at: datetime, copies: Sequence[Row]) -> Iterator[tuple[str, str, str]]:
    ordered = sorted(copies, key=lambda one: (one["seen_at"] != at, one["seen_at"], one["account"], one["folder"]))
    return ((one["account"], one["folder"], one["ref"]) for one in ordered)


# --- how customers stood -------------------------------------------------------------------------------------------


def standing(
    session: Session, mails: Sequence[PastMail], acted: Sequence[PastMail]
) -> dict[int, dict[int, CustomerRow]]:
    """Mail -> its customers as they were right before it was worked through; those made since are missing.

    acted: the mails of that time that had effects (`acted_upon`).
    """
    numbers = {one for mail in mails for one in mail.customers}
    if not numbers:
        return {}
    since = min(mail.row["created_at"] for mail in mails)
    now = customers.facts(session, numbers)
    steps = _steps(session, numbers, since)
    ties = _makers(acted, [step for step in steps if not step.undoing])
    records = _records(session, numbers)
    letters = _letters(session, numbers)
    entered = _entered(session, numbers)
    by_customer: dict[int, list[_Step]] = defaultdict(list)
    for step in steps:
        by_customer[step.change["row_id"]].append(step)
    return {mail.id: dict(_before(mail, now, by_customer, ties, records, letters, entered)) for mail in mails}


@dataclass(frozen=True, slots=True)
class _Step:
    """A change, or its undoing, as it happened."""

    at: datetime
    change: Mapping[str, Any]
    undoing: bool = False


def _steps(session: Session, numbers: Collection[int], since: datetime) -> list[_Step]:
    """What happened to these customers since, newest first."""
    statement = select(_CHANGE).where(_CHANGE.c.table_name == "customer", among(session, _CHANGE.c.row_id, numbers))
    found = _rows(session, statement)
    steps = [_Step(one["at"], one) for one in found if one["at"] >= since]
    steps += [_Step(one["undone_at"], one, True) for one in found if one["undone_at"] and one["undone_at"] >= since]
    return sorted(steps, key=lambda step: (step.at, step.undoing, step.change["id"]), reverse=True)


def _makers(mails: Sequence[PastMail], steps: Sequence[_Step]) -> dict[int, int]:
    """Change -> the mail that made it, for mails of one batch: they carry the same time as their changes."""
    taken: set[tuple[int, str, str, int]] = set()
    found: dict[int, int] = {}
    batches = {at: list(several) for at, several in groupby(mails, key=lambda mail: mail.row["created_at"])}
    for step in reversed(steps):
        rule = str(step.change["actor"]).removeprefix("rule ")
        for mail in batches.get(step.at, ()):
            slot = next((one for name, one in mail.done if name == rule and _fits(one, step.change)), None)
            claim = (mail.id, rule, slot or "", step.change["row_id"])
            if slot is not None and step.change["row_id"] in mail.customers and claim not in taken:
                taken.add(claim)
                found[step.change["id"]] = mail.id
                break
    return found


def _fits(slot: str, change: Mapping[str, Any]) -> bool:
    """Whether an effect of this slot makes such a change."""
    if change["what"] == "set":
        own = {"stage", "segment", "owner"} & change["after"].keys()
        return slot in own or (not own and slot.startswith("set:"))
    rows = [*change["after"].get("rows", {}).get("customer_tag", ())]
    rows += change["before"].get("rows", {}).get("customer_tag", ())
    if rows:
        return slot.startswith("tag:") and ("{{" in slot or slot == f"tag:{rows[0]['tag']}")
    return slot.startswith("create:")


def _before(
    mail: PastMail,
    now: Mapping[int, CustomerRow],
    steps: Mapping[int, Sequence[_Step]],
    ties: Mapping[int, int],
    records: Mapping[int, Sequence[Row]],
    letters: Mapping[int, Sequence[Row]],
    entered: Mapping[int, Sequence[Row]],
) -> Iterator[tuple[int, CustomerRow]]:
    at = mail.row["created_at"]
    for number in mail.customers:
        if number not in now:
            continue
        later = (
            step
            for step in steps.get(number, ())
            if step.at > at or (not step.undoing and step.at == at and ties.get(step.change["id"], 0) >= mail.id)
        )
        found = _rewound(now[number], later)
        if found is not None:
            seen = {way: _last(letters.get(number, ()), mail, way) for way in ("in", "out")}
            opened = [one for one in records.get(number, ()) if _was_open(one, mail)]
            kinds = frozenset(one["what"] for one in opened)
            deal = max(((one["what"] == "lead", one["id"]) for one in opened if one["what"] != "case"), default=None)
            shown = f"{'lead' if deal[0] else 'order'} {deal[1]}" if deal else ""
            inside = frozenset(one["sequence"] for one in entered.get(number, ()) if _was_in(one, mail))
            found = replace(found, open=kinds, deal=shown, sequences=inside)
            yield number, replace(found, last_in_at=seen["in"], last_out_at=seen["out"])


def _rewound(row: CustomerRow, steps: Iterator[_Step]) -> CustomerRow | None:
    """The customer without these steps, the newest first; None if it was not there yet."""
    tags = set(row.tags)
    values: dict[str, Any] = {}
    for step in steps:
        change = step.change
        was, became = (change["after"], change["before"]) if step.undoing else (change["before"], change["after"])
        if change["what"] == "create":
            return None
        if change["what"] == "set":
            values |= {name: value for name, value in was.items() if name in _FIELDS}
        tags -= {one["tag"] for one in became.get("rows", {}).get("customer_tag", ())}
        tags |= {one["tag"] for one in was.get("rows", {}).get("customer_tag", ())}
    return replace(row, tags=frozenset(tags), **values)


_FIELDS = (*customers.CUSTOMER_FIELDS, "fields")


def _records(session: Session, numbers: Collection[int]) -> dict[int, list[Row]]:
    parts = []
    for what, model in (("lead", Lead), ("case", Case), ("order", Order)):
        columns = table(model).c
        closed = columns.closed_at if "closed_at" in columns else literal(None).label("closed_at")
        wanted = (columns.id, columns.customer_id, columns.interaction_id, columns.created_at, columns.state, closed)
        parts.append(select(literal(what).label("what"), *wanted).where(among(session, columns.customer_id, numbers)))
    found: dict[int, list[Row]] = defaultdict(list)
    for row in _rows(session, union_all(*parts)):
        found[row["customer_id"]].append(row)
    return found


def _was_open(record: Row, mail: PastMail) -> bool:
    at = mail.row["created_at"]
    made = record["created_at"] < at or (
        record["created_at"] == at and record["interaction_id"] is not None and record["interaction_id"] < mail.id
    )
    ended = record["closed_at"] is not None and record["closed_at"] <= at
    return made and not ended and (record["state"] == "open" or record["closed_at"] is not None)


def _entered(session: Session, numbers: Collection[int]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in _rows(session, select(_ENROLMENT).where(among(session, _ENROLMENT.c.customer_id, numbers))):
        found[row["customer_id"]].append(row)
    return found


def _was_in(enrolment: Row, mail: PastMail) -> bool:
    at = mail.row["created_at"]
    return enrolment["entered_at"] < at and (enrolment["ended_at"] is None or enrolment["ended_at"] > at)


def _letters(session: Session, numbers: Collection[int]) -> dict[int, list[Row]]:
    """The mails that people wrote to or for these customers; what left by itself is nobody's letter."""
    ours = select(_OUTBOX.c.message_id).where(_OUTBOX.c.way == Way.SEND.value, _OUTBOX.c.message_id != "")
    statement = (
        select(_LINK.c.customer_id, _INTERACTION.c.id, _INTERACTION.c.at, _INTERACTION.c.direction)
        .join(_INTERACTION, _INTERACTION.c.id == _LINK.c.interaction_id)
        .where(among(session, _LINK.c.customer_id, numbers), _INTERACTION.c.kind == "human")
        .where(_INTERACTION.c.message_id.not_in(ours))
    )
    found: dict[int, list[Row]] = defaultdict(list)
    for row in _rows(session, statement):
        found[row["customer_id"]].append(row)
    return found


def _last(letters: Sequence[Row], mail: PastMail, direction: str) -> datetime | None:
    """When the customer last wrote or was written to, as far as it was known then. Old mail is read newest first,
    so there the mails' own times say what came before."""
    old = mail.row["backfill"]
    before = (
        one["at"]
        for one in letters
        if one["direction"] == direction and (one["at"] < mail.row["at"] if old else one["id"] < mail.id)
    )
    return max(before, default=None)
