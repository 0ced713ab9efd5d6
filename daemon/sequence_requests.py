"""What a person may ask of sequences: enter somebody, end it for somebody, move those inside to the file as it is now;
and to let rules and sequences stand still. Each is tried out and thrown away until it is confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlmodel import Session

from config.values import mail_key
from daemon.app import App
from daemon.cause import desk_of
from daemon.enrolling import Entry, enrol, last_thread, stop
from daemon.errors import Refused
from daemon.last_look import Obstacle
from daemon.sequence_views import people
from daemon.signs import card_of, window_of
from rules.pacing import step_due
from rules.sequence import Sequence
from store import customers, enrolments, outbox, pauses
from store.customers import ContactRow
from store.errors import NotFound
from store.tables import Enrolment, OutboxMail, OutboxState, Way

Args = Mapping[str, Any]
BY_HAND = "admin"


def _enrol(app: App, args: Args) -> Any:
    """Enter somebody; without `apply` it is only tried out. Raises Refused where they may not."""
    sequence = _sequence(app, args["sequence"])
    now = app.clock.now()
    with app.store.writing() as session:
        contact = _contact(session, str(args["contact"]))
        owner = customers.get(session, contact.customer_id).owner
        rep = owner if owner in app.office.settings.team else app.office.settings.admin
        key = mail_key(str(args["contact"]))
        entry = Entry(
            sequence=sequence,
            customer=contact.customer_id,
            contact=contact.id,
            recipient=key if key in contact.emails else next(iter(contact.emails), ""),
            rep=rep,
            account=desk_of(app.office, rep),
            event=f"by hand {now.isoformat()}",
            event_at=now,
            started_by=BY_HAND,
            thread=last_thread(session, contact.id),
            again=bool(args.get("again")),
        )
        number, why = enrol(session, app.office, app.key, entry, now)
        if number is None:
            raise Refused(f"{entry.recipient or contact.name} does not enter {sequence.name}: {why}", hint=_remedy(why))
        (found,) = people(session, app.office, [enrolments.get(session, number)])
        if not args.get("apply"):
            session.rollback()
    return found | {"applied": bool(args.get("apply")), "mode": sequence.mode}


def _remedy(why: str) -> str:
    return (
        "to let them enter once more, add: --again"
        if why.startswith("they entered")
        else "see: quietcrm sequences list"
    )


def _sequence(app: App, name: str) -> Sequence:
    found = app.office.rules.sequences.get(name)
    if found is None:
        raise NotFound(f'no sequence "{name}"', hint="see: quietcrm sequences list")
    return found


def _contact(session: Session, text: str) -> ContactRow:
    """The person with an address, or the only one at a customer. Raises NotFound, Refused."""
    key = mail_key(text)
    found = list(customers.lookup_addresses(session, [key]).get(key, ())) if "@" in key else []
    if not found:
        for number in customers.resolve(session, text):
            found += customers.show(session, number).contacts
    if not found:
        raise NotFound(f'no contact "{text}"', hint="name an address: quietcrm customer search NAME shows them")
    if len(found) > 1:
        addresses = ", ".join(next(iter(one.emails), one.name) for one in found[:5])
        raise Refused(f'"{text}" fits {len(found)} people: {addresses}', hint="name one by the address")
    return found[0]


def _stop(app: App, args: Args) -> Any:
    """End a sequence, or all of them, for everybody at a customer or for one contact. Raises NotFound."""
    text, name = str(args["contact"]), args.get("sequence") or "all"
    now = app.clock.now()
    with app.store.writing() as session:
        rows = [row for row in _inside(session, text) if name in (row.sequence, "all")]
        if not rows:
            raise NotFound(
                f'nobody of "{text}" is in {"a sequence" if name == "all" else name}',
                hint="see: quietcrm sequences list",
            )
        for row in rows:
            stop(session, row, "admin ended it", now)
        fresh = enrolments.by_ids(session, [row.id or 0 for row in rows])
        found = people(session, app.office, [fresh[number] for number in sorted(fresh)])
        names = {row.id: row.sequence for row in rows}
    return {"stopped": [one | {"sequence": names[one["id"]]} for one in found]}


def _inside(session: Session, text: str) -> list[Enrolment]:
    key = mail_key(text)
    numbers = customers.resolve(session, text)
    if not numbers:
        raise customers.unknown(session, text)
    rows = enrolments.of_customers(session, numbers)
    return [row for row in rows if row.recipient.lower() == key] if "@" in key.strip("@") else rows


# --- versions --------------------------------------------------------------------------------------------------------


def _migrate(app: App, args: Args) -> Any:
    """Move everybody in a sequence to the file as it is now; `confirm` has to be their number, else it is a plan."""
    sequence = _sequence(app, args["sequence"])
    confirm, now = args.get("confirm"), app.clock.now()
    with app.store.writing() as session:
        rows = [one for one in enrolments.of_sequence(session, sequence.name) if one.version != sequence.version]
        if confirm is not None and confirm != len(rows):
            hint = f"look again: quietcrm sequences migrate {sequence.name}"
            raise Refused(f"{len(rows)} are on older versions, not {confirm}; nothing was done", hint=hint)
        kept = enrolments.versions(session, sequence.name)
        enrolments.keep_version(session, sequence.name, sequence.version, sequence.content, now)
        moved = [_moved(session, app, sequence, row, kept) for row in sorted(rows, key=lambda one: one.id or 0)]
        if confirm is None:
            session.rollback()
    return {"sequence": sequence.name, "version": sequence.version, "applied": confirm is not None, "people": moved}


def _moved(session: Session, app: App, sequence: Sequence, row: Enrolment, kept: Mapping[Any, Any]) -> dict[str, Any]:
    before = kept.get((row.sequence, row.version))
    number = _place_in(sequence, row.step, before.content if before else {})
    fields: dict[str, Any] = {"version": sequence.version, "step": number, "retry_at": None, "reason": ""}
    if row.outbox_id is None:
        card = card_of(session, row)
        step = sequence.step(number)
        due = step_due(
            step.wait if step else sequence.done_after, row.since, window_of(app.office, sequence, card, row)
        )
        fields["due_at"] = max(due, app.clock.now())
    enrolments.change(session, row.id or 0, **fields)
    (found,) = people(session, app.office, [enrolments.get(session, row.id or 0)])
    return found | {"was_version": before.number if before else None, "was_step": row.step}


def _place_in(sequence: Sequence, number: int, content: Mapping[str, Any]) -> int:
    """Where somebody goes on: at the step of the same name, else behind the one of the same name that they have done,
    else at the same number."""
    steps = content.get("steps")
    names = [str(one.get("name") or "") if isinstance(one, Mapping) else "" for one in steps or ()]
    where = {step.name: step.number for step in sequence.steps if step.name}
    this = names[number - 1] if number <= len(names) else ""
    before = names[number - 2] if 2 <= number <= len(names) + 1 else ""
    if this in where:
        return where[this]
    return where[before] + 1 if before in where else min(number, len(sequence.steps) + 1)


# --- standing still --------------------------------------------------------------------------------------------------


def _pause(app: App, args: Args) -> Any:
    """Let a rule, a sequence or everything stand still. Raises NotFound."""
    with app.store.writing() as session:
        wanted = [pauses.ALL] if args.get("all") else _named(app, session, str(args["name"]))
        fresh = [one for one in wanted if pauses.pause(session, one, BY_HAND, app.clock.now())]
    return {"paused": wanted, "new": fresh}


def _resume(app: App, args: Args) -> Any:
    """Let it go on. Raises NotFound."""
    with app.store.writing() as session:
        stood = pauses.everything(session)
        wanted = list(stood.keys() - {pauses.BREAKER}) if args.get("all") else _named(app, session, str(args["name"]))
        gone_on = pauses.resume(session, wanted)
        left = sorted(pauses.everything(session))
    return {"resumed": gone_on, "left": left}


def _named(app: App, session: Session, name: str) -> list[str]:
    """A rule and a sequence may have one name: then both are meant."""
    rules = {f"rule {rule.name}" for rule in app.office.rules.rules}
    known = rules | {f"sequence {one}" for one in app.office.rules.sequences} | set(pauses.everything(session))
    found = [one for one in (f"rule {name}", f"sequence {name}") if one in known]
    if not found:
        raise NotFound(f'no rule and no sequence "{name}"', hint="see: quietcrm rules list, quietcrm sequences list")
    return found


def held_back(session: Session) -> dict[str, Any]:
    """What the breaker holds: why and since when, the numbers of held mails, how many wait beside them."""
    tripped = pauses.everything(session).get(pauses.BREAKER)
    held = outbox.listing(session, states=(OutboxState.HELD,), obstacle=Obstacle.BREAKER.value, limit=None)
    return {
        "since": tripped.at if tripped else None,
        "reason": tripped.reason if tripped else "",
        "mails": held,
        "drafts": outbox.count(session, OutboxState.PLANNED, Way.DRAFT) if tripped else 0,
    }


def _release(app: App, args: Args) -> Any:
    """Free what the breaker holds, all of it; without `apply` it is a plan."""
    now = app.clock.now()
    with app.store.writing() as session:
        found = held_back(session)
        if args.get("apply"):
            pauses.resume(session, [pauses.BREAKER])
            pauses.note_release(session, now)
            for one in found["mails"]:
                row = outbox.get(session, one["id"])
                _lift(session, row)
    return found | {"applied": bool(args.get("apply"))}


def _lift(session: Session, row: OutboxMail) -> None:
    released = ",".join(sorted({*row.released.split(","), Obstacle.BREAKER.value} - {""}))
    fields = {"released": released, "obstacle": "", "retry_at": None, "reason": "released by the admin"}
    outbox.move(session, row.id or 0, (OutboxState.HELD,), OutboxState.PLANNED, **fields)


REQUESTS: dict[str, Callable[[App, Args], Any]] = {
    "sequence.enrol": _enrol,
    "sequence.stop": _stop,
    "sequence.migrate": _migrate,
    "pause": _pause,
    "resume": _resume,
    "release": _release,
}
