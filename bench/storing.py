"""What the store costs: CPU for each mail (identity, look-up, recording), and reads at size.

    .venv/bin/python bench/storing.py [--url postgresql://...] [--mails 20000] [--customers 1000]

Prints JSON. CPU of this process only: PostgreSQL's own server is not counted.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from connectors.model import Address, Attachment, Message
from store import accounts, customers, history, interactions, schema, sightings, unmatched
from store.engine import Store, open_store
from store.hashing import HashKey
from store.identity import identity
from store.interactions import NewInteraction, Touch
from store.statements import table
from store.tables import AddressRow, Contact, Customer, CustomerDomain

START = datetime(2026, 1, 1, 9, tzinfo=UTC)
BATCH = 500
TEXT = "Bom dia, podemos falar sobre a proposta na quinta-feira? Обрадовались бы скидке. " * 12


class Clocked:
    """Adds up CPU and wall time under a name."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu[name] = self.cpu.get(name, 0) + time.process_time() - cpu
        self.wall[name] = self.wall.get(name, 0) + time.perf_counter() - wall


def fill(store: Store, count: int) -> None:
    """Customers with a contact, an address and a domain each."""
    now = START
    with store.writing() as session:
        for start in range(1, count + 1, 10_000):
            ids = range(start, min(start + 10_000, count + 1))
            session.execute(
                insert(table(Customer)),
                [
                    {"id": n, "name": f"Customer {n}", "name_key": f"customer {n}", "fields": {}, "created_at": now}
                    | dict.fromkeys(customers.CUSTOMER_FIELDS[1:], "")
                    for n in ids
                ],
            )
            empty = dict.fromkeys(("title", "phone", "language", "country", "zone", "bounce_reason"), "")
            session.execute(
                insert(table(Contact)),
                [{"id": n, "customer_id": n, "name": f"P {n}", "fields": {}, "created_at": now} | empty for n in ids],
            )
            session.execute(
                insert(table(AddressRow)),
                [{"contact_id": n, "email": address(n), "key": address(n), "alias": False} for n in ids],
            )
            session.execute(insert(table(CustomerDomain)), [{"customer_id": n, "domain": f"c{n}.example"} for n in ids])


def address(number: int) -> str:
    return f"person@c{number}.example"


def mails(count: int, people: int, seed: int = 1) -> list[Message]:
    """Mails with 2.5 people on average; every reply names the mail before it."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        who = chance.randint(1, people)
        at = START + timedelta(minutes=number)
        cc = (Address(address(chance.randint(1, people)), "Somebody Else"),) if chance.random() < 0.5 else ()
        made.append(
            Message(
                account="rep1",
                folder="INBOX",
                ref=f"1:{number}",
                message_id=f"m{number}.{seed}@c{who}.example",
                references=(f"m{number - 1}.{seed}@c{who}.example",),
                sent_at=at,
                received_at=at,
                sender=Address(address(who), f"Person {who}"),
                to=(Address("rep1@vendas.example", "Rep One"),),
                cc=cc,
                subject=f"Re: Proposta nº {number}",
                text=TEXT[: chance.randint(100, len(TEXT))],
                attachments=(Attachment(name="a.pdf", content_type="application/pdf", size=1000),),
                size=9000,
            )
        )
    return made


TRACE = {
    "outcome": "log",
    "who": [{"rung": "address", "seen": "person@c1.example", "customers": [1], "used": True, "why": ""}] * 2,
    "rules": [
        {"rule": "follow-up", "result": "fired", "checks": [{"condition": "is", "held": True, "wanted": "human"}]}
    ],
}


def read_in(store: Store, found: list[Message], clock: Clocked) -> None:
    """What the pipeline asks of the store for each batch."""
    for start in range(0, len(found), BATCH):
        batch = found[start : start + BATCH]
        with clock.measure("identity"):
            identities = [identity(message) for message in batch]
        with store.writing() as session:
            with clock.measure("look-up"):
                keys = {person.key for message in batch for person in message.people()}
                contacts = customers.lookup_addresses(session, keys)
                customers.lookup_domains(session, {key.rpartition("@")[2] for key in keys})
                customers.facts(session, {one.customer_id for many in contacts.values() for one in many})
                interactions.by_message_ids(session, {one for message in batch for one in message.references})
            with clock.measure("find_known"):
                known = interactions.find_known(session, identities)
            rows = [
                NewInteraction(
                    message=message,
                    identity=who,
                    kind="human",
                    direction="in",
                    customers=[
                        (one.customer_id, "address") for p in message.people() for one in contacts.get(p.key, ())
                    ],
                    contacts={p.key: one.id for p in message.people() for one in contacts.get(p.key, ())},
                    trace=TRACE if index % 5 == 0 else None,
                    created_at=START,
                )
                for index, (message, who) in enumerate(zip(batch, identities, strict=True))
                if who.key not in known
            ]
            with clock.measure("record"):
                interactions.record(session, rows)
            with clock.measure("sightings of known"):
                pairs = zip(batch, identities, strict=True)
                copies = [sightings.sighted(known[i.key], m) for m, i in pairs if i.key in known]
                sightings.add_sightings(session, copies)
            with clock.measure("touch"):
                interactions.touch(
                    session,
                    [
                        Touch(at=row.message.received_at, direction="in", customer_ids=[c for c, _ in row.customers])
                        for row in rows
                    ],
                )
            with clock.measure("commit"):
                session.commit()


def strangers(store: Store, key: HashKey, count: int, clock: Clocked) -> None:
    found = mails(count, 1000, seed=3)
    for start in range(0, count, BATCH):
        batch = found[start : start + BATCH]
        with clock.measure("remember unmatched"), store.writing() as session:
            unmatched.remember(
                session,
                [
                    unmatched.NewUnmatched(
                        identity=key.identity(identity(m).key), account=m.account, folder=m.folder, ref=m.ref,
                        at=m.received_at, kind="human", direction="in",
                        hashes=[key.address(m.sender.email), key.domain(m.sender.domain)] if m.sender else [],
                    )
                    for m in batch
                ],
            )  # fmt: skip


def timed(call: Callable[[], Any], repeat: int = 20) -> float:
    """Median milliseconds."""
    taken = []
    for _ in range(repeat):
        begun = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begun) * 1000)
    return round(sorted(taken)[repeat // 2], 2)


def reads(store: Store, people: int) -> dict[str, float]:
    with store.session() as session:
        return {
            "timeline ms": timed(lambda: history.timeline(session, 1 + people // 2)),
            "log ms": timed(lambda: history.log(session)),
            "search ms": timed(lambda: customers.search(session, f"customer {people // 2}")),
            "search inside ms": timed(lambda: customers.search(session, f"mer {people // 2}")),
            "status ms": timed(lambda: accounts.everything(session)),
        }


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--url", default="sqlite:///state/crm.db")
    asked.add_argument("--mails", type=int, default=20_000)
    asked.add_argument("--customers", type=int, default=1000)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        schema.upgrade(options.url, base, backup_to=base / "backups")
        store = open_store(options.url, base=base)
        fill(store, options.customers)
        found = mails(options.mails, options.customers)
        first, again, other = Clocked(), Clocked(), Clocked()
        read_in(store, found, first)
        read_in(store, found, again)
        strangers(store, HashKey.create(base / "state" / "hash.key"), 5000, other)
        per_mail = {name: round(spent / options.mails * 1e6, 1) for name, spent in first.cpu.items()}
        print(
            json.dumps(
                {
                    "mails": options.mails,
                    "customers": options.customers,
                    "first reading, CPU us a mail": per_mail | {"sum": round(sum(per_mail.values()), 1)},
                    "first reading, wall us a mail": round(sum(first.wall.values()) / options.mails * 1e6, 1),
                    "known mail, CPU us a mail": round(sum(again.cpu.values()) / options.mails * 1e6, 1),
                    "unmatched, CPU us a mail": round(sum(other.cpu.values()) / 5000 * 1e6, 1),
                    "file, bytes a mail": (base / "state" / "crm.db").stat().st_size // options.mails
                    if store.dialect == "sqlite"
                    else None,
                    **reads(store, options.customers),
                },
                indent=1,
            )
        )
        store.close()


if __name__ == "__main__":
    main()
