"""What comes true, asked of both databases: silences, dates, changes, and how far was looked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from store_samples import ADMIN, NOW

from connectors.model import Message
from store import changes, coming, customers, history, interactions, merging, privacy
from store.coming import Mark
from store.customers import HISTORY, Actor
from store.engine import Store
from store.hashing import HashKey
from store.identity import identity
from store.interactions import NewInteraction, Touch

DAY = timedelta(days=1)


def test_marks_are_kept_and_forgotten(store: Store) -> None:
    with store.writing() as session:
        coming.set_marks(session, {"a": Mark(NOW), "b": Mark(number=7)})
        coming.set_marks(session, {"a": Mark(NOW + DAY)})
        coming.set_marks(session, {})
        assert coming.marks(session) == {"a": Mark(NOW + DAY), "b": Mark(number=7)}
        coming.forget_marks(session, ["a", "c"])
        coming.forget_marks(session, [])
        assert coming.marks(session) == {"b": Mark(number=7)}


def test_the_last_word_of_either_side_counts(store: Store) -> None:
    with store.writing() as session:
        names = ("both", "in", "out", "never", "later", "gone")
        ids = {name: customers.add(session, name, ADMIN) for name in names}
        touches = [("both", "in", -3), ("both", "out", 0), ("in", "in", 0), ("out", "out", 0)]
        touches += [("later", "in", 0), ("later", "out", 1), ("gone", "in", 0)]
        interactions.touch(
            session,
            [Touch(at=NOW + days * DAY, direction=way, customer_ids=[ids[name]]) for name, way, days in touches],
        )
        keep = customers.add(session, "keep", ADMIN)
        merging.merge(session, keep, ids["gone"], ADMIN)
        customers.edit(session, keep, {"segment": "x"}, ADMIN)
        found = set(coming.last_heard(session, NOW - timedelta(seconds=1), NOW))
    assert found - {keep} == {ids["both"], ids["in"], ids["out"]}
    with store.session() as session:
        assert coming.last_heard(session, NOW, NOW + timedelta(hours=1)) == []
        assert coming.last_heard(session, NOW, NOW + DAY) == [ids["later"]]


def test_dates_are_found_by_their_day(store: Store, key: HashKey) -> None:
    with store.writing() as session:
        sol, lua = (customers.add(session, name, ADMIN, {"renewal": "x"}) for name in ("Sol", "Lua"))
        person = customers.add_contact(session, sol, ADMIN, {"birthday": "24/12"})
        coming.keep_dates(session, "customer", ["renewal"], {sol: {"renewal": 1231}, lua: {"renewal": 0}})
        coming.keep_dates(session, "contact", ["birthday"], {person: {"birthday": 1224}})
        assert coming.dated_on(session, "customer", "renewal", {1231, 1230}) == [(sol, None)]
        assert coming.dated_on(session, "contact", "birthday", set(range(1200, 1232))) == [(sol, person)]
        assert coming.dated_on(session, "contact", "birthday", {1225}) == []
        assert coming.unreadable(session) == [("customer", "renewal", lua, "Lua")]
        coming.keep_dates(session, "customer", ["renewal"], {lua: {}})
        assert coming.unreadable(session) == []
        assert [row for row, _ in coming.fields_behind(session, "customer", sol, 10)] == [lua]
        assert coming.fields_of(session, "contact", [person, 99]) == {person: {"birthday": "24/12"}}
        assert coming.customers_of(session, [person]) == {person: sol}
        privacy.erase(session, sol, key, ADMIN)
        assert coming.dated_on(session, "contact", "birthday", {1224}) == []
        coming.forget_dates(session, "customer", "renewal")
        assert session.connection().exec_driver_sql("SELECT count(*) FROM dated_field").scalar() == 0


def test_changes_of_the_past_are_told_apart(store: Store) -> None:
    with store.writing() as session:
        number = customers.add(session, "Sol", Actor(name="import", now=NOW, chain=HISTORY))
        start = coming.newest_change(session)
        customers.tag(session, number, "vip", Actor(name="rule a", now=NOW, chain=2))
        undone = customers.edit(session, number, {"stage": "x"}, ADMIN)
        assert undone is not None
        changes.undo(session, undone, NOW + DAY)
        assert [one.chain for one in coming.changes_behind(session, 0, 10)] == [-1, 2, 0]
        assert [one.chain for one in coming.changes_behind(session, 0, 10, of_the_past=False)] == [2, 0]
        assert len(coming.changes_behind(session, start, 1)) == 1
        assert coming.undone_since(session, NOW + DAY) == [("customer", number)]
        assert coming.undone_since(session, NOW + 2 * DAY) == []
        assert coming.change_before(session, NOW) == 0
        assert coming.change_before(session, NOW + DAY) == coming.newest_change(session)


def test_an_occasion_is_one_row_of_the_history(store: Store) -> None:
    def put(event: str, customer: int | None) -> int | None:
        return coming.record(
            session,
            event=event,
            words="customer silent: 21 days",
            at=NOW,
            now=NOW + DAY,
            customer_id=customer,
            rung="occasion",
            rep="",
            trace={"rules": [{"rule": "é"}]},
            config_hash="abc",
            logged_by="quiet",
        )

    with store.writing() as session:
        sol = customers.add(session, "Sol", ADMIN)
        first = put("silent|1", sol)
        assert first is not None
        assert put("silent|1", sol) is None
        nobody = put("clock", None)
        assert coming.recorded(session, ["silent|1", "clock", "other"]) == {"silent|1", "clock"}
        assert [one.id for one in history.timeline(session, sol)] == [first]
        (entry,) = history.log(session, rule="quiet", customer=sol)
        assert (entry.kind, entry.subject, entry.sightings) == ("occasion", "customer silent: 21 days", [])
        assert nobody in [one.id for one in history.log(session)]
        kept = history.trace_of(session, first)
        assert kept is not None
        assert kept["data"] == {"rules": [{"rule": "é"}]}


def test_silences_of_the_past_are_told_by_the_history(store: Store, mail: Callable[..., Message]) -> None:
    def row(days: int, number: int) -> NewInteraction:
        message = mail(received_at=NOW + days * DAY, sent_at=NOW + days * DAY)
        given: dict[str, Any] = {"kind": "human", "direction": "in", "customers": [(number, "address")]}
        return NewInteraction(message=message, identity=identity(message), created_at=NOW, **given)

    with store.writing() as session:
        sol, lua = (customers.add(session, name, ADMIN) for name in ("Sol", "Lua"))
        mails = [(0, sol), (5, sol), (30, sol), (3, lua), (12, lua)]
        interactions.record(session, [row(day, who) for day, who in mails])
        since, until = NOW + 10 * DAY, NOW + 29 * DAY
        found = [(who, (at - NOW).days) for who, at in coming.silences(session, 10 * DAY, since, until)]
    assert found == [(sol, 5), (lua, 12)]


def test_pages_of_customers(store: Store) -> None:
    with store.writing() as session:
        ids = [customers.add(session, f"c{one}", ADMIN, {"stage": "lead" if one % 2 else "won"}) for one in range(6)]
        assert coming.customers_behind(session, 0, 4) == ids[:4]
        assert coming.customers_behind(session, ids[3], 4) == ids[4:]
        assert coming.customers_behind(session, 0, 9, {"lead", "other"}) == ids[1::2]
