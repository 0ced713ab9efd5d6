"""Thousands of contacts that look alike, edited while mail to them leaves: `python -m campaigns.look_alikes`.

Same first names, same companies, addresses that differ by a letter, a tag or nothing at all. Each contact has a token
in a free field that the template prints beside the name. While sends are planned and go out, other threads rename,
merge customers, move, share and take away addresses. A trigger in the database notes, in the very transaction that
claims a mail, whose token and name it has to carry and whether the address is the contact's: what arrived is compared
with that.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as modern
from pathlib import Path
from random import Random

from campaigns.house import REPS, House, Maildirs, scratch
from servers.smtp_sink import Envelope, SmtpSink
from sqlalchemy import delete, select, text, update
from sqlmodel import Session

from daemon.app import App, opened
from store import customers, merging, outbox
from store.customers import Actor
from store.errors import StoreError
from store.statements import insert_new, table
from store.tables import AddressRow, Contact, OutboxMail, OutboxState, Way

EDITORS = 4
EDITS_A_MAIL = 1
A_COMPANY = 25
"""Contacts in one company."""
SOME = 50
"""Contacts planned at once."""
DAYS = 6
"""Contacts that share an address get one mail a day: after so many days all of them had theirs."""
TEMPLATE = """\
---
name: codigo
subject: "Seu código {{ contact.fields.codigo }}"
---
{{ greeting }} {{ contact.first_name | or("") }}, o seu código é {{ contact.fields.codigo }}.

Nome: [{{ contact.name }}]
"""
FIRST = ("Maria", "María", "Mariá", "Mario", "Mária", "Marina", "João", "Joao", "Joana")
LAST = ("Silva", "Sílva", "Silvas", "da Silva", "Souza", "Sousa")
_TOKEN = re.compile(r"\b[0-9a-f]{12}\b")
_NAME = re.compile(r"Nome: \[([^]]*)\]")
_CONTACT, _ADDRESS = table(Contact), table(AddressRow)
_WITNESS = (
    "CREATE TABLE witness (outbox_id INTEGER, recipient TEXT, token TEXT, name TEXT, theirs INTEGER)",
    """
    CREATE TRIGGER witness_claims AFTER UPDATE OF state ON outbox WHEN NEW.state = 'claimed'
    BEGIN INSERT INTO witness
        SELECT NEW.id, NEW.recipient, contact.fields, contact.name,
               EXISTS (SELECT 1 FROM address WHERE contact_id = NEW.contact_id AND "key" = lower(NEW.recipient))
        FROM contact WHERE contact.id = NEW.contact_id;
    END
    """,
)
_WAITING = text("""
    SELECT 1 FROM outbox
    WHERE state IN ('claimed', 'sending') OR (state = 'planned' AND (retry_at IS NULL OR retry_at <= :soon)) LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Person:
    """A contact as made."""

    place: int
    id: int
    customer: int
    address: str
    token: str


@dataclass
class Score:
    """What was done and found."""

    contacts: int = 0
    edits: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    arrived: int = 0
    moved: int = 0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people; the last line is the verdict."""
        lines = [f"edits: {dict(self.edits)}", f"outbox: {dict(self.states)}", *self.faults[:40]]
        lines.append(
            f"look_alikes: {self.contacts} contacts, {sum(self.edits.values())} edits meanwhile, {self.arrived} mails: "
            f"{len(self.faults)} with another's token or name, to another's address, or twice; {self.moved} kept back; "
            + ("clean" if not self.faults else f"{len(self.faults)} FAULTS")
        )
        return "\n".join(lines)


def address_of(rng: Random, number: int, earlier: list[str]) -> str:
    """An address like those before it: a letter, a tag or the case apart, now and then the very same."""
    host = f"empresa{number // A_COMPANY}.example"
    local = rng.choice(("maria", "maria.silva", "mariasilva", "m.silva", "joao", "joana"))
    kind = rng.random()
    if kind < 0.05 and earlier:
        return earlier[-1].upper() if rng.random() < 0.3 else earlier[-1]
    if kind < 0.3:
        return f"{local}+{number % 7}@{host}"
    if kind < 0.6:
        return f"{local}{rng.choice('aeilo01')}{number % A_COMPANY}@{host}"
    return f"{local.title() if kind < 0.7 else local}.{number}@{host}"


class Crowd:
    """One office with all of them."""

    def __init__(self, folder: Path, sink: SmtpSink, count: int, seed: int) -> None:
        self.seed = seed
        self.sink = sink
        self.count = count
        boxes = Maildirs(folder / "mail")
        self.house = House(folder / "office", boxes, sink, "rules: []\n", {"codigo": TEMPLATE}, [])
        self.house.write()
        self.score = Score(contacts=count)
        self.people: list[Person] = []
        self.over = threading.Event()
        self.planned = threading.Event()

    def run(self) -> Score:
        """Plan, edit and send at the same time; then look what arrived."""
        with opened(self.house.directory, self.house.clock) as app:
            self._make(app)
            app.sends.begin()
            threads = [threading.Thread(target=self._edit, args=(app, n), name=f"edit{n}") for n in range(EDITORS)]
            threads += [threading.Thread(target=self._send, args=(app, rep), name=f"send-{rep}") for rep in REPS]
            for thread in threads:
                thread.start()
            try:
                self._plan(app)
                self._let_days_pass(app)
            finally:
                self.over.set()
                for thread in threads:
                    thread.join()
            self._look(app)
        return self.score

    def _make(self, app: App) -> None:
        rng, earlier = Random(self.seed), list[str]()
        with app.store.writing() as session:
            for statement in _WITNESS:
                session.execute(text(statement))
        by = Actor(name="test", now=app.clock.now())
        customer = 0
        for start in range(0, self.count, A_COMPANY):
            with app.store.writing() as session:
                customer = customers.add(session, f"Empresa {start // A_COMPANY % 40}", by)
                for number in range(start, min(start + A_COMPANY, self.count)):
                    token = f"{rng.randrange(16**12):012x}"
                    name = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
                    contact = customers.add_contact(session, customer, by, {"name": name, "codigo": token})
                    earlier.append(address_of(rng, number, earlier))
                    customers.add_address(session, contact, earlier[-1], by)
                    self.people.append(Person(number, contact, customer, earlier[-1], token))

    # --- what goes on at the same time -------------------------------------------------------------------------------

    def _plan(self, app: App) -> None:
        """Plan a mail to each, as a rule would: to the contact the address belongs to at that moment."""
        at = app.clock.now()
        for start in range(0, self.count, SOME):
            with app.store.writing() as session:
                for person in self.people[start : start + SOME]:
                    whose = select(_CONTACT.c.customer_id).where(_CONTACT.c.id == person.id)
                    customer = session.execute(whose).scalar()
                    outbox.plan(session, OutboxMail(
                        event=f"e{person.id}", event_at=at - timedelta(days=3), rule="c", slot="send", way=Way.SEND,
                        account=REPS[0], rep=REPS[person.id % len(REPS)], customer_id=customer, contact_id=person.id,
                        recipient=person.address, template="codigo", due_at=at, created_at=at,
                    ))  # fmt: skip
            self.over.wait(0.001)
        self.planned.set()

    def _send(self, app: App, rep: str) -> None:
        """One sender's thread; as in the daemon its pace is set by nothing but its server."""
        while not self.over.wait(0.002):
            if not app.sends.send_due(rep):
                self.over.wait(0.05)

    def _let_days_pass(self, app: App) -> None:
        """Until nothing is due any more; then the next day, for those who share an address."""
        for _ in range(DAYS):
            while self._waits_for_little(app):
                self.over.wait(0.05)
                self.house.clock.move(timedelta(milliseconds=50))
            self.house.clock.move(timedelta(days=1))
            for poller in app.pollers.values():
                poller.poll()
            app.sends.sweep()

    def _waits_for_little(self, app: App) -> bool:
        """Whether some mail is due, or will be in a minute."""
        soon = (app.clock.now() + timedelta(minutes=1)).isoformat(" ", "microseconds")[:26]
        with app.store.session() as session:
            return session.execute(_WAITING, {"soon": soon}).first() is not None

    def _edit(self, app: App, number: int) -> None:
        rng = Random(self.seed * 100 + number)
        kinds = (*[self._rename] * 9, *[self._swap] * 4, *[self._move] * 2, self._share, self._take_away, self._merge)
        while not self.over.wait(rng.random() * 0.02):
            if self.score.edits.total() > EDITS_A_MAIL * len(self.sink.mails) + self.count // 2:
                continue  # else on a slow machine few contacts would be left as they were
            act = rng.choice(kinds)
            try:
                with app.store.writing() as session:
                    act(session, rng)
            except StoreError:
                continue  # these two were merged before
            self.score.edits[act.__name__.strip("_")] += 1

    def _one(self, rng: Random) -> Person:
        return rng.choice(self.people)

    def _near(self, rng: Random, person: Person) -> Person:
        """Mostly somebody of the same company."""
        index = person.place if rng.random() < 0.7 else rng.randrange(self.count)
        return self.people[max(0, min(self.count - 1, index + rng.randrange(-3, 4)))]

    def _rename(self, session: Session, rng: Random) -> None:
        name = f"{rng.choice(FIRST)} {rng.choice(LAST)} {rng.randrange(10**6)}"
        customers.edit_contact(session, self._one(rng).id, {"name": name}, self._by())

    def _swap(self, session: Session, rng: Random) -> None:
        """Two contacts had each other's address."""
        one = self._one(rng)
        other = self._near(rng, one)
        mine, theirs = (
            list(session.execute(select(_ADDRESS.c.id).where(_ADDRESS.c.contact_id == who.id)).scalars())
            for who in (one, other)
        )
        if one.id == other.id or self._share_one(session, one, other):
            return
        session.execute(update(_ADDRESS).where(_ADDRESS.c.id.in_(mine)).values(contact_id=other.id))
        session.execute(update(_ADDRESS).where(_ADDRESS.c.id.in_(theirs)).values(contact_id=one.id))

    def _move(self, session: Session, rng: Random) -> None:
        one = self._one(rng)
        other = self._near(rng, one)
        if one.id != other.id and not self._share_one(session, one, other):
            session.execute(update(_ADDRESS).where(_ADDRESS.c.contact_id == one.id).values(contact_id=other.id))

    def _share_one(self, session: Session, one: Person, other: Person) -> bool:
        keys = select(_ADDRESS.c.key).where(_ADDRESS.c.contact_id == one.id)
        both = select(_ADDRESS.c.id).where(_ADDRESS.c.contact_id == other.id, _ADDRESS.c.key.in_(keys))
        return session.execute(both).first() is not None

    def _share(self, session: Session, rng: Random) -> None:
        """One more contact at the same address."""
        one = self._one(rng)
        row = {"contact_id": self._near(rng, one).id, "email": one.address, "key": one.address.lower(), "alias": True}
        insert_new(session, _ADDRESS, [row], key=("contact_id", "key"))

    def _take_away(self, session: Session, rng: Random) -> None:
        session.execute(delete(_ADDRESS).where(_ADDRESS.c.contact_id == self._one(rng).id))

    def _merge(self, session: Session, rng: Random) -> None:
        if rng.random() < 0.1:  # or soon only one company is left
            merging.merge(session, self._one(rng).customer, self._one(rng).customer, self._by())

    def _by(self) -> Actor:
        return Actor(name="test", now=self.house.clock.now())

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _look(self, app: App) -> None:
        with app.store.session() as session:
            rows = outbox.in_states(session, list(OutboxState))
            seen = {number: rest for number, *rest in session.execute(text("SELECT * FROM witness"))}
        self.score.states.update(row.state + (f" ({row.obstacle})" if row.obstacle else "") for row in rows)
        self.score.moved = sum(row.obstacle == "not_theirs" for row in rows)
        self.score.arrived = len(self.sink.mails)
        numbers = {row.message_id: row.id for row in rows if row.message_id}
        arrived = Counter[int | None]()
        for envelope in self.sink.mails:
            mail = message_from_bytes(envelope.data, policy=modern)
            assert isinstance(mail, EmailMessage)
            number = numbers.get(str(mail["Message-ID"]).strip("<>"))
            arrived[number] += 1
            if fault := _fault(envelope, mail, seen.get(number)):
                self.score.faults.append(f"mail {number} to {envelope.recipients[0]}: {fault}")
        sent = {row.id for row in rows if row.state == OutboxState.SENT}
        self.score.faults += [f"mail {one}: {times} copies" for one, times in arrived.items() if times != 1]
        self.score.faults += [f"mail {one} is said to be sent and is not" for one in sent - arrived.keys()]
        self.score.faults += [f"mail {one} arrived and is not said to" for one in arrived.keys() - sent]
        stuck = Counter(row.state for row in rows if row.state in ("planned", "claimed", "sending", "uncertain"))
        self.score.faults += [f"{count} mails are still {state}" for state, count in stuck.items()]


def _fault(envelope: Envelope, mail: EmailMessage, witness: list[object] | None) -> str:
    """What is wrong with a mail that arrived, by what the database held when it was claimed."""
    if witness is None:
        return "nobody claimed it"
    recipient, fields, name, theirs = witness
    token = json.loads(str(fields))["codigo"]
    texts = [part.get_content() for part in mail.walk() if part.get_content_maintype() == "text"]
    words = [str(mail["Subject"]), *texts]
    (to,) = mail["To"].addresses
    checks = {
        "another recipient": {recipient} == {*envelope.recipients, to.addr_spec},
        "not the contact's address": bool(theirs),
        "another's token": set(_TOKEN.findall(" ".join(words))) == {token},
        "another's name": [name] == [found for one in words for found in _NAME.findall(one)][:1],
        "another's name in To": to.display_name == name,
    }
    return ", ".join(what for what, holds in checks.items() if not holds)


def race(folder: Path, count: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Score:
    """So many contacts, planned, edited and written to at the same time."""
    began = time.monotonic()
    with SmtpSink() as sink:
        score = Crowd(folder, sink, count, seed).run()
    say(f"{time.monotonic() - began:.0f} s")
    return score


def main(arguments: list[str] | None = None) -> int:
    """Print what arrived; 1 if anything was another's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with scratch("look-alikes") as folder:
        score = race(folder, options.contacts, options.seed, lambda text: print(text, file=sys.stderr))
    print(score.text())
    return bool(score.faults)


if __name__ == "__main__":
    sys.exit(main())
