"""Builds everything from a configuration. The only place that does; all else is handed what it needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog

from config.accounts import ExchangeAccount, ImapAccount
from config.calendars import CaldavCalendar
from config.secrets import SecretUnavailable
from connectors import factory
from connectors.calendar_factory import build_calendar_desk, build_calendar_source, caldav_settings
from connectors.exchange.settings import ExchangeSettings
from connectors.factory import Surroundings
from connectors.imap.settings import ImapSettings
from connectors.parsing import ParserPool
from connectors.protocols import CalendarSource, Desk, Mailer, Rereader, Source
from daemon.alerts import Alerts
from daemon.briefs import Briefs
from daemon.calendar_items import CalendarItems
from daemon.calendar_poll import CalendarPoller
from daemon.clock import Clock, SystemClock
from daemon.copies import Copies
from daemon.desks import Desks
from daemon.disk import DiskGuard
from daemon.evidence import Witness
from daemon.freshness import FRESH, Freshness
from daemon.glance import existing_store
from daemon.loading import Boot
from daemon.locked import LockedCalendar, LockedSource
from daemon.lookout import Lookout
from daemon.mailbox_marks import MailboxMarks
from daemon.meeting_times import box_of
from daemon.meetings import Meetings
from daemon.notice import Notices
from daemon.notifier import Notifier
from daemon.occasions import Occasions
from daemon.office import Office, load_office, state_directory
from daemon.outlets import Outlets
from daemon.pipeline import Pipeline
from daemon.poll import Poller, Stop
from daemon.reactions import Reactions
from daemon.revisit import Revisit
from daemon.sends import Sends
from daemon.sequences import Sequences
from daemon.sign_ins import SignIns
from daemon.versions import keep_versions
from daemon.watchdog import Watchdog
from daemon.ways import Ways
from store import accounts, actions, schema
from store.actions import LoadedRule
from store.engine import Store, open_store
from store.hashing import HashKey
from store.lock import WriterLock

log = structlog.get_logger()


class App:
    """The running parts of one office. Use `opened`; it takes the writer's lock and brings the schema up to date."""

    def __init__(self, office: Office, store: Store, key: HashKey, clock: Clock) -> None:
        self.office = office
        self.store = store
        self.key = key
        self.clock = clock
        self.stop = Stop()
        self.config_trouble = ""
        self.config_refused_at: datetime | None = None
        self.config_mended_at: datetime | None = None
        today = clock.now().astimezone(office.settings.zone).date()
        self.watchdog = Watchdog(clock.monotonic)
        self.disk = DiskGuard(store.folder)
        self.around = Surroundings(
            base=office.directory, today=today, heard=self.watchdog.progress, seconds=lambda: clock.now().timestamp()
        )
        self.parser = ParserPool()
        self.pipeline = Pipeline(store, key, office, clock)
        self.pollers: dict[str, Poller] = {}
        self.calendars: dict[str, CalendarPoller] = {}
        self.items: dict[str, CalendarItems] = {}
        self.ways: Ways | None = None
        self.wake: Callable[[str], None] = self._poll_soon
        self.hold: Callable[[], None] = lambda: None
        """Raises AlreadyRunning when another process has become the writer of our store."""
        self._marks: dict[str, object] = {}
        self._calendar_marks: dict[str, object] = {}
        self.sign_ins = SignIns(office)
        self.outlets = Outlets(settings=office.settings, clock=clock, build=self._build_mailer)
        self.lookout = Lookout(self.pollers, clock, lambda account: self.wake(account))
        self.sends = Sends(
            store=store,
            office=office,
            clock=clock,
            witness=Witness(office, key, self.lookout),
            outlets=self.outlets,
            watchdog=self.watchdog,
            stop=self.stop,
        )
        self.occasions = Occasions(
            store=store,
            office=office,
            key=key,
            clock=clock,
            doubts_clock=self.sends.doubts_clock,
            progress=self.watchdog.progress,
        )
        self.meetings = self.pipeline.meetings = Meetings(key, clock, self.occasions)
        self.freshness = Freshness(store, clock, self.calendars)
        self.occasions.freshen = self._freshen
        self.assemble(office)

    def assemble(self, office: Office) -> None:
        """Make the parts fit a (new) configuration: all of it, or an error and all stays as it was. Accounts whose
        settings and password did not change keep their connection. Raises StoreError."""
        now = self.clock.now()
        self.around = replace(self.around, markup=office.rules.reads_markup)
        marks = {name: self._mark(office, name) for name in office.settings.accounts}
        changed = [name for name, mark in marks.items() if self._marks.get(name) != mark]
        fresh = {name: self._build_poller(office, name) for name in changed}
        calendar_marks = {name: self._calendar_mark(office, name) for name in office.settings.calendars}
        changed_calendars = [name for name, mark in calendar_marks.items() if self._calendar_marks.get(name) != mark]
        fresh_calendars = {name: self._build_calendar(office, name) for name in changed_calendars}
        with self.occasions.turn:
            self._note_rules(office, [*changed, *map(box_of, changed_calendars)], now)
            self.occasions.office = office
        self.office = self.pipeline.office = office
        self._marks, self._calendar_marks = marks, calendar_marks
        if self.ways:
            self.ways.close()
        self.ways = self._find_ways(office)
        self.alerts = Alerts(office, self._find_ways(office), self.clock, self.store.folder / "alerts.json")
        self.sign_ins.renew(office)
        self.outlets.renew(office.settings)
        self.sends.office = self.sends.witness.office = office
        witness = self.sends.witness
        self.desks = Desks(self.store, office, self.ways, self.clock, witness, self.freshness.look_at)
        self.sequences = Sequences(
            self.store, office, self.key, self.clock, witness, lambda: bool(self.sends.clock_trouble)
        )
        self.mailbox_marks = MailboxMarks(store=self.store, office=office, ways=self.ways, clock=self.clock)
        self.notifier = Notifier(
            store=self.store, office=office, clock=self.clock, watchdog=self.watchdog, secret=self.around.secret
        )
        self.copies = Copies(store=self.store, office=office, ways=self.ways, clock=self.clock)
        self.notices = Notices(self.store, office, self.ways, self.clock, self.key, self._reread)
        self.briefs = Briefs(self.store, office, self.ways, self.clock, self.key, self.freshness.look_at)
        _renew(self.pollers, fresh, marks)
        _renew(self.calendars, fresh_calendars, calendar_marks)
        _renew(self.items, {name: self._build_items(office, name) for name in fresh_calendars}, calendar_marks)
        for items in self.items.values():
            items.office = office
        self.revisit = Revisit(self.store, self.pipeline, self.pollers, self.clock)
        self.reactions = Reactions(self.store, office, self.key, self.pollers, self.clock)

    def note_sign_ins(self) -> tuple[str, ...]:
        """Somebody may have signed in: what waited for that is tried at once. Accounts that shall be polled now."""
        names = self.sign_ins.news()
        mended = tuple(name for name in names if name in self.pollers)
        if mended:
            with self.store.writing() as session:
                for name in mended:
                    accounts.change(session, name, retry_at=None)
        calendars = [box_of(name) for name in names if name in self.calendars]
        if calendars:
            with self.store.writing() as session:
                for name in calendars:
                    accounts.change(session, name, retry_at=None)
        for name in names:
            self.outlets.mend(name)
            if name in self.items:
                self.items[name].mend()
            if self.ways:
                self.ways.mend(name)
        return mended

    def _note_rules(self, office: Office, changed: list[str], now: datetime) -> None:
        """In one transaction: since when each rule sees what happens, and what is looked for from now on."""
        with self.store.writing() as session:
            loaded = [LoadedRule(rule.name, rule.fingerprint, rule.was) for rule in office.rules.rules]
            actions.load_rules(session, loaded, now)
            keep_versions(session, office, now)
            self.occasions.begin(session, office)
            for name in changed:
                accounts.change(session, name, retry_at=None)  # what kept it from working may be mended

    def note_config(self, trouble: str) -> None:
        """Note what is wrong with the files on disk; "" = nothing, they are what runs."""
        if trouble and not self.config_trouble:
            self.config_refused_at, self.config_mended_at = self.clock.now(), None
        elif self.config_trouble and not trouble:
            self.config_mended_at = self.clock.now()
        self.config_trouble = self.notices.config_trouble = trouble

    def _mark(self, office: Office, name: str) -> object:
        """Everything a poller is made of, secrets included: two equal marks need no new one."""
        account = office.settings.accounts[name]
        try:
            login = factory.login_settings(name, account, self.around)
        except SecretUnavailable as missing:
            return account, missing.message
        return account, login, office.settings.poll.backfill_per_second

    def _build_poller(self, office: Office, name: str) -> Poller:
        source: Source
        try:
            source = factory.build_source(name, office.settings.accounts[name], self.parser, self.around)
        except SecretUnavailable as missing:
            source = LockedSource(name, missing)
        return Poller(
            source,
            store=self.store,
            pipeline=self.pipeline,
            clock=self.clock,
            jitter=random.SystemRandom(),
            stop=self.stop,
            backfill_rate=office.settings.poll.backfill_per_second,
            watchdog=self.watchdog,
            disk=self.disk,
            wanted_since=self.lookout.wanted_since,
        )

    def _calendar_mark(self, office: Office, name: str) -> object:
        """The same for the calendars of a login."""
        calendar, zone = office.settings.calendars[name], office.settings.calendar_zone(name)
        mailbox = office.settings.calendar_mailbox(name)
        login: object = None
        try:
            if mailbox is not None:
                login = factory.login_settings(name, mailbox, self.around)
            elif isinstance(calendar, CaldavCalendar):
                login = caldav_settings(name, calendar, self.around, zone)
        except SecretUnavailable as missing:
            return calendar, missing.message
        return calendar, mailbox, zone, login

    def _build_calendar(self, office: Office, name: str) -> CalendarPoller:
        source: CalendarSource
        try:
            source = build_calendar_source(name, office.settings, self.parser, self.around)
        except SecretUnavailable as missing:
            source = LockedCalendar(name, missing)
        return CalendarPoller(
            source,
            store=self.store,
            meetings=self.meetings,
            clock=self.clock,
            jitter=random.SystemRandom(),
            stop=self.stop,
            watchdog=self.watchdog,
        )

    def _freshen(self, numbers: set[int], now: datetime) -> None:
        self.freshness.look_at(numbers | self.freshness.reminded_of(now + FRESH))

    def _build_items(self, office: Office, name: str) -> CalendarItems:
        around = self.around
        return CalendarItems(
            name=name,
            office=office,
            store=self.store,
            clock=self.clock,
            watchdog=self.watchdog,
            build=lambda: build_calendar_desk(name, office.settings, self.parser, around),
        )

    def _poll_soon(self, account: str) -> None:
        """Without a scheduler a mailbox that a mail waits for is polled at once."""
        self.pollers[account].poll(once=False)

    def build_source(self, name: str) -> Source:
        """A source of its own for an account (for commands that look without polling)."""
        return factory.build_source(name, self.office.settings.accounts[name], self.parser, self.around)

    def _find_ways(self, office: Office) -> Ways:
        return Ways(office.settings, self.clock, self._build_desk, self._build_mailer, self.watchdog)

    def _build_desk(self, name: str) -> Desk | None:
        return factory.build_desk(name, self.office.settings.accounts[name], self.around)

    def _build_mailer(self, name: str) -> Mailer:
        return factory.build_mailer(name, self.office.settings.senders[name], self.around)

    def _reread(self, account: str) -> Rereader | None:
        return self.pollers.get(account)  # in turn with its polls: one connection, one thread at a time

    def imap_settings(self, name: str) -> ImapSettings:
        """What a second connection to an IMAP account needs (it waits while the first one works).

        Raises SecretUnavailable.
        """
        account = self.office.settings.accounts[name]
        assert isinstance(account, ImapAccount)
        return factory.imap_settings(name, account, self.around)

    def exchange_settings(self, name: str) -> ExchangeSettings:
        """The same for an Exchange account and its stream. Raises SecretUnavailable."""
        account = self.office.settings.accounts[name]
        assert isinstance(account, ExchangeAccount)
        return factory.exchange_settings(name, account, self.around)

    @property
    def streaming_accounts(self) -> list[str]:
        """Exchange accounts whose server is to tell of new mail."""
        every = self.office.settings.accounts
        return [
            name
            for name, one in every.items()
            if isinstance(one, ExchangeAccount) and one.idle and not isinstance(self.pollers[name].source, LockedSource)
        ]

    @property
    def idle_accounts(self) -> list[str]:
        """Accounts whose server can tell of new mail at once."""
        every = self.office.settings.accounts
        return [
            name
            for name, one in every.items()
            if isinstance(one, ImapAccount) and one.idle and not isinstance(self.pollers[name].source, LockedSource)
        ]

    def close(self) -> None:
        """Let go of connections and children."""
        for poller in self.pollers.values():
            poller.source.close()
        for calendar in self.calendars.values():
            calendar.source.close()
        for items in self.items.values():
            items.retire()
        if self.ways:
            self.ways.close()
        self.outlets.close()
        self.parser.close()


_Part = TypeVar("_Part", Poller, CalendarPoller, CalendarItems)


def _renew(parts: dict[str, _Part], fresh: dict[str, _Part], wanted: Collection[str]) -> None:
    """What is new takes the place of what it replaces; what is not wanted any more ends."""
    for name in [name for name in parts if name in fresh or name not in wanted]:
        parts.pop(name).retire()
    parts.update(fresh)


@contextmanager
def opened(directory: Path, clock: Clock | None = None, *, boot: Boot | None = None) -> Iterator[App]:
    """An App that may write: lock taken, schema up to date. It runs on the files, or on what `boot` found.

    Raises ConfigError, AlreadyRunning, StoreError.
    """
    clock = clock or SystemClock()
    office = boot.office if boot else load_office(directory)
    url = office.settings.store_url(directory)
    store = open_store(url, base=directory)
    try:
        with WriterLock(store) as lock:
            bring_up_to_date(url, office)
            key = hash_key(directory)
            app = App(office, store, key, clock)
            app.hold = lock.check
            app.note_config(boot.trouble if boot else "")
            try:
                yield app
            finally:
                app.close()
    finally:
        store.close()


def bring_up_to_date(url: str, office: Office) -> None:
    """Migrate the schema, with a backup before. Raises StoreNewer if a later release made it."""
    report = schema.upgrade(url, office.directory, backup_to=office.state / "backups")
    if report.before and report.before != report.after:
        log.info("store.upgraded", before=report.before, after=report.after)


def hash_key(directory: Path) -> HashKey:
    """The key of the keyed hashes, made at the first start."""
    path = state_directory(directory) / "hash.key"
    return HashKey.load(path) if path.exists() else HashKey.create(path)


def make_store(directory: Path) -> None:
    """Make an empty store where there is none yet; for commands that look before anything was ever read."""
    office = load_office(directory)
    found = existing_store(office)
    if found is not None:
        found.close()
        return
    url = office.settings.store_url(directory)
    store = open_store(url, base=directory)
    try:
        with WriterLock(store):
            bring_up_to_date(url, office)
            hash_key(directory)
    finally:
        store.close()


@contextmanager
def looking(directory: Path) -> Iterator[tuple[Office, Store]]:
    """Office and store for commands that only read; beside a running daemon too."""
    office = load_office(directory)
    store = open_store(office.settings.store_url(directory), base=directory, read_only=True)
    try:
        yield office, store
    finally:
        store.close()
