"""One templated mail that a person asks for: shown as it would be, or planned to leave after the last look."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from config.values import did_you_mean
from connectors.model import OutgoingMail
from daemon.app import App
from daemon.blocks import why_blocked
from daemon.enclosures import FileTrouble, read_files
from daemon.errors import Refused
from daemon.letters import Held, draft_mail, new_long_token
from daemon.office import Office
from rules.rendering import MissingValue
from rules.templates import Template, choose_language
from store import customers, outbox
from store.customers import ContactRow
from store.errors import NotFound
from store.tables import OutboxMail, Way

RULE = "by hand"
"""Stands for the rule of a mail that a person asked for."""
LATE = timedelta(days=1)
_MOMENTS = ("mail.date", "customer.last_contact", "meeting.start", "meeting.end", "today")


def one_template(office: Office, name: str) -> Template:
    """The template of this name. Raises NotFound."""
    found = office.rules.templates.get(name)
    if found is None:
        raise NotFound(
            f'no template is called "{name}"',
            hint=did_you_mean(name, office.rules.templates, "see: quietcrm templates list"),
        )
    return found


def one_contact(session: Session, text: str) -> ContactRow:
    """The contact a person means by an address, or by a customer: then whoever wrote last. Raises NotFound, Refused."""
    from daemon.requests import one_customer

    key = text.strip().lower()
    people = list(customers.lookup_addresses(session, [key]).get(key, ())) if "@" in text else []
    if not people:
        card = customers.show(session, one_customer(session, text))
        people = [one for one in card.contacts if one.emails]
        if not people:
            hint = f"add one: quietcrm customer edit {card.customer.id} --email NAME@HOST"
            raise NotFound(f"{card.customer.name} has no contact with an address", hint=hint)
        return max(people, key=lambda one: (one.last_in_at.timestamp() if one.last_in_at else 0.0, -one.id))
    if len(people) > 1:
        raise Refused(f"{text} is a contact of {len(people)} customers", hint="name the customer by its number")
    return people[0]


def row_for(office: Office, template: str, person: ContactRow, to: str, owner: str, now: datetime) -> OutboxMail:
    """The mail as a row of the outbox, in the name of the customer's owner; to the address that `to` names, else to the
    contact's first."""
    key = to.strip().lower()
    rep = owner if owner in office.settings.team else office.settings.admin
    account = next((name for name, one in office.settings.accounts.items() if one.rep == rep), "")
    return OutboxMail(
        event=f"hand {secrets.token_hex(8)}",
        event_at=now,
        rule=RULE,
        slot="send",
        account=account,
        rep=rep,
        customer_id=person.customer_id,
        contact_id=person.id,
        recipient=key if key in person.emails else person.emails[0],
        template=template,
        due_at=now,
        late_after=now + LATE,
        created_at=now,
    )


def preview(
    session: Session, office: Office, template: str, to: str, now: datetime, language: str = ""
) -> dict[str, Any]:
    """A template as the mail it would be for a contact. Raises NotFound, Refused, Held where a value is missing."""
    found = one_template(office, template)
    _mind_language(found, language)
    person = one_contact(session, to)
    customer = customers.get(session, person.customer_id)
    row = row_for(office, template, person, to, customer.owner, now)
    try:
        mail, chosen = draft_mail(session, office, row, now, language=language)
    except Held as held:
        if isinstance(held.__cause__, MissingValue):
            _mind_cause(template, held.__cause__)
        raise
    return _shown(found, mail, chosen) | {"customer": customer.name, "sample": False}


def sample(office: Office, template: str, now: datetime, language: str = "") -> dict[str, Any]:
    """A template with the names of its values in their places."""
    found = one_template(office, template)
    _mind_language(found, language)
    chosen = choose_language(found, language, office.settings.company.language)
    names = {*found.used.get(chosen, ()), *found.needs}
    values = _named(names, now)
    try:
        rendered = found.render(values, chosen, now=now, zone=office.settings.zone)
        files = read_files(office.directory, found.attach, chosen)
    except FileTrouble as error:
        raise Held(f"{error.message}: {error.hint}") from error
    shown = {"subject": rendered.subject, "text": rendered.text, "html": rendered.html}
    about = {"template": template, "language": chosen, "languages": list(found.languages), "fallback": found.fallback}
    people = {"from": "", "to": "", "customer": "", "sample": True}
    return about | people | shown | {"files": [_file(one.name, one.content) for one in files]}


def _named(names: set[str], now: datetime) -> dict[str, Any]:
    """Each dotted name as its own value: "[contact.name]"; what is a time in a mail is one here."""
    values: dict[str, Any] = {}
    for name in sorted(names):
        *groups, last = name.split(".")
        place = values
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = now if name in _MOMENTS else f"[{name}]"
    return {name: value for name, value in values.items() if name not in ("greeting", "lang", "today")}


def _mind_cause(template: str, missing: MissingValue) -> None:
    """Raises Refused where values are missing that only the mail or the meeting behind a rule could give."""
    names = [name for name in missing.names if name.startswith(("mail.", "meeting."))]
    if names:
        raise Refused(
            f'"{template}" takes {", ".join(names)} from a mail or a meeting, and by hand there is none',
            hint=f"see it with names in place of values: quietcrm templates show {template}; a rule can use it",
        )


def _mind_language(template: Template, language: str) -> None:
    if language and choose_language(template, language).partition("-")[0] != language.lower().partition("-")[0]:
        there = ", ".join(template.languages)
        raise Refused(f'"{template.name}" is not written in "{language}"', hint=f"it is written in: {there}")


def _shown(template: Template, mail: OutgoingMail, language: str) -> dict[str, Any]:
    return {
        "template": template.name,
        "language": language,
        "languages": list(template.languages),
        "fallback": template.fallback,
        "from": mail.sender.email,
        "to": mail.to[0].email,
        "subject": mail.subject,
        "text": mail.text,
        "html": mail.html,
        "files": [_file(one.name, one.content) for one in mail.files],
    }


def _file(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "size": len(content)}


def plan_send(app: App, args: Mapping[str, Any]) -> dict[str, Any]:
    """Plan one mail to leave by itself at once: the last look decides, as for mail of rules. Raises Refused where
    nobody could send it, or the address gets none."""
    office, now = app.office, app.clock.now()
    with app.store.writing() as session:
        shown = preview(session, office, args["template"], args["to"], now)
        person = one_contact(session, args["to"])
        owner = customers.get(session, person.customer_id).owner
        row = row_for(office, args["template"], person, args["to"], owner, now)
        if office.settings.sender_for(row.rep) is None:
            raise Refused(f"{row.rep} has no sender", hint="add one below `senders:` in quietcrm.yaml")
        if why := why_blocked(session, app.key, row.recipient):
            raise Refused(f"{row.recipient} gets no mail: {why}", hint="see: quietcrm customer show")
        row.way, row.token = Way.SEND, new_long_token()
        number = outbox.plan(session, row)
    return {"id": number, "to": shown["to"], "subject": shown["subject"]}
