"""Looks at everything that has to work, says what does not, and how to mend it. Stores nothing, sends nothing."""

from __future__ import annotations

import email.policy
import os
import platform
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from config.accounts import Account, ExchangeAccount, GraphAccount, ImapAccount, Sender
from config.calendars import Calendar
from config.errors import QuietcrmError
from config.secrets import SecretRef, loose_mode, resolve
from connectors import factory
from connectors.calendar_factory import build_calendar_desk, build_calendar_source
from connectors.calendars import Window
from connectors.errors import ConnectorError
from connectors.exchange.settings import ExchangeSettings
from connectors.factory import Surroundings
from connectors.folders import Folder, Purpose, choose_folders
from connectors.graph.settings import GraphSettings
from connectors.imap.connection import Connection, connect
from connectors.imap.settings import ImapSettings
from connectors.imap.trouble import translated
from connectors.imap.wire import Refused, quote
from connectors.model import Message
from connectors.notifying import check_channel
from connectors.oauth.opening import party_of
from connectors.parsing import ParserPool
from connectors.protocols import CalendarSource
from daemon.clock import Clock
from daemon.glance import Knowledge, existing_store, knowledge, newest
from daemon.linting import unreadable_dates
from daemon.office import Office
from daemon.ways import DESKS, calendar_of
from rules.explain import as_dict, explain
from store import schema
from store.engine import WAL_IS_SAFE

AT_ONCE = 8
SOME_OBJECTS = 500
CLOCKS_MAY_DIFFER = timedelta(minutes=2)
_PERMANENT = re.compile(rb"\[PERMANENTFLAGS \(([^)]*)\)", re.IGNORECASE)
_REMEDIES = {
    "no folder is called": "correct `folders:` of this account in quietcrm.yaml",
    "no folder of sent mail": "tell the mail program to keep sent mail in a folder Sent on the server",
    "no Drafts folder": "make a folder Drafts in the mail program",
    "no calendar is called": "correct the name below calendars: in quietcrm.yaml",
    "no task can be laid here": "allow Tasks.ReadWrite for the app (docs/how-to/microsoft-365.md), or use no tasks",
    "the server does not tell what changed": "nothing to do; large calendars are slower this way",
    "the server does not tell": "nothing to do; `every:` of the account says how often it is asked",
}


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at.

    about         "python", "store", "account ana" ...
    error         what made it fail, if an error did
    lines, mail   a longer answer (one mail, explained) for people and for programs
    """

    about: str
    level: Level
    message: str
    remedy: str = ""
    error: QuietcrmError | None = None
    lines: tuple[str, ...] = ()
    mail: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        plain = {"about": self.about, "level": self.level.value, "message": self.message, "remedy": self.remedy}
        return plain | ({"mail": self.mail} if self.mail else {})


def examine(office: Office, clock: Clock, done: Callable[[], None] = lambda: None) -> list[Finding]:
    """Every finding, in a fixed order; `done` is called after each account and sender."""
    now = clock.now()
    store = list(_store(office))
    findings = [*_machine(office), *_files(office), *store]
    findings += [one for look in (_people, _sends, _channels, _calendars) for one in look(office)]
    findings += _dates(office, store)
    around = Surroundings(base=office.directory, today=now.astimezone(office.settings.zone).date())
    parser = ParserPool()
    try:
        with _known(office, store) as known, ThreadPoolExecutor(AT_ONCE) as pool:
            visit = _Visit(office, around, parser, known, now)

            def looked_at(look: Callable[[str], Iterator[Finding]], name: str) -> list[Finding]:
                found = list(look(name))
                done()
                return found

            answers = [pool.submit(looked_at, visit.account, name) for name in office.settings.accounts]
            answers += [pool.submit(looked_at, visit.calendar, name) for name in office.settings.calendars]
            answers += [pool.submit(looked_at, visit.sender, name) for name in office.settings.senders]
            findings += [finding for answer in answers for finding in answer.result()]
    finally:
        parser.close()
    return findings


def things_to_look_at(office: Office) -> int:
    """How often `examine` calls `done`."""
    return len(office.settings.accounts) + len(office.settings.calendars) + len(office.settings.senders)


def _good(about: str, message: str) -> Finding:
    return Finding(about=about, level=Level.OK, message=message)


def _warn(about: str, message: str, remedy: str) -> Finding:
    return Finding(about=about, level=Level.WARN, message=message, remedy=remedy)


def _failed(about: str, error: QuietcrmError) -> Finding:
    return Finding(about=about, level=Level.FAIL, message=error.message, remedy=error.hint, error=error)


@contextmanager
def _known(office: Office, store: Iterable[Finding]) -> Iterator[Knowledge]:
    if any(finding.error for finding in store):
        yield Knowledge.none(office)
        return
    with knowledge(office) as known:
        yield known


# --- this machine --------------------------------------------------------------------------------------------------


def _machine(office: Office) -> Iterator[Finding]:
    version = platform.python_version()
    if hasattr(email.policy.default, "verify_generated_headers"):
        yield _good("python", version)
    else:
        message = f"{version} lacks a later check of mail headers; quietcrm checks every mail it writes by itself"
        yield _warn("python", message, "install the newest patch release of this Python when your system offers it")
    if office.settings.store.startswith("sqlite"):
        journal = "write-ahead log" if WAL_IS_SAFE else "rollback journal: its write-ahead log is safe from 3.51.3 on"
        yield _good("sqlite", f"{sqlite3.sqlite_version} ({journal})")


def _files(office: Office) -> Iterator[Finding]:
    folder = office.state
    if not folder.exists():
        parent = next(one for one in folder.absolute().parents if one.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield _good("state", f"{folder} is made at the first run")
        else:
            error = QuietcrmError(f"{folder} cannot be made", hint=f"run as a user who may write to {parent}")
            yield _failed("state", error)
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        error = QuietcrmError(f"{folder} cannot be written", hint=f"let quietcrm's user own it: chown USER {folder}")
        yield _failed("state", error)
    elif (mode := loose_mode(folder)) is not None:
        yield _warn("state", f"{folder} is open to others ({mode:04o})", f"run: chmod 700 {folder}")
    else:
        yield _good("state", f"{folder}, closed to others")
    yield from _secrets(office)


def _secrets(office: Office) -> Iterator[Finding]:
    """Secret files that others may read. Whether a secret is there at all shows when it is used."""
    settings = office.settings
    logins = (*settings.accounts.values(), *settings.calendars.values(), *settings.senders.values())
    signing = [found for one in logins if (found := getattr(one, "sign_in", None)) is not None]
    refs = [office.settings.store_password, *(getattr(one, "password", None) for one in logins)]
    refs += [ref for one in signing for ref in (one.client_secret, one.key)]
    refs += office.settings.channels.values()
    for ref in dict.fromkeys(one for one in refs if isinstance(one, SecretRef) and one.kind == "file"):
        path = office.directory / ref.name
        if (mode := loose_mode(path)) is not None:
            yield _warn("secrets", f"{path} is open to others ({mode:04o})", f"run: chmod 600 {path}")


def _store(office: Office) -> Iterator[Finding]:
    try:
        store = existing_store(office)
        if store is None:
            yield _good("store", "none yet, it is made at the first run")
            return
        try:
            problems = schema.check(store)
            schema.ensure_current(store)
        finally:
            store.close()
    except QuietcrmError as error:
        yield _failed("store", error)
        return
    for problem in problems:
        yield _failed("store", QuietcrmError(problem, hint="restore a backup: quietcrm db restore FILE"))
    if not problems:
        yield _good("store", f"{store.dialect}, schema {schema.HEAD}, no damage")


def _people(office: Office) -> Iterator[Finding]:
    settings = office.settings
    served = {one.rep for one in settings.accounts.values() if one.type in DESKS}
    for rep in settings.team:
        if rep not in served and settings.sender_for(rep) is None:
            remedy = f"add an account or a sender with rep: {rep} to quietcrm.yaml"
            yield _warn(f"person {rep}", "no draft, reminder or notice can reach this person", remedy)


def _channels(office: Office) -> Iterator[Finding]:
    """Whether the address of each channel is there and understood. Nothing is sent."""
    for name, ref in office.settings.channels.items():
        try:
            kind = check_channel(name, resolve(ref, base=office.directory).reveal())
        except QuietcrmError as error:
            yield _failed(f"channel {name}", error)
        else:
            yield _good(f"channel {name}", f"{kind}; doctor sends nothing there")


def _calendars(office: Office) -> Iterator[Finding]:
    """Rules whose reminders want a calendar or a list of tasks, where somebody has none."""
    without = [rep for rep in office.settings.team if not calendar_of(office.settings, rep)]
    for rule in office.rules.rules:
        for way in ("calendar", "task") if rule.mode != "off" and without else ():
            if any(one.verb == "remind" and one.shown.endswith(f" as {way}") for one in rule.effects):
                message = f"a reminder `as: {way}` comes as a mail to {', '.join(without)}: they have no calendars"
                yield _good(f"rule {rule.name}", message)


def _dates(office: Office, store: Iterable[Finding]) -> Iterator[Finding]:
    """Dates that rules wait for and nobody can read."""
    if any(finding.error for finding in store):
        return
    for name, customers in sorted(unreadable_dates(office).items()):
        remedy = "see which: quietcrm rules lint; write dates as 2026-12-31, those of every year as --12-31"
        yield _warn(f"field {name}", f"{len(customers)} records hold no date there, so their rules never run", remedy)


def _sends(office: Office) -> Iterator[Finding]:
    """Who may write to customers without a person's eye on it, where a rule says `send`. The rule's mail may fall to
    anybody of the team. Whether sender and mailbox work shows when they are looked at below."""
    rules, settings = _sending_rules(office), office.settings
    if not rules:
        return
    for rep in settings.team:
        about, sender = f"sends of {rep}", settings.sender_for(rep)
        mailboxes = [name for name, one in settings.accounts.items() if one.rep == rep]
        if sender is None:
            message = f"no sender: mail that a rule sends for {rep} is held"
            yield _warn(about, message, f"add a sender with rep: {rep} to quietcrm.yaml")
        elif not mailboxes:
            message = f"no mailbox of {rep} is read: an answer to {rep} would not stop a mail"
            yield _warn(about, message, f"add an account with rep: {rep} to quietcrm.yaml")
        else:
            yield _good(
                about, f"leave by {sender}, after a look into {', '.join(mailboxes)} (rules: {', '.join(rules)})"
            )


def _sending_rules(office: Office) -> list[str]:
    """The rules by which mail leaves by itself."""
    rules = [rule for rule in office.rules.rules if rule.mode != "off"]
    return [rule.name for rule in rules if any(effect.verb == "send" for effect in rule.effects)]


# --- mailboxes and ways out ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Visit:
    """A look at each mailbox and each way out; the methods may run on several threads."""

    office: Office
    around: Surroundings
    parser: ParserPool
    known: Knowledge
    now: datetime

    def account(self, name: str) -> Iterator[Finding]:
        """Login, folders, keywords, and one newest mail read to the end."""
        about, account = f"account {name}", self.office.settings.accounts[name]
        try:
            yield from self._sign_in(about, name, account)
            source = factory.build_source(name, account, self.parser, self.around)
            try:
                yield from _told(about, source.check())
                if isinstance(account, ImapAccount):
                    yield from _server(about, factory.imap_settings(name, account, self.around))
                elif isinstance(account, ExchangeAccount):
                    yield from _exchange(about, factory.exchange_settings(name, account, self.around))
                elif isinstance(account, GraphAccount):
                    yield from _graph(about, factory.graph_settings(name, account, self.around), self.now)
                messages, unreadable = newest(source, 1)
            finally:
                source.close()
        except QuietcrmError as error:
            yield _failed(about, error)
            if _sending_rules(self.office):
                held = "while it cannot be read, mail that a rule sends to its customers is held"
                yield _warn(about, held, "mend that first; what is held then goes by itself")
            return
        if messages:
            yield from self._mail(about, messages[0])
        for bad in unreadable:
            yield _warn(about, f"a new mail cannot be read: {bad.reason}", "look at it in the mail program")
        if not messages and not unreadable:
            yield _warn(about, "there is no mail to read", f"check `since:` and `folders:` of {name}")

    def calendar(self, name: str) -> Iterator[Finding]:
        """Login, calendars, where reminders go, and the coming month read; nothing is written."""
        about, settings = f"calendar {name}", self.office.settings
        owner = settings.calendar_owner(name)
        if owner is None:
            yield _warn(about, "nobody of the team has this calendar", f"add rep: to {name} below calendars:")
        source = desk = None
        login = settings.calendar_mailbox(name) or settings.calendars[name]
        try:
            yield from self._sign_in(about, name, login, calendar=True)
            source = build_calendar_source(name, settings, self.parser, self.around)
            desk = build_calendar_desk(name, settings, self.parser, self.around)
            yield from _told(about, source.check())
            yield from _told(about, desk.check())
            yield from self._month(about, source)
        except QuietcrmError as error:
            yield _failed(about, error)
        finally:
            for one in (source, desk):
                if one is not None:
                    one.close()

    def _month(self, about: str, source: CalendarSource) -> Iterator[Finding]:
        window = Window(self.now, self.now + timedelta(days=31))
        batch = source.fetch(None, window, limit=SOME_OBJECTS)
        unclear = sum(event.zone_unclear for event in batch.events)
        objects = {*batch.read, *((bad.folder, bad.ref) for bad in batch.unreadable)}
        counted = [
            f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((len(batch.events), "event"), (len(objects), "object"))
        ]
        yield _good(about, f"{counted[0]} in the coming month, of {counted[1]} read")
        for bad in batch.unreadable[:5]:
            yield _warn(about, f"{bad.folder}: {bad.reason}", "open it in the calendar program and save it again")
        if unclear:
            message = f"{unclear} of them do not say in which time zone they are"
            yield _warn(
                about, message, "no reminder is made for these by the minute; set the zone in the calendar program"
            )

    def sender(self, name: str) -> Iterator[Finding]:
        """Login, nothing sent."""
        about = f"sender {name}"
        try:
            yield from self._sign_in(about, name, self.office.settings.senders[name])
            mailer = factory.build_mailer(name, self.office.settings.senders[name], self.around)
            try:
                for message in mailer.check():
                    yield _good(about, message)
            finally:
                mailer.close()
        except QuietcrmError as error:
            yield _failed(about, error)

    def _sign_in(
        self, about: str, name: str, one: Account | Calendar | Sender, *, calendar: bool = False
    ) -> Iterator[Finding]:
        """Who signed in, and whether that is enough. Raises ConnectorError."""
        party = party_of(name, one, calendar=calendar)
        if party is None:
            return
        from daemon.sign_in_findings import sign_in_findings  # only where somebody signs in

        tokens = self.around.tokens(name, one, calendar=calendar)
        for message, remedy in sign_in_findings(self.office.settings, self.office.directory, party, tokens, self.now):
            yield _warn(about, message, remedy) if remedy else _good(about, message)

    def _mail(self, about: str, message: Message) -> Iterator[Finding]:
        if message.received_at > self.now + CLOCKS_MAY_DIFFER:
            ahead = message.received_at - self.now
            text = f"the newest mail came {ahead.total_seconds() / 60:.0f} minutes in the future: clocks differ"
            yield _warn(about, text, "set this machine's clock by NTP: timedatectl set-ntp true")
        decision = self.known.explain(message, self.known.directory([message]), self.now)
        names, rules = self.known.names(decision.match.customers), self.office.rules
        yield Finding(
            about=about,
            level=Level.OK,
            message="the newest mail, read and explained:",
            lines=tuple(explain(decision, message, rules, names, zone=self.office.settings.zone)),
            mail={"subject": message.subject, **as_dict(decision, message, rules, names)},
        )


def _told(about: str, sentences: Iterable[str]) -> Iterator[Finding]:
    """What a source says of itself: first what it reads, then what is missing."""
    for sentence in sentences:
        remedy = next((text for start, text in _REMEDIES.items() if sentence.startswith(start)), "")
        yield _warn(about, sentence, remedy) if remedy else _good(about, sentence)


def _server(about: str, settings: ImapSettings) -> Iterator[Finding]:
    """Folders with their roles, and whether mails may carry keywords. Raises ConnectorError."""
    connection = connect(settings)
    try:
        with translated(settings.account, f"{settings.host}:{settings.port}"):
            folders, _ = connection.list_folders()
            yield _good(about, _roles(folders, choose_folders(folders, settings.only, settings.skip)))
            drafts = next((one for one in folders if one.purpose is Purpose.DRAFTS and one.selectable), None)
            if drafts is not None:
                yield _keywords(about, drafts, _permanent_flags(connection, drafts))
    finally:
        connection.close()


def _exchange(about: str, settings: ExchangeSettings) -> Iterator[Finding]:
    """Release, login, rights, categories, streaming. Raises ConnectorError."""
    from connectors.exchange.visit import visit  # 40 MB: only where there is an Exchange Server

    for message, remedy in visit(settings):
        yield _warn(about, message, remedy) if remedy else _good(about, message)


def _graph(about: str, settings: GraphSettings, now: datetime) -> Iterator[Finding]:
    """What the sign-in allows and until when, whose mailbox it opens, categories. Raises ConnectorError."""
    from connectors.graph.visit import visit  # httpx: only where there is such a mailbox

    for message, remedy in visit(settings, now):
        yield _warn(about, message, remedy) if remedy else _good(about, message)


def _roles(folders: list[Folder], chosen: list[Folder]) -> str:
    """ "reads INBOX (inbox), Sent (sent), Clients; leaves out Drafts (drafts), Trash (trash)"."""
    read = {folder.key for folder in chosen}
    out = [_named(folder) for folder in folders if folder.key not in read and folder.selectable]
    kept = ", ".join(map(_named, chosen)) or "nothing"
    return f"reads {kept}" + (f"; leaves out {', '.join(out)}" if out else "")


def _named(folder: Folder) -> str:
    return folder.name if folder.purpose is Purpose.PLAIN else f"{folder.name} ({folder.purpose.value})"


def _permanent_flags(connection: Connection, folder: Folder) -> bytes | None:
    """PERMANENTFLAGS (RFC 3501 7.1) of Drafts, the one folder that is opened for writing anyway; None if not said."""
    try:
        answer = connection.wire.say(b"SELECT " + quote(folder.key))
    except Refused:
        return None
    connection.leave()
    found = next((match for line in answer.untagged if (match := _PERMANENT.search(line[0]))), None)
    return found[1] if found else None


def _keywords(about: str, folder: Folder, flags: bytes | None) -> Finding:
    if flags is None:
        return _warn(about, f"{folder.name} does not say which flags it keeps", "nothing to do: flags are not needed")
    if rb"\*" in flags:
        return _good(about, "the server keeps keywords of our own")
    return _warn(about, "the server keeps no keywords of our own", "nothing to do: they are not needed yet")


def worst(findings: Iterable[Finding]) -> list[QuietcrmError]:
    """The errors among the findings, those of a login or a setting before those that may pass by themselves."""
    errors = [finding.error for finding in findings if finding.error]
    return sorted(errors, key=lambda error: isinstance(error, ConnectorError))
