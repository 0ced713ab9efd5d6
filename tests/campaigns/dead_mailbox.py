"""One dead mailbox of three: `python -m campaigns.dead_mailbox --seeds 5`.

Follow-ups to customers whom one mailbox saw, or two. One mailbox stops to answer: its folder is gone, or on a real
Dovecot its password is refused. Mail that needs only the others leaves at its time; what needs the dead one is held and
told in the daily notice with its cause; when the mailbox answers again it leaves by itself, once, unless an answer lay
there all the while.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from campaigns.house import REMINDER, REPS, START, Dovecots, House, Mailboxes, Maildirs, World, scratch
from servers.dovecot import DovecotServer
from servers.smtp_sink import SmtpSink

from daemon.last_look import Obstacle
from store.tables import OutboxState

DEAD = "carla"
A_REP = 6
"""Customers that one rep writes to."""
PROMPT = timedelta(minutes=3)
PARKED = timedelta(hours=1, minutes=5)
"""Within this time a mailbox that refused us is tried again."""


@dataclass
class Score:
    """What was counted."""

    cases: int = 0
    went_on: int = 0
    held: int = 0
    went_later: int = 0
    answered: int = 0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people; the last line is the verdict."""
        verdict = "clean" if not self.faults else f"{len(self.faults)} FAULTS"
        line = (
            f"dead_mailbox: {self.cases} times one of three; {self.went_on} mails of the others went on at their time; "
            f"{self.held} held and told; back again, {self.went_later} left by themselves once, {self.answered} were "
            f"cancelled by an answer that lay there; {verdict}"
        )
        return "\n".join([*self.faults[:40], line])


@dataclass
class Customer:
    """One of them. `seen_by`: the mailboxes that hold mail of theirs; `answers`: into the dead one, meanwhile."""

    number: int
    rep: str
    seen_by: tuple[str, ...]
    answers: bool = False
    row: int = 0
    due: datetime = START

    @property
    def address(self) -> str:
        """The contact's."""
        return f"maria@c{self.number}.example"

    @property
    def needs_dead(self) -> bool:
        """Whether an answer of theirs may lie in the dead mailbox."""
        return DEAD in self.seen_by or self.rep == DEAD


class Case:
    """One office; one mailbox dies and comes back."""

    def __init__(self, folder: Path, boxes: Mailboxes, sink: SmtpSink, rng: Random, score: Score) -> None:
        self.rng = rng
        self.sink = sink
        self.score = score
        self.boxes = boxes
        self.customers = []
        for number in range(A_REP * len(REPS)):
            rep = REPS[number % len(REPS)]
            also = (rng.choice(REPS),) if rng.random() < 0.4 else ()
            one = Customer(number, rep, (rep, *also))
            one.answers = one.needs_dead and rng.random() < 0.4
            self.customers.append(one)
        listed = [("Maria", one.address, f"Cliente {one.number}", f"c{one.number}.example") for one in self.customers]
        self.house = House(folder / "office", boxes, sink, "rules: []\n", {"lembrete": REMINDER}, listed, rng=rng)
        self.house.write()
        at = self.house.clock.true() - timedelta(days=10)
        for one in self.customers:
            for rep in dict.fromkeys(one.seen_by):
                mail = self.house.letter(one.address, f"{rep}@vendas.example", "Pedido", "Bom dia.", at=at)
                boxes.place(rep, "INBOX", mail.as_bytes(), at)

    def run(self) -> None:
        """Die, be told, come back."""
        with self.house.running() as world:
            start = self.house.clock.true()
            for one in self.customers:
                one.due = start + timedelta(minutes=5, seconds=self.rng.randrange(600))
                one.row = world.plan(one.address, one.due, rep=one.rep, event_at=start - timedelta(days=1))
            world.run(self.rng.random() * 120)
            self._kill(world)
            world.run_until(start + timedelta(minutes=20))
            self._look_while_dead(world)
            self._answers_arrive(world)
            world.sleep(timedelta(minutes=self.rng.randrange(60)))
            self._revive()
            world.run(PARKED.total_seconds())
            self._look_afterwards(world)
        self.score.cases += 1

    def _kill(self, world: World) -> None:
        if isinstance(self.boxes, Maildirs):
            (self.boxes.root / DEAD).rename(self.boxes.root / "away")
        else:
            assert isinstance(self.boxes, Dovecots)
            self.boxes.server.set_password(DEAD, "changed")
            world.app.pollers[DEAD].source.close()

    def _revive(self) -> None:
        if isinstance(self.boxes, Maildirs):
            (self.boxes.root / "away").rename(self.boxes.root / DEAD)
        else:
            assert isinstance(self.boxes, Dovecots)
            self.boxes.server.set_password(DEAD, "secret")

    def _answers_arrive(self, world: World) -> None:
        """While nobody can read it, mail comes all the same."""
        for one in self.customers:
            if one.answers:
                at = self.house.clock.true()
                mail = self.house.letter(one.address, f"{DEAD}@vendas.example", "Re: Proposta", "Aceito!", at=at)
                place = "away" if isinstance(self.boxes, Maildirs) else DEAD
                self.boxes.place(place, "INBOX", mail.as_bytes(), at)
        world.advance(1)

    def _look_while_dead(self, world: World) -> None:
        rows, got = world.rows(), Counter(one.recipients[0] for one in self.sink.mails)
        held = [one for one in self.customers if one.needs_dead]
        for one in self.customers:
            row = rows[one.row]
            if one.needs_dead:
                if got[one.address] or row.state != OutboxState.HELD or row.obstacle != Obstacle.UNREACHABLE:
                    self._fault(f"{one} needs the dead mailbox: {row.state}, {row.obstacle}, {got[one.address]} mails")
            elif got[one.address] != 1 or row.settled_at is None or row.settled_at - one.due > PROMPT:
                self._fault(f"{one} needs it not: {row.state}, {row.obstacle}, {got[one.address]} mails")
            else:
                self.score.went_on += 1
        self.score.held += len(held)
        told = world.app.notices.compile(REPS[0])  # the admin's
        for one in held:
            own = world.app.notices.compile(one.rep)
            if f"Cliente {one.number}" not in own.text or DEAD not in own.text:
                self._fault(f"{one.rep} is not told of {one}")
            if f"outbox cancel {one.row}" not in own.text:
                self._fault(f"{one.rep} gets no command for {one}")
        if DEAD not in told.text or not told.pressing:
            self._fault("the admin is not told of the dead mailbox")

    def _look_afterwards(self, world: World) -> None:
        rows, got = world.rows(), Counter(one.recipients[0] for one in self.sink.mails)
        for one in self.customers:
            state = rows[one.row].state
            wanted = OutboxState.CANCELLED if one.answers else OutboxState.SENT
            if state != wanted or got[one.address] != (not one.answers):
                self._fault(f"{one} afterwards: {state}, {rows[one.row].obstacle}, {got[one.address]} mails")
        self.score.went_later += sum(one.needs_dead and not one.answers for one in self.customers)
        self.score.answered += sum(one.answers for one in self.customers)

    def _fault(self, text: str) -> None:
        self.score.faults.append(text)


def race(
    folder: Path, seeds: int, on_servers: int, first: int = 1, say: Callable[[str], None] = lambda _: None
) -> Score:
    """So many times with files, and so many times with a real Dovecot."""
    score = Score()
    for index in range(seeds + on_servers):
        with ExitStack() as stack:
            here = folder / f"case{index}"
            here.mkdir()
            server = stack.enter_context(DovecotServer()) if index >= seeds else None
            boxes = Dovecots(server) if server else Maildirs(here / "mail")
            Case(here, boxes, stack.enter_context(SmtpSink()), Random(first + index), score).run()
        say(f"case {index}: {len(score.faults)} faults so far")
    return score


def main(arguments: list[str] | None = None) -> int:
    """Print what was found; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--on-servers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    options = parser.parse_args(arguments)
    with scratch("dead-mailbox") as folder:
        score = race(
            folder, options.seeds, options.on_servers, options.seed,
            lambda text: print(text, file=sys.stderr, flush=True),
        )  # fmt: skip
    print(score.text())
    return bool(score.faults)


if __name__ == "__main__":
    sys.exit(main())
