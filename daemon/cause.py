"""One mail or occasion, what was decided about it, and whose it turns out to be: what every effect is handed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from connectors.model import Message
from daemon.office import Office
from daemon.ways import DESKS
from rules.decision import Action, Decision
from rules.occasion import Occasion
from store import actions, customers
from store.customers import Actor
from store.hashing import HashKey


@dataclass(slots=True, kw_only=True)
class Cause:
    """One mail or occasion and what was decided about it, and whose it turns out to be. `event` keys its effects.

    message     a blank one (rules.occasion.blank_mail) where an occasion has none
    customers   id -> rung of the ladder, the main one first; contacts: address key -> contact id
    chain       how many rules lead to its changes, see store.tables.Change
    enrolment_id   the enrolment whose step this is: then the sequence stands for the rule
    """

    session: Session
    office: Office
    key: HashKey
    message: Message
    decision: Decision
    event: str
    account: str
    now: datetime
    customers: dict[int, str]
    contacts: dict[str, int]
    contact_id: int | None = None
    occasion: Occasion | None = None
    chain: int = 1
    enrolment_id: int | None = None

    @property
    def at(self) -> datetime:
        """When the mail arrived or the occasion came true."""
        return self.occasion.at if self.occasion else self.message.received_at

    @property
    def title(self) -> str:
        """What it is about, in one line."""
        return self.occasion.title if self.occasion else self.message.subject

    @property
    def main(self) -> int | None:
        """The customer that created things go to."""
        return next(iter(self.customers), None)

    @property
    def rep(self) -> str:
        """Whose mailbox or meeting this is, "" if nobody's."""
        if self.occasion is not None and self.occasion.meeting is not None:
            return self.occasion.meeting.rep
        setting = self.office.settings.accounts.get(self.account)
        return (setting.rep or "") if setting else ""

    @property
    def owner(self) -> str:
        """Who answers for it: the customer's owner, else whose mailbox this is, else the admin."""
        owner = customers.get(self.session, self.main).owner if self.main is not None else ""
        return owner or self.rep or self.office.settings.admin

    def desk_of(self, rep: str) -> str:
        """The account whose mailbox serves a rep, this one before others; "" for none."""
        return desk_of(self.office, rep, self.account)

    def actor(self, rule: str) -> Actor:
        """The rule, or the sequence, as the author of a change."""
        kind = "rule" if self.enrolment_id is None else "sequence"
        return Actor(name=f"{kind} {rule}", now=self.now, chain=self.chain)

    def claim(self, wanted: Iterable[Action]) -> list[Action]:
        """Those of the actions that nobody carried out before."""
        several = [one for one in wanted if not self._done_under_an_old_name(one)]
        fresh = actions.claim(self.session, [(self.event, one.rule, one.slot) for one in several], self.now)
        return [one for one in several if (self.event, one.rule, one.slot) in fresh]

    def describe(self, action: Action, what: str) -> None:
        """Note what came of an action that was claimed."""
        actions.describe(self.session, (self.event, action.rule, action.slot), what)

    def _done_under_an_old_name(self, action: Action) -> bool:
        """A renamed rule (`was: old-name`) does not repeat what it did under its old name."""
        was = next((rule.was for rule in self.office.rules.rules if rule.name == action.rule), "")
        return bool(was) and (was, action.slot) in {(rule, slot) for rule, slot, _ in self._done()}

    def _done(self) -> list[tuple[str, str, str]]:
        return actions.done_for(self.session, self.event)


def desk_of(office: Office, rep: str, preferred: str = "") -> str:
    """The account whose mailbox serves a rep: the preferred one if it is theirs, else their first; "" for none."""
    accounts = office.settings.accounts
    theirs = [name for name, one in accounts.items() if one.rep == rep and one.type in DESKS]
    return preferred if preferred in theirs else next(iter(theirs), "")
