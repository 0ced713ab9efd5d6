"""`event:` of a rule test: something else than a mail happens; and what comes true while time passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from config.nodes import MapNode, Node, Place, Scalar
from config.settings import Settings
from config.values import MAIL as MAIL_ADDRESS
from connectors.model import Address
from rules.coming import between
from rules.decision import Decision
from rules.engine import evaluate_occasion
from rules.facts import ContactFacts, CustomerFacts, Directory, Moment
from rules.meeting_conditions import ANSWERS
from rules.moments import parse_age
from rules.occasion import Attendee, Change, MeetingFacts, Occasion, blank_mail, whose
from rules.office import office_of
from rules.once import once_key
from rules.reader import Reader, entries
from rules.ruleset import RuleSet
from rules.trial_clock import EVER
from rules.trial_world import World
from rules.triggers import CHANGED, CLOCK, HELD, OWN_FIELDS, SOON, Trigger, read_trigger

Record = TypeVar("Record", CustomerFacts, ContactFacts)
KEYS = ("when", "customer", "contact", "from", "to", "title", "attendee", "answered", "length", "place")
_OF_A_MEETING = ("title", "attendee", "answered", "length", "place")
_HOUR = timedelta(hours=1)


@dataclass(slots=True)
class _Draft:
    """An event in the making."""

    trigger: Trigger
    customer: CustomerFacts | None = None
    contact: ContactFacts | None = None
    parts: dict[str, Any] = field(default_factory=dict)


def read_event(node: Node, at: datetime, world: World, reader: Reader) -> Occasion | None:
    """The event of one test; faults go to the reader, None if there is no usable one then."""
    mapping = reader.mapping(node, "`event`", "{when: meeting missed, customer: Padaria Sol}")
    if mapping is None:
        return None
    before = len(reader.problems)
    given = {key.text: (key, value) for key, value in entries(mapping, reader, KEYS, "part of an event")}
    trigger = _trigger(mapping, given, reader)
    if trigger is None:
        return None
    draft = _Draft(trigger)
    _whose(mapping, given, draft, world, reader)
    for name, (key, value) in given.items():
        if name in _PARTS:
            _fits(key, draft.trigger, reader)
            draft.parts |= _PARTS[name](name, value, reader)
    return _occasion(draft, at, reader) if len(reader.problems) == before else None


def _trigger(mapping: MapNode, given: Mapping[str, tuple[Scalar, Node]], reader: Reader) -> Trigger | None:
    if "when" not in given:
        reader.report("E102", "the event does not say what happens", mapping.place, "add: when: meeting missed")
        return None
    key, value = given["when"]
    found = read_trigger(value, reader)
    if found is not None and found.of_a_mail:
        help = "write the mail: mail: {from: maria@acme.example}"
        reader.report("E421", f'"{found.word}" is no event', value.place, help)
        return None
    if found is not None and reader.waited is not None and found.words not in reader.waited:
        there = ", ".join(sorted(reader.waited)) or "none yet"
        reader.report("E421", f'no rule waits for "{found.words}"', _spot(key, value), f"they wait for: {there}")
        return None
    return found


def _spot(key: Scalar, value: Node) -> Place:
    return value.place if isinstance(value, Scalar) else key.place


def _whose(
    mapping: MapNode, given: Mapping[str, tuple[Scalar, Node]], draft: _Draft, world: World, reader: Reader
) -> None:
    """Customer and contact of the event; the clock may have none."""
    if "customer" in given:
        scalar = reader.scalar(given["customer"][1], "`customer`")
        draft.customer = world.named(scalar.text) if scalar else None
        if scalar and draft.customer is None:
            reader.unknown("customer", scalar, (one.name for one in world.customers), code="E206")
    if "contact" in given:
        scalar = reader.scalar(given["contact"][1], "`contact`")
        people = [one for one in world.contacts if draft.customer in (None, world.customer_of(one))]
        draft.contact = next((one for one in people if scalar and _is_called(one, scalar.text)), None)
        if scalar and draft.contact is None:
            known = [name for one in people for name in (one.name, *one.emails) if name]
            reader.unknown("contact", scalar, known, code="E206")
        elif draft.contact is not None:
            draft.customer = world.customer_of(draft.contact)
    if not given.keys() & {"customer", "contact"} and draft.trigger.word != CLOCK:
        reader.report("E102", "the event does not say whose it is", mapping.place, "add: customer: Padaria Sol")


def _is_called(contact: ContactFacts, text: str) -> bool:
    wanted = text.strip().casefold()
    return wanted == contact.name.casefold() or wanted in contact.emails


def _fits(key: Scalar, trigger: Trigger, reader: Reader) -> None:
    """Whether a part belongs to such an event."""
    if key.text in _OF_A_MEETING and not trigger.of_a_meeting:
        reader.report("E421", f'"{trigger.word}" has no meeting', key.place, f'take "{key.text}" away')
    if key.text in ("from", "to") and trigger.word != CHANGED:
        reader.report("E421", f'"{trigger.word}" is no change of a record', key.place, f'take "{key.text}" away')


# --- parts


def _text(name: str, node: Node, reader: Reader) -> dict[str, Any]:
    if isinstance(node, Scalar):
        return {name: node.text.strip()}
    reader.scalar(node, f"`{name}`")
    return {}


def _attendees(_name: str, node: Node, reader: Reader) -> dict[str, Any]:
    found = []
    for scalar in reader.scalars(node, "`attendee`"):
        if MAIL_ADDRESS.fullmatch(scalar.text.strip()):
            found.append(Address(scalar.text.strip()))
        else:
            help = "write for example maria@padariasol.example"
            reader.report("E205", f'"{scalar.text}" is not a mail address', scalar.place, help)
    return {"attendees": found}


def _answered(_name: str, node: Node, reader: Reader) -> dict[str, Any]:
    scalar = reader.scalar(node, "`answered`")
    word = reader.choice(scalar, ANSWERS, "`answered`") if scalar else None
    return {"answered": "" if word == "nothing" else word} if word else {}


def _length(_name: str, node: Node, reader: Reader) -> dict[str, Any]:
    scalar = reader.scalar(node, "`length`")
    found = reader.parsed(scalar, parse_age, "E202") if scalar else None
    return {"length": found} if found else {}


_PARTS: Mapping[str, Callable[[str, Node, Reader], dict[str, Any]]] = {
    **dict.fromkeys(("title", "place", "from", "to"), _text),
    "attendee": _attendees,
    "answered": _answered,
    "length": _length,
}


# --- the whole


def _occasion(draft: _Draft, at: datetime, reader: Reader) -> Occasion:
    trigger, customer = draft.trigger, draft.customer
    return Occasion(
        when=trigger.words,
        event=f"{trigger.words}|{customer.name if customer else 'the office'}|{at.isoformat()}",
        at=at,
        customer_id=customer.id if customer else None,
        contact_id=draft.contact.id if draft.contact else None,
        meeting=_meeting(draft, at, reader) if trigger.of_a_meeting else None,
        changed=_change(draft) if trigger.word == CHANGED else None,
    )


def _change(draft: _Draft) -> Change:
    """From what to what; what is not said is what the customer is given."""
    name, customer = draft.trigger.key, draft.customer
    given: Any = getattr(customer, name, None)
    if customer is not None and given is None:
        given = (draft.contact.fields if draft.contact else customer.fields).get(name, "")
    now = str(given or "") if name != "tag" else ""
    return Change(field=name, before=draft.parts.get("from", ""), after=draft.parts.get("to", now))


def _meeting(draft: _Draft, at: datetime, reader: Reader) -> MeetingFacts:
    """A meeting that fits the moment: about to be, just over, or tomorrow."""
    parts, trigger = draft.parts, draft.trigger
    length = parts.get("length", _HOUR)
    start = at - length if trigger.word in (HELD, "meeting missed") else at + timedelta(days=1)
    if trigger.word == SOON and trigger.length is not None:
        start = trigger.length.after(at, office_of(reader.settings).hours)
    if trigger.word == HELD and trigger.length is not None:
        start -= parse_age(f"{trigger.length.count} {trigger.length.unit}s")
    own = [Address(email, draft.contact.name) for email in draft.contact.emails[:1]] if draft.contact else []
    answer = parts.get("answered", "")
    return MeetingFacts(
        uid="meeting@quietcrm.invalid",
        title=parts.get("title", "Meeting"),
        start=start,
        end=start + length,
        place=parts.get("place", ""),
        attendees=tuple(Attendee(address=one, answer=answer) for one in parts.get("attendees", own)),
    )


# --- running


def pass_time(
    span: tuple[datetime, datetime], directory: Directory, ruleset: RuleSet, settings: Settings
) -> list[tuple[Occasion, Decision]]:
    """What the rules make of everything that comes true while time passes and nobody writes."""
    people = {one.id: one for several in directory.contacts.values() for one in several}
    coming = between(ruleset.triggers, directory.customers.values(), people.values(), office_of(settings), *span)
    return happen(coming, directory, ruleset, settings)


def happen(
    occasions: Sequence[Occasion], directory: Directory, ruleset: RuleSet, settings: Settings
) -> list[tuple[Occasion, Decision]]:
    """What the rules make of occasions, one after another. Whose turn it was (`once:`) is kept from one to the next."""
    turns = dict(directory.once)
    loaded = {rule.name: EVER for rule in ruleset.rules}
    found = []
    for occasion in occasions:
        moment = Moment(now=occasion.at, baseline=EVER, loaded=loaded)
        known = _as_changed(replace(directory, once=turns), occasion)
        decision = evaluate_occasion(ruleset, occasion, known, settings, moment)
        _take_turns(turns, occasion, decision, known, ruleset)
        found.append((occasion, decision))
    return found


def _as_changed(directory: Directory, occasion: Occasion) -> Directory:
    """The world in which a record has already become what the event says."""
    change, customer = occasion.changed, directory.customers.get(occasion.customer_id or 0)
    if change is None or customer is None:
        return directory
    if occasion.when.startswith(f"{CHANGED}: contact."):
        contacts = {
            email: tuple(_with_field(one, change) if one.id == occasion.contact_id else one for one in several)
            for email, several in directory.contacts.items()
        }
        return replace(directory, contacts=contacts)
    if change.field == "tag":
        tags = (customer.tags - {change.before}) | ({change.after} - {""})
        customer = replace(customer, tags=tags)
    elif change.field in OWN_FIELDS:
        own: dict[str, Any] = {change.field: change.after}
        customer = replace(customer, **own)
    else:
        customer = _with_field(customer, change)
    return replace(directory, customers={**directory.customers, customer.id: customer})


def _with_field(record: Record, change: Change) -> Record:
    return replace(record, fields={**record.fields, change.field: change.after})


def _take_turns(
    turns: dict[tuple[str, str], datetime], occasion: Occasion, decision: Decision, directory: Directory, rules: RuleSet
) -> None:
    acted = {trace.rule for trace in decision.traces if trace.result == "fired"}
    customer = directory.customers.get(occasion.customer_id or 0)
    contact = whose(occasion, directory).contact
    for rule in rules.waiting(occasion.when):
        if rule.once is not None and rule.name in acted:
            who = (
                contact.id if contact else None,
                customer.id if customer else None,
                customer.deal if customer else "",
            )
            turns[rule.name, once_key(rule.once.scope, blank_mail(occasion.at), *who)] = occasion.at
