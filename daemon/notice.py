"""The daily notice: one mail a day to each person, only when there is something to decide or to know.

Held, uncertain, expired and late mail, questions about strangers; for the admin also mails that could not be read and
mailboxes in trouble. Each line says why it is there and the command that settles it. Questions are made by reading
the mailbox again while the notice is written: of mail that matched nobody the store holds hashes only.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from connectors.errors import ConnectorError, QuietcrmError
from connectors.model import Address, Message, OutgoingMail
from connectors.outgoing import make_message_id
from connectors.protocols import Rereader
from daemon.clock import Clock
from daemon.letters import own_headers
from daemon.meeting_times import box_of
from daemon.notice_blocks import LINES, block, counted
from daemon.notice_sends import SendsNotice, release_commands
from daemon.office import Office, later
from daemon.page import Block, Line, as_html, as_text
from daemon.phrases import date_words, day_words, mails_words, phrase
from daemon.reasons import reason_words
from daemon.ways import Ways
from rules.office import office_of
from store import (
    accounts,
    customers,
    enrolments,
    mailbox_marks,
    notifications,
    outbox,
    quarantine,
    reminders,
    unmatched,
)
from store.engine import Store
from store.hashing import HashKey
from store.tables import OutboxMail, OutboxState, Reminder, ReminderState, Way

log = structlog.get_logger()

QUESTIONS = 5
SHARED = 3
QUESTION_WINDOW = timedelta(days=7)
_DOCTOR = "quietcrm doctor"
_DRAFTS = (OutboxState.PLANNED, OutboxState.PLACING, OutboxState.PLACED)


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
    source_of: Callable[[str], Rereader | None]
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
                self.ways.lay(rep, mail)
        except QuietcrmError as error:
            log.warning("notice.undelivered", rep=rep, reason=error.message)
            return False
        with self.store.writing() as session:
            reminders.claim_notice(session, rep, day, mail.message_id if mail else "", now)
        return mail is not None

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
            told = reminders.last_notice(session, rep, mailed=True) or now - QUESTION_WINDOW
            sends = SendsNotice(session=session, settings=settings, rep=rep, since=since, told=told)
            blocks = [*sends.pressing(), *self._matters(session, rep, language, since)]
            calm = sends.calm()
            asked = unmatched.questions(session, now - QUESTION_WINDOW)
            trouble = self._trouble(session, language, since) if rep == settings.admin else []
        questions = self._questions(rep, language, asked)
        pressing = [*blocks, *questions, *trouble]
        shown = [*waiting, *pressing, *calm]
        day = date_words(now.astimezone(settings.zone_for(rep)), language)
        title = f"{day[0].upper()}{day[1:]}"
        foot = phrase("footer", language)
        return Notice(
            rep=rep,
            subject=f"{title} · {counted(shown, language)}",
            text=as_text(title, shown, foot),
            html=as_html(title, shown, foot),
            pressing=bool(pressing),
        )

    def _waiting(self, session: Session, rep: str, language: str) -> list[Block]:
        rows = [row for row in outbox.in_states(session, (OutboxState.PLACED,)) if row.rep == rep]
        lines = [
            Line(lead=self._name(session, row), text=row.subject, reason=self._lies_there(row, language))
            for row in rows
        ]
        return block("drafts_ready", lines, language, "ready")

    def _lies_there(self, row: OutboxMail, language: str) -> str:
        """Since when a draft lies in Drafts, how long it will, and by which rule."""
        assert row.placed_at is not None
        zone = self.office.settings.zone_for(row.rep)
        ends = later(row.placed_at, self.office.settings.drafts.expire, self.office)
        since = phrase("since", language).format(day_words(row.placed_at.astimezone(zone), language))
        until = phrase("until", language).format(date_words(ends.astimezone(zone), language))
        return f"{since}; {until} ({phrase('rule', language)} {row.rule})"

    def _matters(self, session: Session, rep: str, language: str, since: datetime) -> list[Block]:
        settled = outbox.settled_since(session, since)
        drafts = [row for row in settled if row.way == Way.DRAFT and self._concerns(row.rep, rep)]
        held = [row for row in drafts if row.state == OutboxState.HELD]
        expired = [row for row in drafts if row.state == OutboxState.EXPIRED]
        late = [row for row in outbox.in_states(session, _DRAFTS) if row.late and row.rep == rep]
        stuck = [row for row in reminders.in_states(session, (ReminderState.HELD,)) if self._concerns(row.rep, rep)]

        def lines(rows: Sequence[OutboxMail | Reminder]) -> list[Line]:
            return [self._matter(session, row, language) for row in rows]

        return [
            *block("held", lines([*held, *stuck]), language, "act"),
            *block("expired", lines(expired), language),
            *block("arrived_late", lines(late), language),
        ]

    def _concerns(self, owner: str, rep: str) -> bool:
        settings = self.office.settings
        return owner == rep or (owner not in settings.team and rep == settings.admin)

    def _matter(self, session: Session, row: OutboxMail | Reminder, language: str) -> Line:
        name = self._name(session, row)
        reason = f"{reason_words(row.reason, language)} ({phrase('rule', language)} {row.rule})"
        if isinstance(row, Reminder):
            return Line(lead=name, text=row.text, reason=reason)
        text = row.subject or phrase("draft_for", language).format(row.template, row.recipient)
        command = release_commands(row, name) if row.state == OutboxState.HELD else ""
        return Line(lead=name, text=text, reason=reason, command=command)

    def _name(self, session: Session, row: OutboxMail | Reminder) -> str:
        return customers.get(session, row.customer_id).name if row.customer_id else "-"

    def _trouble(self, session: Session, language: str, since: datetime) -> list[Block]:
        unread = quarantine.pending(session, LINES, since=since)
        lines = [
            Line(text=f"{row.account} / {row.folder}: {row.reason}", command=f"quietcrm read quarantine:{row.id}")
            for row in unread
        ]
        broken = [row for row in accounts.everything(session) if row.state in ("failing", "parked")]
        wanted = {*self.office.settings.accounts, *map(box_of, self.office.settings.calendars)}
        named = [row for row in broken if row.name in wanted]
        accounts_in_trouble = [
            Line(text=f"{row.name}: {row.reason}", reason=row.hint, command=_DOCTOR) for row in named
        ]
        config = self._config(language)
        standing = [
            Line(lead=name, text=reason_words(reason, language), command=f"quietcrm sequences show {shlex.quote(name)}")
            for name, reason, _ in enrolments.standing(session)
        ]
        return [
            *self._undone(session, language, since),
            *block("accounts", accounts_in_trouble, language, "trouble"),
            *block("sequences", standing, language, "trouble"),
            *block("config", config, language, "trouble"),
            *block("quarantined", lines, language, "trouble"),
        ]

    def _undone(self, session: Session, language: str, since: datetime) -> list[Block]:
        """What rules wanted and could not get: lines to channels, marks in mailboxes. One line for each reason."""
        failed = notifications.failed_since(session, since)
        lines = [
            Line(lead=channel, text=phrase("lines_lost", language).format(count), reason=reason, command=_DOCTOR)
            for channel, reason, count in failed
        ]
        impossible = mailbox_marks.impossible_since(session, since)
        marks = [
            Line(lead=account, text=mails_words(count, language), reason=reason)
            for account, reason, count in impossible
        ]
        return [
            *block("unnotified", lines, language, "trouble", count=sum(one[2] for one in failed)),
            *block("unmarked", marks, language, "trouble", count=sum(one[2] for one in impossible)),
        ]

    def _config(self, language: str) -> list[Line]:
        if not self.config_trouble:
            return []
        text = phrase("alert_config", language)
        return [Line(text=text, listing=self.config_trouble, command="quietcrm check")]

    def _questions(self, rep: str, language: str, asked: Sequence[unmatched.UnmatchedRow]) -> list[Block]:
        if self.office.settings.unknown != "ask":
            return []
        settings = self.office.settings.accounts
        mine = [row for row in asked if row.account in settings and settings[row.account].rep == rep]
        if not mine:
            return []
        senders: dict[str, list[Message]] = defaultdict(list)
        for message in self._read_again(mine[: 10 * QUESTIONS]):
            if message.sender is not None:
                senders[message.sender.key].append(message)
        often = sorted(senders.values(), key=lambda several: (-len(several), several[0].received_at))
        shared = self._shared_domains(senders)
        lines = [self._question(rep, several, language, shared) for several in often[:QUESTIONS]]
        return block("questions", lines, language, "act", note=phrase("question_note", language))

    def _shared_domains(self, senders: Collection[str]) -> set[str]:
        """Domains that look like a mail provider's: several strangers, or contacts of customers, write from there."""
        counts = Counter(sender.rpartition("@")[2] for sender in senders)
        with self.store.session() as session:
            known = {domain for domain in counts if customers.contacts_at(session, domain)}
        return known | {domain for domain, people in counts.items() if people >= SHARED}

    def _question(self, rep: str, several: Sequence[Message], language: str, shared: Collection[str]) -> Line:
        """One stranger: how often they wrote, what about, and the command that makes a customer of them."""
        last = max(several, key=lambda message: message.received_at)
        sender = last.sender
        assert sender is not None
        day = date_words(last.received_at.astimezone(self.office.settings.zone_for(rep)), language)
        said = phrase("last", language).format(last.subject, day)
        public = office_of(self.office.settings).is_public(sender.domain) or sender.domain in shared
        name = sender.name if public else sender.domain.partition(".")[0].replace("-", " ").title()
        # What a stranger calls themselves ends up in a shell: quoted, whatever it is.
        words = ["quietcrm", "customer", "add", "--email", sender.key]
        words += ([] if public else ["--domain", sender.domain]) + ["--", name or sender.key]
        return Line(lead=sender.key, text=mails_words(len(several), language), reason=said, command=shlex.join(words))

    def _read_again(self, rows: Sequence[unmatched.UnmatchedRow]) -> list[Message]:
        found: list[Message] = []
        for account in dict.fromkeys(row.account for row in rows):
            source = self.source_of(account)
            if source is None:
                continue
            places = [(row.folder, row.ref) for row in rows if row.account == account]
            try:
                found += [item for item in source.reread(places) if isinstance(item, Message)]
            except ConnectorError as error:
                log.warning("question.unreadable", account=account, reason=error.message)
        return found
