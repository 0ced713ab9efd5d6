"""What came true since the last look, worked out from the records as they are. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlmodel import Session

from daemon.directory import contact_facts, customer_facts
from daemon.happening import Happening, is_telling
from daemon.meeting_times import MeetingTimes, box_of
from daemon.office import Office
from rules.coming import dated, days_meant, silence, silent, strikes, struck
from rules.customer_conditions import INDEXED
from rules.occasion import Change, Occasion
from rules.office import office_of
from rules.text_match import fold_text
from rules.triggers import CHANGED, CLOCK, DATE, HELD, MISSED, OWN_FIELDS, SILENT, SOON, Trigger
from store import accounts, coming, customers
from store.coming import Mark
from store.hashing import HashKey
from store.tables import Change as ChangeRow

log = structlog.get_logger()
T = TypeVar("T")
Stroke = tuple[datetime, Trigger]

CHANGES = "changes"
"""The mark of what was changed; every other one is the words of a trigger."""
LONGEST = timedelta(days=60)
"""What came true longer ago than this was missed for good."""
PATIENCE = timedelta(days=1)
"""So long a mailbox that cannot be read keeps us from calling its customers silent."""
QUARTER = timedelta(minutes=15)
"""Dates are looked for at these moments: the clocks of all zones differ by whole quarters of an hour."""
AT_ONCE = 500
CHANGES_AT_ONCE = 2000
_SEARCHED = (SILENT, DATE, CLOCK, SOON, HELD, MISSED)


def marks_of(triggers: Sequence[Trigger]) -> set[str]:
    """The marks that a search for these triggers needs."""
    names = {one.words for one in triggers if one.word in _SEARCHED}
    return names | ({CHANGES} if any(one.word == CHANGED for one in triggers) else set())


@dataclass(slots=True, kw_only=True)
class Search:
    """One look.

    reached   how far each mark came by it
    strokes   strokes of the clock that are for customers: whom they choose shows when it is their turn (`chosen`)
    """

    session: Session
    office: Office
    key: HashKey
    now: datetime
    marks: dict[str, Mark]
    progress: Callable[[], None] = lambda: None
    reached: dict[str, Mark] = field(default_factory=dict)
    strokes: list[Stroke] = field(default_factory=list)

    def run(self) -> list[Occasion]:
        """Everything that came true, in its order."""
        found: list[Occasion] = []
        triggers = self.office.rules.triggers
        for trigger in triggers:
            if trigger.word in _SEARCHED:
                found += self._of(trigger)
        found += self._changes([one for one in triggers if one.word == CHANGED])
        return sorted(found, key=lambda one: one.at)

    def _of(self, trigger: Trigger) -> Iterator[Occasion]:
        mark = self.marks.get(trigger.words, Mark())
        since = mark.at or self.now
        until = self._until(trigger)
        if since > self.now:  # the clock was ahead, and nobody doubts it any more (daemon.clock)
            log.warning("occasions.clock_set_back", trigger=trigger.words)
            since = until
        if until - since > LONGEST:
            log.warning("occasions.missed", trigger=trigger.words, since=since.isoformat())
            since = until - LONGEST
        self.reached[trigger.words] = Mark(max(since, until))
        if since >= until:
            return iter(())
        if trigger.of_a_meeting:
            around = MeetingTimes(session=self.session, office=self.office, key=self.key, now=self.now)
            return around.come_true(trigger, since, until)
        return {SILENT: self._silent, DATE: self._dated, CLOCK: self._struck}[trigger.word](trigger, since, until)

    def _until(self, trigger: Trigger) -> datetime:
        """How far can be seen: silence as far as mail is read, the past of meetings as far as calendars are too, dates
        by quarters of an hour."""
        if trigger.word == SILENT:
            return self._heard_until(self.office.settings.accounts)
        if trigger.word in (HELD, MISSED):
            calendars = [box_of(name) for name in self.office.settings.calendars]
            return self._heard_until([*self.office.settings.accounts, *calendars])
        if trigger.word != DATE:
            return self.now
        return self.now - (self.now - datetime.min.replace(tzinfo=UTC)) % QUARTER

    # --- silence

    def _heard_until(self, names: Collection[str]) -> datetime:
        """Until when all of these are read: what nobody has looked into may hold the word that breaks a silence."""
        rows = [one for one in accounts.everything(self.session) if one.name in names]
        read = [one.last_success_at or one.baseline_at for one in rows]
        return min([self.now, *(at for at in read if self.now - at < PATIENCE)])

    def _silent(self, trigger: Trigger, since: datetime, until: datetime) -> Iterator[Occasion]:
        length = silence(trigger)
        numbers = coming.last_heard(self.session, since - length, until - length)
        for page in pages(numbers):
            for row in customers.facts(self.session, page).values():
                found = silent(trigger, customer_facts(row), since, until)
                if found is not None:
                    yield found

    # --- dates

    def _dated(self, trigger: Trigger, since: datetime, until: datetime) -> Iterator[Occasion]:
        office = office_of(self.office.settings)
        days = {one for on in _days_between(since, until) for one in days_meant(trigger, on, office.hours)}
        owner = "contact" if trigger.of_a_contact else "customer"
        numbers = {month * 100 + day for month, day in days}
        several = coming.dated_on(self.session, owner, trigger.key, numbers)
        for page in pages(several):
            cards = customers.cards(self.session, {customer for customer, _ in page})
            for customer, contact in page:
                card = cards.get(customer)
                if card is None:
                    continue
                person = next((contact_facts(one) for one in card.contacts if one.id == contact), None)
                yield from dated(trigger, customer_facts(card.customer), person, office, since, until)

    # --- the clock

    def _struck(self, trigger: Trigger, since: datetime, until: datetime) -> Iterator[Occasion]:
        """The newest stroke: one that was slept through is made up for by the next."""
        zone = self.office.settings.zone
        at = max(strikes(trigger, zone, since, until), default=None)
        if at is None:
            return
        rules = self.office.rules.waiting(trigger.words)
        if any(rule.office_wide for rule in rules):
            yield struck(trigger, at, zone)
        if not all(rule.office_wide for rule in rules):
            self.strokes.append((at, trigger))

    def chosen(self, at: datetime, trigger: Trigger) -> Iterator[Occasion]:
        """The customers for whom a rule does something at a stroke, as they are now, a page at a time."""
        happening = Happening(session=self.session, office=self.office, key=self.key, now=self.now)
        stages, number = self._stages(trigger), 0
        while page := coming.customers_behind(self.session, number, AT_ONCE, stages):
            number = page[-1]
            self.progress()
            several = [struck(trigger, at, self.office.settings.zone, one) for one in page]
            directory = happening.directory(several)
            yield from (one for one in several if is_telling(happening.judge(one, directory)))

    def _stages(self, trigger: Trigger) -> set[str]:
        """The stages outside which no rule would choose anybody; none named = no such limit."""
        rules = [rule for rule in self.office.rules.waiting(trigger.words) if not rule.office_wide]
        keys: set[str] = set()
        for rule in rules:
            if not rule.keys or not all(key.startswith(f"f:{INDEXED[0]}=") for key in rule.keys):
                return set()
            keys |= rule.keys
        return {one for one in self.office.settings.stages.order if f"f:{INDEXED[0]}={fold_text(one)}" in keys}

    # --- changes

    def _changes(self, triggers: Sequence[Trigger]) -> Iterator[Occasion]:
        if not triggers:
            return
        number = self.marks.get(CHANGES, Mark(number=coming.newest_change(self.session))).number
        newest = coming.newest_change(self.session)
        rows = coming.changes_behind(self.session, number, CHANGES_AT_ONCE, of_the_past=False)
        self.reached[CHANGES] = Mark(number=rows[-1].id or number if len(rows) == CHANGES_AT_ONCE else newest)
        people = coming.customers_of(self.session, {one.row_id for one in rows if one.table_name == "contact"})
        for row in rows:
            if row.undone_at is None:
                yield from changed(row, triggers, people)


def changed(row: ChangeRow, triggers: Sequence[Trigger], people: Mapping[int, int]) -> Iterator[Occasion]:
    """What a numbered change is to these triggers. people: contact -> customer."""
    contact = row.row_id if row.table_name == "contact" else None
    customer = people.get(row.row_id) if contact is not None else row.row_id
    if customer is None:
        return
    for place, change in enumerate(_differences(row)):
        for trigger in triggers:
            if trigger.key == change.field and trigger.of_a_contact is (contact is not None):
                yield Occasion(
                    when=trigger.words,
                    event=f"{trigger.words}|change {row.id}|{place}",
                    at=row.at,
                    seen=f"{change.before or 'nothing'} -> {change.after or 'nothing'}, by {row.actor}",
                    customer_id=customer,
                    contact_id=contact,
                    changed=change,
                    chain=row.chain,
                    by=row.actor.removeprefix("rule ") if row.actor.startswith("rule ") else "",
                )


def _differences(row: ChangeRow) -> Iterator[Change]:
    """What a change changed, field by field, a tag as "" and itself."""
    if row.what == "set":
        before, after = _flat(row.before), _flat(row.after)
        for name in sorted(before.keys() | after.keys()):
            was, became = _shown(before.get(name)), _shown(after.get(name))
            if was != became:
                yield Change(field=name, before=was, after=became)
    for one in row.before.get("rows", {}).get("customer_tag", ()):
        yield Change(field="tag", before=str(one["tag"]), after="")
    for one in row.after.get("rows", {}).get("customer_tag", ()):
        yield Change(field="tag", before="", after=str(one["tag"]))


def _flat(side: dict[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in side.items() if name in OWN_FIELDS or name in customers.CONTACT_FIELDS}
    return {**side.get("fields", {}), **own}


def _shown(value: object) -> str:
    return "" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _days_between(since: datetime, until: datetime) -> Iterator[date]:
    """Every day that it is somewhere on earth in this span."""
    day, last = (since - timedelta(days=1)).date(), (until + timedelta(days=1)).date()
    while day <= last:
        yield day
        day += timedelta(days=1)


def pages(several: Sequence[T]) -> Iterator[Sequence[T]]:
    """So many at a time as one query takes."""
    for start in range(0, len(several), AT_ONCE):
        yield several[start : start + AT_ONCE]
