"""Who is in a sequence: once, alone where that is said, and gone with the customer."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session
from store_samples import ADMIN, NOW
from test_store_promises import draft, together

from store import customers, enrolments, merging, outbox, pauses, privacy, reminders
from store.engine import Store
from store.hashing import HashKey
from store.tables import Enrolment, EnrolmentState, OutboxState, Reminder


def one(customer: int, **stated: object) -> Enrolment:
    fields = {
        "sequence": "s", "version": "v", "customer_id": customer, "recipient": "a@acme.example", "rep": "ana",
        "entered_for": f"customer {customer}", "exclusive_for": customer, "event": "e", "event_at": NOW,
        "entered_at": NOW, "since": NOW, "due_at": NOW,
    }  # fmt: skip
    return Enrolment(**fields | stated)


def somebody(session: Session, name: str = "Acme") -> int:
    return customers.add(session, name, ADMIN)


def test_of_many_that_enter_at_once_one_does(store: Store) -> None:
    with store.writing() as session:
        customer = somebody(session)

    def enter(number: int) -> int | None:
        with store.writing() as session:
            return enrolments.enter(session, one(customer, recipient=f"{number}@acme.example"))

    results = together(12, enter)
    assert sorted(results, key=str) == [1, *[None] * 11]


def test_alone_in_a_sequence_until_it_ends(store: Store) -> None:
    with store.writing() as session:
        customer = somebody(session)
        first = enrolments.enter(session, one(customer))
        assert first is not None
        assert enrolments.enter(session, one(customer, sequence="other")) is None
        assert enrolments.end(session, first, EnrolmentState.STOPPED, "x", NOW)
        assert not enrolments.end(session, first, EnrolmentState.DONE, "y", NOW)
        second = enrolments.enter(session, one(customer, sequence="other"))
        assert second is not None
        assert customers.get(session, customer).sequences == frozenset(("other",))
        again = enrolments.enter(session, one(customer, round=1, exclusive_for=None))
        assert again is not None
        assert enrolments.last_entry(session, "s", f"customer {customer}").round == 1  # type: ignore[union-attr]


def test_versions_are_counted_and_kept_once(store: Store) -> None:
    with store.writing() as session:
        numbers = [enrolments.keep_version(session, "s", version, {"name": "s"}, NOW) for version in "abab"]
        assert numbers == [1, 2, 1, 2]
        assert enrolments.keep_version(session, "t", "a", {}, NOW) == 1
        assert [row.number for row in enrolments.versions(session, "s").values()] == [1, 2]


def test_what_is_due_and_whose_mail_is_settled(store: Store) -> None:
    with store.writing() as session:
        ids = [enrolments.enter(session, one(somebody(session, name))) for name in ("A", "B", "C")]
        number = outbox.plan(session, draft())
        enrolments.change(session, ids[1] or 0, outbox_id=number, due_at=None)
        enrolments.change(session, ids[2] or 0, retry_at=NOW + timedelta(hours=1), reason="x")
        assert [row.id for row in enrolments.due(session, NOW, NOW, 10)] == ids[:1]
        assert enrolments.settled(session, 10) == []
        outbox.move(session, number or 0, (OutboxState.PLANNED,), OutboxState.CANCELLED)
        assert [row.id for row in enrolments.settled(session, 10)] == [ids[1]]
        assert enrolments.standing(session) == [("s", "x", 1)]


def test_erasing_and_merging_take_them_along(store: Store, key: HashKey) -> None:
    with store.writing() as session:
        keep, gone = somebody(session, "A"), somebody(session, "B")
        number = enrolments.enter(session, one(gone))
        outbox.plan(session, draft(enrolment_id=number, customer_id=gone))
        reminders.plan(
            session,
            Reminder(event="e", event_at=NOW, rule="s", slot="r", enrolment_id=number, customer_id=gone, due_at=NOW,
                     created_at=NOW),
        )  # fmt: skip
        merging.merge(session, keep, gone, ADMIN)
        assert [row.customer_id for row in enrolments.of_customers(session, [keep])] == [keep]
        assert "enrolment" in privacy.export(session, keep)
        privacy.erase(session, keep, key, ADMIN)
        assert enrolments.by_ids(session, [number or 0]) == {}
        assert outbox.counts(session) == {}


def test_what_stands_still(store: Store) -> None:
    with store.writing() as session:
        assert pauses.pause(session, "rule a", "admin", NOW)
        assert not pauses.pause(session, "rule a", "admin", NOW)
        assert pauses.released_at(session) is None
        pauses.note_release(session, NOW)
        pauses.note_release(session, NOW + timedelta(hours=1))
        assert pauses.released_at(session) == NOW + timedelta(hours=1)
        assert pauses.resume(session, ["rule a", "rule b"]) == ["rule a"]
        assert pauses.everything(session) == {}
