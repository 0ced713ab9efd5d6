"""What outgoing mail and reminders have in common: planned once, moved from state to state by compare-and-swap."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from store.errors import NotFound
from store.statements import among, insert_new, table, values_of
from store.tables import OutboxMail, Reminder

Row = TypeVar("Row", OutboxMail, Reminder)


class Promises(Generic[Row]):
    """The statements for one of the two tables. Rows that come out are detached copies: changing one writes nothing."""

    def __init__(self, model: type[Row]) -> None:
        self._model: type[Row] = model
        self._table = table(model)

    def plan(self, session: Session, row: Row) -> int | None:
        """Insert unless (event, rule, slot) was promised before, whatever became of it; the id, or None."""
        if not insert_new(session, self._table, [values_of(row)], key=("event", "rule", "slot")):
            return None
        columns = self._table.c
        key = (columns.event == row.event, columns.rule == row.rule, columns.slot == row.slot)
        return int(session.execute(select(columns.id).where(*key)).scalar_one())

    def get(self, session: Session, number: int) -> Row:
        """One promise; NotFound."""
        found = self._rows(session, select(self._table).where(self._table.c.id == number))
        if not found:
            raise NotFound(f"there is no number {number}", hint="the list shows the numbers: quietcrm outbox list")
        return found[0]

    def due(self, session: Session, now: datetime, limit: int = 100, *, way: str = "") -> list[Row]:
        """Planned ones (that go a certain way) whose time has come, the longest due first."""
        columns = self._table.c
        statement = select(self._table).where(columns.state == "planned", columns.due_at <= now)
        if way:
            statement = statement.where(columns.way == way)
        return self._rows(session, statement.order_by(columns.due_at, columns.id).limit(limit))

    def next_due(self, session: Session) -> datetime | None:
        """When the next planned one comes due."""
        statement = select(func.min(self._table.c.due_at)).where(self._table.c.state == "planned")
        found: datetime | None = session.execute(statement).scalar()
        return found

    def in_states(
        self, session: Session, states: Collection[str], *, account: str | None = None, limit: int | None = None
    ) -> list[Row]:
        """Those in one of the states (of one account), in the order they come due."""
        columns = self._table.c
        statement = select(self._table).where(columns.state.in_(_texts(states)))
        if account is not None:
            statement = statement.where(columns.account == account)
        return self._rows(session, statement.order_by(columns.due_at, columns.id).limit(limit))

    def of_customers(self, session: Session, customers: Collection[int], *, states: Collection[str]) -> list[Row]:
        """Those for one of the customers that are in one of the states, oldest first."""
        if not customers:
            return []
        wanted = set(_texts(states))
        columns = self._table.c
        statement = select(self._table).where(among(session, columns.customer_id, customers)).order_by(columns.id)
        # States are compared here: a customer has few promises, but SQLite would rather walk all of a state.
        return [row for row in self._rows(session, statement) if row.state in wanted]

    def customers_in(self, session: Session, states: Collection[str]) -> set[int]:
        """The customers for whom one is in one of the states."""
        columns = self._table.c
        statement = select(columns.customer_id).where(
            columns.state.in_(_texts(states)), columns.customer_id.is_not(None)
        )
        return set(session.execute(statement.distinct()).scalars())

    def by_message_ids(self, session: Session, message_ids: Collection[str]) -> dict[str, Row]:
        """Message-ID of the mail we made -> the promise."""
        wanted = {one for one in message_ids if one}
        if not wanted:
            return {}
        rows = self._rows(session, select(self._table).where(among(session, self._table.c.message_id, wanted)))
        return {row.message_id: row for row in rows}

    def move(self, session: Session, number: int, from_states: Collection[str], to: str, **fields: Any) -> bool:
        """Go to state `to` and set `fields`, if the row is in one of `from_states` now; whether it was."""
        columns = self._table.c
        statement = (
            update(self._table)
            .where(columns.id == number, columns.state.in_(_texts(from_states)))
            .values(state=str(to), **fields)
        )
        return bool(session.connection().execute(statement).rowcount)

    def change(self, session: Session, number: int, **fields: Any) -> None:
        """Set columns without changing the state."""
        session.execute(update(self._table).where(self._table.c.id == number).values(**fields))

    def counts(self, session: Session) -> dict[str, int]:
        """State -> how many."""
        column = self._table.c.state
        return {row[0]: row[1] for row in session.execute(select(column, func.count()).group_by(column))}

    def settled_since(self, session: Session, since: datetime) -> list[Row]:
        """Those that ended (or were held) since: what the daily notice tells."""
        columns = self._table.c
        statement = select(self._table).where(or_(columns.settled_at >= since, columns.state == "held"))
        return self._rows(session, statement.order_by(columns.id))

    def _rows(self, session: Session, statement: Select[Any]) -> list[Row]:
        return [self._model(**row) for row in session.execute(statement).mappings()]


def _texts(states: Collection[str]) -> Sequence[str]:
    return [str(one) for one in states]
