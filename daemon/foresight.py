"""What a look back has decided already, so that later mails of it see it: the case that the first complaint opened, the
customer that the first question made. Nothing of it is in the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from connectors.model import Message
from daemon.office import Office
from rules.decision import Action, Decision, Direction
from rules.facts import ContactFacts, CustomerFacts, Directory
from rules.office import office_of
from rules.once import once_key
from rules.ruleset import Rule

_PEOPLE = ("lead", "customer")
_OPENED = ("lead", "case", "order")


@dataclass(slots=True)
class Foresight:
    """What would be there. Customers that would be made carry numbers below zero."""

    opened: dict[int, set[str]] = field(default_factory=dict)
    tagged: dict[int, set[str]] = field(default_factory=dict)
    made: dict[int, CustomerFacts] = field(default_factory=dict)
    makers: dict[int, str] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)
    domains: dict[str, int] = field(default_factory=dict)
    turns: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def take_turns(
        self, rules: Iterable[Rule], decision: Decision, message: Message, facts: CustomerFacts | None
    ) -> None:
        """The rules with `once:` that acted on a mail had their turn, as later mails of the look back see it."""
        acted = {one.rule for one in decision.traces if one.result == "fired"}
        contact = decision.match.contact
        for rule in rules:
            if rule.once is not None and rule.name in acted:
                who = (contact.id if contact else None, facts.id if facts else None, facts.deal if facts else "")
                key = once_key(rule.once.scope, message, *who)
                self.turns[rule.name, key] = max(
                    message.received_at, self.turns.get((rule.name, key), message.received_at)
                )

    def learn(self, customer: int | None, actions: Iterable[Action]) -> None:
        """Effects that a mail would have on its customer."""
        if customer is None:
            return
        for action in actions:
            if action.verb == "create" and action.args["what"] in _OPENED:
                self.opened.setdefault(customer, set()).add(str(action.args["what"]))
            elif action.verb == "tag":
                self.tagged.setdefault(customer, set()).add(str(action.args["tag"]))

    def seen(self, directory: Directory) -> Directory:
        """The directory with what earlier mails would have done to its customers."""
        directory = replace(directory, once=self.turns) if self.turns else directory
        if not (self.opened.keys() | self.tagged.keys()) & directory.customers.keys():
            return directory
        known = {
            number: replace(
                facts,
                open=facts.open | self.opened.get(number, set()),
                tags=facts.tags | self.tagged.get(number, set()),
            )
            for number, facts in directory.customers.items()
        }
        return replace(directory, customers=known)

    def meet(self, decision: Decision, message: Message, office: Office) -> None:
        """A mail of nobody that makes a customer, or comes from one that would have been made."""
        numbers = decision.match.customers
        if numbers:
            self.learn(numbers[0], decision.actions)
            self._heard(numbers[0], message.received_at, decision.direction)
            return
        maker = next((one for one in decision.actions if _makes_people(one)), None)
        end = decision.match.other_end
        if maker is None or end is None:
            return
        number = -1 - len(self.made)
        stage = office.settings.stages.open[0]
        self.made[number] = CustomerFacts(id=number, name=end.name or end.email, stage=stage)
        self.makers[number] = maker.rule
        self.addresses[end.key] = number
        if not office_of(office.settings).is_public(end.domain):
            self.domains[end.domain] = number
        self.learn(number, decision.actions)
        self._heard(number, message.received_at, decision.direction)

    def _heard(self, number: int, at: datetime, direction: Direction) -> None:
        facts = self.made.get(number)
        if facts is not None:
            came = direction is Direction.IN
            self.made[number] = replace(facts, last_in_at=at) if came else replace(facts, last_out_at=at)

    def among(self, directory: Directory, message: Message) -> Directory:
        """The directory with the customers that earlier mails would have made, as far as this one is about them."""
        people = [person.key for person in message.people()]
        contacts = {
            key: (ContactFacts(id=number, customer_id=number, emails=(key,)),)
            for key in people
            if (number := self.addresses.get(key)) is not None
        }
        domains = {
            domain: (number,)
            for domain in {key.rpartition("@")[2] for key in people}
            if (number := self.domains.get(domain)) is not None
        }
        if not contacts and not domains:
            return self.seen(directory)
        more = replace(
            directory,
            contacts={**directory.contacts, **contacts},
            domains={**directory.domains, **domains},
            customers={**directory.customers, **self.made},
        )
        return self.seen(more)

    def maker_of(self, decision: Decision) -> str:
        """The rule that would have made the customer of a mail, "" if it has one by itself or none."""
        return next((self.makers[one] for one in decision.match.customers if one in self.makers), "")


def _makes_people(action: Action) -> bool:
    return action.verb == "create" and action.args["what"] in _PEOPLE
