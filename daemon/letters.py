"""Writes what we lay into mailboxes and calendars: drafts from templates, reminders. Reads the records and
changes nothing."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlmodel import Session

from config.errors import QuietcrmError
from connectors.calendars import ItemKind, OwnItem
from connectors.model import Address, OutgoingMail
from connectors.outgoing import is_usable_id, make_message_id
from daemon.enclosures import FileTrouble, read_again, read_files
from daemon.office import Office
from daemon.page import Block, Line, as_html, as_text
from daemon.phrases import day_words, phrase
from daemon.values import template_values
from rules.templates import choose_language
from store import customers, exchanges
from store.customers import CustomerCard
from store.tables import OutboxMail, Reminder

QUOTED = 1500
"""Characters of the last exchange that a reminder shows."""

LASTS = timedelta(minutes=15)
"""What a reminder takes of a calendar, so that it can be seen and moved there."""


class Held(QuietcrmError):
    """The mail cannot be made now; `message` says why and what to do."""


def draft_mail(
    session: Session,
    office: Office,
    draft: OutboxMail,
    now: datetime,
    card: CustomerCard | None = None,
    *,
    language: str = "",
) -> tuple[OutgoingMail, str]:
    """Render a draft from its template, its files and today's records (`card`, if they are at hand); the mail and its
    language, `language` if the template has it. Raises Held."""
    template = office.rules.templates.get(draft.template)
    if template is None:
        raise Held(f'the template "{draft.template}" is gone; write it again or: quietcrm outbox cancel {draft.id}')
    if draft.rep not in office.settings.team:
        raise Held(f'"{draft.rep}" is not of the team any more; quietcrm outbox cancel {draft.id}')
    values, languages = template_values(session, office, draft, card)
    language = choose_language(template, language, *languages)
    try:
        rendered = template.render(values, language, now=now, zone=office.settings.zone)
        files = read_files(office.directory, [*template.attach, *(draft.attach or [])], language)
    except FileTrouble as error:
        raise Held(f"{error.message}: {error.hint} {_release(draft.id)}") from error
    except QuietcrmError as error:
        raise Held(f"{error.message}: fill it in {_release(draft.id)}") from error
    member = office.settings.team[draft.rep]
    mail = OutgoingMail(
        message_id=draft.message_id or make_message_id(Address(member.mail).domain, secrets.token_hex(10)),
        sender=Address(member.mail, member.name),
        to=(Address(draft.recipient, _name_at(session, draft, str(values["contact"].get("name") or ""), card)),),
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        date=now,
        in_reply_to=draft.in_reply_to if is_usable_id(draft.in_reply_to) else "",
        references=tuple(filter(is_usable_id, draft.references)),
        files=files,
    )
    return mail, language


def _release(number: int | None) -> str:
    """What to do behind the remedy; a mail that is only looked at has no number yet."""
    return f"and then: quietcrm outbox release {number}" if number is not None else "and try again"


def send_mail(
    session: Session, office: Office, row: OutboxMail, now: datetime, card: CustomerCard | None = None
) -> tuple[OutgoingMail, str, str]:
    """The mail that leaves by itself, its language and its envelope sender. Raises Held.

    What was once on the wire is never written anew: a second try carries the same words under the same Message-ID.
    """
    if row.attempts and row.frozen:
        try:
            mail, envelope_from = thawed(row, office.directory)
        except FileTrouble as error:
            raise Held(f"{error.message}: {error.hint}") from error
        return mail, row.language, envelope_from
    mail, language = draft_mail(session, office, row, now, card)
    sender = office.settings.senders.get(office.settings.sender_for(row.rep) or "")
    address = Address((sender.address if sender else None) or mail.sender.email, mail.sender.name)
    mail = replace(mail, sender=address, headers=_send_headers(row, address.email))
    # RFC 3834 3.3: an automatic answer must not be answered by a machine again, not even with a bounce.
    return mail, language, "" if row.reactive else address.email


def _send_headers(row: OutboxMail, address: str) -> tuple[tuple[str, str], ...]:
    """RFC 3834 5.2 (Auto-Submitted), RFC 2369 3.2 (List-Unsubscribe: a mail to us; there is no web server)."""
    headers = [("Auto-Submitted", "auto-replied" if row.reactive else "auto-generated"), ("X-Quietcrm", "send")]
    if row.token:
        headers.append(("List-Unsubscribe", f"<mailto:{address}?subject=unsubscribe%20CRM-{row.token}>"))
    return tuple(headers)


def frozen(mail: OutgoingMail, envelope_from: str) -> dict[str, Any]:
    """What a mail says beside subject and text, as plain JSON data; `thawed` makes the mail of it again."""
    (to,) = mail.to
    return {
        "from": [mail.sender.email, mail.sender.name],
        "to": [to.email, to.name],
        "date": mail.date.isoformat(),
        "in_reply_to": mail.in_reply_to,
        "references": list(mail.references),
        "headers": [list(pair) for pair in mail.headers],
        "envelope_from": envelope_from,
    }


def thawed(row: OutboxMail, base: Path) -> tuple[OutgoingMail, str]:
    """The mail as it was first claimed, and its envelope sender. Raises FileTrouble if its files are others by now."""
    kept = row.frozen
    mail = OutgoingMail(
        message_id=row.message_id,
        sender=Address(*kept["from"]),
        to=(Address(*kept["to"]),),
        subject=row.subject,
        text=row.text,
        html=row.html,
        date=datetime.fromisoformat(kept["date"]),
        in_reply_to=kept["in_reply_to"],
        references=tuple(kept["references"]),
        headers=tuple((name, value) for name, value in kept["headers"]),
        files=read_again(base, row.files or []),
    )
    return mail, str(kept["envelope_from"])


def _name_at(session: Session, draft: OutboxMail, name: str, card: CustomerCard | None) -> str:
    """The contact's name, if the planned address is still theirs: never a person's name at another's address."""
    key = draft.recipient.lower()
    people = card.contacts if card else customers.lookup_addresses(session, [key]).get(key, ())
    return name if any(one.id == draft.contact_id and key in one.emails for one in people) else ""


def reminder_mail(session: Session, office: Office, reminder: Reminder, now: datetime) -> OutgoingMail:
    """The mail that reminds a rep: what, who, the last exchange, and why it is here. Raises Held."""
    settings = office.settings
    member = settings.team.get(reminder.rep)
    if member is None:
        raise Held(f'"{reminder.rep}" is not of the team any more; nobody was reminded')
    language = settings.language_for(reminder.rep)
    name = customers.get(session, reminder.customer_id).name if reminder.customer_id else ""
    late = reminder.late_after is not None and now > reminder.late_after
    head = phrase("reminder", language) + (f" ({phrase('late', language)})" if late else "")
    subject = f"{head}: {': '.join(part for part in (name, reminder.text) if part)} [CRM-{reminder.token}]"
    last = exchanges.last_exchange(session, reminder.customer_id) if reminder.customer_id else None
    lines = [Line(text=reminder.text, reason=f"{phrase('why', language)}: {phrase('rule', language)} {reminder.rule}")]
    blocks = [Block(title="", lines=lines, tone="act")]
    if last:
        when = day_words(last.at.astimezone(settings.zone_for(reminder.rep)), language)
        quote = Line(lead=last.sender_name or last.sender, text=last.subject, reason=when, quote=last.text[:QUOTED])
        blocks.append(Block(title=phrase("last_mail", language), lines=[quote]))
    answered = last.message_id if last and is_usable_id(last.message_id) else ""
    foot = phrase("leaves_by_itself", language) if reminder.unless else ""
    return OutgoingMail(
        message_id=reminder.message_id or make_message_id(Address(member.mail).domain, secrets.token_hex(10)),
        sender=Address(member.mail, "quietcrm"),
        to=(Address(member.mail, member.name),),
        subject=subject,
        text=as_text(name or head, blocks, foot),
        html=as_html(name or head, blocks, foot),
        date=now,
        in_reply_to=answered,
        references=(answered,) if answered else (),
        headers=own_headers("reminder"),
    )


def reminder_item(
    session: Session, office: Office, reminder: Reminder, uid: str, start: datetime, now: datetime
) -> OwnItem:
    """The item in a calendar or list of tasks that reminds a rep at `start`; it rings then. Raises Held."""
    settings = office.settings
    if reminder.rep not in settings.team:
        raise Held(f'"{reminder.rep}" is not of the team any more; nobody was reminded')
    language = settings.language_for(reminder.rep)
    name = customers.get(session, reminder.customer_id).name if reminder.customer_id else ""
    late = reminder.late_after is not None and now > reminder.late_after
    head = f"({phrase('late', language)}) " if late else ""
    last = exchanges.last_exchange(session, reminder.customer_id) if reminder.customer_id else None
    lines = [f"{phrase('why', language)}: {phrase('rule', language)} {reminder.rule}"]
    if last:
        when = day_words(last.at.astimezone(settings.zone_for(reminder.rep)), language)
        lines.append(f"{phrase('last_mail', language)}: {when}, {last.sender_name or last.sender}: {last.subject}")
    lines += [phrase("item_foot", language), *([phrase("leaves_by_itself", language)] if reminder.unless else [])]
    task = reminder.wanted_as == "task"
    return OwnItem(
        uid=uid,
        kind=ItemKind.TASK if task else ItemKind.EVENT,
        summary=head + ": ".join(part for part in (name, reminder.text) if part),
        text="\n\n".join(lines),
        start=start,
        end=None if task else start + LASTS,
        alarm=timedelta(0),
    )


def own_headers(kind: str) -> tuple[tuple[str, str], ...]:
    """What marks mail of ours to reps, so that nobody's auto-responder answers it (RFC 3834) and we know it again."""
    return (("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All"), ("X-Quietcrm", kind))


_SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Signs of tokens, without those that people confuse (0 O 1 I)."""


def new_token() -> str:
    """Four signs for a subject."""
    return "".join(secrets.choice(_SIGNS) for _ in range(4))


def new_long_token() -> str:
    """What stands in a List-Unsubscribe: 128 bits."""
    return "".join(secrets.choice(_SIGNS) for _ in range(26))
