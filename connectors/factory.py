"""Builds sources, desks and mailers from the settings. A new connector is one line in these tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.accounts import (
    Account,
    EmlAccount,
    ExchangeAccount,
    ExchangeSender,
    GraphAccount,
    GraphSender,
    ImapAccount,
    MaildirAccount,
    MboxAccount,
    MemoryAccount,
    MemorySender,
    Sender,
    SmtpSender,
)
from config.calendars import Calendar
from config.secrets import SecretRef, resolve
from config.state import state_directory
from connectors.exchange.settings import ExchangeSettings
from connectors.graph.desk import GraphDesk
from connectors.graph.mailer import GraphMailer
from connectors.graph.settings import GraphSettings
from connectors.graph.source import GraphSource
from connectors.imap.desk import ImapDesk
from connectors.imap.settings import ImapSettings
from connectors.imap.source import ImapSource
from connectors.maildir.desk import MaildirDesk
from connectors.maildir.eml import EmlShelf
from connectors.maildir.maildir import MaildirShelf
from connectors.maildir.mbox import MboxShelf
from connectors.memory import MemoryDesk, MemoryMailbox, MemoryMailer, MemorySource
from connectors.protocols import Desk, Mailer, Parser, Source, Tokens
from connectors.shelf import Shelf, ShelfSource
from connectors.smtp.mailer import SmtpMailer, SmtpSettings

if TYPE_CHECKING:
    from connectors.memory_calendars import MemoryCalendars

__all__ = [
    "DESKS",
    "MAILERS",
    "SOURCES",
    "Surroundings",
    "build_desk",
    "build_mailer",
    "build_source",
    "exchange_settings",
    "graph_settings",
    "imap_settings",
]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What building needs beside the settings: the folder of quietcrm.yaml (relative paths lie below it), today's
    date (for `since: 2 years`), the memory mailboxes and calendars that entries of type memory share by name, who
    hears that mail is coming in (a slow line is no dead one), whether a rule asks for the data in HTML parts, and the
    time in seconds since 1970, by which access tokens end."""

    base: Path
    today: date
    mailboxes: dict[str, MemoryMailbox] = field(default_factory=dict)
    calendars: dict[str, MemoryCalendars] = field(default_factory=dict)
    heard: Callable[[], None] = lambda: None
    markup: bool = False
    seconds: Callable[[], float] = time.time

    def path(self, path: Path) -> Path:
        """A path of the settings as an absolute one."""
        return self.base / path

    def secret(self, ref: SecretRef | None) -> str:
        """The secret a setting points to, "" for none. Raises SecretUnavailable."""
        return resolve(ref, base=self.base).reveal() if ref else ""

    def tokens(self, name: str, account: Account | Calendar | Sender, *, calendar: bool = False) -> Tokens:
        """Access tokens for an account or sender that has `sign_in`, for what its protocol needs at its provider.

        Asks nobody yet. Whoever has signed in for one account has for all with the same provider and login. `calendar`:
        for the calendars of a mailbox.
        """
        from connectors.oauth.opening import tokens_for  # only where somebody signs in

        state = state_directory(self.base)
        return tokens_for(name, account, state=state, secret=self.secret, clock=self.seconds, calendar=calendar)

    def calendars_of(self, name: str) -> MemoryCalendars:
        """The memory calendars of `calendars.NAME`, the same ones each time."""
        from connectors.memory_calendars import MemoryCalendars

        return self.calendars.setdefault(name, MemoryCalendars())

    def mailbox(self, name: str) -> MemoryMailbox:
        """The memory mailbox of an account, the same one each time."""
        return self.mailboxes.setdefault(name, MemoryMailbox())


def imap_settings(name: str, account: ImapAccount, around: Surroundings) -> ImapSettings:
    """What the IMAP connector, its desk and the idle hub need to know of an account."""
    return ImapSettings(
        account=name,
        host=account.host,
        port=account.port,
        security=account.security,
        ca=str(around.path(account.ca)) if account.ca else "",
        login=account.login,
        password=around.secret(account.password),
        tokens=around.tokens(name, account) if account.sign_in else None,
        since=account.since_date(around.today),
        only=tuple(account.folders.only),
        skip=tuple(account.folders.not_),
        markup=around.markup,
    )


def _imap(name: str, account: ImapAccount, parser: Parser, around: Surroundings) -> Source:
    return ImapSource(imap_settings(name, account, around), parser, heard=around.heard)


def exchange_settings(name: str, one: ExchangeAccount | ExchangeSender, around: Surroundings) -> ExchangeSettings:
    """What the Exchange connector, its desk and its stream need to know of an account, its mailer of a sender."""
    found = ExchangeSettings(
        account=name,
        endpoint=one.endpoint,
        mailbox=one.mailbox_address,
        login=one.login,
        password=around.secret(one.password),
        auth="oauth" if one.sign_in else one.auth,
        access=one.access,
        version=one.version,
        ca=str(around.path(one.ca)) if one.ca else "",
        tokens=around.tokens(name, one) if one.sign_in else None,
    )
    if isinstance(one, ExchangeSender):
        return found
    folders = one.folders
    return replace(found, since=one.since_date(around.today), only=tuple(folders.only), skip=tuple(folders.not_))


def login_settings(name: str, account: Account, around: Surroundings) -> ImapSettings | ExchangeSettings | None:
    """Everything that opens an account on a server, its secret included; None for files. Raises SecretUnavailable."""
    if isinstance(account, ImapAccount):
        return imap_settings(name, account, around)
    return exchange_settings(name, account, around) if isinstance(account, ExchangeAccount) else None


def _exchange(name: str, account: ExchangeAccount, parser: Parser, around: Surroundings) -> Source:
    from connectors.exchange.source import ExchangeSource  # 40 MB: only where there is an Exchange Server

    return ExchangeSource(exchange_settings(name, account, around), parser, heard=around.heard)


def _exchange_desk(name: str, account: ExchangeAccount, around: Surroundings) -> Desk:
    from connectors.exchange.desk import ExchangeDesk

    return ExchangeDesk(exchange_settings(name, account, around))


def _exchange_mailer(name: str, sender: ExchangeSender, around: Surroundings) -> Mailer:
    from connectors.exchange.mailer import ExchangeMailer

    return ExchangeMailer(exchange_settings(name, sender, around))


def _shelf(make: Callable[[str, Path], Shelf]) -> Callable[..., Source]:
    def build(
        name: str, account: MaildirAccount | MboxAccount | EmlAccount, parser: Parser, around: Surroundings
    ) -> Source:
        return ShelfSource(
            name,
            make(name, around.path(account.path)),
            parser,
            since=account.since_date(around.today),
            only=account.folders.only,
            skip=account.folders.not_,
        )

    return build


def _memory(name: str, account: MemoryAccount, parser: Parser, around: Surroundings) -> Source:
    return MemorySource(
        name,
        around.mailbox(name),
        parser,
        since=account.since_date(around.today),
        only=account.folders.only,
        skip=account.folders.not_,
    )


def _smtp(name: str, sender: SmtpSender, around: Surroundings) -> Mailer:
    return SmtpMailer(
        SmtpSettings(
            account=name,
            host=sender.host,
            port=sender.port,
            security=sender.security,
            ca=str(around.path(sender.ca)) if sender.ca else "",
            login=sender.login or "",
            password=around.secret(sender.password),
            tokens=around.tokens(name, sender) if sender.sign_in else None,
            final_timeout=sender.timeout.delta().total_seconds(),
        )
    )


def graph_settings(name: str, one: GraphAccount | GraphSender, around: Surroundings) -> GraphSettings:
    """What the Graph connector, its desk and its mailer need to know of an account or a sender."""
    settings = GraphSettings(
        account=name,
        login=one.login,
        tokens=around.tokens(name, one),
        by_address=one.by_address,
        service=one.service,
        markup=around.markup,
    )
    if isinstance(one, GraphSender):
        return replace(settings, final_timeout=one.timeout.delta().total_seconds())
    only, skip = tuple(one.folders.only), tuple(one.folders.not_)
    return replace(settings, since=one.since_date(around.today), only=only, skip=skip)


def _graph(name: str, account: GraphAccount, parser: Parser, around: Surroundings) -> Source:
    return GraphSource(graph_settings(name, account, around), parser, heard=around.heard)


SOURCES: Mapping[type[Any], Callable[..., Source]] = {
    ImapAccount: _imap,
    ExchangeAccount: _exchange,
    GraphAccount: _graph,
    MaildirAccount: _shelf(MaildirShelf),
    MboxAccount: _shelf(MboxShelf),
    EmlAccount: _shelf(EmlShelf),
    MemoryAccount: _memory,
}

DESKS: Mapping[type[Any], Callable[..., Desk]] = {
    ImapAccount: lambda name, account, around: ImapDesk(imap_settings(name, account, around)),
    ExchangeAccount: _exchange_desk,
    GraphAccount: lambda name, account, around: GraphDesk(graph_settings(name, account, around)),
    MaildirAccount: lambda name, account, around: MaildirDesk(name, around.path(account.path)),
    MemoryAccount: lambda name, _, around: MemoryDesk(around.mailbox(name)),
}

MAILERS: Mapping[type[Any], Callable[..., Mailer]] = {
    SmtpSender: _smtp,
    ExchangeSender: _exchange_mailer,
    GraphSender: lambda name, sender, around: GraphMailer(graph_settings(name, sender, around)),
    MemorySender: lambda name, _, __: MemoryMailer(name),
}


def build_source(name: str, account: Account, parser: Parser, around: Surroundings) -> Source:
    """The source of an account. Connects to nothing yet. Raises SecretUnavailable."""
    return SOURCES[type(account)](name, account, parser, around)


def build_desk(name: str, account: Account, around: Surroundings) -> Desk | None:
    """The desk in an account's mailbox; None where nothing can be laid (mbox, folders of .eml)."""
    build = DESKS.get(type(account))
    return build(name, account, around) if build else None


def build_mailer(name: str, sender: Sender, around: Surroundings) -> Mailer:
    """The mailer of a sender. Connects to nothing yet. Raises SecretUnavailable."""
    return MAILERS[type(sender)](name, sender, around)
