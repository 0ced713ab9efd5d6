"""Two customers become one: whatever hangs on the second goes over to the first, and comes back by undo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Column, Date, Integer, LargeBinary, Table, insert, select
from sqlalchemy.orm import Session
from sqlmodel import SQLModel
from store_samples import ADMIN, NOW

from store import actions, changes, coming, customers, enrolments, merging
from store.columns import UtcTime
from store.engine import Store
from store.errors import Conflict
from store.tables import Enrolment, EnrolmentState

TABLES = SQLModel.metadata.sorted_tables
DAY = timedelta(days=1)


def test_no_table_that_names_a_customer_is_forgotten(store: Store) -> None:
    """A row in every table that refers to customers, filled by what its columns are: a new table is tried too."""
    with store.writing() as session:
        keep, gone = (customers.add(session, name, ADMIN) for name in ("Sol", "Lua"))
        made = dict(fill(session, gone))
        assert {"notification", "enrolment", "interaction_customer", "meeting"} <= made.keys()
    before = content(store)
    with store.writing() as session:
        number = merging.merge(session, keep, gone, ADMIN)
        left = {
            f"{one.name}.{column.name}"
            for one, column in referring()
            if session.execute(select(column).where(column == gone)).first()
        }
        assert left == set()
        changes.undo(session, number, NOW)
    assert content(store) == before


def referring() -> Iterator[tuple[Table, Column[Any]]]:
    """Columns that hold the number of a customer, but that which says what a customer became."""
    for one in TABLES:
        for column in one.c:
            refers = any(str(key.target_fullname) == "customer.id" for key in column.foreign_keys)
            if (refers or column.name == "exclusive_for") and column.name != "merged_into":
                yield one, column


def fill(session: Session, customer: int) -> Iterator[tuple[str, Any]]:
    """(table, key of the row made there)"""
    made: dict[str, Any] = {"customer": customer}
    serial = count(1)
    for one in TABLES:
        refers = {"customer_id", "contact_id", "interaction_id"} & set(one.c.keys())
        if one.name != "interaction" and not refers:
            continue
        values = {column.name: value(column, made, customer, next(serial)) for column in one.c if column.name != "id"}
        key = next(iter(one.primary_key))
        found = session.execute(insert(one).values(values).returning(key)).scalar_one()
        made[one.name] = found
        yield one.name, found


def value(column: Column[Any], made: dict[str, Any], customer: int, serial: int) -> Any:
    for key in column.foreign_keys:
        return made[str(key.target_fullname).partition(".")[0]]
    if column.name == "exclusive_for":
        return customer
    if isinstance(column.type, UtcTime):
        return NOW
    if isinstance(column.type, Date):
        return date(2026, 11, 23)
    if isinstance(column.type, JSON):
        return []
    if isinstance(column.type, Boolean):
        return False
    if isinstance(column.type, LargeBinary):
        return b""
    if isinstance(column.type, Integer):
        return serial if column.unique else 0
    return f"{column.name} {serial}"


def content(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    with store.session() as session:
        return {
            one.name: [tuple(row) for row in session.execute(select(one).order_by(*one.primary_key))]
            for one in TABLES
            if one.name != "change"
        }


# --- once is once ----------------------------------------------------------------------------------------------------


def entry(customer: int, **more: Any) -> Enrolment:
    fields: dict[str, Any] = {
        "sequence": "s", "version": "v", "customer_id": customer, "entered_for": f"customer {customer}",
        "exclusive_for": customer, "event": "e", "event_at": NOW, "entered_at": NOW, "since": NOW,
        "recipient": f"a{customer}@acme.example",
    }  # fmt: skip
    return Enrolment(**fields | more)


def test_what_was_entered_once_is_entered_and_still_allows_no_other(store: Store) -> None:
    with store.writing() as session:
        keep, gone = (customers.add(session, name, ADMIN) for name in ("Sol", "Lua"))
        ended = {"state": EnrolmentState.DONE, "exclusive_for": None}
        for times in range(2):
            enrolments.enter(session, entry(keep, round=times, entered_at=NOW - times * DAY, **ended))
        enrolments.enter(session, entry(gone, entered_at=NOW - 9 * DAY, **ended))
        active = enrolments.enter(session, entry(gone, round=1, entered_at=NOW + DAY))
        enrolments.enter(session, entry(gone, sequence="t", entered_for=f"deal {gone}", **ended))
    before = content(store)
    with store.writing() as session:
        number = merging.merge(session, keep, gone, ADMIN)
        last = enrolments.last_entry(session, "s", f"customer {keep}")
        assert last is not None
        assert (last.id, last.entered_at, last.exclusive_for) == (active, NOW + DAY, keep)
        assert enrolments.next_round(session, "s", f"customer {keep}") == 4
        assert enrolments.last_entry(session, "t", f"deal {keep}") is not None
        other = entry(keep, sequence="u", entered_for="contact 9")
        assert enrolments.enter(session, other) is None  # of two that allow no other
        changes.undo(session, number, NOW)
    assert content(store) == before


def test_what_ended_since_is_not_drawn_back(store: Store) -> None:
    with store.writing() as session:
        keep, gone = (customers.add(session, name, ADMIN) for name in ("Sol", "Lua"))
        active = enrolments.enter(session, entry(gone))
        assert active is not None
        number = merging.merge(session, keep, gone, ADMIN)
        enrolments.end(session, active, EnrolmentState.STOPPED, "x", NOW)
        changes.undo(session, number, NOW)
        found = enrolments.get(session, active)
        assert (found.customer_id, found.exclusive_for, found.state) == (gone, None, "stopped")
        assert enrolments.enter(session, entry(gone, sequence="t")) is not None


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({}, {"sequence": "t"}),
        ({"exclusive_for": None}, {"sequence": "t"}),
        ({"exclusive_for": None, "recipient": "a@b.example"}, {"exclusive_for": None, "recipient": "A@b.example"}),
    ],
)
def test_two_that_allow_no_other_are_left_to_a_person(
    store: Store, mine: dict[str, Any], theirs: dict[str, Any]
) -> None:
    with store.writing() as session:
        keep, gone = (customers.add(session, name, ADMIN) for name in ("Sol", "Lua Nova"))
        enrolments.enter(session, entry(keep, **mine))
        enrolments.enter(session, entry(gone, **theirs))
    before = content(store)
    with pytest.raises(Conflict, match="Sol is in the sequence s") as caught, store.writing() as session:
        merging.merge(session, keep, gone, ADMIN)
    assert "quietcrm sequences stop 'Lua Nova'" in caught.value.hint
    assert content(store) == before


def test_two_that_allow_others_go_on(store: Store) -> None:
    with store.writing() as session:
        keep, gone = (customers.add(session, name, ADMIN) for name in ("Sol", "Lua"))
        enrolments.enter(session, entry(keep, exclusive_for=None))
        enrolments.enter(session, entry(gone, exclusive_for=None))
        merging.merge(session, keep, gone, ADMIN)
        assert [one.round for one in enrolments.of_customers(session, [keep])] == [0, 1]


def test_what_a_rule_did_once_for_either_is_done(store: Store) -> None:
    with store.writing() as session:
        keep, gone = (customers.add(session, name, ADMIN) for name in ("Sol", "Lua"))
        for rule, number, days in (("a", gone, 0), ("b", keep, 0), ("b", gone, 1), ("c", keep, 2), ("c", gone, 1)):
            actions.take_turn(session, rule, f"customer {number}", NOW + days * DAY)
    before = content(store)
    with store.writing() as session:
        number = merging.merge(session, keep, gone, ADMIN)
        key = f"customer {keep}"
        found = actions.turns(session, [key])
        assert found == {("a", key): NOW, ("b", key): NOW + DAY, ("c", key): NOW + 2 * DAY}
        changes.undo(session, number, NOW)
    assert content(store) == before


def test_what_a_meeting_did_for_either_is_done(store: Store) -> None:
    with store.writing() as session:
        keep, middle, gone, other = (customers.add(session, name, ADMIN) for name in ("Sol", "Lua", "Mar", "Rio"))
        for number in (gone, other):
            happen(session, soon(number))
        merging.merge(session, middle, gone, ADMIN)
        number = merging.merge(session, keep, middle, ADMIN)
        asked = [soon(keep), soon(keep, meeting=8), f"customer silent: 3 days|customer {keep}|2026-11-23"]
        assert coming.recorded(session, asked) == {soon(keep)}
        assert coming.recorded(session, [soon(other), soon(gone)]) == {soon(other), soon(gone)}
        changes.undo(session, number, NOW)
        assert coming.recorded(session, [soon(keep), soon(middle)]) == {soon(middle)}


def soon(customer: int, meeting: int = 7) -> str:
    return f"meeting soon:1 day before|meeting {meeting}|2026-11-24T10:00:00+00:00|customer {customer}"


def happen(session: Session, event: str) -> None:
    said: dict[str, Any] = {"words": "x", "at": NOW, "now": NOW, "rung": "occasion", "rep": "", "trace": {}}
    coming.record(session, event=event, customer_id=None, config_hash="", logged_by="", **said)
