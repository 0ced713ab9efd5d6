"""quietcrm.yaml as one typed, frozen object. Every setting documents itself on its field."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from config.accounts import (
    Account,
    EmlAccount,
    ExchangeAccount,
    ExchangeSender,
    FileAccount,
    Folders,
    ImapAccount,
    MaildirAccount,
    MboxAccount,
    MemoryAccount,
    MemorySender,
    Section,
    Sender,
    SmtpSender,
)
from config.calendars import Calendar, CalendarReading, MailboxCalendar
from config.office import (
    Company,
    Drafts,
    Hours,
    Limits,
    Log,
    Member,
    Metrics,
    Polling,
    Reminders,
    Retention,
    Send,
    Stages,
)
from config.secrets import resolve
from config.sign_in import Provider, with_providers
from config.state import locate
from config.values import Length, Name, Patterns, SecretSetting, address_matches, did_you_mean, fault, mail_key

__all__ = [
    "Account",
    "Company",
    "EmlAccount",
    "ExchangeAccount",
    "ExchangeSender",
    "FileAccount",
    "Folders",
    "Hours",
    "ImapAccount",
    "Length",
    "MaildirAccount",
    "MboxAccount",
    "Member",
    "MemoryAccount",
    "MemorySender",
    "Sender",
    "Settings",
    "SmtpSender",
    "Stages",
]

Rung = Literal["gesture", "token", "plus_address", "thread", "address", "alias", "domain"]
LADDER: tuple[Rung, ...] = ("gesture", "token", "plus_address", "thread", "address", "alias", "domain")
DEFAULT_STORE = "sqlite:///state/crm.db"
STORE_SCHEMES = ("sqlite", "postgresql")


def _check_store(value: str) -> str:
    scheme = value.partition(":")[0].partition("+")[0]
    if "://" not in value:
        raise fault("E207", f'"{value}" is not the address of a store', f"write: {DEFAULT_STORE}")
    if scheme not in STORE_SCHEMES:
        help = did_you_mean(scheme, STORE_SCHEMES, "") and f"write: {DEFAULT_STORE}"
        raise fault("E207", f'"{scheme}" is no database quietcrm can use', help or f"write: {DEFAULT_STORE}")
    return value


class Settings(Section):
    """All settings of an office. Read them with `config.load.load_settings`."""

    company: Company = Field(
        description="the office itself", examples=["{name: Vendas, zone: America/Sao_Paulo, language: pt}"]
    )
    store: Annotated[str, AfterValidator(_check_store)] = Field(
        DEFAULT_STORE,
        description="where the history is kept: SQLite relative to this folder (`state/` is the state folder), or `postgresql://user@host/database`",
        examples=["sqlite:///state/crm.db"],
    )
    store_password: SecretSetting | None = Field(
        None, description="password of the PostgreSQL user", examples=["{env: STORE_PASSWORD}"]
    )
    internal: Patterns = Field(
        (), description='domains and addresses of the office itself, as `"@domain"`', examples=['["@vendas.example"]']
    )
    never_log: Patterns = Field(
        (), description="addresses, domains or globs that never enter the history", examples=['["@bank.example"]']
    )
    public_domains: tuple[str, ...] = Field(
        (),
        description="further mail providers whose domain says nothing about the company",
        examples=["[mail.example]"],
    )
    team: dict[Name, Member] = Field(
        description="the people, by a short name",
        examples=["{ana: {mail: ana@vendas.example, language: pt}}"],
        min_length=1,
    )
    admin: Name = Field(
        "",
        description="who looks after quietcrm; default: the first with `admin: yes`, else the first of the team",
        examples=["ana"],
    )
    accounts: dict[Name, Account] = Field(
        {}, description="the mailboxes that are read, by name", examples=["{ana: {type: maildir, path: mail/ana}}"]
    )
    calendars: dict[Name, Calendar] = Field(
        {},
        description="the calendars that are read and get reminders, by name",
        examples=["{ana: {type: caldav, url: 'https://cloud.vendas.example/', login: ana, password: {env: ANA}}}"],
    )
    senders: dict[Name, Sender] = Field(
        {}, description="the ways out, by name", examples=["{ana: {type: smtp, host: smtp.vendas.example}}"]
    )
    providers: dict[Name, Provider] = Field(
        {},
        description="where mailboxes sign in instead of by password, and how quietcrm is registered there, by name",
        examples=["{microsoft: {client_id: 11111111-2222-3333-4444-555555555555, tenant: vendas.example}}"],
    )
    poll: Polling = Field(Polling(), description="defaults for every account", examples=["{every: 60 seconds}"])
    match: tuple[Rung, ...] = Field(
        LADDER,
        description="how the customer of a mail is found: the first rung with an answer wins",
        examples=["[gesture, token, plus_address, thread, address, alias, domain]"],
        min_length=1,
    )
    unknown: Literal["ask", "lead", "ignore"] = Field(
        "ask",
        description="what happens to strangers: ask in the daily notice, make a lead, or nothing",
        examples=["ask"],
    )
    hours: Hours = Field(Hours(), description="when the office is open", examples=["{mon-fri: 09:00-18:00}"])
    stages: Stages = Field(
        Stages(),
        description="the way to a customer",
        examples=["{open: [lead, proposta], won: cliente, lost: perdida}"],
    )
    send: Send = Field(Send(), description="what may leave by itself", examples=["{hold: 10 minutes}"])
    limits: Limits = Field(Limits(), description="the breaker", examples=["{sends_per_day: 80}"])
    drafts: Drafts = Field(Drafts(), description="prepared drafts", examples=["{expire: 5 business days}"])
    reminders: Reminders = Field(Reminders(), description="how reminders come", examples=["{via: inbox}"])
    briefs: bool = Field(
        True,
        description="tell people of their meetings with customers on the morning of the working day before",
        examples=["no"],
    )
    channels: dict[Name, SecretSetting] = Field(
        {},
        description="where `notify` writes to, by name: the place of an address as apprise has it",
        examples=["{oncall: {file: oncall-address}}"],
    )
    log: Log = Field(Log(), description="what quietcrm writes about itself", examples=["{format: json}"])
    metrics: Metrics = Field(Metrics(), description="figures for a monitoring program", examples=["{port: 9464}"])
    retention: Retention = Field(Retention(), description="how long things are kept", examples=["{traces: 90 days}"])

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, data: Any) -> Any:
        return _with_poll(with_providers(_with_admin(data))) if isinstance(data, dict) else data

    @cached_property
    def zone(self) -> ZoneInfo:
        """The office's time zone."""
        return ZoneInfo(self.company.zone)

    def zone_for(self, rep: str) -> ZoneInfo:
        """The time zone of a person of the team."""
        return ZoneInfo(self.team[rep].zone or self.company.zone)

    def language_for(self, rep: str) -> str:
        """The language a person of the team is written to in."""
        return self.team[rep].language or self.company.language

    @cached_property
    def office_zone(self) -> ZoneInfo:
        """The zone business hours are meant in."""
        return ZoneInfo(self.hours.zone or self.company.zone)

    @cached_property
    def _reps(self) -> dict[str, str]:
        return {mail_key(mail): name for name, person in self.team.items() for mail in (person.mail, *person.aliases)}

    def rep_of(self, email: str) -> str | None:
        """The short name of the person with this address or alias, or None. Case is ignored."""
        return self._reps.get(mail_key(email))

    def is_team(self, email: str) -> bool:
        """True for an address or alias of the team."""
        return mail_key(email) in self._reps

    def is_internal(self, email: str) -> bool:
        """True for the team and everything `internal` covers."""
        return self.is_team(email) or any(address_matches(pattern, email) for pattern in self.internal)

    def is_never_log(self, email: str) -> bool:
        """True if `never_log` covers the address."""
        return any(address_matches(pattern, email) for pattern in self.never_log)

    def own_addresses(self) -> frozenset[str]:
        """Every address mail of ours may carry, lower case: team, aliases, logins and From addresses."""
        logins = (str(getattr(one, "login", None) or "") for one in self.accounts.values())
        boxes = (one.mailbox_address for one in self.accounts.values() if isinstance(one, ExchangeAccount))
        froms = (sender.address or "" for sender in self.senders.values())
        return frozenset(self._reps) | {text.lower() for text in (*logins, *boxes, *froms) if "@" in text}

    def sender_for(self, rep: str) -> str | None:
        """The name of the sender a person's mail leaves by: theirs by `rep`, else the one of the same name."""
        named = next((name for name, sender in self.senders.items() if sender.rep == rep), None)
        return named or (rep if rep in self.senders else None)

    def calendar_owner(self, name: str) -> str | None:
        """Whose `calendars.NAME` is: its `rep`, that of its mailbox, else the person of that name, else nobody."""
        mailbox = self.calendar_mailbox(name)
        return self.calendars[name].rep or (mailbox and mailbox.rep) or (name if name in self.team else None)

    def calendar_mailbox(self, name: str) -> Account | None:
        """The account that opens `calendars.NAME`; None for calendars with a login of their own."""
        calendar: CalendarReading = self.calendars[name]
        return self.accounts.get(calendar.account or name) if isinstance(calendar, MailboxCalendar) else None

    def calendar_zone(self, name: str) -> str:
        """The zone of whoever has `calendars.NAME`."""
        owner = self.calendar_owner(name)
        return str(self.zone_for(owner) if owner else self.zone)

    def store_url(self, directory: Path) -> str:
        """The store's address with an absolute SQLite path and the password filled in. Raises SecretUnavailable."""
        if self.store.startswith("sqlite:"):
            return _absolute_sqlite(self.store, directory)
        if self.store_password is None:
            return self.store
        parts = urlsplit(self.store)
        user, _, host = parts.netloc.rpartition("@")
        password = quote(resolve(self.store_password, base=directory).reveal(), safe="")
        return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{password}@{host}"))


def _absolute_sqlite(url: str, directory: Path) -> str:
    scheme, _, path = url.partition(":///")
    return url if not path or path == ":memory:" else f"{scheme}:///{locate(directory, path).as_posix()}"


def _with_admin(data: dict[str, Any]) -> dict[str, Any]:
    team = data.get("team")
    if data.get("admin") or not isinstance(team, dict) or not team:
        return data
    yes = ("yes", "true", "on", "1")
    marked = (name for name, one in team.items() if isinstance(one, dict) and str(one.get("admin")).lower() in yes)
    return {**data, "admin": next(marked, next(iter(team)))}


def _with_poll(data: dict[str, Any]) -> dict[str, Any]:
    poll, accounts = data.get("poll"), data.get("accounts")
    if not isinstance(poll, dict) or not isinstance(accounts, dict):
        return data
    known = {key: poll[key] for key in ("every", "since") if poll.get(key)}
    idle = {"idle": poll["idle"]} if poll.get("idle") else {}
    filled = {
        name: {**known, **(idle if one.get("type") in ("imap", "exchange") else {}), **one}
        if isinstance(one, dict)
        else one
        for name, one in accounts.items()
    }
    return {**data, "accounts": filled}
