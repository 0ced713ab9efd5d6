"""Calendars in a failing Microsoft 365: `python -m campaigns.graph_calendars --rounds 200`.

Each round is a mailbox of its own. Its owner lays events and series there, moves, cancels and deletes them and single
occurrences of them, in two calendars; the service fails in a quarter of the calls, forgets its links and repeats pages;
the window slides. Who follows the changes has in the end what the calendars show. Meanwhile reminders are laid, changed
and taken away, and their owner moves them or invites somebody by them: there is never a second one, what its owner
touched stays as it is, and nobody is ever written to.
"""

from __future__ import annotations

import argparse
import copy
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from servers.graph import Call, Fault
from servers.graph_agenda import Agenda, FakeEvent
from servers.graph_calendars import GraphCalendarServer
from servers.graph_oracle import find_check, nothing

from connectors.calendars import ItemKind, OwnItem, PlacedItem, Window
from connectors.errors import ConnectorError
from connectors.graph.calendar_desk import GraphCalendarDesk
from connectors.graph.calendar_source import GraphCalendarSource
from connectors.graph.events import OWN
from connectors.graph.settings import GraphCalendarSettings, Pace
from connectors.model import Cursor

ANA = "ana@vendas.example"
FIRST = datetime(2026, 11, 1, tzinfo=UTC)
LENGTH = timedelta(days=60)
OLGA = {"emailAddress": {"address": "olga@acme.example", "name": "Olga"}, "type": "required"}
WEEKLY = {"type": "weekly", "interval": 1, "daysOfWeek": ["monday", "thursday"], "firstDayOfWeek": "sunday"}
FAULTS = (
    Fault(status=503),
    Fault(status=504, after=True),
    Fault(status=429, code="ApplicationThrottled", retry_after=2),
    Fault(status=410, code="SyncStateNotFound"),
    Fault(drop=True),
    Fault(drop=True, after=True),
    Fault(hang_up=True),
    Fault(repeat=True),
)

Seen = dict[tuple[str, str], set[tuple[str, ...]]]
"""(calendar, object) -> what each of its occurrences says."""


@dataclass
class Score:
    """What was counted."""

    rounds: int = 0
    fetches: int = 0
    faults: int = 0
    laid: int = 0
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        """For people; the last line is the verdict."""
        verdict = "clean" if not self.wrong else f"{len(self.wrong)} FAULTS"
        line = (
            f"graph_calendars: {self.rounds} calendars followed in {self.fetches} looks through {self.faults} faults "
            f"of the service, {self.laid} reminders laid; {verdict}"
        )
        return "\n".join([*self.wrong[:40], line])


@dataclass
class Owner:
    """Who lives in these calendars, by chance."""

    agenda: Agenda
    random: Random
    serial: int = 0

    def act(self) -> None:
        """Do something."""
        standing = [one for one in self.agenda.standing() if OWN not in one.properties]
        acts = (
            [self._book]
            if len(standing) < 3
            else [self._book, self._change, self._move, self._remove, self._occurrence]
        )
        one = self.random.choice(acts)
        one(self.random.choice(standing)) if standing else self._book(None)

    def _book(self, _: FakeEvent | None) -> None:
        self.serial += 1
        event = FakeEvent(self.agenda.id(f"e{self.serial}"), self._calendar(), FIRST, FIRST)
        event.start = self._wall()
        event.end = event.start + timedelta(hours=1)
        event.fields = {"iCalUId": f"e{self.serial}@acme.example", "subject": "Reunião"}
        if self.random.random() < 0.4:
            event.recurrence = {"pattern": WEEKLY, "range": {"type": "noEnd", "startDate": f"{event.start:%Y-%m-%d}"}}
        self.agenda.put(event)

    def _change(self, event: FakeEvent) -> None:
        again = copy.deepcopy(event)
        again.fields["subject"] = f"Reunião {self.random.randrange(9)}"
        if not event.recurrence:
            again.start = self._wall()
            again.end = again.start + timedelta(hours=1)
        again.fields["isCancelled"] = self.random.random() < 0.1
        self.agenda.put(again)

    def _move(self, event: FakeEvent) -> None:
        self.agenda.move(event.id, self._calendar())

    def _remove(self, event: FakeEvent) -> None:
        self.agenda.remove(event.id)

    def _occurrence(self, event: FakeEvent) -> None:
        """Take one out, or move it."""
        shown = self.agenda.occurrences(event, FIRST, FIRST + LENGTH)
        if not event.recurrence or not shown:
            return self._change(event)
        again, one = copy.deepcopy(event), self.random.choice(shown)
        assert one.original is not None
        if self.random.random() < 0.5:
            again.taken_out.add(one.original)
        else:
            moved = FakeEvent("", event.calendar, one.start + timedelta(hours=3), one.end + timedelta(hours=3))
            again.exceptions[one.original] = moved
        self.agenda.put(again)
        return None

    def _calendar(self) -> str:
        return self.random.choice(list(self.agenda.calendars))

    def _wall(self) -> datetime:
        day = self.random.randrange(-20, 90)
        return (FIRST + timedelta(days=day, hours=self.random.randrange(8, 18))).replace(tzinfo=None)


class Round:
    """One mailbox, followed from the beginning to the end."""

    def __init__(self, seed: int, score: Score) -> None:
        self.random, self.score = Random(seed), score
        self.seen: Seen = {}
        self.cursor: Cursor | None = None
        self.window = Window(FIRST, FIRST + LENGTH)
        self.placed: dict[str, PlacedItem] = {}
        self.fails = False

    def run(self) -> None:
        """All of it; what is wrong goes into the score."""
        with GraphCalendarServer(check=find_check() or nothing) as self.server:
            self.server.add_mailbox(ANA)
            self.agenda = self.server.agendas[ANA]
            self.server.page_limit = self.random.choice((2, 5, 100))
            self.server.partial_updates = self.random.random() < 0.5
            self.server.trash_answers = self.random.random() < 0.5
            self.server.faults = self._fault
            owner = Owner(self.agenda, self.random)
            self.source, self.desk = self._source(), GraphCalendarDesk(self._settings())
            for _ in range(self.random.randrange(20, 40)):
                self._step(owner)
            self._compare()
            self.source.close()
            self.desk.close()
            problems = [*self.server.violations, *map(str, self.server.invitations)]
            self.score.wrong += [f"the service complains: {one}" for one in problems[:3]]
        self.score.rounds += 1

    def _settings(self) -> GraphCalendarSettings:
        pace = Pace(sleep=self.server.pass_time, monotonic=self.server.now)
        return GraphCalendarSettings(account="ana", login=ANA, tokens=_Token(), service=self.server.url, pace=pace)

    def _source(self) -> GraphCalendarSource:
        return GraphCalendarSource(self._settings())

    def _fault(self, call: Call) -> Fault | None:
        if not self.fails or self.random.random() > 0.25:
            return None
        self.score.faults += 1
        return self.random.choice(FAULTS)

    def _step(self, owner: Owner) -> None:
        self.fails = False
        chance = self.random.random()
        if chance < 0.05:
            self.agenda.forget_tokens()
        elif chance < 0.1:
            later = timedelta(days=7)
            self.window = Window(self.window.start + later, self.window.end + later)
        elif chance < 0.6:
            owner.act()
        else:
            self._remind()
        if self.random.random() < 0.1:  # a new process
            self.source.close()
            self.source = self._source()
        self.fails = True
        self._fetch(self.random.randrange(1, 6))

    # -- following

    def _fetch(self, limit: int) -> bool:
        """One look; whether there is more."""
        self.score.fetches += 1
        try:
            batch = self.source.fetch(self.cursor, self.window, limit=limit)
        except ConnectorError:
            return True
        for place in (*batch.removed, *batch.read):
            self.seen.pop(place, None)
        for event in batch.events:
            assert isinstance(event.start, datetime)
            said = (*event.key, event.start.astimezone(UTC).isoformat(), event.summary, event.status.value)
            self.seen.setdefault((event.calendar, event.ref), set()).add(said)
        if batch.unreadable:
            self.score.wrong.append(f"unreadable: {batch.unreadable[0].reason}")
        self.cursor = batch.cursor
        return batch.more

    def _compare(self) -> None:
        self.fails = False
        while self._fetch(50) or self._fetch(50):
            pass
        there: Seen = {}
        for key, calendar in self.agenda.calendars.items():
            for one in self.agenda.view(key, self.window.start, self.window.end):
                base = one.master or one.event
                fields = {**base.fields, **one.event.fields}
                uid = str(one.event.properties.get(OWN) or base.fields["iCalUId"])
                original = f"{one.original:%Y%m%dT%H%M%SZ}" if one.original else ""
                status = "cancelled" if fields.get("isCancelled") else "confirmed"
                said = (uid, original, one.event.at(one.start).isoformat(), str(fields["subject"]), status)
                there.setdefault((str(calendar["name"]), base.id), set()).add(said)
        seen = {place: {(_plain(one[0]), *one[1:]) for one in said} for place, said in self.seen.items()}
        shown = {place: {(_plain(one[0]), *one[1:]) for one in said} for place, said in there.items()}
        if seen != shown:
            wrong = {place for place in seen.keys() | shown.keys() if seen.get(place) != shown.get(place)}
            self.score.wrong.append(
                f"seen {[seen.get(one) for one in wrong]}, there {[shown.get(one) for one in wrong]}"
            )

    # -- reminding

    def _remind(self) -> None:
        """Lay, change or take away a reminder; or its owner does something with it."""
        uid = f"quietcrm-{self.random.randrange(4)}"
        kind = ItemKind.TASK if uid[-1] == "3" else ItemKind.EVENT
        at = FIRST + timedelta(days=self.random.randrange(50), hours=9)
        item = OwnItem(uid=uid, kind=kind, summary=f"Ligar {self.random.randrange(9)}", start=at, alarm=timedelta())
        act = self.random.choice(("put", "put", "remove", "owner"))
        if act == "owner":
            return self._touch(uid)
        before = self._words(uid) or ""
        known = self.placed.get(uid)
        touched = known is None or known.summary != before
        self.fails = True
        try:
            if act == "put":
                placed = self.desk.put(item, revision=known.revision if known else "")
                self.score.laid += placed.written
                if placed.written:
                    self.placed[uid] = placed
            elif known is not None and self.desk.remove(known):
                self.placed.pop(uid)
        except ConnectorError:
            pass
        self.fails = False
        found = self.desk.find(uid, kind)
        if found is None:
            self.placed.pop(uid, None)
        else:
            self.placed[uid] = replace(found) if found.ours else self.placed.get(uid, found)
        count = len(self._ours(uid))
        if count > 1:
            self.score.wrong.append(f"{uid} lies there {count} times")
        if touched and known is not None and before.startswith("MINE") and self._words(uid) != before:
            self.score.wrong.append(f"{uid} was its owner's and was written over: {before!r}")
        return None

    def _touch(self, uid: str) -> None:
        """Its owner renames it, and perhaps invites somebody by it."""
        for event in self._ours(uid):
            again = copy.deepcopy(event)
            again.fields["subject"] = f"MINE {self.random.randrange(1000)}"
            if self.random.random() < 0.3:
                again.fields["attendees"] = [OLGA]
            self.agenda.put(again)

    def _ours(self, uid: str) -> list[FakeEvent]:
        return [one for one in self.agenda.standing() if one.properties.get(OWN) == uid]

    def _words(self, uid: str) -> str | None:
        return next((str(one.fields["subject"]) for one in self._ours(uid)), None)


class _Token:
    """It never ends."""

    def bearer(self, *, refused: str = "") -> str:
        """The token."""
        return f"token-{ANA}"


def _plain(uid: str) -> str:
    """Items of ours by which somebody was invited have the service's UID: not compared."""
    return "ours" if uid.startswith(("quietcrm-", "040000")) else uid


def race(rounds: int, seed: int = 1) -> Score:
    """So many calendars, one after the other."""
    score = Score()
    for number in range(rounds):
        Round(seed + number, score).run()
        if score.wrong and not score.wrong[-1].startswith("seed"):
            score.wrong.append(f"seed {seed + number}")
    return score


def main(arguments: list[str] | None = None) -> int:
    """Print what was found; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    options = parser.parse_args(arguments)
    score = race(options.rounds, options.seed)
    print(score.text())
    return bool(score.wrong)


if __name__ == "__main__":
    sys.exit(main())
