"""Looks once a minute for what came true beside mail, and has the rules that wait for it run; each once.

What came true is worked out from the records and the time since the last look (daemon.searching), so a restart, a
sleep of the machine or an hour without a daemon loses nothing and repeats nothing: how far was looked is written down
behind what was done, and an occasion that has its row in the history is not run again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel import Session

from daemon.clock import Clock
from daemon.dated import Dates
from daemon.happening import Happening
from daemon.meeting_times import MeetingTimes
from daemon.office import Office
from daemon.searching import CHANGES, Search, Stroke, marks_of
from rules.occasion import Occasion
from rules.triggers import HELD, MISSED, SOON
from store import coming
from store.coming import Mark
from store.engine import Store
from store.errors import StoreError
from store.hashing import HashKey

log = structlog.get_logger()

AT_ONCE = 50
_OF_THE_STORE = (StoreError, OperationalError, InterfaceError)


@dataclass(slots=True, kw_only=True)
class Occasions:
    """Finds occasions and makes them happen. `turn` is held while it looks; hold it to change `office`.

    doubts_clock   says whether what the clock shows is to be believed
    progress       hears that it still moves
    freshen        reads meetings again before something happens because of them, and those of which somebody is
                   reminded in the next minute
    """

    store: Store
    office: Office
    key: HashKey
    clock: Clock
    doubts_clock: Callable[[], bool] = lambda: False
    progress: Callable[[], None] = lambda: None
    freshen: Callable[[set[int], datetime], None] = lambda _meetings, _now: None
    turn: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, session: Session, office: Office) -> None:
        """From now on look for what these rules wait for; what none waits for any more begins anew another time.

        Call it in the transaction that notes when the rules were loaded: they see what comes true from then on.
        """
        wanted, known = marks_of(office.rules.triggers), coming.marks(session)
        ours = {name for name in known if name in (CHANGES, MISSED) or ":" in name}
        coming.forget_marks(session, ours - wanted)
        now, newest = self.clock.now(), coming.newest_change(session)
        fresh = {name: Mark(number=newest) if name == CHANGES else Mark(now) for name in wanted - known.keys()}
        coming.set_marks(session, fresh)

    def look(self) -> int:
        """Find what came true since the last look and run the rules that wait for it; how many did something."""
        now = self.clock.now()
        if not self.doubts_clock():
            self.freshen(self._meetings_at(now), now)
        with self.turn:
            triggers = self.office.rules.triggers
            if not triggers or self.doubts_clock():
                return 0
            Dates(self.store).refresh(self.office, now)
            with self.store.session() as session:
                marks = coming.marks(session)
                search = self._search(session, now, marks)
                found = search.run()
            done = self._in_order(found, search.strokes, now)
            fresh = {name: mark for name, mark in search.reached.items() if marks.get(name) != mark}
            with self.store.writing() as session:
                coming.set_marks(session, fresh)
            return done

    def _meetings_at(self, now: datetime) -> set[int]:
        """The meetings because of which something happens now, as far as is known."""
        triggers = [one for one in self.office.rules.triggers if one.word in (SOON, HELD, MISSED)]
        if not triggers:
            return set()
        with self.store.session() as session:
            marks = coming.marks(session)
            around = MeetingTimes(session=session, office=self.office, key=self.key, now=now)
            since = {one.words: marks.get(one.words, Mark()).at or now for one in triggers}
            return {number for one in triggers for number in around.numbers(one, since[one.words], now)}

    def _search(self, session: Session, now: datetime, marks: dict[str, Mark]) -> Search:
        office, key = self.office, self.key
        return Search(session=session, office=office, key=key, now=now, marks=marks, progress=self.progress)

    def _in_order(self, found: Sequence[Occasion], strokes: Sequence[Stroke], now: datetime) -> int:
        """Make everything happen in the order in which it came true: a stroke of the clock sees what came before."""
        done, rest = 0, list(found)
        for at, trigger in sorted(strokes, key=lambda stroke: stroke[0]):
            before = [one for one in rest if one.at <= at]
            rest = rest[len(before) :]
            done += self.happen(before)
            with self.store.session() as session:
                several = list(self._search(session, now, {}).chosen(at, trigger))
            done += self.happen(several)
        return done + self.happen(rest)

    def happen(self, occasions: Sequence[Occasion]) -> int:
        """Run the rules for occasions in their order; how many did something. Those that happened before are passed
        over. For calendars too: hand in what came true there."""
        return sum(self._some(occasions[start : start + AT_ONCE]) for start in range(0, len(occasions), AT_ONCE))

    def _some(self, occasions: Sequence[Occasion]) -> int:
        self.progress()
        with self.store.writing() as session:
            return self.happen_in(session, occasions)

    def happen_in(self, session: Session, occasions: Sequence[Occasion]) -> int:
        """The same inside the caller's transaction, so that what was seen and what was done about it are one."""
        done = 0
        happened = coming.recorded(session, [one.event for one in occasions])
        fresh = [one for one in occasions if one.event not in happened]
        happening = Happening(session=session, office=self.office, key=self.key, now=self.clock.now())
        directory = happening.directory(fresh)
        touched: set[int | None] = set()
        for occasion in fresh:
            known = happening.directory([occasion]) if occasion.customer_id in touched else directory
            try:
                with session.begin_nested():
                    telling = happening.happen(occasion, known)
            except _OF_THE_STORE:
                raise
            except Exception as error:
                log.error("occasion.failed", occasion=occasion.event, exc_info=error)
                happening.fail(occasion, error)
                continue
            if telling:
                touched.add(occasion.customer_id)
                done += 1
        return done
