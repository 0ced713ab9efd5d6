"""What a rule promises: reminders, drafts, mail that leaves by itself, and messages to channels.

Only the rows are planned here, in the transaction of the cause; each is carried out when it is due.
"""

from __future__ import annotations

import structlog

from daemon.blocks import why_blocked
from daemon.cause import Cause
from daemon.citizen import is_no_reply, why_no_answer
from daemon.letters import new_long_token, new_token
from daemon.office import later
from daemon.settling import CUSTOMER_WROTE, EITHER_WROTE, LATE, TEAM_WROTE
from rules.decision import Action, Direction
from rules.ladder import primary
from rules.office import office_of
from rules.view import mail_language
from store import customers, notifications, outbox, reminders
from store.customers import ContactRow
from store.gate import storable
from store.tables import Notification, OutboxMail, Reminder, Way

log = structlog.get_logger()


def remind(cause: Cause, action: Action, interaction_id: int | None) -> None:
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
            account=cause.desk_of(rep),
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


def draft(cause: Cause, action: Action, interaction_id: int | None) -> None:
    recipient = _recipient(cause, action)
    if not recipient or office_of(cause.office.settings).is_internal(recipient.lower()):
        log.warning("draft.without_recipient", rule=action.rule)
        return
    if is_no_reply(recipient) or why_blocked(cause.session, cause.key, recipient):
        log.info("draft.unwanted", rule=action.rule)
        cause.describe(action, "nobody to write to")
        return
    number = outbox.plan(cause.session, _mail_row(cause, action, interaction_id, recipient))
    cause.describe(action, f"draft {number}")


def send(cause: Cause, action: Action, interaction_id: int | None) -> None:
    """Like a draft, but it leaves by itself after `send: hold`; only to a contact, and never because of a machine."""
    recipient = _recipient(cause, action)
    person = _contact_of(cause, recipient)
    machine = why_no_answer(cause.message) if cause.occasion is None else ""
    why = machine or _why_not_to(cause, recipient, person)
    if why or person is None:
        log.info("send.unwanted", rule=action.rule, why=why)
        cause.describe(action, f"not sent: {why}")
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
    cause.describe(action, f"send {number}")


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
    rep = str(action.args.get("rep") or "") or cause.rep or cause.owner
    reply = bool(action.args.get("reply"))
    return OutboxMail(
        event=cause.event,
        event_at=cause.at,
        rule=action.rule,
        slot=action.slot,
        account=cause.desk_of(rep),
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


def notify(cause: Cause, action: Action, interaction_id: int | None) -> None:
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
    cause.describe(action, f"notification {number}")
