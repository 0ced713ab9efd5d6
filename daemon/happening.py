"""Something else than a mail happened: runs the rules that wait for it, inside the caller's transaction, and puts it
into the history with what was done and why. What nobody acts on leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from connectors.model import Message
from daemon import effects
from daemon.breaker import paused_rules
from daemon.cause import Cause
from daemon.directory import contact_facts, contact_ids, customer_facts
from daemon.office import Office
from daemon.turns import known_turns
from rules.decision import Decision
from rules.engine import evaluate_occasion
from rules.facts import ContactFacts, Directory, Moment
from rules.occasion import RUNG, Occasion, blank_mail
from store import actions, coming, customers
from store.hashing import HashKey
from store.interactions import compact_trace

_TELLING = ("fired", "watched", "paused", "looping")


@dataclass(slots=True, kw_only=True)
class Happening:
    """What it takes to run rules for occasions in one transaction."""

    session: Session
    office: Office
    key: HashKey
    now: datetime
    _loaded: dict[str, datetime] = field(default_factory=dict)

    def directory(self, occasions: Iterable[Occasion]) -> Directory:
        """What rules may ask about the customers of these occasions."""
        numbers = {one.customer_id for one in occasions if one.customer_id is not None}
        people: dict[str, tuple[ContactFacts, ...]] = {}
        facts = {}
        for number, card in customers.cards(self.session, numbers).items():
            facts[number] = customer_facts(card.customer)
            for contact in map(contact_facts, card.contacts):
                for name in contact.emails or (f"contact {contact.id}",):  # one without an address is there too
                    people[name] = (*people.get(name, ()), contact)
        known = {one.id for several in people.values() for one in several}
        return Directory(
            contacts=people,
            customers=facts,
            once=known_turns(self.session, self.office.rules, (), known, facts.values()),
        )

    def judge(self, occasion: Occasion, directory: Directory, message: Message | None = None) -> Decision:
        """What the rules say. Writes nothing."""
        self._loaded = self._loaded or actions.loaded_rules(self.session)
        paused = paused_rules(self.session, self.office)
        moment = Moment(now=self.now, baseline=None, loaded=self._loaded, paused=paused)
        rules, settings = self.office.rules, self.office.settings
        return evaluate_occasion(rules, occasion, directory, settings, moment, message=message)

    def happen(
        self,
        occasion: Occasion,
        directory: Directory,
        *,
        message: Message | None = None,
        interaction_id: int | None = None,
    ) -> bool:
        """Judge it and do what the rules want, each effect once, keyed by `occasion.event`; whether any rule had to do
        with it, and it did not happen before.

        `message`, `interaction_id`: the mail that it is about, with its row; without one the occasion gets a row.
        """
        decision = self.judge(occasion, directory, message)
        if not is_telling(decision):
            return False
        number = interaction_id if interaction_id is not None else self._record(occasion, decision)
        if number is None:
            return False  # it happened before
        cause = self._cause(occasion, decision, directory, message)
        effects.file_under(cause)
        effects.perform(cause, number)
        acted = [one.rule for one in decision.traces if one.result in ("fired", "watched")]
        actions.hit(self.session, acted, self.now)
        return True

    def fail(self, occasion: Occasion, error: Exception) -> None:
        """Put an occasion whose rules erred into the history all the same, so that somebody sees it."""
        reason = f"its rules failed with {type(error).__name__}; nothing was done"
        self._record(occasion, None, degraded=reason)

    def _record(self, occasion: Occasion, decision: Decision | None, degraded: str = "") -> int | None:
        trace = (compact_trace(decision.as_dict()) if decision else None) or {}
        known = customers.facts(self.session, [occasion.customer_id]) if occasion.customer_id is not None else {}
        return coming.record(
            self.session,
            event=occasion.event,
            words=occasion.title if occasion.meeting else occasion.when,
            at=occasion.at,
            now=self.now,
            customer_id=next(iter(known), None),
            rung=RUNG,
            rep="",
            trace={**trace, "occasion": occasion.as_dict()},
            config_hash=self.office.hash,
            logged_by=next((one.rule for one in decision.traces if one.result == "fired"), "") if decision else "",
            degraded=degraded,
        )

    def _cause(self, occasion: Occasion, decision: Decision, directory: Directory, message: Message | None) -> Cause:
        match = decision.match
        return Cause(
            session=self.session,
            office=self.office,
            key=self.key,
            message=message or blank_mail(occasion.at),
            decision=decision,
            event=occasion.event,
            account=message.account if message else "",
            now=self.now,
            customers={number: match.rungs.get(number, "") for number in match.customers},
            contacts=contact_ids(directory, message) if message else {},
            contact_id=match.contact.id if match.contact else None,
            occasion=occasion,
            chain=occasion.chain + 1,
        )


def is_telling(decision: Decision) -> bool:
    """Whether a rule did something, watched, or was kept from it by what it had done itself."""
    return any(one.result in _TELLING for one in decision.traces)
