"""A customer's answer races a follow-up that is due: `python -m campaigns.replies --rounds 1000`.

A rep's mail in Sent makes a rule plan a follow-up. Up to 120 s before it is due something arrives: an answer, in any
folder of any mailbox, of any person of the customer; or something harmless. Mailboxes are polled every 60 s at random
phases, senders tick every 2 s. No mail may leave once an answer lay on the server for 60 s; every harmless round's
mail leaves exactly once, at its time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from random import Random

from campaigns.house import Dovecots, House, Mailboxes, Maildirs, World, scratch
from servers.dovecot import DovecotServer
from servers.smtp_sink import SmtpSink

from rules.clock import instant
from store import customers, outbox, sending
from store.customers import Actor
from store.tables import OutboxMail, OutboxState, Way

REP, COLLEAGUE = "ana", "bruno"
DUE_AFTER = timedelta(minutes=20)
FRESH = timedelta(seconds=60)
PROMPT = timedelta(seconds=150)
"""A harmless round's mail leaves within this time: a mailbox that answers slowly is asked again."""
AT_ONCE = 250
"""Rounds in one office."""

RULES = """\
rules:
  - name: depois
    when: mail sent
    if: {known: yes, subject: proposta}
    then:
      send: {template: lembrete, reply: yes, in: 20 minutes, unless: replied}
"""
TEMPLATE = """\
---
name: lembrete
subject: "Re: {{ mail.subject }}"
---
{{ greeting }} {{ contact.first_name | or("") }}, conseguiu ver a proposta?
"""

PLACES = {
    "inbox": (REP, "INBOX"),
    "junk": (REP, "Junk"),
    "another folder": (REP, "Clientes"),
    "a colleague's inbox": (COLLEAGUE, "INBOX"),
    "a colleague's junk": (COLLEAGUE, "Junk"),
}
PEOPLE = {
    "the contact": "maria@{host}",
    "another contact": "joana@{host}",
    "another address": "maria{n}@freemail.example",
    "somebody at their domain": "financeiro@{host}",
    "an unknown address, in the thread": "m.{n}@elsewhere.example",
    "a public address, in the thread": "casa{n}@freemail.example",
}
HARMLESS = ("our own copy", "an absence", "a bulk mail", "another customer", "a receipt")


@dataclass
class Round:
    """One follow-up. `lead`: seconds before it is due at which the event happens."""

    number: int
    due: datetime
    lead: float
    place: str = ""
    who: str = ""
    harmless: str = ""
    in_thread: bool = False
    back: datetime | None = None
    left: list[datetime] = field(default_factory=list)
    state: str = ""
    obstacle: str = ""

    @property
    def host(self) -> str:
        """The customer's domain."""
        return f"empresa{self.number}.example"

    @property
    def recipient(self) -> str:
        """The contact's address."""
        return f"maria@{self.host}"

    @property
    def at(self) -> datetime:
        """When the event happens."""
        return self.due - timedelta(seconds=self.lead)

    @property
    def event_id(self) -> str:
        """The Message-ID of the mail that is followed up."""
        return f"<proposta{self.number}@vendas.example>"

    @property
    def times(self) -> list[datetime]:
        """When the mail may leave: when due, and not while they are away."""
        if self.back is None:
            return [self.due]
        return [self.back] if self.lead >= FRESH.total_seconds() else [self.due, self.back]

    def fault(self) -> str:
        """What is wrong, "" if nothing is."""
        if len(self.left) > 1:
            return f"{len(self.left)} copies left"
        if not self.harmless:
            if self.left and self.left[0] - self.at >= FRESH:
                return f"left {(self.left[0] - self.at).total_seconds():.1f} s after an answer"
            stopped = self.left or self.state == OutboxState.CANCELLED
            return "" if stopped else f"neither left nor cancelled: {self.state}, {self.obstacle}"
        if not self.left:
            return f"did not leave: {self.state}, {self.obstacle}"
        if not any(timedelta(seconds=-1) <= self.left[0] - one <= PROMPT for one in self.times):
            return f"left {(self.left[0] - self.times[-1]).total_seconds():.0f} s late"
        return ""


@dataclass
class Score:
    """All rounds and what they came to."""

    rounds: list[Round] = field(default_factory=list)
    servers: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> list[str]:
        """What is wrong, a line each."""
        named = ((one, one.fault()) for one in self.rounds)
        return [
            f"round {one.number} ({one.harmless or f'{one.place}, {one.who}'}): {text}" for one, text in named if text
        ]

    def text(self) -> str:
        """For people; the last line is the verdict."""
        answers = [one for one in self.rounds if not one.harmless]
        early = [one for one in answers if one.lead >= FRESH.total_seconds()]
        harmless = [one for one in self.rounds if one.harmless]
        late = sorted(min(abs((one.left[0] - at).total_seconds()) for at in one.times) for one in harmless if one.left)
        crossed = [one for one in answers if one.left]
        lines = [f"answers in {place}: {_count([one for one in answers if one.place == place])}" for place in PLACES]
        lines += [f"answers of {who}: {_count([one for one in answers if one.who == who])}" for who in PEOPLE]
        lines += [f"answers in the thread: {_count([one for one in answers if one.in_thread])}"]
        lines += [f"harmless, {what}: {_count([one for one in harmless if one.harmless == what])}" for what in HARMLESS]
        lines += self.faults[:40]
        middle = f"median {late[len(late) // 2]:.0f} s, worst {late[-1]:.0f} s after its time" if late else "none"
        where = ", ".join(f"{count} on {name}" for name, count in self.servers.items())
        lines.append(
            f"replies: {len(self.rounds)} rounds ({where}); {len(early)} answers at least 60 s before: "
            f"{sum(bool(one.left) for one in early)} sent; {len(answers) - len(early)} later: {len(crossed)} crossed; "
            f"{len(harmless)} harmless: {sum(len(one.left) == 1 for one in harmless)} sent once, {middle}; "
            + ("clean" if not self.faults else f"{len(self.faults)} FAULTS")
        )
        return "\n".join(lines)


def _count(rounds: list[Round]) -> str:
    return f"{len(rounds)}, {sum(bool(one.left) for one in rounds)} sent"


def draw(rng: Random, first: int, count: int, start: datetime) -> list[Round]:
    """Rounds at random, seven of ten with an answer; due one after the other, close together and far apart."""
    rounds = []
    due = start + DUE_AFTER + timedelta(minutes=10)
    for number in range(first, first + count):
        due += timedelta(seconds=int(rng.expovariate(1 / rng.choice((4, 20, 60)))))
        one = Round(number, due, round(rng.uniform(0, 120), 1), in_thread=rng.random() < 0.5)
        if rng.random() < 0.3:
            one.harmless = rng.choice(HARMLESS)
        else:
            one.place, one.who = rng.choice(tuple(PLACES)), rng.choice(tuple(PEOPLE))
            one.in_thread |= "thread" in one.who
        rounds.append(one)
    return rounds


class Race:
    """The rounds of one office."""

    def __init__(self, folder: Path, boxes: Mailboxes, sink: SmtpSink, rng: Random, first: int, count: int) -> None:
        self.rng = rng
        self.sink = sink
        self.count = count
        numbers = range(first, first + count)
        people = [("Maria Souza", "maria"), ("Joana Reis", "joana")]
        listed = [
            (name, f"{local}@empresa{n}.example", f"Empresa {n}", f"empresa{n}.example")
            for n in numbers
            for name, local in people
        ]
        listed.append(("Outro Cliente", "outro@outra.example", "Outra", "outra.example"))
        self.house = House(folder, boxes, sink, RULES, {"lembrete": TEMPLATE}, listed, rng=rng)
        self.house.write()
        self.rounds = draw(rng, first, count, self.house.clock.true())
        self._fill_history()

    def _fill_history(self) -> None:
        """Each customer was seen in both mailboxes, ten days ago."""
        at = self.house.clock.true() - timedelta(days=10)
        for one in self.rounds:
            for rep in (REP, COLLEAGUE):
                mail = self.house.letter(one.recipient, f"{rep}@vendas.example", "Pedido", "Bom dia.", at=at)
                self.house.boxes.place(rep, "INBOX", mail.as_bytes(), at)

    def run(self) -> list[Round]:
        """Let it all happen, and look what came of it."""
        with self.house.running() as world:
            self._add_addresses(world)
            for one in self.rounds:
                self._plan(world, one)
            world.run_until(self.rounds[-1].due + timedelta(minutes=10))
            for back in sorted({one.back for one in self.rounds if one.back}):
                world.sleep(back - timedelta(minutes=3) - world.clock.true())
                world.run_until(back + timedelta(minutes=10))
            self._look(world)
        return self.rounds

    def _add_addresses(self, world: World) -> None:
        by = Actor(name="test", now=world.clock.now())
        with world.app.store.writing() as session:
            for one in self.rounds:
                (person,) = customers.lookup_addresses(session, [one.recipient])[one.recipient]
                customers.add_address(session, person.id, PEOPLE["another address"].format(n=one.number), by)

    def _plan(self, world: World, one: Round) -> None:
        """The event, and what comes before its follow-up is due."""
        sent_at = one.due - DUE_AFTER
        words = f"Segue a proposta {one.number} com os valores de que falamos."
        sent = self.house.letter(
            "Ana <ana@vendas.example>",
            one.recipient,
            f"Proposta {one.number}",
            words,
            at=sent_at,
            Message_ID=one.event_id,
        )
        world.place(sent_at, REP, sent, "Sent")
        if one.harmless:
            _EVENTS[one.harmless](self, world, one)
            return
        rep, folder = PLACES[one.place]
        sender = PEOPLE[one.who].format(host=one.host, n=one.number)
        world.place(one.at, rep, self._answer(one, sender, rep), folder)

    def _answer(self, one: Round, sender: str, rep: str) -> EmailMessage:
        subject = f"Re: Proposta {one.number}" if one.in_thread else self.rng.choice(("Pergunta", "Aceito", "Oi"))
        words = self.rng.choice(("Aceito a proposta, pode faturar.", "Quanto custa o frete?", "Ok", "Falamos amanhã!"))
        answers = one.event_id if one.in_thread else ""
        return self.house.letter(sender, f"{rep}@vendas.example", subject, words, answers=answers, at=one.at)

    # --- what stops nothing --------------------------------------------------------------------------------------

    def _own_copy(self, world: World, one: Round) -> None:
        """Yesterday quietcrm sent them something; only now its copy turns up in Sent."""
        yesterday = one.due - timedelta(days=2)
        message_id = f"ontem{one.number}@vendas.example"
        with world.app.store.writing() as session:
            (person,) = customers.lookup_addresses(session, [one.recipient])[one.recipient]
            outbox.plan(session, OutboxMail(
                event=f"ontem {one.number}", event_at=yesterday, rule="ontem", slot="send", rep=REP, account=REP,
                customer_id=person.customer_id, contact_id=person.id, recipient=one.recipient, template="lembrete",
                way=Way.SEND, state=OutboxState.SENT, message_id=message_id, claimed_at=yesterday,
                settled_at=yesterday, due_at=yesterday, created_at=yesterday,
            ))  # fmt: skip
        copy = self.house.letter(
            "Ana <ana@vendas.example>", one.recipient, "Sobre a proposta", "Conseguiu ver?", at=yesterday,
            Message_ID=f"<{message_id}>", Auto_Submitted="auto-generated", X_Quietcrm="send",
        )  # fmt: skip
        world.place(one.at, self.rng.choice((REP, COLLEAGUE)), copy, "Sent")

    def _absence(self, world: World, one: Round) -> None:
        zone = world.app.office.settings.zone
        day = one.due.astimezone(zone).date() + timedelta(days=self.rng.randrange(1, 4))
        one.back = instant(day, 0, zone)
        text = f"Estou fora do escritório, sem acesso ao e-mail. Estarei de volta em {day:%d/%m/%Y}."
        note = self.house.letter(
            one.recipient, "ana@vendas.example", "Resposta automática: fora do escritório", text, at=one.at,
            answers=one.event_id if one.in_thread else "", Auto_Submitted="auto-replied",
        )  # fmt: skip
        world.place(one.at, REP, note)

    def _bulk(self, world: World, one: Round) -> None:
        mail = self.house.letter(
            f"newsletter@{one.host}", "ana@vendas.example", "Novidades de novembro", "Confira as ofertas.", at=one.at,
            List_Unsubscribe=f"<https://{one.host}/u>", List_Id=f"<news.{one.host}>", Precedence="bulk",
        )  # fmt: skip
        world.place(one.at, REP, mail)

    def _another(self, world: World, one: Round) -> None:
        mail = self.house.letter(
            "outro@outra.example", "ana@vendas.example", f"Re: Proposta {one.number}", "Aceito!", at=one.at
        )
        world.place(one.at, self.rng.choice((REP, COLLEAGUE)), mail)

    def _receipt(self, world: World, one: Round) -> None:
        mail = self.house.letter(
            one.recipient, "ana@vendas.example", f"Re: Proposta {one.number}", "Recebemos a sua mensagem. Protocolo 4.",
            at=one.at, answers=one.event_id, Auto_Submitted="auto-replied",
        )  # fmt: skip
        world.place(one.at, REP, mail)

    # --- what came of it -----------------------------------------------------------------------------------------

    def _look(self, world: World) -> None:
        """The sink says how many left, the attempts when."""
        arrived = Counter(one.recipients[0].lower() for one in self.sink.mails)
        with world.app.store.session() as session:
            every = outbox.in_states(session, list(OutboxState))
            rows = {row.recipient: row for row in every if row.rule == "depois"}
            for one in self.rounds:
                row = rows.get(one.recipient)
                if row is None:
                    one.state = "never planned"
                    continue
                assert row.id is not None
                assert row.due_at == one.due, (row.due_at, one.due)
                one.state, one.obstacle = row.state, row.obstacle
                moments = [attempt.at for attempt in sending.attempts(session, row.id)]
                one.left = moments[:1] * arrived[one.recipient]


_EVENTS: dict[str, Callable[[Race, World, Round], None]] = {
    "our own copy": Race._own_copy,
    "an absence": Race._absence,
    "a bulk mail": Race._bulk,
    "another customer": Race._another,
    "a receipt": Race._receipt,
}


@contextmanager
def boxes(folder: Path, *, imap: bool) -> Iterator[Mailboxes]:
    """Mailboxes as files, or on a Dovecot of their own."""
    if not imap:
        yield Maildirs(folder / "mail")
        return
    with DovecotServer() as server:
        yield Dovecots(server)


def race(folder: Path, rounds: int, on_servers: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Score:
    """So many rounds on files, and so many more on a real Dovecot."""
    score, rng = Score(), Random(seed)
    first = 0
    for total, imap in ((rounds, False), (on_servers, True)):
        for start in range(0, total, AT_ONCE):
            here = folder / f"{'imap' if imap else 'files'}{start}"
            here.mkdir()
            with boxes(here, imap=imap) as place, SmtpSink() as sink:
                count = min(AT_ONCE, total - start)
                score.rounds += Race(here / "office", place, sink, rng, first, count).run()
            first += count
            score.servers["Dovecot" if imap else "Maildirs"] += count
            say(f"{first} rounds, {len(score.faults)} faults")
    return score


def main(arguments: list[str] | None = None) -> int:
    """Print what came of the rounds; 1 if one mail left that should not have, or did not leave that should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=950, help="with mailboxes as files")
    parser.add_argument("--on-servers", type=int, default=50, help="with a real Dovecot")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with scratch("replies") as folder:
        score = race(
            folder, options.rounds, options.on_servers, options.seed,
            lambda text: print(f"{time.monotonic() - began:.0f} s: {text}", file=sys.stderr, flush=True),
        )  # fmt: skip
    print(score.text())
    return bool(score.faults)


if __name__ == "__main__":
    sys.exit(main())
