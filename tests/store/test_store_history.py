"""Recording mails: once, however many copies; known again under rewritten ids; read back as the log shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from store_samples import ADMIN, NOW

from connectors.model import Address, Attachment, Message
from store import customers, history, interactions, retention, sightings
from store.customers import Actor
from store.engine import Store
from store.identity import identity
from store.interactions import NewInteraction, Touch
from store.statements import table
from store.tables import Interaction, Participant, Sighting

Mail = Callable[..., Message]


def new(message: Message, **stated: Any) -> NewInteraction:
    fields: dict[str, Any] = {"kind": "human", "direction": "in", "created_at": NOW}
    return NewInteraction(message=message, identity=identity(message), **fields | stated)


def take(session: Session, messages: Sequence[Message]) -> list[int]:
    """What the pipeline does: look up, record what is new, note the copies of what is known."""
    known = interactions.find_known(session, [identity(message) for message in messages])
    fresh = [message for message in messages if identity(message).key not in known]
    ids = interactions.record(session, [new(message) for message in fresh])
    copies = [sightings.sighted(known[identity(m).key], m) for m in messages if identity(m).key in known]
    sightings.add_sightings(session, copies)
    return ids


def count(store: Store, model: type) -> int:
    with store.session() as session:
        return int(session.execute(select(func.count()).select_from(table(model))).scalar_one())


def test_one_mail_in_five_mailboxes_is_one_interaction_with_five_sightings(store: Store, mail: Mail) -> None:
    message = mail()
    for number in range(5):
        with store.writing() as session:
            take(session, [replace(message, account=f"rep{number}", received_at=NOW + timedelta(hours=number))])
    assert (count(store, Interaction), count(store, Sighting)) == (1, 5)


def test_copies_in_one_batch_become_one(store: Store, mail: Mail) -> None:
    message, other = mail(), mail()
    with store.writing() as session:
        ids = take(session, [message, other, replace(message, account="rep2")])
    assert ids == [1, 2, 1]
    assert (count(store, Interaction), count(store, Sighting)) == (2, 3)


def test_the_whole_mailbox_laid_in_again_adds_nothing_but_new_places(store: Store, mail: Mail) -> None:
    messages = [mail() for _ in range(50)]
    with store.writing() as session:
        take(session, messages)
        assert take(session, [replace(one, ref=f"2:{one.ref}") for one in messages]) == []
    assert (count(store, Interaction), count(store, Sighting)) == (50, 50)
    with store.session() as session:
        assert all(ref.startswith("2:") for ref in session.execute(select(table(Sighting).c.ref)).scalars())


def test_a_relay_that_rewrites_or_drops_ids_makes_no_doubles(store: Store, mail: Mail) -> None:
    messages = [mail() for _ in range(30)]
    rewritten = [replace(one, message_id=f"relay{number}@gate.example") for number, one in enumerate(messages)]
    dropped = [replace(one, message_id="", subject=f"RE: [Lista] {one.subject.upper()}") for one in messages]
    with store.writing() as session:
        take(session, messages)
        assert take(session, rewritten) == take(session, dropped) == []
    with store.writing() as session:  # and the other way round
        without = [mail(message_id="") for _ in range(10)]
        assert len(take(session, without)) == 10
        assert take(session, [replace(one, message_id=f"late{number}") for number, one in enumerate(without)]) == []
    assert count(store, Interaction) == 40


def test_mails_without_an_id_in_one_second_stay_apart_and_so_do_forged_repeats(store: Store, mail: Mail) -> None:
    nameless = [mail(message_id="", sent_at=NOW, subject="Hi", text=f"Number {number}") for number in range(1000)]
    real = mail()
    forged = [
        replace(real, sender=Address(f"x{number}@evil.example"), sent_at=NOW - timedelta(seconds=number))
        for number in range(99)
    ]
    with store.writing() as session:
        take(session, nameless)
        take(session, [real, *forged])
        assert interactions.repeated_ids(session, [real.message_id, "", "other"]) == {real.message_id}
    assert count(store, Interaction) == 1100


def test_numbers_are_never_used_again(store: Store, mail: Mail) -> None:
    with store.writing() as session:
        take(session, [mail() for _ in range(3)])
        session.execute(table(Sighting).delete())
        session.execute(table(Participant).delete())
        session.execute(table(Interaction).delete())
        assert take(session, [mail()]) == [4]


def test_text_the_database_cannot_hold_is_replaced(store: Store, mail: Mail) -> None:
    bad = "a\0b\ud800c"
    message = replace(
        mail(subject=bad, text=bad, attachments=(Attachment(name=bad, content_type=bad),)),
        sender=Address(bad + "@x.example", bad),
    )
    trace = {"rules": [{"rule": "r", "result": "fired", "seen": bad}]}
    with store.writing() as session:
        (number,) = interactions.record(session, [new(message, trace=trace)])
        customers.add(session, bad, Actor(name="admin", now=NOW), {"free": bad})
    with store.session() as session:
        (entry,) = history.find(session, str(number))
        kept = history.trace_of(session, number)
    assert entry.subject == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert kept is not None
    assert "\0" not in repr(kept)


def test_the_log_shows_customers_contacts_rule_and_copies(store: Store, mail: Mail) -> None:
    message = mail(cc=(Address("stranger@else.example"),))
    with store.writing() as session:
        acme = customers.add(session, "Acme", ADMIN)
        other = customers.add(session, "Beta", ADMIN)
        person = customers.add_contact(session, acme, ADMIN, {"name": "Ana"})
        customers.add_address(session, person, "Ana@Acme.example", ADMIN)
        trace = {"outcome": "log", "rules": [{"rule": "vip", "result": "fired", "checks": []}]}
        links, people = [(acme, "address"), (other, "thread")], {"ana@acme.example": person}
        row = new(message, customers=links, contacts=people, logged_by="vip", trace=trace)
        (number,) = interactions.record(session, [row])
        interactions.record(session, [new(mail(), customers=[(other, "domain")])])
    with store.session() as session:
        (entry,) = history.timeline(session, acme)
        assert entry.as_dict() == {
            "id": number,
            "kind": "human",
            "direction": "in",
            "at": message.received_at.isoformat(),
            "message_id": message.message_id,
            "subject": message.subject,
            "customers": ["Acme", "Beta"],
            "contacts": ["ana@acme.example"],
            "rule": "vip",
            "sightings": [{"account": "rep1", "folder": "INBOX"}],
        }
        assert [one.id for one in history.log(session, customer=other)] == [number + 1, number]
        assert history.log(session, customer=other, rule="vip") == history.log(session, rule="vip") == [entry]
        assert history.log(session, since=message.received_at + timedelta(seconds=1))[-1].id == number + 1
        assert len(history.log(session, limit=1)) == 1
        assert history.find(session, f"<{message.message_id}>") == history.find(session, str(number)) == [entry]
        assert interactions.by_message_ids(session, [message.message_id, "x"]) == {
            message.message_id: interactions.ThreadRow((acme, other), "proposta 1")
        }
        kept = history.trace_of(session, number)
    assert kept is not None
    assert kept["data"]["rules"] == [{"rule": "vip", "result": "fired"}]


def test_traces_that_say_nothing_are_not_kept() -> None:
    silent = {
        "outcome": "log",
        "who": [{"rung": "address", "seen": "a"}],
        "rules": [{"rule": "r", "result": "not_for"}],
    }
    assert interactions.compact_trace(silent) is None
    told = silent | {"rules": [{"rule": "r", "result": "failed", "done": []}, {"rule": "q", "result": "off"}]}
    kept = interactions.compact_trace(told)
    assert kept is not None
    assert kept["rules"] == [{"rule": "r", "result": "failed"}]


def test_last_contact_moves_forward_only(store: Store) -> None:
    with store.writing() as session:
        acme = customers.add(session, "Acme", ADMIN)
        person = customers.add_contact(session, acme, ADMIN)
        customers.add_address(session, person, "a@acme.example", ADMIN)
        for hours, direction in ((5, "in"), (1, "in"), (3, "out")):
            at = NOW + timedelta(hours=hours)
            touch = Touch(at=at, direction=direction, customer_ids=[acme], contact_ids=[person])
            interactions.touch(session, [touch])
    with store.session() as session:
        customer = customers.get(session, acme)
        (contact,) = customers.lookup_addresses(session, ["a@acme.example"])["a@acme.example"]
    times = (NOW + timedelta(hours=5), NOW + timedelta(hours=3))
    assert (customer.last_in_at, customer.last_out_at) == (contact.last_in_at, contact.last_out_at) == times


def test_traces_go_after_ninety_days(store: Store, mail: Mail) -> None:
    trace = {"rules": [{"rule": "r", "result": "fired"}]}
    with store.writing() as session:
        old = NOW - timedelta(days=91)
        first, second = interactions.record(
            session, [new(mail(), trace=trace, created_at=old), new(mail(), trace=trace)]
        )
        assert retention.purge(session, NOW) == retention.Purged(quarantine=0, traces=1)
        assert history.trace_of(session, first) is None
        assert history.trace_of(session, second) is not None
