"""Whose mail it is, changed afterwards: numbered, so that it can be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from store import changes
from store.customers import Actor
from store.statements import among, table
from store.tables import Customer, Interaction, InteractionCustomer

_LINK = table(InteractionCustomer)
_INTERACTION = table(Interaction)
_CUSTOMER = table(Customer)
_TOUCHED = ("last_in_at", "last_out_at", "owner")


def file_anew(
    session: Session, interaction_id: int, gone: Sequence[int], fresh: Sequence[int], rung: str, by: Actor
) -> int:
    """File a mail under `fresh` customers instead of the `gone` ones; the number of the change."""
    mine = _LINK.c.interaction_id == interaction_id
    at = session.execute(select(_INTERACTION.c.at).where(_INTERACTION.c.id == interaction_id)).scalar_one()
    lost = [
        dict(one)
        for one in session.execute(select(_LINK).where(mine, among(session, _LINK.c.customer_id, gone))).mappings()
    ]
    added = [{"interaction_id": interaction_id, "customer_id": one, "at": at, "rung": rung} for one in fresh]
    session.execute(delete(_LINK).where(mine, among(session, _LINK.c.customer_id, gone)))
    session.execute(insert(_LINK), added)
    return changes.note(
        session,
        at=by.now,
        actor=by.name,
        what="rows",
        row=("interaction", interaction_id),
        before={"rows": {"interaction_customer": lost}},
        after={"rows": {"interaction_customer": added}},
    )


@contextmanager
def noted(session: Session, numbers: Sequence[int], by: Actor) -> Iterator[None]:
    """What happens inside to the last mails and owners of these customers is written down as changes."""
    columns = [_CUSTOMER.c.id, *(_CUSTOMER.c[name] for name in _TOUCHED)]
    statement = select(*columns).where(among(session, _CUSTOMER.c.id, numbers))
    before = {row["id"]: row for row in session.execute(statement).mappings()}
    yield
    for row in session.execute(statement).mappings():
        was = before[row["id"]]
        moved = [name for name in _TOUCHED if was[name] != row[name]]
        if moved:
            changes.note(
                session,
                at=by.now,
                actor=by.name,
                what="set",
                row=("customer", row["id"]),
                before={name: was[name] for name in moved},
                after={name: row[name] for name in moved},
            )
