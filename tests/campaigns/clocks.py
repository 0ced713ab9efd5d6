"""Standstill and wrong clocks: `python -m campaigns.clocks --seeds 10`.

Forty days off, forty days asleep, a clock that is set back or forward by hours, a day or decades, while mail is due.
At most one mail a contact after a standstill; while the clock is wrong nothing leaves and the cause is told; at the end
everything that was due has left once.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from campaigns.house import REMINDER, REPS, House, Maildirs, World, scratch
from servers.smtp_sink import SmtpSink

from daemon.alert_causes import find_causes
from store.tables import Way

PEOPLE = 12
DAYS_OFF = 40
SETTLE = timedelta(minutes=10)


@dataclass
class Score:
    """What was done and found."""

    cases: Counter[str] = field(default_factory=Counter)
    mails: int = 0
    drafts: int = 0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people; the last line is the verdict."""
        cases = ", ".join(f"{count} x {name}" for name, count in self.cases.items())
        lines = [f"cases: {cases}", *self.faults[:40]]
        verdict = "clean" if not self.faults else f"{len(self.faults)} FAULTS"
        lines.append(
            f"clocks: {sum(self.cases.values())} cases of {len(self.cases)} kinds, {self.mails} mails sent once each, "
            f"{self.drafts} late ones became drafts and are told; {verdict}"
        )
        return "\n".join(lines)


class Case:
    """One office and one trouble with time."""

    def __init__(self, folder: Path, sink: SmtpSink, rng: Random, name: str, score: Score) -> None:
        self.rng = rng
        self.sink = sink
        self.name = name
        self.score = score
        listed = [(f"Maria {n}", f"maria@c{n}.example", f"Cliente {n}", f"c{n}.example") for n in range(PEOPLE)]
        boxes = Maildirs(folder / "mail")
        self.house = House(folder / "office", boxes, sink, "rules: []\n", {"lembrete": REMINDER}, listed, rng=rng)
        self.house.write()
        self.due: dict[int, datetime] = {}

    @property
    def now(self) -> datetime:
        """The true time."""
        return self.house.clock.true()

    def fault(self, text: str) -> None:
        """Note what is wrong."""
        self.score.faults.append(f"{self.name}: {text}")

    def plan(self, world: World, person: int, due_at: datetime) -> None:
        """A follow-up to one of them."""
        rep = REPS[person % len(REPS)]
        self.due[world.plan(f"maria@c{person}.example", due_at, rep=rep)] = due_at

    def plan_all(self, world: World, first: timedelta, last: timedelta) -> None:
        """One to each, due at random between two spans from now."""
        for person in range(PEOPLE):
            ahead = first + (last - first) * self.rng.random()
            self.plan(world, person, self.now + timedelta(seconds=round(ahead.total_seconds())))

    def expect_quiet(self, world: World, span: timedelta, *, told: bool = True) -> None:
        """Let the daemon work for so long; nothing may leave, and the cause is told."""
        before = len(self.sink.mails)
        world.run(span.total_seconds())
        if len(self.sink.mails) > before:
            self.fault(f"{len(self.sink.mails) - before} mails left while the clock was wrong")
        trouble = world.app.sends.clock_trouble
        app = world.app
        causes = find_causes(app.store, app.office, config_trouble="", disk_trouble="", hangs=[], clock_trouble=trouble)
        if told and "clock" not in {one.key for one in causes}:
            self.fault("the clock is wrong and nobody is told")

    def expect_once(self, world: World) -> None:
        """Every mail that was planned has left once."""
        got = Counter(one.recipients[0] for one in self.sink.mails)
        rows = world.rows()
        wanted = Counter(rows[number].recipient for number in self.due)
        if got != wanted:
            missing, more = dict(wanted - got), dict(got - wanted)
            states = Counter(f"{rows[number].state} {rows[number].obstacle}" for number in self.due)
            self.fault(f"did not leave: {missing}, left too often: {more}; {dict(states)}")
        self.score.mails += got.total()

    def end(self) -> None:
        """Count the case."""
        self.score.cases[self.name] += 1


# --- standstill ------------------------------------------------------------------------------------------------------


def off(case: Case) -> None:
    """The machine is off for forty days."""
    _stand_still(case, asleep=False)


def asleep(case: Case) -> None:
    """The machine sleeps for forty days: the process goes on, and its monotonic clock knows of nothing."""
    _stand_still(case, asleep=True)


def _stand_still(case: Case, *, asleep: bool) -> None:
    start = case.now
    end = start + timedelta(days=DAYS_OFF)
    with case.house.running() as world:
        for person in range(PEOPLE):
            for days in (1, 5 + 20 * case.rng.random(), 30):
                case.plan(world, person, start + timedelta(days=days))
            for hours in (5, 1)[: person % 3]:  # these are not late yet
                case.plan(world, person, end - timedelta(hours=hours))
        world.run(60)
        if asleep:
            case.house.clock.step(timedelta(days=DAYS_OFF))
            case.expect_quiet(world, SETTLE - timedelta(seconds=15), told=False)
            _after_standstill(case, world)
    if not asleep:
        case.house.clock.move(timedelta(days=DAYS_OFF))
        with case.house.running() as world:
            _after_standstill(case, world)


def _after_standstill(case: Case, world: World) -> None:
    world.run(20 * 60)
    got = Counter(one.recipients[0] for one in case.sink.mails)
    if got and max(got.values()) > 1:
        case.fault(f"{max(got.values())} mails to one contact after a standstill")
    fresh = Counter(world.rows()[number].recipient for number in case.due if _is_fresh(case, world, number))
    if got != Counter(list(fresh)):
        case.fault(f"{len(got)} contacts got a mail, {len(fresh)} had one that was not late")
    drafts = [row for row in world.rows().values() if row.way == Way.DRAFT and row.late]
    late = [number for number in case.due if not _is_fresh(case, world, number)]
    if {row.id for row in drafts} != set(late):
        case.fault(f"{len(late)} mails were late, {len(drafts)} became drafts")
    told = "\n".join(world.app.notices.compile(rep).subject for rep in REPS)
    per_rep = Counter(row.rep for row in drafts)
    if any(f"atrasados: {count}" not in told for count in per_rep.values()):
        case.fault(f"the notice does not tell of {dict(per_rep)} late ones: {told}")
    case.score.mails += got.total()
    case.score.drafts += len(drafts)


def _is_fresh(case: Case, world: World, number: int) -> bool:
    """Whether it was not late when the machine came back."""
    return case.due[number] + timedelta(days=1) > world.clock.now() - timedelta(hours=1)


# --- wrong clocks ----------------------------------------------------------------------------------------------------


def back_a_day(case: Case) -> None:
    """Set back by a day, and right again after half an hour."""
    _back(case, timedelta(days=1))


def back_an_hour(case: Case) -> None:
    """Set back by an hour."""
    _back(case, timedelta(hours=1))


def back_to_1970(case: Case) -> None:
    """The battery of the machine's clock is dead."""
    _back(case, case.house.clock.now() - datetime(1970, 1, 2, tzinfo=UTC))


def _back(case: Case, by: timedelta) -> None:
    with case.house.running() as world:
        case.plan_all(world, timedelta(minutes=1), timedelta(minutes=40))
        world.run(60 + case.rng.random() * 90)
        case.house.clock.step(-by)
        case.expect_quiet(world, timedelta(minutes=20))
        case.house.clock.step(by)
        world.run(45 * 60)
        case.expect_once(world)


def started_in_1970(case: Case) -> None:
    """Started with a dead clock, set right by the network a while later."""
    with case.house.running() as world:
        case.plan_all(world, timedelta(minutes=3), timedelta(minutes=30))
        world.run(70)
    by = case.house.clock.now() - datetime(1970, 1, 2, tzinfo=UTC)
    case.house.clock.step(-by)
    with case.house.running() as world:
        case.expect_quiet(world, timedelta(minutes=10))
        case.house.clock.step(by)
        world.run(45 * 60)
        case.expect_once(world)


def ahead_a_day(case: Case) -> None:
    """Set ahead by a day, and right again before the ten minutes are over: nothing of tomorrow left."""
    _ahead(case, timedelta(days=1))


def ahead_an_hour(case: Case) -> None:
    """Set ahead by an hour."""
    _ahead(case, timedelta(hours=1))


def ahead_to_2038(case: Case) -> None:
    """Set ahead by years."""
    _ahead(case, datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC) - case.house.clock.now())


def _ahead(case: Case, by: timedelta) -> None:
    with case.house.running() as world:
        case.plan_all(world, timedelta(minutes=2), min(timedelta(hours=30), by + timedelta(minutes=30)))
        case.plan_all(world, timedelta(minutes=2), timedelta(minutes=14))
        world.run(case.rng.random() * 60)
        case.house.clock.step(by)
        case.expect_quiet(world, timedelta(minutes=8))
        case.house.clock.step(-by)
        world.run(90)
        soon = timedelta(minutes=20)
        world.run(soon.total_seconds())
        early = len(case.sink.mails) - sum(case.due[number] <= case.now for number in case.due)
        if early > 0:
            case.fault(f"{early} mails left before their time")
        last = max(case.due.values())
        while case.now < last + timedelta(days=1, minutes=5):  # those that got one today wait until tomorrow
            world.sleep(timedelta(minutes=50))
            world.run(90)
        case.expect_once(world)


def ahead_for_good(case: Case) -> None:
    """Set ahead by a day, and that was right: after ten minutes what is due leaves."""
    by = timedelta(days=1)
    with case.house.running() as world:
        case.plan_all(world, timedelta(hours=2), timedelta(hours=23))
        world.run(60)
        case.house.clock.step(by)
        case.expect_quiet(world, SETTLE - timedelta(seconds=15))
        world.run(10 * 60)
        case.expect_once(world)


CASES: tuple[Callable[[Case], None], ...] = (
    off, asleep, back_a_day, back_an_hour, back_to_1970, started_in_1970, ahead_a_day, ahead_an_hour, ahead_to_2038,
    ahead_for_good,
)  # fmt: skip


def race(
    folder: Path,
    seeds: int,
    first: int = 1,
    say: Callable[[str], None] = lambda _: None,
    cases: Sequence[Callable[[Case], None]] = CASES,
) -> Score:
    """Every case with so many seeds."""
    score = Score()
    for act in cases:
        for seed in range(first, first + seeds):
            with SmtpSink() as sink:
                here = folder / f"{act.__name__}{seed}"
                case = Case(here, sink, Random(seed), act.__name__.replace("_", " "), score)
                act(case)
                case.end()
        say(f"{act.__name__}: {len(score.faults)} faults so far")
    return score


def main(arguments: list[str] | None = None) -> int:
    """Print what was found; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    options = parser.parse_args(arguments)
    with scratch("clocks") as folder:
        score = race(folder, options.seeds, options.seed, lambda text: print(text, file=sys.stderr, flush=True))
    print(score.text())
    return bool(score.faults)


if __name__ == "__main__":
    sys.exit(main())
