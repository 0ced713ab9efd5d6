"""The doctor's visits: each mailbox, each calendar and each way out is opened and looked at, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.accounts import Account, ExchangeAccount, GraphAccount, ImapAccount, Sender
from config.calendars import Calendar
from config.errors import QuietcrmError
from connectors import factory
from connectors.calendar_factory import build_calendar_desk, build_calendar_source
from connectors.calendars import Window
from connectors.exchange.settings import ExchangeSettings
from connectors.factory import Surroundings
from connectors.graph.settings import GraphSettings
from connectors.imap.settings import ImapSettings
from connectors.model import Message
from connectors.oauth.opening import party_of
from connectors.parsing import ParserPool
from connectors.protocols import CalendarSource
from daemon.findings import Finding, Level, failed, good, warn
from daemon.glance import Knowledge, newest
from daemon.office import Office
from rules.explain import as_dict, explain

SOME_OBJECTS = 500
CLOCKS_MAY_DIFFER = timedelta(minutes=2)
_REMEDIES = {
    "no folder is called": "correct `folders:` of this account in quietcrm.yaml",
    "no folder of sent mail": "tell the mail program to keep sent mail in a folder Sent on the server",
    "no Drafts folder": "make a folder Drafts in the mail program",
    "no calendar is called": "correct the name below calendars: in quietcrm.yaml",
    "no task can be laid here": "allow Tasks.ReadWrite for the app (docs/how-to/microsoft-365.md), or use no tasks",
    "the server does not tell what changed": "nothing to do; large calendars are slower this way",
    "the server does not tell": "nothing to do; `every:` of the account says how often it is asked",
}


@dataclass(frozen=True, slots=True)
class Visit:
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
                    yield from _imap(about, factory.imap_settings(name, account, self.around))
                elif isinstance(account, ExchangeAccount):
                    yield from _exchange(about, factory.exchange_settings(name, account, self.around))
                elif isinstance(account, GraphAccount):
                    yield from _graph(about, factory.graph_settings(name, account, self.around), self.now)
                messages, unreadable = newest(source, 1)
            finally:
                source.close()
        except QuietcrmError as error:
            yield failed(about, error)
            if sending_rules(self.office):
                held = "while it cannot be read, mail that a rule sends to its customers is held"
                yield warn(about, held, "mend that first; what is held then goes by itself")
            return
        if messages:
            yield from self._mail(about, messages[0])
        for bad in unreadable:
            yield warn(about, f"a new mail cannot be read: {bad.reason}", "look at it in the mail program")
        if not messages and not unreadable:
            yield warn(about, "there is no mail to read", f"check `since:` and `folders:` of {name}")

    def calendar(self, name: str) -> Iterator[Finding]:
        """Login, calendars, where reminders go, and the coming month read; nothing is written."""
        about, settings = f"calendar {name}", self.office.settings
        owner = settings.calendar_owner(name)
        if owner is None:
            yield warn(about, "nobody of the team has this calendar", f"add rep: to {name} below calendars:")
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
            yield failed(about, error)
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
        yield good(about, f"{counted[0]} in the coming month, of {counted[1]} read")
        for bad in batch.unreadable[:5]:
            yield warn(about, f"{bad.folder}: {bad.reason}", "open it in the calendar program and save it again")
        if unclear:
            message = f"{unclear} of them do not say in which time zone they are"
            yield warn(
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
                    yield good(about, message)
            finally:
                mailer.close()
        except QuietcrmError as error:
            yield failed(about, error)

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
            yield warn(about, message, remedy) if remedy else good(about, message)

    def _mail(self, about: str, message: Message) -> Iterator[Finding]:
        if message.received_at > self.now + CLOCKS_MAY_DIFFER:
            ahead = message.received_at - self.now
            text = f"the newest mail came {ahead.total_seconds() / 60:.0f} minutes in the future: clocks differ"
            yield warn(about, text, "set this machine's clock by NTP: timedatectl set-ntp true")
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
        yield warn(about, sentence, remedy) if remedy else good(about, sentence)


def _imap(about: str, settings: ImapSettings) -> Iterator[Finding]:
    """Folders with their roles, and whether mails may carry keywords. Raises ConnectorError."""
    from connectors.imap.visit import visit

    for message, remedy in visit(settings):
        yield warn(about, message, remedy) if remedy else good(about, message)


def _exchange(about: str, settings: ExchangeSettings) -> Iterator[Finding]:
    """Release, login, rights, categories, streaming. Raises ConnectorError."""
    from connectors.exchange.visit import visit  # 40 MB: only where there is an Exchange Server

    for message, remedy in visit(settings):
        yield warn(about, message, remedy) if remedy else good(about, message)


def _graph(about: str, settings: GraphSettings, now: datetime) -> Iterator[Finding]:
    """What the sign-in allows and until when, whose mailbox it opens, categories. Raises ConnectorError."""
    from connectors.graph.visit import visit  # httpx: only where there is such a mailbox

    for message, remedy in visit(settings, now):
        yield warn(about, message, remedy) if remedy else good(about, message)


def sending_rules(office: Office) -> list[str]:
    """The rules by which mail leaves by itself."""
    rules = [rule for rule in office.rules.rules if rule.mode != "off"]
    return [rule.name for rule in rules if any(effect.verb == "send" for effect in rule.effects)]
