"""Customers from a table (CSV): planned first, so that a person can look, then applied; twice changes nothing.

A customer is the company if the row has one, else the name. Rows with an equal company or domain share the customer.
`email` makes the contact; a row without one adds only the domain.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.values import ascii_domain, mail_key
from store import customers
from store.customers import Actor
from store.errors import Conflict
from store.folding import fold
from store.gate import storable
from store.statements import among, table
from store.tables import Customer

_CUSTOMER = table(Customer)
_OWN = ("name", "email", "company", "domain", "tags")
_COLUMNS = {
    title: name
    for name, titles in {
        "name": ("nome", "имя", "фио", "контакт"),
        "email": ("e-mail", "mail", "endereço de e-mail", "почта", "эл. почта", "электронная почта"),
        "company": ("empresa", "компания", "организация"),
        "domain": ("domínio", "dominio", "домен"),
        "phone": ("telefone", "телефон"),
    }.items()
    for title in titles
}
"""What people call the columns, in the languages of the first configuration."""
_HIGH_WORD = re.compile(rb"[\xa8\xb8\xc0-\xff]{3,}")
_OF_CONTACT = ("title", "phone", "birthday", "language")
"""Columns that speak of the person; so do columns written as `contact.X`. All others speak of the customer."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PHONE = re.compile(r"[+-]?[\d\s().-]+")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of the table: its line in the file (the header is line 1) and its values by column, lower-case names."""

    line: int
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """Something in the table that a person should look at; that row or value is left out."""

    line: int
    message: str


@dataclass(slots=True, kw_only=True)
class PlannedContact:
    """A contact of the plan. id None = new."""

    line: int
    name: str
    email: str
    id: int | None = None
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class PlannedCustomer:
    """A customer of the plan with what is to be added or changed. id None = new."""

    line: int
    name: str
    id: int | None = None
    fields: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    contacts: list[PlannedContact] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether applying it would change anything."""
        return self.id is None or bool(self.fields or self.tags or self.domains or self.contacts)


@dataclass(slots=True, kw_only=True)
class ImportPlan:
    """What an import would do. `duplicates`: rows that say nothing a row before them did not say."""

    customers: list[PlannedCustomer] = field(default_factory=list)
    problems: list[ImportProblem] = field(default_factory=list)
    duplicates: list[ImportProblem] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """new, changed, same (customers), contacts (new), changed_contacts, domains (new)."""
        people = [contact for one in self.customers for contact in one.contacts]
        return {
            "new": sum(1 for one in self.customers if one.id is None),
            "changed": sum(1 for one in self.customers if one.id is not None and one.changes),
            "same": sum(1 for one in self.customers if not one.changes),
            "contacts": sum(1 for one in people if one.id is None),
            "changed_contacts": sum(1 for one in people if one.id is not None),
            "domains": sum(len(one.domains) for one in self.customers),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import did; look the new addresses and domains up among the unmatched mails."""

    counts: Mapping[str, int]
    new_addresses: tuple[str, ...]
    new_domains: tuple[str, ...]


def read_csv(path: Path) -> list[SourceRow]:
    """The rows of a CSV file in UTF-8, UTF-16 or the Windows code pages of Western Europe and Russia, as spreadsheets
    save them; comma, semicolon or tab. Columns may have their names in English, Portuguese or Russian.

    Columns without a name, or whose name begins with #, are remarks and left out. What `guarded` put before a value
    is taken off again.

    Raises Conflict if a column comes twice, there is neither name, company, email nor domain, or it is no CSV.
    """
    content = _decoded(path.read_bytes())
    header = content.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    # Strict: a quote that is never closed would otherwise swallow every row behind it.
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator, strict=True)
    try:
        return _read_rows(reader)
    except csv.Error as error:
        hint = 'look at the quotes there: a value is written "like ""this"""; values end at 131072 characters'
        raise Conflict(f"line {reader.line_num} cannot be read: {error}", hint=hint) from error


def _decoded(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Western text has single letters with accents among plain ones, Russian words are nothing but high bytes.
        words = sum(map(len, _HIGH_WORD.findall(raw)))
        cyrillic = words * 2 > sum(byte >= 0xC0 for byte in raw)
        return raw.decode("cp1251" if cyrillic else "cp1252", "replace")


def _read_rows(reader: Any) -> list[SourceRow]:
    titles = [name.strip().lower() for name in next(reader, [])]
    names = [_COLUMNS.get(title, title) for title in titles]
    twice = {name for name in names if name and names.count(name) > 1}
    if twice:
        raise Conflict(f"the column {sorted(twice)[0]} comes twice", hint="rename one of them")
    if not {"name", "company", "email", "domain"} & set(names):
        raise Conflict("the first line names no known column", hint="begin with: name,email,company,domain")
    rows = []
    before = reader.line_num
    for cells in reader:
        line, before = before + 1, reader.line_num
        if any(cell.strip() for cell in cells):
            values = {
                name: storable(_unguarded(cell.strip()))
                for name, cell in zip(names, cells, strict=False)
                if name and not name.startswith("#")
            }
            rows.append(SourceRow(line, values))
    return rows


def guarded(cell: str) -> str:
    """The value for a CSV file that people open in a spreadsheet: what it would take for a formula gets a ' in front.

    Names come from mail, so anybody may write them. Telephone numbers stay as they are.
    """
    return "'" + cell if cell[:1] in _FORMULA and not _PHONE.fullmatch(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA else cell


def plan_import(session: Session, rows: Sequence[SourceRow], *, public: Collection[str] = ()) -> ImportPlan:
    """What importing these rows would do. `public`: mail domains that nobody may claim (gmail.com ...)."""
    plan = ImportPlan()
    grouped = _group(_readable(rows, frozenset(public), plan))
    known = _Known.load(session, grouped)
    for group in grouped:
        planned = _plan_customer(group, known, plan)
        if planned is not None:
            plan.customers.append(planned)
    plan.problems.sort(key=lambda problem: problem.line)
    return plan


def apply_import(session: Session, plan: ImportPlan, by: Actor) -> ImportReport:
    """Carry a plan out, in the transaction it was made in."""
    addresses: list[str] = []
    domains: list[str] = []
    for one in plan.customers:
        owner = one.id
        if owner is None:
            owner = customers.add(session, one.name, by, one.fields)
        elif one.fields:
            customers.edit(session, owner, one.fields, by)
        for tag in one.tags:
            customers.tag(session, owner, tag, by)
        domains += [domain for domain in one.domains if customers.add_domain(session, owner, domain, by)]
        for contact in one.contacts:
            if contact.id is not None:
                customers.edit_contact(session, contact.id, contact.fields, by)
                continue
            number = customers.add_contact(session, owner, by, {"name": contact.name, **contact.fields})
            customers.add_address(session, number, contact.email, by)
            addresses.append(mail_key(contact.email))
    return ImportReport(counts=plan.counts(), new_addresses=tuple(addresses), new_domains=tuple(domains))


# --- reading rows --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Row:
    line: int
    company: str
    name: str
    email: str
    domain: str
    tags: list[str]
    of_contact: dict[str, str]
    of_customer: dict[str, str]

    @property
    def title(self) -> str:
        """What the customer is called."""
        return self.company or self.name or self.email or self.domain


def _readable(rows: Iterable[SourceRow], public: frozenset[str], plan: ImportPlan) -> list[_Row]:
    readable = []
    for row in rows:
        values = {name: value for name, value in row.values.items() if value}
        email, domain = values.get("email", ""), ascii_domain(values.get("domain", "").lstrip("@").rstrip("."))
        if email and not is_address(email):
            plan.problems.append(ImportProblem(row.line, f"{email!r} is no mail address; the line is left out"))
            continue
        if domain and (domain in public or not is_domain(domain)):
            why = "is used by everybody" if domain in public else "is no mail domain"
            plan.problems.append(ImportProblem(row.line, f"the domain {domain!r} {why}; left out"))
            domain = ""
        one = _row(row.line, values, email, domain)
        if one.title:
            readable.append(one)
        else:
            plan.problems.append(ImportProblem(row.line, "neither name, company, email nor domain"))
    return readable


def _row(line: int, values: Mapping[str, str], email: str, domain: str) -> _Row:
    rest = {name: value for name, value in values.items() if name not in _OWN}
    person = {name.removeprefix("contact."): value for name, value in rest.items() if _speaks_of_contact(name)}
    return _Row(
        line=line,
        company=values.get("company", ""),
        name=values.get("name", ""),
        email=email,
        domain=domain,
        tags=[tag.strip() for tag in values.get("tags", "").replace(";", ",").split(",") if tag.strip()],
        of_contact=person,
        of_customer={name: value for name, value in rest.items() if not _speaks_of_contact(name)},
    )


def _speaks_of_contact(name: str) -> bool:
    return name in _OF_CONTACT or name.startswith("contact.")


def is_address(text: str) -> bool:
    """Whether a typed text is one plain mail address."""
    from email_validator import EmailNotValidError, validate_email  # only for tables that people typed

    try:
        validate_email(text, check_deliverability=False, allow_quoted_local=True)
    except EmailNotValidError:
        return False
    return True


def is_domain(text: str) -> bool:
    """Whether a typed text may be a mail domain: labels and a dot between them."""
    labels = text.split(".")
    return len(labels) > 1 and all(labels) and not any(sign.isspace() or sign in "@/<>," for sign in text)


def _group(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Rows of one customer together: equal company (or name), equal domain, directly or through other rows."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for row in rows:
        name = root("name " + fold(row.title))
        if row.domain:
            parent[root("domain " + row.domain)] = name
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(root("name " + fold(row.title)), []).append(row)
    return list(groups.values())


# --- comparing with the store --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Known:
    """What the store holds of the names, domains and addresses of the table."""

    names: dict[str, list[int]]
    domains: dict[str, tuple[int, ...]]
    contacts: dict[str, tuple[customers.ContactRow, ...]]
    customers: dict[int, customers.CustomerRow]

    @classmethod
    def load(cls, session: Session, groups: Sequence[Sequence[_Row]]) -> _Known:
        rows = [row for group in groups for row in group]
        names: dict[str, list[int]] = {}
        statement = select(_CUSTOMER.c.name_key, _CUSTOMER.c.id).where(
            among(session, _CUSTOMER.c.name_key, {fold(row.title) for row in rows}), _CUSTOMER.c.merged_into.is_(None)
        )
        for key, number in session.execute(statement.order_by(_CUSTOMER.c.id)):
            names.setdefault(key, []).append(number)
        domains = customers.lookup_domains(session, {row.domain for row in rows if row.domain})
        contacts = customers.lookup_addresses(session, {mail_key(row.email) for row in rows if row.email})
        ids = {number for found in (*names.values(), *domains.values()) for number in found}
        ids |= {contact.customer_id for found in contacts.values() for contact in found}
        return cls(names, domains, contacts, customers.facts(session, ids))


def _plan_customer(group: Sequence[_Row], known: _Known, plan: ImportPlan) -> PlannedCustomer | None:
    first = group[0]
    found = _candidates(group, known)
    if len(found) > 1:
        numbers = ", ".join(str(one) for one in found)
        plan.problems.append(
            ImportProblem(first.line, f"{first.title!r} may be any of the customers {numbers}; merge them first")
        )
        return None
    number = found[0] if found else None
    planned = PlannedCustomer(line=first.line, name=first.title, id=number)
    old = known.customers[number] if number is not None else None
    for row in group:
        _collect(planned, row, old, known, plan)
    return planned


def _candidates(group: Sequence[_Row], known: _Known) -> list[int]:
    """The existing customers that the rows may mean: by domain, else by name, else (a person) by address."""
    for numbers in (
        {number for row in group for number in known.domains.get(row.domain, ())},
        {number for row in group for number in known.names.get(fold(row.title), ())},
        {c.customer_id for row in group if not row.company for c in known.contacts.get(mail_key(row.email), ())},
    ):
        if numbers:
            return sorted(numbers)
    return []


def _collect(
    planned: PlannedCustomer, row: _Row, old: customers.CustomerRow | None, known: _Known, plan: ImportPlan
) -> None:
    before = _size(planned, plan)
    _collect_fields(planned, row, old, plan)
    planned.tags += [tag for tag in row.tags if tag not in planned.tags and (old is None or tag not in old.tags)]
    if row.domain and row.domain not in planned.domains and planned.id not in known.domains.get(row.domain, ()):
        planned.domains.append(row.domain)
    same = _collect_contact(planned, row, known, plan)
    if same and before == _size(planned, plan) and row.line != planned.line:
        plan.duplicates.append(ImportProblem(row.line, f"says nothing new about {planned.name!r}"))


def _size(planned: PlannedCustomer, plan: ImportPlan) -> tuple[int, ...]:
    """Grows with whatever a row adds to the plan."""
    parts = (planned.fields, planned.tags, planned.domains, planned.contacts, plan.problems)
    return tuple(len(part) for part in parts)


def _collect_fields(planned: PlannedCustomer, row: _Row, old: customers.CustomerRow | None, plan: ImportPlan) -> None:
    for name, value in row.of_customer.items():
        stated = planned.fields.get(name)
        if stated is not None and stated != value:
            plan.problems.append(
                ImportProblem(row.line, f"{planned.name!r} has {name} {stated!r} in a row before; {value!r} left out")
            )
        elif stated is None and (old is None or _has(old, name) != value):
            planned.fields[name] = value


def _has(row: customers.CustomerRow | customers.ContactRow, name: str) -> Any:
    columns = customers.CUSTOMER_FIELDS if isinstance(row, customers.CustomerRow) else customers.CONTACT_FIELDS
    return getattr(row, name) if name in columns else row.fields.get(name)


def _collect_contact(planned: PlannedCustomer, row: _Row, known: _Known, plan: ImportPlan) -> bool:
    """Add the row's contact to the plan; whether an earlier row of the table had it already."""
    if not row.email:
        return True
    key = mail_key(row.email)
    if any(mail_key(contact.email) == key for contact in planned.contacts):
        return True
    people = known.contacts.get(key, ())
    mine = next((person for person in people if person.customer_id == planned.id), None)
    if people and mine is None:
        other = known.customers[people[0].customer_id].name
        plan.problems.append(ImportProblem(row.line, f"{row.email} belongs to {other!r} already; left out"))
        return False
    stated = dict(row.of_contact)
    if mine is None:
        planned.contacts.append(PlannedContact(line=row.line, name=row.name, email=row.email, fields=stated))
        return False
    if row.name:
        stated["name"] = row.name
    changed = {name: value for name, value in stated.items() if _has(mine, name) != value}
    if changed:
        planned.contacts.append(
            PlannedContact(line=row.line, name=mine.name, email=row.email, id=mine.id, fields=changed)
        )
    return not changed
