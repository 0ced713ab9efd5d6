"""Whatever ends a sequence races the mail of its step: `python -m campaigns.sequences --rounds 1000`.

A rep's proposal in Sent starts a sequence; its first mail is due 20 minutes later and leaves by itself. Up to 120 s
before, something happens: an answer, a report that the address failed, a wish to get no mail, a meeting that is written
down, a colleague's letter, another stage; or something harmless, or an absence with and without a date in three
languages. Now and then the daemon dies in the middle of a tick and a new one takes over. No mail may leave once its end
lay on the server for 60 s, or in the store for 3; every harmless round's mail leaves exactly once, at its time or on
the day they are back; what comes behind the last step makes nobody lost who pays or who answered.

Its time is kept to the minute beside what servers take: one that answers after 65 seconds makes every look too old, and
holds up all others here, where one thing happens after the other. That time is taken off, whatever it was.

`--only-round 467` runs the rounds around that one alone and tells its story: each round's mails race beside others.
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
from email.utils import format_datetime
from pathlib import Path
from random import Random
from typing import Any

from campaigns.house import House, Mailboxes, World, scratch
from campaigns.replies import COLLEAGUE, FRESH, PEOPLE, PLACES, REP, boxes
from servers.smtp_sink import SmtpSink
from sqlalchemy import insert
from sqlmodel import Session

from daemon.sequences import Sequences
from daemon.service import SEQUENCE_TICK
from rules.clock import instant
from rules.sequence import UNSTATED_AWAY
from store import customers, enrolments, outbox, sending
from store.customers import Actor
from store.statements import table
from store.tables import Enrolment, EnrolmentState, Interaction, InteractionCustomer, OutboxMail, OutboxState

DUE_AFTER = timedelta(minutes=20)
PROMPT = timedelta(seconds=90)
"""A harmless round's mail leaves within this time, beside what servers took that answered after a minute."""
IN_STORE = timedelta(seconds=3)
"""What is written into the store so long before stops a mail that is about to go on the wire."""
AT_ONCE = 250
PAYS = 0.25
KILLS = 0.1
"""Share of the sequences' ticks in which the daemon dies."""
OPEN, WON, LOST = "proposta", "cliente", "perdida"

RULES = """\
rules:
  - name: proposta
    when: mail sent
    if: {known: yes, subject: proposta}
    then: {start: corrida}
"""
SEQUENCE = """\
name: corrida
mode: auto
enter: {once_per: customer, exclusive: yes}
steps:
  - {wait: 20 minutes, template: lembrete, reply: yes}
stop_when: [replied, meeting booked, bounced, unsubscribed, stage changed, colleague replied]
out_of_office: {pause_until: their_return, else: 5 business days}
send: {hours: customer}
done: {after: 1 hour, stage: perdida}
"""
TEMPLATE = """\
---
name: lembrete
subject: "Re: {{ mail.subject }}"
---
{{ greeting }} {{ contact.first_name | or("") }}, conseguiu ver a proposta?
"""
STAGES = "stages: {open: [lead, proposta], won: cliente, lost: perdida}\n"
ENDS = ("answer", "bounce", "opt-out", "meeting", "colleague", "stage")
HARMLESS = ("a bulk mail", "another customer", "a receipt", "another's stage", "an old meeting", "nothing")
ABSENCES = {
    "pt": ("Resposta automática: fora do escritório", "Estou fora do escritório.", "Volto em {0:%d/%m/%Y}."),
    "ru": ("Автоответ: меня нет в офисе", "Меня нет в офисе.", "Вернусь {0:%d.%m.%Y}."),
    "en": ("Automatic reply: out of office", "I am out of the office.", "I will be back on {0:%Y-%m-%d}."),
}
OPT_OUTS = ("sair", "unsubscribe", "отписаться")


@dataclass
class Round:
    """One customer in the sequence. `lead`: seconds before the mail is due at which the event happens."""

    number: int
    due: datetime
    lead: float
    end: str = ""
    harmless: str = ""
    language: str = ""
    dated: bool = False
    place: str = ""
    who: str = ""
    pays: bool = False
    back: datetime | None = None
    left: list[datetime] = field(default_factory=list)
    late: timedelta = timedelta()
    waited: timedelta = timedelta()
    state: str = ""
    reason: str = ""
    stage: str = ""

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
    def offer_id(self) -> str:
        """The Message-ID of the proposal."""
        return f"<proposta{self.number}@vendas.example>"

    @property
    def began_as(self) -> str:
        """The stage before."""
        return WON if self.pays else OPEN

    @property
    def seen_within(self) -> timedelta:
        """How old an event must be to be known for certain."""
        return IN_STORE if self.end in ("meeting", "stage") else FRESH

    @property
    def times(self) -> list[datetime]:
        """When the mail may leave: when due, and not while they are away."""
        if self.back is None:
            return [self.due]
        return [self.back] if self.lead >= FRESH.total_seconds() else [self.due, self.back]

    @property
    def what(self) -> str:
        """In words."""
        if self.language:
            return f"absence, {self.language}, {'dated' if self.dated else 'undated'}"
        return self.end or self.harmless

    def faults(self) -> Iterator[str]:
        """What is wrong."""
        if len(self.left) > 1:
            yield f"{len(self.left)} copies left"
        yield from self._ends() if self.end else self._goes_on()
        if self.pays and self.stage == LOST:
            yield "a paying customer became lost"

    def _ends(self) -> Iterator[str]:
        if self.left and self.left[0] - self.at >= self.seen_within:
            yield f"left {(self.left[0] - self.at).total_seconds():.1f} s after the end"
        if self.state != EnrolmentState.STOPPED:
            yield f"goes on: {self.state}, {self.reason}"
        if self.stage == LOST:
            yield "lost, though they did not stay silent"

    def _goes_on(self) -> Iterator[str]:
        if not self.left:
            yield f"did not leave: {self.state}, {self.reason}"
        elif not timedelta(seconds=-1) <= self.late <= PROMPT:
            waited = f", beside {self.waited.total_seconds():.0f} s that a server took" if self.waited else ""
            yield f"left {self.late.total_seconds():.0f} s late{waited}"
        if self.state != EnrolmentState.DONE:
            yield f"is not done: {self.state}, {self.reason}"
        if not self.pays and self.stage != LOST:
            yield f"`done` was forgotten: {self.stage}"


@dataclass
class Score:
    """All rounds and what they came to."""

    rounds: list[Round] = field(default_factory=list)
    servers: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    @property
    def faults(self) -> list[str]:
        """What is wrong, a line each."""
        return [f"round {one.number} ({one.what}): {text}" for one in self.rounds for text in one.faults()]

    @staticmethod
    def _lateness(rounds: list[Round]) -> str:
        late = sorted(one.late.total_seconds() for one in rounds if one.left)
        slow = max((one.waited.total_seconds() for one in rounds if one.left), default=0)
        worst = f"median {late[len(late) // 2]:.0f} s, worst {late[-1]:.0f} s after its time" if late else "none"
        return f"{worst} beside up to {slow:.0f} s that servers took"

    def text(self) -> str:
        """For people; the last line is the verdict."""
        counts = Counter(one.what for one in self.rounds)
        sent = Counter(one.what for one in self.rounds if one.left)
        lines = [f"{what}: {count}, {sent[what]} sent" for what, count in sorted(counts.items())]
        lines += self.faults[:40]
        ends = [one for one in self.rounds if one.end]
        early = [one for one in ends if timedelta(seconds=one.lead) >= one.seen_within]
        others = [one for one in self.rounds if not one.end]
        where = ", ".join(f"{count} on {name}" for name, count in self.servers.items())
        lines.append(
            f"sequences: {len(self.rounds)} rounds ({where}), {self.kills} kills; {len(early)} ends in time: "
            f"{sum(bool(one.left) for one in early)} sent; {len(ends) - len(early)} later: "
            f"{sum(bool(one.left) for one in ends if one not in early)} crossed; {len(others)} harmless or away: "
            f"{sum(len(one.left) == 1 for one in others)} sent once, {self._lateness(others)}; "
            f"{sum(one.pays for one in self.rounds)} pay: "
            f"{sum(one.pays and one.stage == LOST for one in self.rounds)} lost; "
            + ("clean" if not self.faults else f"{len(self.faults)} FAULTS")
        )
        return "\n".join(lines)


def draw(rng: Random, first: int, count: int, start: datetime) -> list[Round]:
    """Rounds at random: six of ten end, two of ten are absences; close together and far apart."""
    rounds = []
    due = start + DUE_AFTER + timedelta(minutes=10)
    for number in range(first, first + count):
        due += timedelta(seconds=int(rng.expovariate(1 / rng.choice((4, 20, 60)))))
        one = Round(number, due, round(rng.uniform(0, 120), 1), pays=rng.random() < PAYS)
        chance = rng.random()
        if chance < 0.6:
            one.end = rng.choice(ENDS)
            one.place, one.who = rng.choice(tuple(PLACES)), rng.choice(tuple(PEOPLE))
        elif chance < 0.8:
            one.language, one.dated = rng.choice(tuple(ABSENCES)), rng.random() < 0.6
        else:
            one.harmless = rng.choice(HARMLESS)
        rounds.append(one)
    return rounds


class Killed(BaseException):
    """The process is gone: nothing behind this is done any more."""


class Race:
    """The rounds of one office."""

    def __init__(self, folder: Path, boxes: Mailboxes, sink: SmtpSink, rng: Random, first: int, count: int) -> None:
        self.rng, self.sink = rng, sink
        self.kills = 0
        self.story: int | None = None
        numbers = range(first, first + count)
        people = [("Maria Souza", "maria"), ("Joana Reis", "joana")]
        listed = [
            (name, f"{local}@empresa{n}.example", f"Empresa {n}", f"empresa{n}.example")
            for n in numbers
            for name, local in people
        ]
        listed.append(("Outro Cliente", "outro@outra.example", "Outra", "outra.example"))
        self.house = House(folder, boxes, sink, RULES, {"lembrete": TEMPLATE}, listed, settings=STAGES, rng=rng)
        self.house.write()
        (folder / "sequences").mkdir()
        (folder / "sequences" / "corrida.yaml").write_text(SEQUENCE, encoding="utf-8")
        self.rounds = draw(rng, first, count, self.house.clock.true())
        self._fill_history()

    def _fill_history(self) -> None:
        at = self.house.clock.true() - timedelta(days=10)
        for one in self.rounds:
            for rep in (REP, COLLEAGUE):
                mail = self.house.letter(one.recipient, f"{rep}@vendas.example", "Pedido", "Bom dia.", at=at)
                self.house.boxes.place(rep, "INBOX", mail.as_bytes(), at)

    def run(self) -> list[Round]:
        """Let it all happen, and look what came of it."""
        with self.house.running() as world:
            world.every("sequences", SEQUENCE_TICK, lambda: self._tick(world))
            self._prepare(world)
            for one in self.rounds:
                self._plan(world, one)
            if self.story is not None:
                self._tell(world, next(one for one in self.rounds if one.number == self.story))
            world.run_until(self.rounds[-1].due + timedelta(minutes=10))
            for back in sorted({one.back for one in self.rounds if one.back}):
                world.sleep(back - timedelta(minutes=3) - world.clock.true())
                world.run_until(back + timedelta(minutes=10))
            world.sleep(timedelta(hours=2))
            world.run(timedelta(minutes=6).total_seconds())
            self._look(world)
        return self.rounds

    def _tell(self, world: World, one: Round) -> None:
        """Print each change of its mail, and which server took a minute."""
        before: list[object] = []

        def look(tick: str) -> None:
            if not -120 <= (world.clock.true() - one.due).total_seconds() <= 600:
                return
            with world.app.store.session() as session:
                every = outbox.in_states(session, list(OutboxState))
            mail = next((row for row in every if row.recipient == one.recipient), None)
            now: list[object] = [len(world.slow)]
            now += [mail.state, mail.obstacle, mail.due_at, mail.retry_at] if mail else ["no mail yet"]
            if now != before:
                print(world.clock.true(), tick, *map(str, now[1:]), f"slow: {world.slow[-1:]}")
                before[:] = now

        world.on_tick = look

    # --- a daemon that dies --------------------------------------------------------------------------------------

    def _tick(self, world: World) -> None:
        if self.rng.random() >= KILLS:
            world.app.sequences.tick()
            return
        try:
            with self._dying(self.rng.randrange(1, 4)):
                world.app.sequences.tick()
        except Killed:
            self.kills += 1
            app = world.app
            app.sequences = Sequences(app.store, app.office, app.key, app.clock, app.sends.witness)
            app.sends.begin()

    @contextmanager
    def _dying(self, after: int) -> Iterator[None]:
        """Dies at the so-many-th thing it writes, in the middle of its transaction."""
        before = {(one, name): getattr(one, name) for one, name in ((outbox, "plan"), (enrolments, "change"))}
        calls = [0]

        def deadly(act: Callable[..., Any]) -> Callable[..., Any]:
            def dying(*args: Any, **named: Any) -> Any:
                done = act(*args, **named)
                calls[0] += 1
                if calls[0] >= after:
                    raise Killed
                return done

            return dying

        try:
            for (one, name), act in before.items():
                setattr(one, name, deadly(act))
            yield
        finally:
            for (one, name), act in before.items():
                setattr(one, name, act)

    # --- what happens --------------------------------------------------------------------------------------------

    def _person(self, session: Session, one: Round) -> customers.ContactRow:
        return customers.lookup_addresses(session, [one.recipient])[one.recipient][0]

    def _prepare(self, world: World) -> None:
        by = Actor(name="test", now=world.clock.now())
        with world.app.store.writing() as session:
            for one in self.rounds:
                person = self._person(session, one)
                customers.add_address(session, person.id, PEOPLE["another address"].format(n=one.number), by)
                customers.edit(session, person.customer_id, {"stage": one.began_as, "owner": REP}, by)
                if one.harmless == "an old meeting":
                    self._meet(session, one, world.clock.now())

    def _plan(self, world: World, one: Round) -> None:
        """The proposal, and what comes before the mail is due."""
        sent_at = one.due - DUE_AFTER
        offer = self.house.letter(
            "Ana <ana@vendas.example>", one.recipient, f"Proposta {one.number}",
            f"Segue a proposta {one.number}.", at=sent_at, Message_ID=one.offer_id,
        )  # fmt: skip
        world.place(sent_at, REP, offer, "Sent")
        act = _EVENTS.get(one.what if not one.language else "absence")
        if act is not None:
            act(self, world, one)

    def _answer(self, world: World, one: Round) -> None:
        rep, folder = PLACES[one.place]
        sender = PEOPLE[one.who].format(host=one.host, n=one.number)
        in_thread = "thread" in one.who or self.rng.random() < 0.5
        subject = f"Re: Proposta {one.number}" if in_thread else self.rng.choice(("Pergunta", "Aceito"))
        answers = one.offer_id if in_thread else ""
        words = self.rng.choice(("Aceito a proposta, pode faturar.", "Quanto custa o frete?", "Ok"))
        world.place(
            one.at, rep, self.house.letter(sender, f"{rep}@vendas.example", subject, words, answers=answers, at=one.at),
            folder,
        )  # fmt: skip

    def _bounce(self, world: World, one: Round) -> None:
        world.place(one.at, REP, _report(one).encode())

    def _opt_out(self, world: World, one: Round) -> None:
        mail = self.house.letter(one.recipient, "ana@vendas.example", "x", self.rng.choice(OPT_OUTS), at=one.at)
        world.place(one.at, REP, mail)

    def _meeting(self, world: World, one: Round) -> None:
        def book() -> None:
            with world.app.store.writing() as session:
                self._meet(session, one, world.clock.now())

        world.at(one.at, book)

    def _meet(self, session: Session, one: Round, now: datetime) -> None:
        """A meeting in three days is written down now."""
        at = now + timedelta(days=3)
        values = {
            "identity": f"meeting {one.number}", "content_key": "", "channel": "meeting", "kind": "human",
            "direction": "in", "at": at, "subject": "Reunião", "created_at": now, "message_id": "", "thread": "",
            "text": "", "sender": "", "sender_name": "", "attachments": [], "headers": [], "size": -1, "rep": REP,
            "logged_by": "", "degraded": "", "backfill": False,
        }  # fmt: skip
        made = insert(table(Interaction)).values(values).returning(table(Interaction).c.id)
        number = session.execute(made).scalar_one()
        link = {"interaction_id": number, "customer_id": self._person(session, one).customer_id, "at": at, "rung": "x"}
        session.execute(insert(table(InteractionCustomer)).values(link))

    def _colleague(self, world: World, one: Round) -> None:
        mail = self.house.letter(
            "Bruno <bruno@vendas.example>", one.recipient, "Sobre o pedido", "Falei com a fábrica.", at=one.at
        )
        world.place(one.at, COLLEAGUE, mail, "Sent")

    def _stage(self, world: World, one: Round) -> None:
        self._restage(world, one.at, one.recipient, WON if not one.pays else "lead")

    def _restage(self, world: World, at: datetime, address: str, stage: str) -> None:
        def change() -> None:
            with world.app.store.writing() as session:
                (person,) = customers.lookup_addresses(session, [address])[address]
                by = Actor(name="admin", now=world.clock.now())
                customers.edit(session, person.customer_id, {"stage": stage}, by)

        world.at(at, change)

    def _absence(self, world: World, one: Round) -> None:
        zone = world.app.office.settings.zone
        subject, text, back = ABSENCES[one.language]
        if one.dated:
            day = one.due.astimezone(zone).date() + timedelta(days=self.rng.randrange(1, 4))
            text = f"{text} {back.format(day)}"
        else:
            day = UNSTATED_AWAY.after(one.at, world.app.office.hours).astimezone(zone).date()
        one.back = instant(day, 0, zone)
        note = self.house.letter(
            one.recipient, "ana@vendas.example", subject, text, at=one.at,
            answers=one.offer_id if self.rng.random() < 0.5 else "", Auto_Submitted="auto-replied",
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
            at=one.at, answers=one.offer_id, Auto_Submitted="auto-replied",
        )  # fmt: skip
        world.place(one.at, REP, mail)

    def _another_stage(self, world: World, one: Round) -> None:
        self._restage(world, one.at, "outro@outra.example", self.rng.choice((OPEN, WON)))

    # --- what came of it -----------------------------------------------------------------------------------------

    def _look(self, world: World) -> None:
        """The sink says how many left, the attempts when."""
        arrived = Counter(one.recipients[0].lower() for one in self.sink.mails)
        with world.app.store.session() as session:
            mails: dict[str, OutboxMail] = {row.recipient: row for row in outbox.in_states(session, list(OutboxState))}
            inside: dict[str, Enrolment] = {
                row.recipient: row for row in enrolments.of_sequence(session, "corrida", active=False)
            }
            for one in self.rounds:
                found, mail = inside.get(one.recipient), mails.get(one.recipient)
                one.stage = customers.get(session, self._person(session, one).customer_id).stage
                one.state, one.reason = (found.state, found.reason) if found else ("never entered", "")
                moments = [attempt.at for attempt in sending.attempts(session, mail.id or 0)] if mail else []
                one.left = moments[:1] * arrived[one.recipient]
                if moments:
                    due = max((at for at in one.times if at <= moments[0]), default=one.due)
                    one.waited = world.kept_waiting(due, moments[0])
                    one.late = moments[0] - due - one.waited


_EVENTS: dict[str, Callable[[Race, World, Round], None]] = {
    "answer": Race._answer,
    "bounce": Race._bounce,
    "opt-out": Race._opt_out,
    "meeting": Race._meeting,
    "colleague": Race._colleague,
    "stage": Race._stage,
    "absence": Race._absence,
    "a bulk mail": Race._bulk,
    "another customer": Race._another,
    "a receipt": Race._receipt,
    "another's stage": Race._another_stage,
}


def _report(one: Round) -> str:
    """A delivery report of their server about a mail that the rep wrote by hand (RFC 3464)."""
    return f"""\
From: Mail Delivery Subsystem <mailer-daemon@{one.host}>
To: ana@vendas.example
Subject: Undelivered Mail Returned to Sender
Date: {format_datetime(one.at)}
Message-ID: <dsn{one.number}@{one.host}>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain; charset=utf-8

The address does not exist.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.{one.host}

Final-Recipient: rfc822; {one.recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b
Content-Type: text/rfc822-headers

Message-ID: {one.offer_id}
To: {one.recipient}
Subject: Proposta {one.number}

--b--
"""


@dataclass
class Batch:
    """The rounds of one office, drawn by a number of their own: they can be run alone."""

    first: int
    count: int
    imap: bool

    def run(self, folder: Path, seed: int, story: int | None = None) -> Race:
        """Let them happen; the house is made in `folder`."""
        folder.mkdir()
        with boxes(folder, imap=self.imap) as place, SmtpSink() as sink:
            race = Race(folder / "office", place, sink, Random(f"{seed} {self.first}"), self.first, self.count)
            race.story = story
            race.run()
        return race


def batches(rounds: int, on_servers: int) -> Iterator[Batch]:
    """So many rounds on files, and so many more on a real Dovecot."""
    first = 0
    for total, imap in ((rounds, False), (on_servers, True)):
        for start in range(0, total, AT_ONCE):
            count = min(AT_ONCE, total - start)
            yield Batch(first, count, imap)
            first += count


def race(folder: Path, rounds: int, on_servers: int, seed: int, say: Callable[[str], None] = lambda _: None) -> Score:
    """All rounds, office by office."""
    score = Score()
    for batch in batches(rounds, on_servers):
        one = batch.run(folder / f"{batch.first}", seed)
        score.rounds += one.rounds
        score.kills += one.kills
        score.servers["Dovecot" if batch.imap else "Maildirs"] += batch.count
        say(f"{len(score.rounds)} rounds, {len(score.faults)} faults")
    return score


def only(folder: Path, batch: Batch, seed: int, number: int) -> bool:
    """Run the rounds around one, and say what happened with its mail; whether all is well with it."""
    (one,) = (one for one in batch.run(folder / "only", seed, number).rounds if one.number == number)
    print(f"round {number}: {one.what}, at {one.at}, due {one.due}, left {one.left}, {one.state} {one.reason}")
    print(*one.faults() or ["clean"], sep="\n")
    return not any(one.faults())


def main(arguments: list[str] | None = None) -> int:
    """Print what came of the rounds; 1 if one mail left that should not have, or did not leave that should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=950, help="with mailboxes as files")
    parser.add_argument("--on-servers", type=int, default=50, help="with a real Dovecot")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only-round", type=int, metavar="N", help="run the rounds around this one, and tell its story"
    )
    parser.add_argument("--slow", type=float, default=World.slow_share, help="share of answers that take a minute")
    options = parser.parse_args(arguments)
    World.slow_share = options.slow
    began = time.monotonic()
    with scratch("sequences") as folder:
        if options.only_round is not None:
            every = batches(options.rounds, options.on_servers)
            batch = next(one for one in every if options.only_round < one.first + one.count)
            return not only(folder, batch, options.seed, options.only_round)
        score = race(
            folder, options.rounds, options.on_servers, options.seed,
            lambda text: print(f"{time.monotonic() - began:.0f} s: {text}", file=sys.stderr, flush=True),
        )  # fmt: skip
    print(score.text())
    return bool(score.faults)


if __name__ == "__main__":
    sys.exit(main())
