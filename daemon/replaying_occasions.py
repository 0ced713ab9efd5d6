"""Looks back at what happened beside mail: which silences, dates, strokes of the clock and changes of some time today's
rules would have acted on, and what was done. Customers are taken as they are today. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session

from daemon.directory import contact_facts, customer_facts
from daemon.happening import Happening
from daemon.office import Office
from daemon.replayed import Difference, told
from daemon.searching import changed, pages
from rules.coming import dated, silence, strikes, struck
from rules.decision import Decision
from rules.engine import evaluate_occasion
from rules.facts import Directory, Moment
from rules.occasion import Occasion, blank_mail
from rules.office import office_of
from rules.once import once_key
from rules.triggers import CHANGED, CLOCK, DATE, SILENT, Trigger
from store import coming, customers, past
from store.hashing import HashKey

AT_ONCE = 2000


@dataclass(slots=True, kw_only=True)
class OccasionReplay:
    """One look back. `looked`: how many occasions were judged; `left_out`: triggers that cannot be looked back at."""

    session: Session
    office: Office
    key: HashKey
    since: datetime
    now: datetime
    rule: str | None = None
    looked: int = 0
    left_out: list[str] = field(default_factory=list)
    _turns: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def differences(self) -> list[Difference]:
        """The occasions at which today's rules and what happened differ, in their order."""
        found = sorted(self._found(), key=lambda one: one.at)
        happening = Happening(session=self.session, office=self.office, key=self.key, now=self.now)
        return [one for page in pages(found) for one in self._judged(page, happening.directory(page))]

    # --- what came true

    def _found(self) -> Iterator[Occasion]:
        triggers = [one for one in self.office.rules.triggers if self._is_asked(one)]
        for trigger in triggers:
            if trigger.word == SILENT:
                yield from self._silences(trigger)
            elif trigger.word == DATE:
                yield from self._dates(trigger)
            elif trigger.word == CLOCK:
                yield from self._strokes(trigger)
        yield from self._changes([one for one in triggers if one.word == CHANGED])

    def _is_asked(self, trigger: Trigger) -> bool:
        rules = self.office.rules.waiting(trigger.words)
        return self.rule is None or any(rule.name == self.rule for rule in rules)

    def _silences(self, trigger: Trigger) -> Iterator[Occasion]:
        length = silence(trigger)
        for number, last in coming.silences(self.session, length, self.since, self.now):
            yield Occasion(
                when=trigger.words,
                event=f"{trigger.words}|customer {number}|{last.isoformat()}",
                at=last + length,
                seen=f"last contact {last:%Y-%m-%d %H:%M} UTC",
                customer_id=number,
            )

    def _dates(self, trigger: Trigger) -> Iterator[Occasion]:
        """A rule that is not loaded yet has no table of its dates: every record is read."""
        office, number = office_of(self.office.settings), 0
        owner = "contact" if trigger.of_a_contact else "customer"
        while page := coming.fields_behind(self.session, owner, number, AT_ONCE):
            number = page[-1][0]
            rows = [row for row, fields in page if fields.get(trigger.key)]
            whose = coming.customers_of(self.session, rows) if trigger.of_a_contact else {row: row for row in rows}
            cards = customers.cards(self.session, set(whose.values()))
            for row in rows:
                card = cards.get(whose.get(row, 0))
                if card is not None:
                    person = next((contact_facts(one) for one in card.contacts if one.id == row), None)
                    contact = person if trigger.of_a_contact else None
                    yield from dated(trigger, customer_facts(card.customer), contact, office, self.since, self.now)

    def _strokes(self, trigger: Trigger) -> Iterator[Occasion]:
        zone = self.office.settings.zone
        if not all(rule.office_wide for rule in self.office.rules.waiting(trigger.words)):
            self.left_out.append(trigger.words)
        for at in strikes(trigger, zone, self.since, self.now):
            yield struck(trigger, at, zone)

    def _changes(self, triggers: Sequence[Trigger]) -> Iterator[Occasion]:
        number = coming.change_before(self.session, self.since)
        while triggers and (rows := coming.changes_behind(self.session, number, AT_ONCE, of_the_past=False)):
            number = rows[-1].id or number
            people = coming.customers_of(self.session, {one.row_id for one in rows if one.table_name == "contact"})
            for row in rows:
                yield from changed(row, triggers, people)

    # --- beside what was done

    def _judged(self, occasions: Sequence[Occasion], directory: Directory) -> Iterator[Difference]:
        done = past.done(self.session, [one.event for one in occasions])
        for occasion in occasions:
            self.looked += 1
            decision = self._decide(occasion, directory)
            acted = {one for one in done.get(occasion.event, ()) if self.rule in (None, one[0])}
            now = {(one.rule, one.slot): one for one in decision.actions if self.rule in (None, one.rule)}
            difference = Difference(
                mail=None,
                identity=occasion.event,
                at=occasion.at,
                sender=_name(occasion, directory),
                subject=occasion.when,
                direction="",
                adds=tuple(told(one) | {"applies": False} for key, one in now.items() if key not in acted),
                drops=tuple(sorted(acted - now.keys())),
            )
            if not difference.is_empty:
                yield difference

    def _decide(self, occasion: Occasion, directory: Directory) -> Decision:
        loaded = {rule.name: occasion.at - timedelta(days=1) for rule in self.office.rules.rules}
        moment = Moment(now=occasion.at, baseline=None, loaded=loaded)
        known = Directory(contacts=directory.contacts, customers=directory.customers, once=self._turns)
        decision = evaluate_occasion(self.office.rules, occasion, known, self.office.settings, moment)
        self._take_turns(occasion, decision, directory)
        return decision

    def _take_turns(self, occasion: Occasion, decision: Decision, directory: Directory) -> None:
        acted = {trace.rule for trace in decision.traces if trace.result == "fired"}
        customer, contact = directory.customers.get(occasion.customer_id or 0), decision.match.contact
        for rule in self.office.rules.waiting(occasion.when):
            if rule.once is not None and rule.name in acted:
                deal = customer.deal if customer else ""
                who = (contact.id if contact else None, customer.id if customer else None, deal)
                self._turns[rule.name, once_key(rule.once.scope, blank_mail(occasion.at), *who)] = occasion.at


def _name(occasion: Occasion, directory: Directory) -> str:
    customer = directory.customers.get(occasion.customer_id or 0)
    return customer.name if customer else ""
