"""The daily notice: one mail a day to each person, only when there is something to decide or to know.

Held, expired and late mail, questions about strangers; for the admin also mails that could not be read and mailboxes
in trouble. Each line says why it is there and the command that settles it. Questions are made by reading the mailbox
again while the notice is written: of mail that matched nobody the store holds hashes only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from connectors.errors import ConnectorError, QuietcrmError
from connectors.model import Address, Message, OutgoingMail
from connectors.outgoing import make_message_id
from connectors.protocols import Rereader, Source
from daemon.clock import Clock
from daemon.letters import own_headers
from daemon.office import Office
from daemon.page import Block, Line, as_html, as_text
from daemon.phrases import day_words, phrase
from daemon.ways import Ways
from store import accounts, customers, outbox, quarantine, reminders, unmatched
from store.engine import Store
from store.hashing import HashKey
from store.tables import OutboxMail, OutboxState, Reminder, ReminderState

log = structlog.get_logger()

QUESTIONS = 5
LINES = 12
QUESTION_WINDOW = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A notice ready to be laid into a mailbox; `pressing` = there is something beyond drafts that wait."""

    rep: str
    subject: str
    text: str
    html: str
    pressing: bool


@dataclass(slots=True)
class Notices:
    """Compiles and delivers notices. Blocking; one thread."""

    store: Store
    office: Office
    ways: Ways
    clock: Clock
    key: HashKey
    source_of: Callable[[str], Source | None]
    config_trouble: str = ""

    def deliver_due(self) -> int:
        """Send the notices whose hour has come today. How many went out."""
        return sum(self._deliver(rep) for rep in self.office.settings.team if self._is_due(rep))

    def _is_due(self, rep: str) -> bool:
        settings = self.office.settings
        local = self.clock.now().astimezone(settings.zone_for(rep))
        if local.time() < settings.team[rep].digest or not self.office.hours.is_business_day(local.date()):
            return False
        with self.store.session() as session:
            return not reminders.notice_sent(session, rep, local.date())

    def _deliver(self, rep: str) -> bool:
        now = self.clock.now()
        day = now.astimezone(self.office.settings.zone_for(rep)).date()
        notice = self.compile(rep)
        mail = self._mail(notice, now, f"notice-{rep}-{day:%Y%m%d}") if notice.pressing else None
        try:
            if mail is not None:
                self._lay(rep, mail)
        except QuietcrmError as error:
            log.warning("notice.undelivered", rep=rep, reason=error.message)
            return False
        with self.store.writing() as session:
            reminders.claim_notice(session, rep, day, mail.message_id if mail else "", now)
        return mail is not None

    def _lay(self, rep: str, mail: OutgoingMail) -> None:
        if self.ways.by_smtp(rep):
            self.ways.send(rep, mail)
            return
        desk = self.ways.desk(self.ways.account_of(rep))
        if not desk.find(mail.message_id, drafts=False):
            desk.place_mail(mail)

    def _mail(self, notice: Notice, now: datetime, name: str) -> OutgoingMail:
        member = self.office.settings.team[notice.rep]
        address = Address(member.mail, member.name)
        return OutgoingMail(
            message_id=make_message_id(address.domain, name),
            sender=Address(member.mail, "quietcrm"),
            to=(address,),
            subject=notice.subject,
            text=notice.text,
            html=notice.html,
            date=now,
            headers=own_headers("notice"),
        )

    # --- what it says ------------------------------------------------------------------------------------------------

    def compile(self, rep: str) -> Notice:
        """The notice of a person as it would be now."""
        settings = self.office.settings
        language = settings.language_for(rep)
        now = self.clock.now()
        with self.store.session() as session:
            since = reminders.last_notice(session, rep) or now - timedelta(days=1)
            waiting = self._waiting(session, rep, language)
            blocks = self._matters(session, rep, language, since)
            asked = unmatched.questions(session, now - QUESTION_WINDOW)
            trouble = self._trouble(session, language, since) if rep == settings.admin else []
        questions = self._questions(rep, language, asked)
        pressing = [*blocks, *questions, *trouble]
        title = f"{phrase('notice', language)}: {day_words(now.astimezone(settings.zone_for(rep)), language)}"
        shown = [*waiting, *pressing]
        foot = phrase("footer", language)
        return Notice(
            rep=rep,
            subject=title,
            text=as_text(title, shown, foot),
            html=as_html(title, shown, foot),
            pressing=bool(pressing),
        )

    def _waiting(self, session: Session, rep: str, language: str) -> list[Block]:
        rows = [row for row in outbox.in_states(session, (OutboxState.PLACED,)) if row.rep == rep]
        lines = [
            Line(
                text=f"{self._name(session, row)}: {row.subject}",
                reason=f"{phrase('rule', language)} {row.rule}",
            )
            for row in rows
        ]
        return _block("drafts_ready", lines, language)

    def _matters(self, session: Session, rep: str, language: str, since: datetime) -> list[Block]:
        drafts = [row for row in outbox.settled_since(session, since) if self._concerns(row.rep, rep)]
        held = [row for row in drafts if row.state == OutboxState.HELD]
        expired = [row for row in drafts if row.state == OutboxState.EXPIRED]
        late = [row for row in outbox.in_states(session, (OutboxState.PLACED,)) if row.late and row.rep == rep]
        stuck = [row for row in reminders.in_states(session, (ReminderState.HELD,)) if self._concerns(row.rep, rep)]
        return [
            *_block(
                "held",
                [self._matter(session, row) for row in held] + [self._matter(session, row) for row in stuck],
                language,
                "act",
            ),
            *_block("expired", [self._matter(session, row) for row in expired], language),
            *_block("arrived_late", [self._matter(session, row) for row in late], language),
        ]

    def _concerns(self, owner: str, rep: str) -> bool:
        settings = self.office.settings
        return owner == rep or (owner not in settings.team and rep == settings.admin)

    def _matter(self, session: Session, row: OutboxMail | Reminder) -> Line:
        what = f"{row.template} → {row.recipient}" if isinstance(row, OutboxMail) else row.text
        command = f"quietcrm outbox release {row.id}" if row.state == OutboxState.HELD else ""
        if isinstance(row, Reminder):
            command = ""
        return Line(text=f"{self._name(session, row)}: {what}", reason=row.reason, command=command)

    def _name(self, session: Session, row: OutboxMail | Reminder) -> str:
        return customers.get(session, row.customer_id).name if row.customer_id else "-"

    def _trouble(self, session: Session, language: str, since: datetime) -> list[Block]:
        unread = quarantine.pending(session, LINES, since=since)
        lines = [
            Line(text=f"{row.account} / {row.folder}: {row.reason}", command=f"quietcrm read quarantine:{row.id}")
            for row in unread
        ]
        broken = [row for row in accounts.everything(session) if row.state in ("failing", "parked")]
        named = [row for row in broken if row.name in self.office.settings.accounts]
        accounts_in_trouble = [
            Line(text=f"{row.name}: {row.reason}", reason=row.hint, command="quietcrm doctor") for row in named
        ]
        config = [Line(text=self.config_trouble, command="quietcrm check")] if self.config_trouble else []
        return [
            *_block("accounts", accounts_in_trouble, language, "trouble"),
            *_block("config", config, language, "trouble"),
            *_block("quarantined", lines, language, "trouble"),
        ]

    def _questions(self, rep: str, language: str, asked: Sequence[unmatched.UnmatchedRow]) -> list[Block]:
        if self.office.settings.unknown != "ask":
            return []
        settings = self.office.settings.accounts
        mine = [row for row in asked if row.account in settings and settings[row.account].rep == rep]
        if not mine:
            return []
        senders: Counter[str] = Counter()
        for message in self._read_again(mine[: 10 * QUESTIONS]):
            if message.sender is not None:
                senders[message.sender.key] += 1
        lines = [
            Line(
                text=f"{sender}: {count} {phrase('mails', language)}",
                command=f'quietcrm customer add "{sender.rpartition("@")[2]}" --email {sender}',
            )
            for sender, count in senders.most_common(QUESTIONS)
        ]
        return _block("questions", lines, language, "act")

    def _read_again(self, rows: Sequence[unmatched.UnmatchedRow]) -> list[Message]:
        found: list[Message] = []
        for account in dict.fromkeys(row.account for row in rows):
            source = self.source_of(account)
            if not isinstance(source, Rereader):
                continue
            places = [(row.folder, row.ref) for row in rows if row.account == account]
            try:
                found += [item for item in source.reread(places) if isinstance(item, Message)]
            except ConnectorError as error:
                log.warning("question.unreadable", account=account, reason=error.message)
        return found


def _block(name: str, lines: Sequence[Line], language: str, tone: str = "calm") -> list[Block]:
    return [Block(title=phrase(name, language), lines=lines[:LINES], tone=tone)] if lines else []
