"""Mail to customers that rules want, from plan to end; see store.tables.OutboxState."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.promises import Promises
from store.statements import table
from store.tables import OutboxMail

_OUTBOX = table(OutboxMail)
_promises = Promises(OutboxMail)

plan = _promises.plan
get = _promises.get
due = _promises.due
next_due = _promises.next_due
in_states = _promises.in_states
of_customers = _promises.of_customers
customers_in = _promises.customers_in
by_message_ids = _promises.by_message_ids
move = _promises.move
change = _promises.change
counts = _promises.counts
settled_since = _promises.settled_since


def listing(session: Session, *, states: Collection[str] = (), limit: int | None = 100) -> list[dict[str, Any]]:
    """Newest first, with the fields of `outbox list --json` and what a person needs to decide."""
    names = ("id", "state", "recipient", "template", "due_at", "message_id", "rep", "rule", "subject", "reason", "late")
    statement = select(*(_OUTBOX.c[name] for name in names)).order_by(_OUTBOX.c.id.desc()).limit(limit)
    if states:
        statement = statement.where(_OUTBOX.c.state.in_([str(one) for one in states]))
    rows = [dict(row) for row in session.execute(statement).mappings()]
    return [_shown(row) for row in rows]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "state": row["state"], "to": row.pop("recipient"), **row}


__all__: Sequence[str] = [
    "by_message_ids",
    "change",
    "counts",
    "customers_in",
    "due",
    "get",
    "in_states",
    "listing",
    "move",
    "next_due",
    "of_customers",
    "plan",
    "settled_since",
]
