"""Counts for reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import update
from sqlmodel import Session
from store_samples import ADMIN, NOW

from connectors.model import Message
from store import coming, counting, customers, interactions
from store.engine import Store
from store.identity import identity
from store.interactions import NewInteraction
from store.statements import table
from store.tables import Customer

DAY = timedelta(days=1)
_CUSTOMER = table(Customer)


def _set(session: Session, number: int, **values: Any) -> None:
    session.execute(update(_CUSTOMER).where(_CUSTOMER.c.id == number).values(values))


def test_customers_by_stage_and_owner(store: Store) -> None:
    with store.writing() as session:
        for name, stage, owner in (("A", "lead", "ana"), ("B", "lead", "ana"), ("C", "lead", ""), ("D", "won", "ana")):
            number = customers.add(session, name, ADMIN)
            _set(session, number, stage=stage, owner=owner)
        _set(session, customers.add(session, "E", ADMIN), stage="lead", merged_into=1)
        assert counting.by_stage(session) == {("lead", "ana"): 2, ("lead", ""): 1, ("won", "ana"): 1}


def test_who_is_silent(store: Store) -> None:
    with store.writing() as session:
        for name, came, went in (("A", 40, 35), ("B", 90, None), ("C", 40, 1), ("D", None, 60), ("E", None, None)):
            number = customers.add(session, name, ADMIN)
            _set(
                session,
                number,
                last_in_at=None if came is None else NOW - came * DAY,
                last_out_at=None if went is None else NOW - went * DAY,
            )
        found = counting.silent(session, NOW - 30 * DAY, 10)
        assert [(one.name, (NOW - one.last_at).days) for one in found] == [("B", 90), ("D", 60), ("A", 35)]
        assert [one.name for one in counting.silent(session, NOW - 30 * DAY, 1)] == ["B"]
        assert [one.name for one in counting.silent(session, NOW - 35 * DAY, 9)] == ["B", "D"]


def test_mails_by_rep(store: Store, mail: Callable[..., Message]) -> None:
    def row(days: int, rep: str, direction: str, kind: str = "human") -> NewInteraction:
        message = mail(received_at=NOW + days * DAY, sent_at=NOW + days * DAY)
        given: dict[str, Any] = {"kind": kind, "direction": direction, "customers": [(sol, "address")], "rep": rep}
        return NewInteraction(message=message, identity=identity(message), created_at=NOW, **given)

    with store.writing() as session:
        sol = customers.add(session, "Padaria Sol", ADMIN)
        rows = [row(0, "ana", "in"), row(1, "ana", "in"), row(2, "ana", "out"), row(2, "bruno", "in", "bounce")]
        interactions.record(session, [*rows, row(-1, "ana", "in"), row(3, "ana", "in")])
        known = {"words": "x", "now": NOW, "rung": "occasion", "rep": "ana", "trace": {}, "config_hash": ""}
        coming.record(session, event="clock: mon 08:00|x", at=NOW, customer_id=sol, **known)
        assert counting.by_rep(session, NOW, NOW + 3 * DAY) == {
            ("ana", "mail", "human", "in"): 2,
            ("ana", "mail", "human", "out"): 1,
            ("bruno", "mail", "bounce", "in"): 1,
        }
