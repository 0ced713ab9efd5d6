"""What a decision does to the records. Runs inside the pipeline's transaction; every effect is claimed first, so a
restart, a rescan or a second mailbox never repeats one; every change to a record is numbered and can be reversed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from connectors.model import Address, Marks
from daemon.cause import Cause
from daemon.enrolling import Entry, Thread, enrol, last_thread, stop_all
from daemon.promises import draft, notify, remind, send
from daemon.rhythm import keep_rhythm
from daemon.turns import had_their_turn, take_turns
from daemon.ways import DESKS
from rules.decision import Action
from rules.office import office_of
from store import changes, customers, mailbox_marks, records, unmatched
from store.customers import Actor
from store.tables import MailboxMark, MarkState

log = structlog.get_logger()

_FIRST = ("file_under", "create")
_PEOPLE = ("customer", "contact", "lead")


def file_under(cause: Cause) -> None:
    """First half, before the mail has a row: settle whose mail it is; make customers and contacts rules ask for."""
    people = [one for one in cause.decision.actions if one.verb in _FIRST and one.args.get("what") in (None, *_PEOPLE)]
    for action in cause.claim(people):
        if action.verb == "file_under":
            _file_under(cause, action)
        elif cause.main is None or action.args["what"] == "customer":
            _create_customer(cause, action)
        elif action.args["what"] == "contact":
            _create_contact(cause, cause.main, action)


def perform(cause: Cause, interaction_id: int | None) -> None:
    """Second half: everything else, with the row of the mail or occasion at hand (None where there is none)."""
    rest = [
        one for one in cause.decision.actions if one.verb not in _FIRST or one.args.get("what") not in (None, *_PEOPLE)
    ]
    leads = [one for one in cause.decision.actions if one.verb == "create" and one.args["what"] == "lead"]
    acting = {one.rule for one in cause.decision.traces if one.result == "fired"}
    rules = [rule for rule in cause.office.rules.rules if rule.once and rule.name in acting]
    over = had_their_turn(cause.session, rules, cause.message, cause.contact_id, cause.main)
    for action in leads:
        _create_record(cause, action, interaction_id)
    wanted = [one for one in rest if one.rule not in over]
    for action in cause.claim(sorted(wanted, key=_order)):
        _VERBS[action.verb](cause, action, interaction_id)
    fresh = [rule for rule in rules if rule.name not in over]
    take_turns(cause.session, fresh, cause.message, cause.contact_id, cause.main)


def _order(action: Action) -> int:
    """Whoever enters a sequence does so as they stand after everything else, and after another one was ended."""
    return {"stop": 1, "start": 2}.get(action.verb, 0)


# --- whose mail ----------------------------------------------------------------------------------------------------


def _file_under(cause: Cause, action: Action) -> None:
    number = action.args.get("customer_id")
    wanted = str(action.args.get("customer", ""))
    found = [int(number)] if number is not None else customers.resolve(cause.session, wanted)
    if len(found) != 1:
        log.warning("customer.unclear", rule=action.rule, found=len(found))
        return
    cause.customers = {found[0]: "file_under", **cause.customers}


def _create_customer(cause: Cause, action: Action) -> None:
    """A customer for the person at the other end, in the first stage, with contact, address and (not public) domain."""
    end = cause.decision.match.other_end
    if end is None or not end.email:
        return
    fields = dict(action.args.get("fields", {})) if action.args["what"] != "lead" else {}
    domain = "" if office_of(cause.office.settings).is_public(end.domain) else end.domain
    name = str(fields.pop("name", "") or _company_name(domain) or end.name or end.email)
    by = cause.actor(action.rule)
    first = {"stage": cause.office.settings.stages.open[0], "source": "email", "owner": cause.rep, **fields}
    number = customers.add(cause.session, name, by, first)
    if domain:
        customers.add_domain(cause.session, number, domain, by)
        unmatched.make_due(cause.session, [cause.key.domain(domain)])
    cause.customers = {number: "created", **cause.customers}
    _add_person(cause, number, end, by)


def _company_name(domain: str) -> str:
    return domain.partition(".")[0].replace("-", " ").title() if domain else ""


def _create_contact(cause: Cause, customer: int, action: Action) -> None:
    end = cause.decision.match.other_end
    if end is not None and cause.contact_id is None:
        _add_person(cause, customer, end, cause.actor(action.rule), action.args.get("fields", {}))


def _add_person(cause: Cause, customer: int, end: Address, by: Actor, fields: Any = None) -> None:
    values = {"name": end.name, **dict(fields or {})}
    cause.contact_id = customers.add_contact(cause.session, customer, by, values)
    customers.add_address(cause.session, cause.contact_id, end.email, by)
    unmatched.make_due(cause.session, [cause.key.address(end.key)])
    cause.contacts = {**cause.contacts, end.key: cause.contact_id}


# --- what is done to the customer ------------------------------------------------------------------------------------


def _create_record(cause: Cause, action: Action, interaction_id: int | None) -> None:
    fields = dict(action.args.get("fields", {}))
    fields.setdefault("title", cause.title)
    known = {
        "customer_id": cause.main,
        "contact_id": cause.contact_id,
        "interaction_id": interaction_id,
        "created_at": cause.now,
    }
    owner = {"lead": "owner", "case": "owner", "task": "rep", "note": "author"}.get(action.args["what"])
    if owner:
        fields.setdefault(owner, cause.owner)
    row = records.make(action.args["what"], fields, **known)
    number = records.create(cause.session, row, cause.actor(action.rule))
    cause.describe(action, f"{action.args['what']} {number}")
    if action.args["what"] == "order" and cause.main is not None:
        keep_rhythm(cause.session, cause.main, cause.office.settings.zone, cause.actor(action.rule))


def _set(cause: Cause, action: Action, _interaction_id: int | None) -> None:
    values = {str(action.args["field"]): action.args["value"]}
    if action.args.get("target") == "contact":
        if cause.contact_id is not None:
            customers.edit_contact(cause.session, cause.contact_id, values, cause.actor(action.rule))
    elif cause.main is not None:
        customers.edit(cause.session, cause.main, values, cause.actor(action.rule))


def _segment(cause: Cause, action: Action, _interaction_id: int | None) -> None:
    if cause.main is not None:
        customers.edit(cause.session, cause.main, {"segment": action.args["segment"]}, cause.actor(action.rule))


def _tag(cause: Cause, action: Action, _interaction_id: int | None) -> None:
    if cause.main is not None:
        change = customers.tag if action.verb == "tag" else customers.untag
        change(cause.session, cause.main, str(action.args["tag"]), cause.actor(action.rule))


def _stage(cause: Cause, action: Action, _interaction_id: int | None) -> None:
    """Forward only, unless the rule says back; lost never applies to a won customer (decision 15)."""
    if cause.main is None:
        return
    stages = cause.office.settings.stages
    order = list(stages.order)
    now = customers.get(cause.session, cause.main).stage
    to = str(action.args["to"])
    forward = now not in order or order.index(to) > order.index(now)
    if (forward or action.args.get("back")) and not (now == stages.won and to == stages.lost):
        customers.edit(cause.session, cause.main, {"stage": to}, cause.actor(action.rule))


def _owner_action(cause: Cause, action: Action, _interaction_id: int | None) -> None:
    if cause.main is None:
        return
    rep = str(action.args["rep"])
    customers.edit(cause.session, cause.main, {"owner": rep}, cause.actor(action.rule))
    cause.describe(action, rep)


# --- sequences -------------------------------------------------------------------------------------------------------


def _start(cause: Cause, action: Action, interaction_id: int | None) -> None:
    sequence = cause.office.rules.sequences.get(str(action.args["sequence"]))
    if cause.main is None or sequence is None:
        return
    rep = str(action.args.get("rep") or "") or cause.owner
    contact, recipient = _whom(cause, str(action.args.get("to") or ""), cause.main)
    thread = (
        Thread.of_mail(cause.message, interaction_id) if cause.occasion is None else last_thread(cause.session, contact)
    )
    entry = Entry(
        sequence=sequence,
        customer=cause.main,
        contact=contact,
        recipient=recipient,
        rep=rep,
        account=cause.desk_of(rep),
        event=cause.event,
        event_at=cause.at,
        started_by=cause.actor(action.rule).name,
        thread=thread,
    )
    number, why = enrol(cause.session, cause.office, cause.key, entry, cause.now)
    if number is None:
        log.info("sequence.not_entered", rule=action.rule, sequence=sequence.name, why=why)
    said = f"enrolment {number}" if number is not None else f"not entered: {why}"
    cause.describe(action, said)


def _whom(cause: Cause, address: str, customer: int) -> tuple[int | None, str]:
    """Who enters: the person at the other end if they are the customer's, else the customer's only contact; where they
    have none that is known, the address itself."""
    people = customers.cards(cause.session, [customer])[customer].contacts
    key = address.strip().lower()
    found = next((one for one in people if key in one.emails), None)
    if found is None and cause.contact_id is not None:
        found = next((one for one in people if one.id == cause.contact_id and one.emails), None)
        address = found.emails[0] if found else address
    if found is None and len(people) == 1 and people[0].emails:
        found, address = people[0], people[0].emails[0]
    theirs = cause.decision.match.rungs.get(customer) in ("domain", "thread", "token", "plus_address")
    return (found.id, address) if found else (None, address if theirs else "")


def _stop(cause: Cause, action: Action, _interaction_id: int | None) -> None:
    name = str(action.args["sequence"])
    reason = f"{cause.actor(action.rule).name} ended it"
    ended = stop_all(cause.session, list(cause.customers), name, reason, cause.now)
    said = ", ".join(f"enrolment {one.id}" for one in ended) or "nobody was in it"
    cause.describe(action, said)


# --- what is done to the mail itself ---------------------------------------------------------------------------------


def _mark(cause: Cause, action: Action, interaction_id: int | None) -> None:
    """Plan a mark on the copy that was read; daemon.mailbox_marks makes it after the commit. Not for an occasion that
    has no mail."""
    if interaction_id is None or not cause.message.ref:
        return
    message, account = cause.message, cause.office.settings.accounts.get(cause.account)
    asked = mailbox_marks.as_data(_asked(action))
    row = MailboxMark(
        event=cause.event,
        rule=action.rule,
        slot=action.slot,
        interaction_id=interaction_id,
        account=cause.account,
        folder=message.folder,
        ref=message.ref,
        message_id=message.message_id,
        marks=asked,
        created_at=cause.now,
    )
    number = mailbox_marks.plan(cause.session, row)
    if number is None:
        return
    if account is None or account.type not in DESKS:
        why = "mail in such an account cannot be marked"
        mailbox_marks.settle(cause.session, number, MarkState.IMPOSSIBLE, cause.now, reason=why)
    by, after = cause.actor(action.rule), {**asked, "slot": action.slot}
    place = ("mailbox_mark", number)
    changes.note(cause.session, at=by.now, actor=by.name, what="marked", row=place, before={}, after=after)
    cause.describe(action, f"mark {number}")


def _asked(action: Action) -> Marks:
    args = action.args
    if action.verb == "category":
        return Marks(add=(str(args["category"]),))
    if action.verb == "uncategory":
        return Marks(remove=(str(args["category"]),))
    return Marks(flag=args["day"]) if action.verb == "flag" else Marks(move=str(args["folder"]))


_VERBS: dict[str, Callable[[Cause, Action, int | None], None]] = {
    "create": _create_record,
    "set": _set,
    "segment": _segment,
    "tag": _tag,
    "untag": _tag,
    "stage": _stage,
    "owner": _owner_action,
    "remind": remind,
    "draft": draft,
    "send": send,
    "category": _mark,
    "uncategory": _mark,
    "flag": _mark,
    "move": _mark,
    "notify": notify,
    "start": _start,
    "stop": _stop,
}
