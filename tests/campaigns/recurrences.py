"""Random recurrence rules, ours against libical (Debian: libical3), which shares no code with us or with dateutil.

`python -m campaigns.recurrences --count 20000 --seed 0` prints each rule on which the two differ, with both answers.

What libical 3.0 itself reads in another way than RFC 5545 is left out here and compared with dateutil instead: days
counted from the end in rules that repeat daily or hourly; BYSETPOS in a week, beside several times of day, or beside
days that two numbers name; BYWEEKNO; BYYEARDAY beside other days; hours named in an hourly rule; every other week where
weeks begin on another day than Monday.
"""

from __future__ import annotations

import argparse
import ctypes
import ctypes.util
import random
from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from dateutil.rrule import rrulestr
from servers.process import ServerMissing

from connectors.ical.rule import Budget, expand, parse_rule

MOST = 25
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES = ("DAILY", "WEEKLY", "WEEKLY", "MONTHLY", "MONTHLY", "YEARLY", "YEARLY", "HOURLY")


@dataclass(frozen=True, slots=True)
class Trial:
    """A rule and where it begins; `start` naive, in UTC."""

    rule: str
    start: datetime

    @property
    def parts(self) -> dict[str, str]:
        """The rule's parts by name."""
        return dict(part.split("=") for part in self.rule.split(";"))

    @property
    def horizon(self) -> datetime:
        """How far both sides are asked."""
        return self.start.replace(year=self.start.year + (2 if "HOURLY" in self.rule else 40), day=1)

    def is_beyond_libical(self) -> bool:
        """See the module."""
        parts, frequency = self.parts, self.parts["FREQ"]
        if "BYWEEKNO" in parts or (frequency == "HOURLY" and "BYHOUR" in parts):
            return True
        if frequency == "WEEKLY" and "INTERVAL" in parts and parts.get("WKST", "MO") != "MO":
            return True
        if frequency in ("DAILY", "HOURLY") and "-" in parts.get("BYMONTHDAY", "") + parts.get("BYYEARDAY", ""):
            return True
        if "BYSETPOS" in parts and (
            frequency in ("WEEKLY", "DAILY", "HOURLY") or "BYHOUR" in parts or "BYMINUTE" in parts
        ):
            return True
        if "BYSETPOS" in parts and "-" in parts.get("BYMONTHDAY", ""):
            return True
        return "BYYEARDAY" in parts and bool(parts.keys() & {"BYMONTH", "BYMONTHDAY", "BYDAY"})

    def ours(self, most: int = MOST) -> list[datetime]:
        """What our expansion says, the start always first."""
        found: list[datetime] = []
        rule = parse_rule(self.rule)
        until = datetime.strptime(rule.until, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if rule.until else None
        for at in expand(
            rule,
            self.start,
            low=self.start,
            high=self.horizon,
            until=until.replace(tzinfo=None) if until else None,
            budget=Budget(10_000_000),
        ):
            found.append(at)
            if len(found) >= most:
                break
        return found


def make_trial(seed: int) -> Trial:
    """A rule of any kind RFC 5545 allows, whose start is one of its own occurrences where it has any."""
    chance = random.Random(seed)
    frequency = chance.choice(_FREQUENCIES)
    parts = {"FREQ": frequency}
    if chance.random() < 0.5:
        parts["INTERVAL"] = str(chance.randint(1, 6))
    if chance.random() < 0.3:
        parts["WKST"] = chance.choice(_DAYS)
    parts |= dict(_restrictions(chance, frequency))
    start = datetime(chance.randint(2000, 2030), chance.randint(1, 12), chance.randint(1, 28), chance.randint(0, 23))  # noqa: DTZ001
    start += timedelta(days=chance.choice((0, 0, 0, 0, 1, 2, 3)), minutes=chance.choice((0, 15, 30)))
    if chance.random() < 0.3:
        parts["COUNT"] = str(chance.randint(1, 30))
    elif chance.random() < 0.3:
        parts["UNTIL"] = (start + timedelta(days=chance.randint(1, 2000))).strftime("%Y%m%dT%H%M%SZ")
    trial = Trial(";".join(f"{name}={value}" for name, value in parts.items()), start)
    second = trial.ours(2)[1:]
    return Trial(trial.rule, second[0]) if second else trial


def _restrictions(chance: random.Random, frequency: str) -> Iterator[tuple[str, str]]:
    if chance.random() < (0.15 if frequency == "HOURLY" else 0.35):
        yield "BYMONTH", _some(chance, 12, 4)
    if frequency != "WEEKLY" and chance.random() < 0.3:
        yield "BYMONTHDAY", _some(chance, 31, 4, negative=True)
    if frequency in ("YEARLY", "HOURLY") and chance.random() < 0.15:
        yield "BYYEARDAY", _some(chance, 366, 4, negative=True)
    weeks = frequency == "YEARLY" and chance.random() < 0.15
    if weeks:
        yield "BYWEEKNO", _some(chance, 53, 3, negative=True)
    if chance.random() < 0.5:
        counted = frequency == "MONTHLY" and chance.random() < 0.6
        yield "BYDAY", _weekdays(chance, counted)
    if chance.random() < 0.15:
        yield "BYHOUR", ",".join(sorted({str(chance.randint(0, 23)) for _ in range(3)}, key=int))
    if chance.random() < 0.1:
        yield "BYMINUTE", ",".join(sorted({str(chance.randint(0, 59)) for _ in range(3)}, key=int))
    if frequency in ("MONTHLY", "YEARLY") and chance.random() < 0.15:
        yield "BYSETPOS", _some(chance, 4, 2, negative=True)


def _some(chance: random.Random, largest: int, most: int, *, negative: bool = False) -> str:
    signs = (1, 1, -1) if negative else (1,)
    numbers = {chance.randint(1, largest) * chance.choice(signs) for _ in range(chance.randint(1, most))}
    return ",".join(map(str, sorted(numbers)))


def _weekdays(chance: random.Random, counted: bool) -> str:
    found = []
    for _ in range(chance.randint(1, 4)):
        number = chance.choice((1, 1, -1)) * chance.randint(1, 5) if counted and chance.random() < 0.8 else ""
        found.append(f"{number}{chance.choice(_DAYS)}")
    return ",".join(dict.fromkeys(found))


class Libical:
    """`icalrecur_expand_recurrence` of the installed library. Raises ServerMissing where there is none."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("ical") or "libical.so.3"
        try:
            self._expand = ctypes.CDLL(name).icalrecur_expand_recurrence
        except OSError as error:
            raise ServerMissing("libical3") from error
        self._expand.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.POINTER(ctypes.c_long)]
        self._expand.restype = ctypes.c_int

    def expand(self, trial: Trial, most: int) -> list[datetime]:
        """The first occurrences; libical leaves out a start that does not fit its rule."""
        times = (ctypes.c_long * most)()
        self._expand(trial.rule.encode(), timegm(trial.start.timetuple()), most, times)
        return [datetime.fromtimestamp(at, UTC).replace(tzinfo=None) for at in times if at]


def compare_with_libical(trial: Trial, libical: Libical) -> tuple[list[datetime], list[datetime]] | None:
    """(libical's, ours) where they differ. libical is asked for as many as we have: it never ends on a rule without
    further ones."""
    ours = trial.ours()
    theirs = libical.expand(trial, len(ours))
    if theirs[:1] != [trial.start]:
        ours = ours[1:]
        theirs = libical.expand(trial, len(ours)) if ours else []
    return None if theirs == ours else (theirs, ours)


def compare_with_dateutil(trial: Trial) -> tuple[list[datetime], list[datetime]] | None:
    """(dateutil's, ours) where they differ; for rules that have further occurrences, else it looks until the year 9999.

    It reads a weekly set of a week cut off by the start (BYSETPOS), numbered weeks without a day and days of the month
    without a month in ways of its own: who asks leaves such rules out."""
    ours = trial.ours()
    theirs = list(islice(rrulestr(trial.rule.replace("Z", ""), dtstart=trial.start), len(ours)))
    return None if theirs == ours else (theirs, ours)


def run(count: int, first: int = 0) -> Iterator[str]:
    """Compare `count` rules; a line for each difference."""
    libical, seed, done = Libical(), first, 0
    while done < count:
        trial = make_trial(seed)
        seed += 1
        if trial.is_beyond_libical() or len(trial.ours(2)) < 2:
            continue
        done += 1
        if differing := compare_with_libical(trial, libical):
            theirs, ours = differing
            at = next((n for n, (one, other) in enumerate(zip(theirs, ours, strict=False)) if one != other), -1)
            yield f"{trial.rule} from {trial.start}: libical {theirs[at]}, ours {ours[at]}"


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    differing = 0
    for line in run(given.count, given.seed):
        print(line)
        differing += 1
    print(f"recurrences: {given.count} rules, {differing} differ")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
