"""Every change of summer time of every zone, 2026 to 2030: `python -m campaigns.zones --step 5`.

Around each change, for times of the day so many minutes apart: the clock strikes once on each day, and a date comes
once when the office opens, whoever looks whenever and however often; a reminder for a time of the next day, and one a
day before a meeting, come then too. All at the minute that the wall clock shows first, or the first one behind
a gap. What the wall clock shows is found out minute by minute, not by the code that is tested.
"""

from __future__ import annotations

import argparse
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo, available_timezones

from config.settings import Settings
from rules.clock import ClockRange
from rules.coming import dated, meeting_moment, strikes
from rules.facts import CustomerFacts
from rules.hours import OfficeHours
from rules.moments import At, Delay
from rules.occasion import MeetingFacts
from rules.office import Office, build_office
from rules.triggers import CLOCK, DATE, SOON, Trigger

AROUND = timedelta(hours=26)
MINUTE = timedelta(minutes=1)
WEEKS = 262


@dataclass
class Score:
    """What was done and found."""

    changes: int = 0
    moments: int = 0
    faults: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people; the last line is the verdict."""
        verdict = "each came once" if not self.faults else f"{len(self.faults)} FAULTS"
        line = f"zones: {self.changes} changes of the clock, {self.moments} moments around them; {verdict}"
        return "\n".join([*self.faults[:40], line])


def changes_of(name: str) -> Iterator[datetime]:
    """The minutes at which a zone changes its offset."""
    zone, start = ZoneInfo(name), datetime(2026, 1, 1, tzinfo=UTC)
    for before, after in pairwise(start + timedelta(days=7 * week) for week in range(WEEKS)):
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            while after - before > MINUTE:
                middle = (before + (after - before) / 2).replace(second=0, microsecond=0)
                if middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset():
                    before = max(middle, before + MINUTE) if middle == before else middle
                else:
                    after = middle
            yield after


def every_change() -> list[tuple[str, datetime]]:
    """All of them."""
    names = sorted(available_timezones() - {"localtime", "posixrules"})
    return [(name, change) for name in names for change in changes_of(name)]


class Wall:
    """What the wall clock shows around a change, minute by minute. Times without a zone are the wall's."""

    def __init__(self, zone: ZoneInfo, change: datetime) -> None:
        start = change - AROUND - timedelta(days=2)
        self._first: dict[datetime, datetime] = {}
        for step in range(int((AROUND + timedelta(days=2)) / MINUTE) * 2):
            at = start + step * MINUTE
            self._first.setdefault(at.astimezone(zone).replace(tzinfo=None), at)
        self._shown = sorted(self._first)

    def moment(self, wall: datetime) -> datetime:
        """The instant at which the wall clock shows that first, or has jumped over it."""
        return self._first[self._shown[bisect_left(self._shown, wall)]]


def office_at(zone: ZoneInfo, minute: int) -> Office:
    """An office that opens at that minute every day."""
    settings = Settings.model_validate(
        {
            "company": {"name": "Vendas", "zone": zone.key, "language": "en"},
            "internal": ["@vendas.example"],
            "team": {"ana": {"mail": "ana@vendas.example"}},
            "accounts": {},
        }
    )
    made = build_office(settings)
    hours = OfficeHours(week=((ClockRange(minute, 24 * 60),),) * 7, zone=zone)
    return Office(**{name: getattr(made, name) for name in Office.__slots__} | {"hours": hours, "zone": zone})


def cut(since: datetime, until: datetime, at: datetime, rng: Random) -> list[tuple[datetime, datetime]]:
    """The span in pieces: at random moments, right before, at and right behind the moment itself."""
    inside = [since + (until - since) * rng.random()]
    near = [at - timedelta(seconds=1), at, at + timedelta(seconds=1)]
    cuts = sorted({since, until, *inside, *(one for one in near if since < one < until)})
    return list(pairwise(cuts))


def check(name: str, change: datetime, minutes: Iterable[int], rng: Random) -> Iterator[str]:
    """What is wrong around one change."""
    zone = ZoneInfo(name)
    wall = Wall(zone, change)
    since, until = change - AROUND, change + AROUND
    first = since.astimezone(zone).date() - timedelta(days=1)
    days = [first + timedelta(days=one) for one in range(5)]
    base = office_at(zone, 0)
    for minute in minutes:
        expected = {}
        for day in days:
            at = wall.moment(datetime(day.year, day.month, day.day) + minute * MINUTE)  # noqa: DTZ001
            if since < at <= until:
                expected[day] = at
        pieces = cut(since, until, next(iter(expected.values()), change), rng)
        clock = Trigger(word=CLOCK, words="clock", days=tuple(range(7)), minute=minute)
        struck = [at for first, last in pieces for at in strikes(clock, zone, first, last)]
        if struck != list(expected.values()):
            yield f"{name} {change}: the clock at {minute}: {struck}"
        hours = OfficeHours(week=((ClockRange(minute, 24 * 60),),) * 7, zone=zone)
        office = Office(**{one: getattr(base, one) for one in Office.__slots__} | {"hours": hours})
        for day, at in expected.items():
            came = list(_dates(day.isoformat(), office, pieces))
            if came != [at]:
                yield f"{name} {change}: {day} at {minute}: {came}"
            swallowed = at.astimezone(zone).date() != day  # opens in the hour that is left out before midnight
            yield from (f"{name} {change}: {words}" for words in _reminders(at, day, minute, hours, wall, rng))
            if not swallowed and (not hours.is_open(at) or hours.next_open(at) != at):
                yield f"{name} {change}: closed at its opening at {minute}"


_SOON = Trigger(word=SOON, words="soon", length=Delay(1, "day"), before=True)


def _reminders(at: datetime, day: date, minute: int, hours: OfficeHours, wall: Wall, rng: Random) -> Iterator[str]:
    """A reminder that was set on the day before for this clock time, and one a day before a meeting that begins now."""
    set_at = at - timedelta(hours=rng.uniform(6, 20))
    if set_at.astimezone(hours.zone).date() == day - timedelta(days=1):
        due = At("tomorrow", minute).after(set_at, hours)
        if due != at:
            yield f"a reminder for {day} at {minute}: {due}"
    begins = at.astimezone(hours.zone).replace(tzinfo=None)
    meeting = MeetingFacts(uid="m", title="", start=at, end=at, place="", attendees=(), rep="")
    fires, expected = meeting_moment(_SOON, meeting, hours), wall.moment(begins - timedelta(days=1))
    if fires != expected:
        yield f"a day before a meeting at {begins}: {fires}, not {expected}"


_ON = Trigger(word=DATE, words="date", length=Delay(0, "day"), before=True, field="day")


def _dates(text: str, office: Office, pieces: Sequence[tuple[datetime, datetime]]) -> Iterator[datetime]:
    customer = CustomerFacts(id=1, name="Padaria Sol", fields={"day": text})
    for first, last in pieces:
        yield from (one.at for one in dated(_ON, customer, None, office, first, last))


def run(several: Sequence[tuple[str, datetime]], step: int, seed: int = 1) -> Score:
    """Check these changes at every `step` minutes of the day."""
    score, rng = Score(), Random(seed)
    for name, change in several:
        score.changes += 1
        score.moments += 24 * 60 // step
        score.faults += check(name, change, range(rng.randrange(step), 24 * 60, step), rng)
    return score


def main() -> int:
    """The exit code says whether there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=30, help="minutes between two times of the day")
    score = run(every_change(), parser.parse_args().step)
    print(score.text())
    return bool(score.faults)


if __name__ == "__main__":
    sys.exit(main())
