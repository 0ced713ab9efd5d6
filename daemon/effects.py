"""What a decision does to the records. Runs inside the pipeline's transaction; every effect is claimed first, so a
restart, a rescan or a second mailbox never repeats one; every change to a record is numbered and can be reversed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlmodel import Session

from connectors.model import Address, Marks, Message
from daemon.blocks import why_blocked
from daemon.citizen import is_no_reply, why_no_answer
from daemon.enrolling import Entry, Thread, enrol, last_thread, stop_all
from daemon.letters import new_long_token, new_token
from daemon.office import Office, later
from daemon.rhythm import keep_rhythm
from daemon.settling import CUSTOMER_WROTE, EITHER_WROTE, LATE, TEAM_WROTE
from daemon.turns import had_their_turn, take_turns
from daemon.ways import DESKS
from rules.decision import Action, Decision, Direction
from rules.ladder import primary
from rules.occasion import Occasion
from rules.office import office_of
from rules.view import mail_language
from store import actions, changes, customers, mailbox_marks, notifications, outbox, records, reminders, unmatched
from store.customers import Actor, ContactRow
from store.gate import storable
from store.hashing import HashKey
from store.tables import MailboxMark, MarkState, Notification, OutboxMail, Reminder, Way

log = structlog.get_logger()

_FIRST = ("file_under", "create")
_PEOPLE = ("customer", "contact", "lead")


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

    def actor(self, rule: str) -> Actor:
        """The rule, or the sequence, as the author of a change."""
        kind = "rule" if self.enrolment_id is None else "sequence"
        return Actor(name=f"{kind} {rule}", now=self.now, chain=self.chain)

    def claim(self, wanted: Iterable[Action]) -> list[Action]:
        """Those of the actions that nobody carried out before."""
        several = [one for one in wanted if not self._done_under_an_old_name(one)]
        fresh = actions.claim(self.session, [(self.event, one.rule, one.slot) for one in several], self.now)
        return [one for one in several if (self.event, one.rule, one.slot) in fresh]

    def _done_under_an_old_name(self, action: Action) -> bool:
        """A renamed rule (`was: old-name`) does not repeat what it did under its old name."""
        was = next((rule.was for rule in self.office.rules.rules if rule.name == action.rule), "")
        return bool(was) and (was, action.slot) in {(rule, slot) for rule, slot, _ in self._done()}

    def _done(self) -> list[tuple[str, str, str]]:
        return actions.done_for(self.session, self.event)


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
        fields.setdefault(owner, _owner(cause))
    row = records.make(action.args["what"], fields, **known)
    number = records.create(cause.session, row, cause.actor(action.rule))
    actions.describe(cause.session, (cause.event, action.rule, action.slot), f"{action.args['what']} {number}")
    if action.args["what"] == "order" and cause.main is not None:
        keep_rhythm(cause.session, cause.main, cause.office.settings.zone, cause.actor(action.rule))


def _owner(cause: Cause) -> str:
    """Decision 13: the customer's owner, else whose mailbox this is, else the admin."""
    owner = customers.get(cause.session, cause.main).owner if cause.main is not None else ""
    return owner or cause.rep or cause.office.settings.admin


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
    actions.describe(cause.session, (cause.event, action.rule, action.slot), rep)


# --- what is promised ------------------------------------------------------------------------------------------------


def _remind(cause: Cause, action: Action, interaction_id: int | None) -> None:
    rep = str(action.args["rep"])
    token = new_token()
    while reminders.token_taken(cause.session, token):
        token = new_token()
    reminders.plan(
        cause.session,
        Reminder(
            event=cause.event,
            event_at=cause.at,
            rule=action.rule,
            slot=action.slot,
            rep=rep,
            account=_desk_of(cause, rep),
            customer_id=cause.main,
            contact_id=cause.contact_id,
            interaction_id=interaction_id,
            enrolment_id=cause.enrolment_id,
            text=str(action.args["text"]),
            unless=_reminder_ends(cause, str(action.args.get("unless") or "")),
            wanted_as=_wanted_as(action),
            token=token,
            due_at=action.args["due_at"],
            late_after=action.args.get("late_after"),
            created_at=cause.now,
        ),
    )


def _wanted_as(action: Action) -> str | None:
    way = str(action.args.get("as") or "mail")
    return way if way != "mail" else None


def _reminder_ends(cause: Cause, unless: str) -> str:
    """Decision 22: after a mail that came, `replied` means the team wrote; after one we sent, that the customer did.
    After an occasion either will do: nobody is owed an answer."""
    if unless == "replied" and cause.occasion is not None:
        return EITHER_WROTE
    if unless == "replied":
        return TEAM_WROTE if cause.decision.direction is Direction.IN else CUSTOMER_WROTE
    return TEAM_WROTE if unless == "mail sent" else ""


def _draft(cause: Cause, action: Action, interaction_id: int | None) -> None:
    recipient = _recipient(cause, action)
    if not recipient or office_of(cause.office.settings).is_internal(recipient.lower()):
        log.warning("draft.without_recipient", rule=action.rule)
        return
    if is_no_reply(recipient) or why_blocked(cause.session, cause.key, recipient):
        log.info("draft.unwanted", rule=action.rule)
        actions.describe(cause.session, (cause.event, action.rule, action.slot), "nobody to write to")
        return
    number = outbox.plan(cause.session, _mail_row(cause, action, interaction_id, recipient))
    actions.describe(cause.session, (cause.event, action.rule, action.slot), f"draft {number}")


def _send(cause: Cause, action: Action, interaction_id: int | None) -> None:
    """Like a draft, but it leaves by itself after `send: hold`; only to a contact, and never because of a machine."""
    recipient = _recipient(cause, action)
    person = _contact_of(cause, recipient)
    machine = why_no_answer(cause.message) if cause.occasion is None else ""
    why = machine or _why_not_to(cause, recipient, person)
    if why or person is None:
        log.info("send.unwanted", rule=action.rule, why=why)
        actions.describe(cause.session, (cause.event, action.rule, action.slot), f"not sent: {why}")
        return
    row = _mail_row(cause, action, interaction_id, recipient)
    row.way = Way.SEND
    row.customer_id, row.contact_id = person.customer_id, person.id
    planned = row.due_at
    row.due_at = max(planned, later(cause.now, cause.office.settings.send.hold, cause.office))
    if row.late_after is not None and cause.now <= row.late_after <= row.due_at:  # our own wait makes nothing late
        row.late_after += row.due_at - planned
    row.reactive = cause.occasion is None and cause.decision.direction is Direction.IN
    row.token = new_long_token()
    number = outbox.plan(cause.session, row)
    actions.describe(cause.session, (cause.event, action.rule, action.slot), f"send {number}")


def _recipient(cause: Cause, action: Action) -> str:
    """Whom a prepared mail is for, "" if nobody is there."""
    end = cause.decision.match.other_end
    return str(action.args.get("to") or "") or (end.email if end is not None else "")


def _contact_of(cause: Cause, recipient: str) -> ContactRow | None:
    """The contact with this address at one of the mail's customers, the main one first."""
    key = recipient.strip().lower()
    people = customers.lookup_addresses(cause.session, [key]).get(key, ())
    return next((one for number in cause.customers for one in people if one.customer_id == number), None)


def _why_not_to(cause: Cause, recipient: str, person: ContactRow | None) -> str:
    """Why an address gets no mail by itself, "" if it may."""
    settings = cause.office.settings
    key = recipient.strip().lower()
    if settings.is_internal(key) or key in settings.own_addresses():
        return "the address is our own"
    if is_no_reply(recipient):
        return "nobody reads that address"
    if person is None:
        return "the address is of no contact of the customer"
    chosen = cause.customers.get(person.customer_id) == "file_under"
    if cause.decision.match.ambiguous and primary(cause.decision.match) is None and not chosen:
        return "several customers share the address"
    blocked = why_blocked(cause.session, cause.key, recipient)
    return f"the address gets no mail: {blocked}" if blocked else ""


def _mail_row(cause: Cause, action: Action, interaction_id: int | None, recipient: str) -> OutboxMail:
    rep = str(action.args.get("rep") or "") or cause.rep or _owner(cause)
    reply = bool(action.args.get("reply"))
    return OutboxMail(
        event=cause.event,
        event_at=cause.at,
        rule=action.rule,
        slot=action.slot,
        account=_desk_of(cause, rep),
        rep=rep,
        customer_id=cause.main,
        contact_id=cause.contact_id,
        interaction_id=interaction_id,
        recipient=recipient,
        template=str(action.args["template"]),
        language="" if cause.occasion else mail_language(cause.message),
        values=dict(action.args.get("values") or {}),
        attach=list(action.args.get("attach") or []),
        reply=reply,
        unless=_draft_ends(cause, str(action.args.get("unless") or "")),
        in_reply_to=cause.message.message_id if reply else "",
        references=[*cause.message.references, cause.message.message_id] if reply else [],
        due_at=action.args["due_at"],
        late_after=action.args.get("late_after"),
        created_at=cause.now,
    )


def _draft_ends(cause: Cause, unless: str) -> str:
    """A draft is stale when the customer wrote (decision 27); one that answers a mail also when the team answered.

    What breaks a silence makes a draft about it stale, whoever writes; a mail says nothing against a greeting, but
    the end of its day does.
    """
    occasion = cause.occasion
    if occasion is None:
        return EITHER_WROTE if cause.decision.direction is Direction.IN else CUSTOMER_WROTE
    ends = EITHER_WROTE if occasion.ends_with_contact else CUSTOMER_WROTE if unless == "replied" else ""
    return ",".join(filter(None, (ends, LATE if occasion.expires else "")))


def _desk_of(cause: Cause, rep: str) -> str:
    return desk_of(cause.office, rep, cause.account)


def desk_of(office: Office, rep: str, preferred: str = "") -> str:
    """The account whose mailbox serves a rep: the preferred one if it is theirs, else their first; "" for none."""
    accounts = office.settings.accounts
    theirs = [name for name, one in accounts.items() if one.rep == rep and one.type in DESKS]
    return preferred if preferred in theirs else next(iter(theirs), "")


# --- sequences -------------------------------------------------------------------------------------------------------


def _start(cause: Cause, action: Action, interaction_id: int | None) -> None:
    sequence = cause.office.rules.sequences.get(str(action.args["sequence"]))
    if cause.main is None or sequence is None:
        return
    rep = str(action.args.get("rep") or "") or _owner(cause)
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
        account=_desk_of(cause, rep),
        event=cause.event,
        event_at=cause.at,
        started_by=cause.actor(action.rule).name,
        thread=thread,
    )
    number, why = enrol(cause.session, cause.office, cause.key, entry, cause.now)
    if number is None:
        log.info("sequence.not_entered", rule=action.rule, sequence=sequence.name, why=why)
    said = f"enrolment {number}" if number is not None else f"not entered: {why}"
    actions.describe(cause.session, (cause.event, action.rule, action.slot), said)


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
    actions.describe(cause.session, (cause.event, action.rule, action.slot), said)


def _notify(cause: Cause, action: Action, interaction_id: int | None) -> None:
    row = Notification(
        event=cause.event,
        rule=action.rule,
        slot=action.slot,
        channel=str(action.args["channel"]),
        text=storable(str(action.args["text"])),
        customer_id=cause.main,
        contact_id=cause.contact_id,
        interaction_id=interaction_id,
        created_at=cause.now,
    )
    number = notifications.plan(cause.session, row)
    actions.describe(cause.session, (cause.event, action.rule, action.slot), f"notification {number}")


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
    actions.describe(cause.session, (cause.event, action.rule, action.slot), f"mark {number}")


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
    "remind": _remind,
    "draft": _draft,
    "send": _send,
    "category": _mark,
    "uncategory": _mark,
    "flag": _mark,
    "move": _mark,
    "notify": _notify,
    "start": _start,
    "stop": _stop,
}
