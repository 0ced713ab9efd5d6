"""Meetings in the store: written, moved, renamed, copied, lost, handed out, erased."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlmodel import Session
from store_samples import ADMIN, NOW

from store import coming, customers, enrolments, history, meetings, merging, privacy, schema
from store.engine import Store
from store.hashing import HashKey
from store.meetings import MeetingState, identity_of
from store.tables import MeetingCopy

HOUR = timedelta(hours=1)
MARIA = {"email": "maria@sol.example", "name": "Maria", "answer": "", "role": "required"}
ANA = {"email": "ana@vendas.example", "name": "Ana", "answer": "accepted", "role": "required"}


def state(uid: str = "u1", original: str = "", **stated: Any) -> MeetingState:
    fields: dict[str, Any] = {
        "uid": uid,
        "original": original,
        "sequence": 0,
        "stamped_at": NOW,
        "title": "Предложение — ação",
        "start_at": NOW + 2 * HOUR,
        "end_at": NOW + 3 * HOUR,
        "zone": "America/Sao_Paulo",
        "organizer": ANA["email"],
        "attendees": [ANA, MARIA],
        "people": [("organizer", ANA["email"], "Ana"), ("attendee", MARIA["email"], "Maria")],
    }
    return MeetingState(**fields | stated)


def put(session: Session, customer: int, said: MeetingState, **stated: Any) -> int | None:
    known: dict[str, Any] = {
        "customers": {customer: "address"},
        "contacts": {},
        "rep": "ana",
        "direction": "out",
        "backfill": False,
        "now": NOW,
    }
    return meetings.record(session, said, **known | stated)


def copy(number: int, account: str = "ana", ref: str = "a.ics", **stated: Any) -> MeetingCopy:
    fields: dict[str, Any] = {"calendar": "Work", "digest": "d", "seen_at": NOW}
    return MeetingCopy(interaction_id=number, account=account, ref=ref, **fields | stated)


def test_a_meeting_is_a_row_of_the_history_once(store: Store) -> None:
    with store.writing() as session:
        sol = customers.add(session, "Padaria Sol", ADMIN)
        number = put(session, sol, state())
        assert number is not None
        assert put(session, sol, state()) is None
        meetings.put_copies(session, [copy(number), copy(number, "bruno"), copy(number)])
        assert enrolments.meeting_since(session, sol, NOW - HOUR) == NOW
    with store.session() as session:
        (entry,) = history.timeline(session, sol)
        assert (entry.kind, entry.at, entry.subject) == ("meeting", NOW + 2 * HOUR, "Предложение — ação")
        assert entry.sightings == [{"account": who, "calendar": "Work"} for who in ("ana", "bruno")]
        row = meetings.find(session, [identity_of("u1", "")])[identity_of("u1", "")]
        assert (row.id, row.rep, row.known_at, row.attendees) == (number, "ana", NOW, [ANA, MARIA])
    assert schema.check(store) == []


def test_a_move_takes_the_timeline_along(store: Store) -> None:
    with store.writing() as session:
        sol = customers.add(session, "Padaria Sol", ADMIN)
        number = put(session, sol, state())
        row = meetings.by_numbers(session, [number or 0])[number or 0]
        later = state(start_at=NOW + 26 * HOUR, end_at=NOW + 27 * HOUR, attendees=[ANA], people=[])
        meetings.change(session, row, later, {}, moves=1, moved_at=NOW, known_at=NOW)
        assert history.timeline(session, sol)[0].at == NOW + 26 * HOUR
        assert [one.id for one in meetings.starting(session, NOW + 25 * HOUR, NOW + 27 * HOUR)] == [number]
        assert [one.moves for one in meetings.moved(session, NOW, NOW + HOUR)] == [1]
        assert meetings.ending(session, NOW, NOW + 26 * HOUR) == []
        meetings.rename(session, number or 0, "u2", "20261122T120000Z")
        assert meetings.find(session, [identity_of("u1", "")]) == {}
        assert [one.id for one in meetings.of_series(session, ["u2"])] == [number]
    assert schema.check(store) == []


def test_gone_from_one_calendar_is_not_lost(store: Store) -> None:
    with store.writing() as session:
        sol = customers.add(session, "Padaria Sol", ADMIN)
        number = put(session, sol, state()) or 0
        meetings.put_copies(session, [copy(number), copy(number, "bruno")])
        first, second = meetings.copies_of(session, [number])[number]
        assert meetings.copies_at(session, "ana", [("Work", "a.ics"), ("Work", "b.ics")]) == [first]
        meetings.lose(session, [first], NOW)
        assert meetings.lost(session, "ana", NOW, NOW) == []
        meetings.lose(session, [second], NOW)
        assert [one.id for one in meetings.lost(session, "ana", NOW, NOW)] == [number]
        assert meetings.lost(session, "ana", NOW - HOUR, NOW) == []
        meetings.put_copies(session, [copy(number)])
        assert meetings.lost(session, "ana", NOW, NOW) == []


def test_who_is_erased_is_in_no_meeting(store: Store, key: HashKey) -> None:
    with store.writing() as session:
        sol, lua = customers.add(session, "Padaria Sol", ADMIN), customers.add(session, "Mercado Lua", ADMIN)
        person = customers.add_contact(session, sol, ADMIN, {"name": "Maria"})
        customers.add_address(session, person, MARIA["email"], ADMIN)
        alone = put(session, sol, state(), contacts={MARIA["email"]: person}) or 0
        both = put(session, sol, state("u2"), customers={sol: "address", lua: "domain"}) or 0
        meetings.put_copies(session, [copy(alone), copy(both, ref="b.ics")])
        found = privacy.export(session, sol)
        assert {one["interaction_id"] for one in found["meetings"]} == {alone, both}
        assert len(found["meeting_copies"]) == 2
        privacy.erase(session, sol, key, ADMIN)
        assert meetings.by_numbers(session, [alone]) == {}
        assert meetings.by_numbers(session, [both])[both].attendees == [ANA]
        assert list(meetings.copies_of(session, [alone, both])) == [both]
    assert schema.check(store) == []


def test_a_merged_customer_keeps_its_meetings(store: Store) -> None:
    with store.writing() as session:
        sol, twin = customers.add(session, "Padaria Sol", ADMIN), customers.add(session, "Padaria do Sol", ADMIN)
        number = put(session, twin, state()) or 0
        merging.merge(session, sol, twin, ADMIN)
        assert meetings.customers_of(session, [number]) == {number: [sol]}
        assert [one.id for one in meetings.of_customer(session, sol, NOW, NOW + 9 * HOUR)] == [number]
        meetings.forget(session, number)
        assert meetings.count(session) == 0
        assert history.timeline(session, sol) == []
    assert schema.check(store) == []


def test_what_came_of_a_meeting(store: Store) -> None:
    with store.writing() as session:
        sol, rio = customers.add(session, "Padaria Sol", ADMIN), customers.add(session, "Oficina Rio", ADMIN)
        number = put(session, sol, state()) or 0
        known = {"words": "x", "now": NOW, "rung": "occasion", "rep": "", "trace": {}, "config_hash": ""}
        for customer, event, hours in (
            (sol, f"meeting held: 1 hour after|meeting {number}|a|customer {sol}", 4),
            (sol, f"meeting soon: 1 day before|meeting {number}|a|customer {sol}", 1),
            (sol, f"meeting missed|meeting {number}1|a|customer {sol}", 4),
            (rio, f"meeting missed|meeting {number + 1}|a|customer {rio}", 4),
        ):
            coming.record(session, event=event, at=NOW + hours * HOUR, customer_id=customer, **known)
    with store.session() as session:
        found = [(one.words, one.at) for one in meetings.came_of(session, number)]
        assert found == [("meeting soon: 1 day before", NOW + HOUR), ("meeting held: 1 hour after", NOW + 4 * HOUR)]
        assert meetings.came_of(session, number + 99) == []
