"""From what happened to meetings to the occasions that rules wait for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from daemon.meeting_times import occasion_of_meeting, occasions_of
from daemon.meeting_work import Sign, Work
from daemon.occasions import Occasions
from rules.occasion import Occasion
from rules.triggers import ANSWERED
from store import meetings
from store.hashing import HashKey
from store.meetings import MeetingRow


def tell(work: Work, key: HashKey, occasions: Occasions) -> None:
    """Run the rules for what happened; of a series once, for its next occurrence."""
    waited = {one.words for one in work.office.rules.triggers}
    signs = [one for one in work.signs if one.word in waited]
    rows = meetings.by_numbers(work.session, {one.meeting for one in signs})
    chosen = list(_once_a_series(signs, rows, work.now))
    occasions.happen_in(work.session, list(_occasions_of(work, key, chosen, rows)))


def _once_a_series(signs: Sequence[Sign], rows: Mapping[int, MeetingRow], now: datetime) -> Iterator[Sign]:
    """Where the same happened to several occurrences at once, the next of them speaks for all."""
    keys = Counter((one.word, rows[one.meeting].series) for one in signs if one.word != ANSWERED)
    told: set[tuple[str, str]] = set()
    for sign in sorted(signs, key=lambda one: (rows[one.meeting].start_at <= now, rows[one.meeting].start_at)):
        key = (sign.word, rows[sign.meeting].series)
        if keys[key] > 1 and key in told:
            continue
        told.add(key)
        yield sign


def _occasions_of(
    work: Work, key: HashKey, signs: Sequence[Sign], rows: Mapping[int, MeetingRow]
) -> Iterator[Occasion]:
    by_meeting: dict[int, list[Sign]] = defaultdict(list)
    for sign in signs:
        by_meeting[sign.meeting].append(sign)
    several = [rows[number] for number in by_meeting]
    for row, customer, facts in occasions_of(work.session, key, work.office, several):
        for sign in by_meeting[row.id]:
            yield occasion_of_meeting(sign.word, row, customer, facts, sign.at, sign.which, sign.seen)
