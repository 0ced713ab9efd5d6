"""Customers handed out: CSV that imports again unchanged, JSON with the whole history, vCards for an address book."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session

from daemon.app import looking
from daemon.cli.screen import harmless
from daemon.requests import one_customer
from store import customers, privacy
from store.customers import ContactRow, CustomerCard
from store.importing import guarded

_FIELDS = ("stage", "segment", "owner", "country", "zone", "source")
_CONTACT_FIELDS = ("title", "phone", "language", "country", "zone")
_BARE = ("title", "phone", "birthday", "language")
"""Columns that import takes for the contact's without `contact.` in front (see store.importing)."""
_TAKEN = ("name", "email", "company", "domain", "tags", *_BARE)

PAGE = 500
LINE = 75
"""Octets in a line of a vCard (RFC 2426 2.6)."""


def export_customers(directory: Path, customer: str | None, form: str) -> None:
    """Write one customer, or all, to stdout. Raises NotFound, Refused where the name fits several."""
    with looking(directory) as (_, store), store.session() as session:
        numbers = [one_customer(session, customer)] if customer else list(_all(session))
        if form == "json" and customer:
            _write_one_json(session, numbers[0])
        else:
            FORMATS[form](session, numbers)


def _write(text: str) -> None:
    """To a file or pipe as it is; to a terminal without what could steer it."""
    sys.stdout.write(harmless(text.replace("\r\n", "\n")) if sys.stdout.isatty() else text)


def _all(session: Session) -> Iterator[int]:
    last = 0
    while rows := customers.listing(session, limit=PAGE, after=last):
        yield from (row.id for row in rows)
        last = rows[-1].id


# --- JSON ----------------------------------------------------------------------------------------------------------


def _write_one_json(session: Session, number: int) -> None:
    """An object with everything that is kept of a customer."""
    _write(json.dumps(privacy.export(session, number), ensure_ascii=False, indent=1) + "\n")


def _write_json(session: Session, numbers: Sequence[int]) -> None:
    """A list of such objects, one a line."""
    _write("[")
    for index, number in enumerate(numbers):
        _write(",\n" if index else "\n")
        _write(json.dumps(privacy.export(session, number), ensure_ascii=False))
    _write("\n]\n")


# --- CSV -----------------------------------------------------------------------------------------------------------


def _write_csv(session: Session, numbers: Sequence[int]) -> None:
    """A row for each address, and one for each domain that no row of an address carries.

    What a table cannot say (language of a company, contacts without address, domains of several companies, fields
    whose names a table has other uses for) stands in the JSON form only.
    """
    rows = [row for number in numbers for row in _rows(session, customers.show(session, number))]
    further = sorted({name for row in rows for name in row} - {"name", "email", "company", "domain", "tags"})
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["name", "email", "company", "domain", "tags", *further], restval="", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows({name: guarded(value) for name, value in row.items()} for row in rows)
    _write(text.getvalue())


def _rows(session: Session, card: CustomerCard) -> list[dict[str, str]]:
    """The rows of one customer; what is true of the customer as a whole stands in the first."""
    owners = customers.lookup_domains(session, card.domains)
    # A domain of several customers would make import take them for one: it has to be claimed by hand.
    domains = [domain for domain in card.domains if len(owners.get(domain, ())) == 1]
    rows = [_contact_row(contact, email) for contact in card.contacts for email in contact.emails]
    rows += [{} for _ in range(max(len(domains), 1) - len(rows))]
    for row, domain in zip(rows, domains, strict=False):
        row["domain"] = domain
    for row in rows:
        row["company"] = card.customer.name
    rows[0].update(_customer_fields(card))
    return rows


def _customer_fields(card: CustomerCard) -> dict[str, str]:
    stated = {name: getattr(card.customer, name) for name in _FIELDS}
    stated |= {name: value for name, value in card.customer.fields.items() if _can_be_column(name)}
    return _texts({"tags": ",".join(sorted(card.customer.tags)), **stated})


def _can_be_column(name: str) -> bool:
    """Whether import would give a column of this name back to the customer under the same name."""
    return name == name.strip().lower() and name not in _TAKEN and not name.startswith(("#", "contact."))


def _contact_row(contact: ContactRow, email: str) -> dict[str, str]:
    stated = {name: getattr(contact, name) for name in _CONTACT_FIELDS} | dict(contact.fields)
    fields = {name if name in _BARE else f"contact.{name}": value for name, value in _texts(stated).items()}
    return {"name": contact.name, "email": email, **fields}


def _texts(fields: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items() if value not in ("", None)}


# --- vCard ---------------------------------------------------------------------------------------------------------


def _write_vcf(session: Session, numbers: Sequence[int]) -> None:
    """vCard 3.0 (RFC 2426), which every address book reads: one for each contact, or for the customer alone."""
    for number in numbers:
        card = customers.show(session, number)
        for contact in card.contacts:
            _write_card(_person_lines(card, contact))
        if not card.contacts:
            _write_card([f"FN:{_escaped(card.customer.name)}", f"N:{_escaped(card.customer.name)};;;;", _org(card)])


def _person_lines(card: CustomerCard, contact: ContactRow) -> list[str]:
    name = contact.name or next(iter(contact.emails), card.customer.name)
    first, _, last = name.rpartition(" ")
    lines = [f"FN:{_escaped(name)}", f"N:{_escaped(last)};{_escaped(first)};;;"]
    if card.customer.name != contact.name:
        lines.append(_org(card))
    lines += [f"EMAIL;TYPE=INTERNET:{_escaped(email)}" for email in contact.emails]
    if contact.phone:
        lines.append(f"TEL:{_escaped(contact.phone)}")
    if contact.title:
        lines.append(f"TITLE:{_escaped(contact.title)}")
    return lines


def _org(card: CustomerCard) -> str:
    return f"ORG:{_escaped(card.customer.name)}"


def _escaped(text: str) -> str:
    """A value (RFC 2426 4): backslash, comma, semicolon and line breaks escaped, other controls dropped."""
    for plain, escaped in (("\\", "\\\\"), (",", "\\,"), (";", "\\;"), ("\r\n", "\n"), ("\r", "\n")):
        text = text.replace(plain, escaped)
    return "".join("\\n" if char == "\n" else char for char in text if char >= " " or char == "\n")


def _write_card(lines: Sequence[str]) -> None:
    for line in ("BEGIN:VCARD", "VERSION:3.0", *lines, "END:VCARD"):
        _write(_folded(line) + "\r\n")


def _folded(line: str) -> str:
    """Long lines broken between characters; a line that goes on begins with a space (RFC 2425 5.8.1)."""
    parts, size = [""], 0
    for char in line:
        octets = len(char.encode())
        if size + octets > LINE:
            parts.append(" ")
            size = 1
        parts[-1] += char
        size += octets
    return "\r\n".join(parts)


FORMATS: dict[str, Callable[[Session, Sequence[int]], None]] = {
    "csv": _write_csv,
    "json": _write_json,
    "vcf": _write_vcf,
}
