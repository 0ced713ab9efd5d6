"""What a step of a sequence does beside its mail: the actions of rules, for somebody rather than for a mail."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from connectors.model import Address, Message
from daemon.cause import Cause
from daemon.directory import contact_facts, customer_facts
from daemon.effects import perform
from daemon.office import Office
from rules.decision import Action, Decision, Direction, Match, Outcome
from rules.effect import Effect, Plan
from rules.facts import Directory, Moment
from rules.office import office_of
from rules.sequence import Sequence
from rules.view import View
from store import customers, enrolments, exchanges
from store.customers import CustomerCard
from store.hashing import HashKey
from store.tables import Enrolment


class At(Protocol):
    """One enrolment at one moment."""

    office: Office
    key: HashKey
    sequence: Sequence
    row: Enrolment
    card: CustomerCard
    now: datetime


def perform_effects(session: Session, at: At, slot: str, effects: Iterable[Effect]) -> None:
    """Carry out the actions of a step, or of `done`; each once. The stage they leave ends no sequence."""
    several = list(effects)
    if not several:
        return
    message, match, directory = _occasion(session, at)
    view = View(message, match, Direction.OUT, directory, office_of(at.office.settings))
    plan = Plan(view, Moment(now=at.now, baseline=None))
    name = at.sequence.name
    built = [(effect, effect.build(plan)) for effect in several]
    actions = tuple(
        Action(rule=name, slot=f"{slot}: {effect.slot}", verb=effect.verb, args=args)
        for effect, args in built
        if args is not None
    )
    cause = Cause(
        session=session,
        office=at.office,
        key=at.key,
        message=message,
        decision=Decision(outcome=Outcome.LOG, direction=Direction.OUT, match=match, actions=actions),
        event=f"enrolment {at.row.id}",
        account=at.row.account,
        now=at.now,
        customers={at.row.customer_id: "sequence"},
        contacts={},
        contact_id=at.row.contact_id,
        enrolment_id=at.row.id,
    )
    perform(cause, at.row.interaction_id)
    stage = customers.get(session, at.row.customer_id).stage
    enrolments.change(session, at.row.id or 0, stage=stage)


def _occasion(session: Session, at: At) -> tuple[Message, Match, Directory]:
    """The step as a mail from the rep to the person would look to rules: now, about what started it."""
    settings, row = at.office.settings, at.row
    member = settings.team.get(row.rep) or settings.team[settings.admin]
    began = exchanges.exchange(session, row.interaction_id) if row.interaction_id else None
    contact = next((one for one in at.card.contacts if one.id == row.contact_id), None)
    end = Address(row.recipient, contact.name if contact else "")
    message = Message(
        account=row.account,
        folder="",
        ref="",
        message_id="",
        sender=Address(member.mail, member.name),
        to=(end,),
        subject=began.subject if began else "",
        sent_at=at.now,
        received_at=at.now,
    )
    facts = contact_facts(contact) if contact else None
    number = row.customer_id
    match = Match(customers=(number,), rungs={number: "sequence"}, contact=facts, other_end=end, outside=(end,))
    directory = Directory(
        contacts={end.key: (facts,)} if facts else {}, customers={number: customer_facts(at.card.customer)}
    )
    return message, match, directory
