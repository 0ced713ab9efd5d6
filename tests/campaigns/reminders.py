"""What happens to a meeting races the reminder of it: `python -m campaigns.reminders --rounds 1000`.

A rule reminds a rep an hour before each meeting with a customer, by mail and in the rep's calendar. In the last 61 s
before that moment the meeting is moved, called off, deleted, shortened, or its series is split: the old one cut short
and a new one begun under another UID, in either order, seconds apart, at the same time or another. The daemon reads
calendars every five minutes, and starts anew in the middle. No reminder may come that was wrong for longer than 60 s,
none twice for one time, and in the end the right one lies there, or none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from connectors.memory_calendars import MemoryCalendars
from daemon.app import App, opened
from daemon.clock import HeldClock
from daemon.requests import answer
from daemon.service import DESK_TICK, OCCASION_TICK
from store import reminders
from store.tables import Reminder, ReminderState

START = datetime(2026, 11, 16, 12, 0, tzinfo=UTC)
"""A Monday, 09:00 in São Paulo."""
AT_ONCE = 50
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
STALE = timedelta(seconds=60)
SHIFTS = (3 * MINUTE, 10 * MINUTE, 40 * MINUTE, -10 * MINUTE)
ANA, MARIA = "ana@vendas.example", "maria@padariasol.example"
KINDS = ("nothing", "moved", "cancelled", "deleted", "shortened", "split", "split and moved", "one of a series moved")
RULES = """\
rules:
  - name: by-mail
    when: {meeting soon: 1 hour before}
    then: {remind: {who: ana, text: "{{ meeting.title }} by mail"}}
  - name: by-calendar
    when: {meeting soon: 1 hour before}
    then: {remind: {who: ana, as: calendar, text: "{{ meeting.title }} in the calendar"}}
"""
SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
internal: ["@vendas.example"]
hours: {mon-sun: 00:00-24:00}
team: {ana: {mail: ana@vendas.example, name: Ana}}
accounts: {ana: {type: maildir, rep: ana, path: ana, since: 2000-01-01}}
calendars: {ana: {type: memory, every: 5 minutes}}
limits: {actions_per_hour: 1000000}
"""


@dataclass
class Round:
    """One meeting. `truth`: since when which starts are right to be reminded of; None = none."""

    title: str
    kind: str
    start: datetime
    truth: list[tuple[datetime, frozenset[datetime | None]]] = field(default_factory=list)

    def was_right(self, start: datetime, at: datetime) -> bool:
        """Whether a reminder that came at `at` was right at some time in the minute before."""
        ends = [since for since, _ in self.truth[1:]] + [datetime.max.replace(tzinfo=UTC)]
        spans = zip(self.truth, ends, strict=True)
        return any(start in right for (since, right), end in spans if since <= at and end >= at - STALE)


@dataclass
class Score:
    """What was done and found."""

    kinds: Counter[str] = field(default_factory=Counter)
    reminded: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def text(self) -> str:
        """For people; the last line is the verdict."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        verdict = "the right one or none" if not self.faults else f"{len(self.faults)} FAULTS"
        line = f"reminders: {self.kinds.total()} rounds ({kinds}), {self.reminded} reminders; {verdict}"
        return "\n".join([*self.faults[:40], line])


class Wave:
    """Some rounds at once, in one office."""

    def __init__(self, folder: Path, rounds: int, rng: Random, first: int) -> None:
        self.folder, self.rng, self.clock = folder, rng, HeldClock(START)
        self.calendar = MemoryCalendars()
        self.rounds: list[Round] = []
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._first, self._count = first, rounds
        self._app: App | None = None
        self._opened = ExitStack()

    # --- the office

    def play(self) -> Iterator[str]:
        """Let it all happen; what was wrong."""
        self._write()
        self._open()
        answer(self.app, "customer.import", {"rows": [[2, {"email": MARIA, "company": "Padaria Sol"}]]})
        self._tick(mail=True)
        self.clock.move(MINUTE)
        self._book()
        self.app.calendars["ana"].poll()
        restart = self.clock.now() + self.rng.randrange(200) * SECOND
        self._due.append((restart, -1, self._open))
        begun, looked, read = self.clock.now(), self.rng.randrange(60), self.rng.randrange(300)
        self._go_on(begun + timedelta(minutes=5), DESK_TICK, looked, read)
        self._go_on(begun + timedelta(minutes=70), OCCASION_TICK, 0, read)
        yield from self._judge()
        self._opened.close()

    @property
    def app(self) -> App:
        """The daemon's parts."""
        assert self._app is not None
        return self._app

    def _write(self) -> None:
        (self.folder / "rules").mkdir(parents=True)
        (self.folder / "quietcrm.yaml").write_text(SETTINGS, encoding="utf-8")
        (self.folder / "rules" / "10.yaml").write_text(RULES, encoding="utf-8")
        for place in ("new", "cur", "tmp"):
            (self.folder / "ana" / place).mkdir(parents=True)

    def _open(self) -> None:
        """Start, or start anew."""
        self._opened.close()
        self._app = self._opened.enter_context(opened(self.folder, self.clock))
        fresh = self._app.around.calendars_of("ana")
        fresh.calendars, fresh._log, fresh._serial = (
            self.calendar.calendars,
            self.calendar._log,
            self.calendar._serial,
        )

    def _tick(self, *, mail: bool = False) -> None:
        if mail:
            self.app.pollers["ana"].poll()
            self.app.calendars["ana"].poll()
        self.app.desks.tidy()
        self.app.items["ana"].tidy()

    def _go_on(self, end: datetime, step: int, looked: int, read: int) -> None:
        """Ticks at their pace, and what people do in between, to the second."""
        begun = self.clock.now()
        for second in range(int((end - begun).total_seconds()) + 1):
            now = begun + second * SECOND
            for one in sorted(one for one in self._due if one[0] <= now):
                self._due.remove(one)
                self._at(one[0])
                one[2]()
            if second % step and second % OCCASION_TICK != looked and second % 300 != read:
                continue
            self._at(now)
            if second % 300 == read:
                self.app.calendars["ana"].poll()
            if second % OCCASION_TICK == looked:
                self.app.occasions.look()
            if second % step == 0:
                self._tick()

    def _at(self, moment: datetime) -> None:
        self.clock.move(max(timedelta(0), moment - self.clock.now()))

    # --- what people do

    def _book(self) -> None:
        now = self.clock.now()
        for number in range(self._first, self._first + self._count):
            fires = now + timedelta(seconds=self.rng.randrange(70, 200))
            one = Round(f"Reuniao {number:04}", KINDS[number % len(KINDS)], fires + HOUR)
            one.truth.append((now, frozenset({one.start})))
            self.rounds.append(one)
            self._put(one, one.title, one.start)
            self._change(one, fires - self.rng.randrange(62) * SECOND)

    def _change(self, one: Round, at: datetime) -> None:
        shift = self.rng.choice(SHIFTS)
        moved, gap = one.start + shift, self.rng.choice((0, 3, 20, 50, 90)) * SECOND
        if one.kind == "nothing":
            return
        if one.kind == "moved":
            self._do(one, at, moved, lambda: self._put(one, one.title, moved, 1))
        elif one.kind == "cancelled":
            self._do(one, at, None, lambda: self._put(one, one.title, one.start, 1, "STATUS:CANCELLED"))
        elif one.kind == "deleted":
            self._do(one, at, None, lambda: self.calendar.remove(one.title))
        elif one.kind == "shortened":
            self._do(one, at, one.start, lambda: self._put(one, one.title, one.start, 1, minutes=15))
        elif one.kind == "one of a series moved":
            self._do(one, at, moved, lambda: self._override(one, moved))
        else:
            self._split(one, at, gap, moved if one.kind == "split and moved" else one.start)

    def _do(self, one: Round, at: datetime, right: datetime | None, act: Callable[[], None]) -> None:
        one.truth.append((at, frozenset({right})))
        self._due.append((at, len(self._due), act))

    def _split(self, one: Round, at: datetime, gap: timedelta, start: datetime) -> None:
        cut = f"RRULE:FREQ=WEEKLY;UNTIL={one.start - SECOND:%Y%m%dT%H%M%SZ}"
        halves = [
            lambda: self._put(one, one.title, one.start, 1, rule=cut),
            lambda: self._put(one, f"{one.title} b", start, rule="RRULE:FREQ=WEEKLY;COUNT=2", weeks=0),
        ]
        self.rng.shuffle(halves)
        one.truth.append((at, frozenset({one.start, start})))
        one.truth.append((at + gap, frozenset({start})))
        self._due += [(at, len(self._due), halves[0]), (at + gap, len(self._due) + 1, halves[1])]

    def _put(
        self, one: Round, uid: str, start: datetime, sequence: int = 0, *lines: str, minutes: int = 60, rule: str = "",
        weeks: int = 1,
    ) -> None:  # fmt: skip
        series = one.kind.startswith(("split", "one of"))
        first = start - timedelta(days=7 * weeks) if series else start
        rule = rule or ("RRULE:FREQ=WEEKLY;COUNT=3" if series else "")
        self.calendar.put(uid, self._object(self._event(one, uid, first, sequence, minutes, *lines, rule)))

    def _override(self, one: Round, moved: datetime) -> None:
        first = one.start - timedelta(days=7)
        series = self._event(one, one.title, first, 0, 60, "RRULE:FREQ=WEEKLY;COUNT=3")
        alone = self._event(one, one.title, moved, 1, 60, f"RECURRENCE-ID:{one.start:%Y%m%dT%H%M%SZ}")
        self.calendar.put(one.title, self._object(series, alone))

    def _event(self, one: Round, uid: str, start: datetime, sequence: int, minutes: int, *lines: str) -> list[str]:
        end = start + timedelta(minutes=minutes)
        return [
            "BEGIN:VEVENT",
            f"UID:{uid.replace(' ', '-')}",
            f"DTSTAMP:{self.clock.now():%Y%m%dT%H%M%SZ}",
            f"SEQUENCE:{sequence}",
            f"DTSTART:{start:%Y%m%dT%H%M%SZ}",
            f"DTEND:{end:%Y%m%dT%H%M%SZ}",
            f"SUMMARY:{one.title}",
            f"ORGANIZER:mailto:{ANA}",
            f"ATTENDEE:mailto:{MARIA}",
            *filter(None, lines),
            "END:VEVENT",
        ]

    def _object(self, *events: list[str]) -> bytes:
        lines = [line for event in events for line in event]
        return "\r\n".join(
            ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", *lines, "END:VCALENDAR", ""]
        ).encode()

    # --- what came of it

    def _judge(self) -> Iterator[str]:
        with self.app.store.session() as session:
            rows = reminders.in_states(session, tuple(ReminderState))
        mails = [path.read_bytes() for place in ("new", "cur") for path in (self.folder / "ana" / place).iterdir()]
        items = [one.data for one in self.calendar.calendars["Calendar"].values() if b"UID:quietcrm-" in one.data]
        for one in self.rounds:
            for rule, lying in (("by-mail", mails), ("by-calendar", items)):
                mine = [row for row in rows if row.text.startswith(one.title) and row.rule == rule]
                there = sum(one.title.encode() in data for data in lying)
                for fault in _faults(one, mine, there):
                    yield f"{one.title} ({one.kind}) {rule}: {fault}; {[(row.event, row.state) for row in mine]}"


def _faults(one: Round, rows: list[Reminder], there: int) -> Iterator[str]:
    """What is wrong with the reminders of one meeting by one rule. `there`: how many lie in the mailbox or calendar."""
    by_start: dict[datetime, list[Reminder]] = defaultdict(list)
    for row in rows:
        start = datetime.fromisoformat(row.event.split("|")[2])
        by_start[start].append(row)
        if row.placed_at is not None and not one.was_right(start, row.placed_at):
            yield f"came at {row.placed_at:%H:%M:%S} for {start:%H:%M:%S}, wrong since more than a minute"
    for start, several in by_start.items():
        if sum(row.placed_at is not None for row in several) > 1:
            yield f"came twice for {start:%H:%M:%S}"
    ((right,),) = (one.truth[-1][1],)
    lying = [start for start, several in by_start.items() for row in several if row.state == ReminderState.PLACED]
    wanted = [right] if right is not None else []
    if lying != wanted:
        yield f"in the end {len(lying)} for {[f'{at:%H:%M:%S}' for at in lying]}, right is {right}"
    if there != len(wanted):
        yield f"{there} lie there"


def race(folder: Path, rounds: int, seed: int) -> Score:
    """So many rounds, some at once."""
    score, rng, began = Score(), Random(seed), time.monotonic()
    for first in range(0, rounds, AT_ONCE):
        wave = Wave(folder / f"{first}", min(AT_ONCE, rounds - first), rng, first)
        score.faults += wave.play()
        score.kinds.update(one.kind for one in wave.rounds)
        score.reminded += sum(one.truth[-1][1] != {None} for one in wave.rounds) * 2
    score.seconds = time.monotonic() - began
    return score


def main() -> int:
    """The exit code says whether there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000, help="meetings")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        score = race(Path(folder), given.rounds, given.seed)
    print(score.text())
    return bool(score.faults)


if __name__ == "__main__":
    sys.exit(main())
