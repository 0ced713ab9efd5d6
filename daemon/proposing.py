"""Suggests customers to an office without a list: the outside people whom the team wrote to. Stores nothing."""

from __future__ import annotations

import csv
import re
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import typer
from pydantic_core import PydanticCustomError

from config.errors import QuietcrmError
from config.settings import Settings
from config.values import Length, parse_since
from connectors import factory
from connectors.factory import Surroundings
from connectors.model import Address, Kind, Message, Progress
from connectors.parsing import ParserPool
from connectors.protocols import Parser
from daemon.cli.screen import harmless, progress, remark
from daemon.glance import Knowledge, every_mail, knowledge
from daemon.office import Office, load_office
from rules.decision import Direction, Outcome
from rules.ladder import direction_of
from rules.office import office_of
from store.folding import fold
from store.identity import identity
from store.importing import guarded

COLUMNS = ("name", "email", "company", "domain", "#mails", "#last")
"""`customer import` takes the first four; columns whose name begins with # are remarks to it."""

CROWD = 8
"""So many people at one domain are worth a question before they become one customer."""
AT_ONCE = 4
_SHORT = {"d": "day", "w": "week", "m": "month", "y": "year"}
_LENGTH = re.compile(r"\s*(\d{1,4})\s*([dwmy])\s*", re.IGNORECASE)
_WRITTEN = (Kind.HUMAN, Kind.INVITATION)
_MACHINE_KINDS = (Kind.BULK, Kind.NOTICE)
"""Who sends nothing else is a machine; an automatic reply may come from a person who has not written yet."""
_MACHINE = re.compile(
    r"(?:no|not|nao|ne|do[-_.]?not|nicht)[-_.]?(?:reply|responder|responda|otvechat|antworten)\b.*|"
    r"(?:mailer[-_.]?daemon|postmaster|abuse|bounces?|notifications?|newsletters?|unsubscribe|listserv|majordomo)(?:\b.*)?",
    re.IGNORECASE,
)
_SECOND_LEVEL = frozenset(
    (
        "com",
        "co",
        "org",
        "net",
        "gov",
        "edu",
        "ac",
        "gob",
        "govt",
        "mil",
        "ind",
        "srv",
        "eti",
        "adv",
        "blog",
        "msk",
        "spb",
    )
)
_LIST_POST = re.compile(r"mailto:([^>?\s]+)", re.IGNORECASE)


@dataclass(slots=True)
class Person:
    """What the mails say of one outside address."""

    email: str
    mails: int = 0
    last: datetime | None = None
    names: Counter[str] = field(default_factory=Counter)
    human: int = 0
    machine: int = 0

    @property
    def name(self) -> str:
        """The name used most often, "" if there is none."""
        return min(self.names, key=lambda name: (-self.names[name], name)) if self.names else ""

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.email.rpartition("@")[2].lower()


@dataclass(slots=True)
class Tally:
    """Counts the people in the mails of an office; each mail once, however many copies it has. Thread-safe."""

    settings: Settings
    people: dict[str, Person] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    _seen: set[str] = field(default_factory=set)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def add(self, judged: Iterable[tuple[Message, Outcome]]) -> None:
        """Count mails, each with what would become of it."""
        with self._turn:
            for message, outcome in judged:
                key = identity(message).key
                if key not in self._seen and outcome not in (Outcome.INTERNAL, Outcome.NEVER_LOG):
                    self._seen.add(key)
                    self._count(message, outcome)

    def _count(self, message: Message, outcome: Outcome) -> None:
        self.lists.update(found[1].lower() for found in _LIST_POST.finditer(message.header("list-post")))
        if direction_of(message, office_of(self.settings)) is Direction.IN:
            self._came(message)
        elif message.kind in _WRITTEN and outcome is not Outcome.IGNORED:
            for person in {one.key: one for one in (*message.to, *message.cc, *message.bcc)}.values():
                self._went(person, message.received_at)

    def _came(self, message: Message) -> None:
        if message.sender is not None and not self._is_ours(message.sender):
            person = self._person(message.sender)
            person.human += message.kind in _WRITTEN or message.kind is Kind.OUT_OF_OFFICE
            person.machine += message.kind in _MACHINE_KINDS

    def _went(self, address: Address, at: datetime) -> None:
        if self._is_ours(address) or self.settings.is_never_log(address.key):
            return
        person = self._person(address)
        person.mails += 1
        person.last = max(at, person.last or at)

    def _person(self, address: Address) -> Person:
        person = self.people.setdefault(address.key, Person(address.email))
        name = " ".join(harmless(address.name).split()).strip("'\"")
        if name and "@" not in name:
            person.names[name] += 1
        return person

    def _is_ours(self, address: Address) -> bool:
        return self.settings.is_internal(address.key)

    def worth(self) -> list[Person]:
        """The people whom the team wrote to and who are no machines."""
        return [one for key, one in self.people.items() if one.mails and not self._is_machine(key, one)]

    def _is_machine(self, key: str, person: Person) -> bool:
        local = key.rpartition("@")[0]
        return bool(_MACHINE.fullmatch(local)) or key in self.lists or (person.machine > 0 and not person.human)


def propose_customers(directory: Path, since: str, *, quiet: bool) -> list[dict[str, Any]]:
    """Rows for `customer import`, the busiest company first. `since`: "2y", "6m", "30d", "2 years" or a date.

    Reads every account from there on; progress goes to stderr. An account that cannot be read is left out with a
    remark; raises its error if none can be read.
    """
    office = load_office(directory)
    now = datetime.now(UTC)
    first = first_day(since, now.astimezone(office.settings.zone).date())
    tally = Tally(office.settings)
    with knowledge(office) as known:
        _read_all(_Round(office, known, first, now, tally), quiet=quiet)
    return rows_of(tally.worth(), office.settings)


def first_day(since: str, today: date) -> date:
    """The day to begin with: "2y", "6m", "3w", "30d", "18 months" or a date. Raises typer.BadParameter."""
    short = _LENGTH.fullmatch(since)
    try:
        start = parse_since(f"{short[1]} {_SHORT[short[2].lower()]}" if short else since)
        return today - start.delta() if isinstance(start, Length) else start
    except (PydanticCustomError, OverflowError) as error:
        message = f'"{since}" is no time; write for example 2y, 6m or 2025-01-31'
        raise typer.BadParameter(message, param_hint="--since") from error


@dataclass(frozen=True, slots=True)
class _Round:
    """One reading of all accounts into a tally."""

    office: Office
    known: Knowledge
    first: date
    now: datetime
    tally: Tally

    def read(self, name: str, parser: Parser, show: Callable[[Progress], None]) -> None:
        """Count the mails of one account. Raises ConnectorError, SecretUnavailable."""
        account = self.office.settings.accounts[name].model_copy(update={"since": self.first})
        around = Surroundings(base=self.office.directory, today=self.first)
        source = factory.build_source(name, account, parser, around)
        try:
            for batch in every_mail(source, show):
                directory = self.known.directory(batch)
                self.tally.add([(one, self.known.outcome(one, directory, self.now)) for one in batch])
        finally:
            source.close()


def _read_all(work: _Round, *, quiet: bool) -> None:
    """Read the accounts side by side; raises the first error if none could be read."""
    errors: list[QuietcrmError] = []
    parser = ParserPool()
    try:
        with progress(quiet=quiet) as bars, ThreadPoolExecutor(AT_ONCE) as pool:
            answers = {}
            for name in work.office.settings.accounts:
                answers[name] = pool.submit(work.read, name, parser, _shown(bars, name))
            for name, answer in answers.items():
                error = answer.exception()
                if isinstance(error, QuietcrmError):
                    errors.append(error)
                    remark(f"{name} is left out: {error.message}\n  = help: {error.hint}")
                elif error is not None:
                    raise error
    finally:
        parser.close()
    if errors and len(errors) == len(work.office.settings.accounts):
        raise errors[0]


def _shown(bars: Any, name: str) -> Callable[[Progress], None]:
    bar = bars.add_task(name, total=None)
    return lambda state: bars.update(bar, total=state.total or None, completed=state.done)


# --- rows ----------------------------------------------------------------------------------------------------------


def rows_of(people: Sequence[Person], settings: Settings) -> list[dict[str, Any]]:
    """One row for each person, the people of a company together, the busiest company first."""
    is_public = office_of(settings).is_public
    companies = company_names({one.domain for one in people if not is_public(one.domain)})
    titles = Counter(fold(one.name or one.email) for one in people if is_public(one.domain))
    titles.update(fold(company) for company in set(companies.values()))
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in sorted(people, key=lambda person: (-person.mails, person.email)):
        row = _row(one, companies.get(one.domain, ""))
        if not row["company"] and titles[fold(one.name or one.email)] > 1:
            row["company"] = f"{one.name} ({one.email})"  # two people of one name are not one customer
        groups[row["company"] or one.email].append(row)
    busiest = sorted(groups.values(), key=lambda rows: -sum(row["#mails"] for row in rows))
    return [row for rows in busiest for row in rows]


def _row(person: Person, company: str) -> dict[str, Any]:
    return {
        "name": person.name,
        "email": person.email,
        "company": company,
        "domain": person.domain if company else "",
        "#mails": person.mails,
        "#last": person.last.date().isoformat() if person.last else "",
    }


def company_names(domains: Collection[str]) -> dict[str, str]:
    """A name for the company of each mail domain: "acme-tools.example" -> "Acme Tools".

    Domains below the same registered one share the name; where two registered ones would give the same name, both
    keep the whole domain, as they may be two companies.
    """
    registered = {domain: _registered(domain) for domain in domains}
    guesses = {root: _title(root) for root in registered.values()}
    often = Counter(fold(guess) for guess in guesses.values())
    return {domain: guesses[root] if often[fold(guesses[root])] == 1 else root for domain, root in registered.items()}


def _registered(domain: str) -> str:
    """The part of a domain that was registered, as far as its form tells: "mail.acme.com.br" -> "acme.com.br"."""
    labels = domain.split(".")
    count = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-count:])


def _title(domain: str) -> str:
    label = domain.split(".")[0]
    if label.startswith("xn--"):
        with suppress(UnicodeError):
            label = label.encode("ascii").decode("idna")
    return " ".join(word.capitalize() for word in re.split(r"[-_]+", label) if word) or domain


def crowded(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Domains with so many people that they may be a mail provider's that we do not know: (domain, people)."""
    people = Counter(row["domain"] for row in rows if row["domain"])
    return [(domain, count) for domain, count in people.most_common() if count >= CROWD]


def write_csv(rows: Iterable[Mapping[str, Any]]) -> None:
    """The rows as CSV on stdout, to be edited and given to `customer import`."""
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: guarded(str(value)) for name, value in row.items()} for row in rows)
