"""Brings about what a look back found: changes to records, through the same effects as when mail comes, each numbered
under the name of its rule, so that `rules undo` takes them back. Never a draft, a send or a reminder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlmodel import Session

from connectors.model import Kind
from daemon import effects
from daemon.cause import Cause
from daemon.office import Office
from daemon.replayed import Planned
from daemon.turns import take_turns
from rules.decision import Action, Direction, Outcome
from store import changes, customers, filing, interactions, marking, sightings, unmatched
from store.customers import HISTORY
from store.hashing import HashKey
from store.identity import identity
from store.interactions import NewInteraction, Touch
from store.sightings import Copy


@dataclass(slots=True, kw_only=True)
class Hindsight:
    """One writing-down. `made`: numbers that the look back gave to customers which did not exist -> their real ones."""

    session: Session
    office: Office
    key: HashKey
    now: datetime
    made: dict[int, int] = field(default_factory=dict)

    def bring_about(self, planned: Iterable[Planned]) -> int:
        """Write everything down, in the given order; how many mails were concerned."""
        several = [one for one in planned if one.size]
        for one in several:
            if one.mail is None:
                self._enter(one)
            else:
                self._add(one)
        return len(several)

    # --- a mail of the history

    def _add(self, planned: Planned) -> None:
        mail = planned.mail
        assert mail is not None
        given = [one for one, rung in mail.customers.items() if one not in mail.known]
        order = dict.fromkeys((*given, *planned.decision.match.customers, *mail.customers))
        cause = self._cause(planned, mail.row["identity"], {one: mail.customers.get(one, "") for one in order})
        if planned.target is not None:
            rule = next(one.rule for one in planned.decision.actions if one.verb == "file_under")
            before = [one for one, rung in mail.customers.items() if rung == "file_under"]
            filing.file_anew(self.session, mail.id, before, [planned.target], "file_under", cause.actor(rule))
            kept = {one: rung for one, rung in cause.customers.items() if one not in before}
            cause.customers = {planned.target: "file_under", **kept}
            self._touch(cause, [planned.target], cause.actor(rule))
        before = list(cause.customers)
        effects.file_under(cause)
        fresh = [one for one in cause.customers if one not in before]
        if fresh:
            by = cause.actor(_first_of(planned.wanted))
            rung = cause.customers[fresh[0]]
            filing.file_anew(self.session, mail.id, [], fresh, rung, by)
            self._touch(cause, fresh, by)
        self._perform(cause, planned, mail.id)

    # --- a mail that belonged to nobody

    def _enter(self, planned: Planned) -> None:
        message, decision = planned.message, planned.decision
        who = identity(message)
        rule = planned.maker or decision.logged_by or _first_of(planned.wanted)
        due = unmatched.waiting(self.session)
        hashed = self.key.identity(who.key)
        before = {"rows": unmatched.rows_of(self.session, [hashed])}
        match = decision.match
        known = {self.made.get(one, one): match.rungs.get(one, "") for one in match.customers}
        cause = self._cause(planned, who.key, known)
        effects.file_under(cause)
        if not known:
            self._remember_made(planned, cause)
        row = NewInteraction(
            message=message,
            identity=who,
            kind=message.kind.value,
            direction=decision.direction.value,
            customers=list(cause.customers.items()),
            contacts=cause.contacts,
            rep=cause.rep,
            logged_by=decision.logged_by,
            degraded="; ".join(message.degraded),
            backfill=True,
            headers_only=decision.outcome is Outcome.HEADERS,
            trace=decision.as_dict(),
            config_hash=self.office.hash,
            created_at=self.now,
        )
        (number,) = interactions.record(self.session, [row])
        self._adopt(hashed, number)
        if message.message_id:
            unmatched.make_due(self.session, [self.key.message(message.message_id)])
        self._perform(cause, planned, number)
        self._touch(cause, list(cause.customers), cause.actor(rule))
        after = {"due": sorted(unmatched.waiting(self.session) - due)}
        by = cause.actor(rule)
        place = ("interaction", number)
        changes.note(self.session, at=by.now, actor=by.name, what="logged", row=place, before=before, after=after)

    def _remember_made(self, planned: Planned, cause: Cause) -> None:
        """The customer that this mail makes: later mails of the look back know it by the number it has there."""
        if cause.main is not None and cause.customers[cause.main] == "created":
            self.made[-1 - len(self.made)] = cause.main

    def _adopt(self, hashed: str, number: int) -> None:
        """The remembered copies become sightings of the mail's row, and its answers come in at the next pass."""
        copies = unmatched.copies_of(self.session, [hashed])
        seen = [Copy(number, one.account, one.folder, one.ref, one.at) for one in copies]
        sightings.add_sightings(self.session, seen)
        unmatched.forget(self.session, [one.id for one in copies])

    # --- both

    def _cause(self, planned: Planned, event: str, known: Mapping[int, str]) -> Cause:
        message, decision = planned.message, planned.decision
        people = {person.key for person in message.people()}
        found = customers.lookup_addresses(self.session, people)
        contacts = {key: several[0].id for key, several in found.items() if len(several) == 1}
        end = decision.match.other_end
        return Cause(
            session=self.session,
            office=self.office,
            key=self.key,
            message=message,
            decision=replace(decision, actions=planned.wanted, traces=()),
            event=event,
            account=message.account,
            now=self.now,
            customers=dict(known),
            contacts=contacts,
            contact_id=contacts.get(end.key) if end is not None else None,
            chain=HISTORY,
        )

    def _perform(self, cause: Cause, planned: Planned, number: int) -> None:
        """Whose turn it was (`once:`) the look back worked out by the mails' own times; here it is only noted."""
        effects.perform(cause, number)
        acted = {one.rule for one in planned.wanted}
        rules = [one for one in self.office.rules.rules if one.name in acted]
        take_turns(self.session, rules, cause.message, cause.contact_id, cause.main)

    def _touch(self, cause: Cause, numbers: list[int], by: customers.Actor) -> None:
        """The customers heard from us, or we from them; the rep who wrote becomes the owner where there is none."""
        message, direction = cause.message, cause.decision.direction
        if message.kind is not Kind.HUMAN or marking.own_sends(self.session, [message.message_id]):
            return
        touch = Touch(at=message.received_at, direction=direction.value, customer_ids=numbers)
        with filing.noted(self.session, numbers, by):
            interactions.touch(self.session, [touch])
            for number in numbers if direction is Direction.OUT and cause.rep else ():
                customers.owner_if_none(self.session, number, cause.rep)


def _first_of(actions: Iterable[Action]) -> str:
    """The rule that says whose mail it is, else the first one that does anything."""
    several = list(actions)
    makers = (one.rule for one in several if one.verb in ("file_under", "create"))
    return next(makers, several[0].rule if several else "")
