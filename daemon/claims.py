"""What an admin states about a customer, checked before it is written: a wrong domain would draw strangers' mail in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import Session

from config.settings import Settings
from config.values import ascii_domain, did_you_mean, mail_key
from daemon.errors import Refused
from rules.office import office_of
from store import customers
from store.importing import is_address, is_domain


def check_domains(settings: Settings, domains: Sequence[str]) -> list[str]:
    """The domains in the form they are kept. Raises Refused for what is no domain, a provider's, or our own."""
    return [_domain(settings, one) for one in domains]


def _domain(settings: Settings, text: str) -> str:
    domain = ascii_domain(text.strip().lstrip("@").rstrip("."))
    if not is_domain(domain):
        raise Refused(f'"{text}" is no mail domain', hint="write it like this: --domain padariasol.example")
    office = office_of(settings)
    if office.is_public(domain):
        raise Refused(f"{domain} is used by everybody, not by one company", hint="name the person: --email ADDRESS")
    if office.is_internal(f"x@{domain}"):
        raise Refused(f"{domain} is our own domain (`internal:` in quietcrm.yaml)", hint="name the customer's domain")
    return domain


def check_emails(settings: Settings, emails: Sequence[str]) -> list[str]:
    """The addresses without space around them. Raises Refused for what is no address, or our own."""
    for one in emails:
        if not is_address(one.strip()):
            raise Refused(f'"{one}" is no mail address', hint="write it like this: --email maria@padariasol.example")
        if office_of(settings).is_internal(mail_key(one)):
            raise Refused(f"{one} is an address of our own (`internal:` in quietcrm.yaml)", hint="name the customer's")
    return [one.strip() for one in emails]


def check_fields(settings: Settings, fields: Mapping[str, Any]) -> None:
    """Raises Refused for an empty name, a stage nobody defined, an owner who is not of the team."""
    if "name" in fields and not fields["name"]:
        raise Refused("a customer needs a name", hint="write: --set name=NAME")
    for field, known in (("stage", settings.stages.order), ("owner", tuple(settings.team))):
        value = fields.get(field)
        if value and value not in known:
            hint = did_you_mean(value, known, f"one of: {', '.join(known)}")
            raise Refused(f'"{value}" is no {field} of quietcrm.yaml', hint=hint)


def check_new_name(session: Session, name: str) -> None:
    """Raises Refused where a customer of this name is there: a second one would make all their mail ambiguous."""
    if not name.strip():
        raise Refused("a customer needs a name", hint="write: quietcrm customer add NAME --email ADDRESS")
    found = customers.by_name(session, name)
    if found:
        hint = f"to add to it: quietcrm customer edit {found[0]} --email ADDRESS; for another one, add the town"
        raise Refused(f'there is a customer "{name}" already, number {found[0]}', hint=hint)


def shared(session: Session, number: int, emails: Sequence[str], domains: Sequence[str]) -> list[dict[str, Any]]:
    """Which of these other customers have too: {what, id, name}."""
    people = customers.lookup_addresses(session, [mail_key(one) for one in emails])
    owners: list[tuple[str, int]] = [(key, one.customer_id) for key, rows in people.items() for one in rows]
    owners += [(key, one) for key, ids in customers.lookup_domains(session, domains).items() for one in ids]
    others = sorted({(what, one) for what, one in owners if one != number})
    return [{"what": what, "id": one, "name": customers.get(session, one).name} for what, one in others]
