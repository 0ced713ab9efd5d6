"""Who, where, and what is open: a mail to a rep on the morning of the working day before each meeting with a customer.

All meetings that a morning is for come in one mail. What is booked or moved later is told within the office's hours,
a few minutes after. Once for each meeting and each time that it is at; of meetings that are off, private or among our
own people there is nothing to tell. The calendars are read again before a word is written.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlmodel import Session

from connectors.errors import QuietcrmError
from connectors.model import Address, OutgoingMail
from connectors.outgoing import make_message_id
from daemon.brief_page import BriefPage
from daemon.clock import Clock
from daemon.letters import own_headers
from daemon.meeting_times import occasions_of, stands, without_twins
from daemon.office import Office
from daemon.page import as_html, as_text
from daemon.phrases import phrase
from daemon.ways import Ways
from rules.clock import instant
from rules.meetings import DECLINED, all_declined
from store import briefs, meetings
from store.briefs import Told
from store.engine import Store
from store.hashing import HashKey
from store.meetings import MeetingRow
from store.tables import MeetingCopy

log = structlog.get_logger()

QUIET = timedelta(minutes=10)
"""So long nothing is said of what somebody books or moves just now, unless it begins within the hour."""
PRESSING = timedelta(hours=1)
NAMED = 3


@dataclass(slots=True)
class Briefs:
    """Writes and delivers briefs. Blocking; one thread. `freshen` reads meetings again."""

    store: Store
    office: Office
    ways: Ways
    clock: Clock
    key: HashKey
    freshen: Callable[[Collection[int]], None]

    def deliver_due(self) -> int:
        """Tell everybody what it is time for; how many mails."""
        settings = self.office.settings
        return sum(self._deliver(rep) for rep, one in settings.team.items() if settings.briefs and one.briefs)

    def _deliver(self, rep: str) -> int:
        now = self.clock.now()
        if not self._is_hour(rep, now):
            return 0
        with self.store.session() as session:
            due = {row.id for row in self._due(session, rep, now)}
        if due:
            self.freshen(due)
            with self.store.writing() as session:
                rows = [row for row in self._due(session, rep, now) if row.id in due]
                several = [(row.id, row.start_at) for row in rows]
                mail = Address(self.office.settings.team[rep].mail)
                briefs.claim(session, rep, several, make_message_id(mail.domain, secrets.token_hex(10)), now)
        with self.store.session() as session:
            waiting = briefs.pending(session, rep)
        return sum(self._lay(rep, message_id, several) for message_id, several in waiting.items())

    def _is_hour(self, rep: str, now: datetime) -> bool:
        """From the hour of the daily notice to the end of the office's day."""
        settings = self.office.settings
        hours, zone = self.office.hours, settings.zone_for(rep)
        local = now.astimezone(zone)
        if local.time() < settings.team[rep].digest or not hours.is_business_day(now.astimezone(hours.zone).date()):
            return False
        opens = hours.next_open(now)
        return opens.astimezone(hours.zone).date() == now.astimezone(hours.zone).date()

    def _due(self, session: Session, rep: str, now: datetime) -> list[MeetingRow]:
        """The meetings until the end of the next working day that the person has not been told of."""
        zone = self.office.settings.zone_for(rep)
        last = self.office.hours.next_business_day(now.astimezone(zone).date())
        rows = meetings.starting(session, now, instant(last + timedelta(days=1), 0, zone))
        known = briefs.told(session, rep, {row.id for row in rows})
        fresh = [row for row in rows if (row.id, row.start_at) not in known and not _is_stirring(row, now)]
        return self._theirs(session, rep, fresh)

    def _theirs(self, session: Session, rep: str, rows: Sequence[MeetingRow]) -> list[MeetingRow]:
        """Those that will take place as far as is known, with this person."""
        copies = meetings.copies_of(session, {row.id for row in rows})
        stand = [row for row in rows if row.missed_at is None and stands(row, copies.get(row.id, ()))]
        mine = without_twins(row for row in stand if self._comes(rep, row, copies))
        off = {row.id for row, _, facts in occasions_of(session, self.key, self.office, mine) if all_declined(facts)}
        return sorted((row for row in mine if row.id not in off), key=lambda row: row.start_at)

    def _comes(self, rep: str, row: MeetingRow, copies: Mapping[int, Sequence[MeetingCopy]]) -> bool:
        settings = self.office.settings
        there = [one for one in copies.get(row.id, ()) if one.gone_at is None]
        own = [one for one in there if settings.calendar_owner(one.account) == rep]
        if own:
            return any(one.answer != DECLINED for one in own)
        asked = [one for one in row.attendees if settings.rep_of(one["email"]) == rep]
        if asked:
            return any(one["answer"] != DECLINED for one in asked)
        return settings.rep_of(row.organizer) == rep or (not there and row.rep == rep)

    # --- one mail

    def _lay(self, rep: str, message_id: str, several: Sequence[Told]) -> bool:
        now = self.clock.now()
        with self.store.session() as session:
            rows = meetings.by_numbers(session, {number for number, _ in several})
            same = [rows[number] for number, start in several if number in rows and rows[number].start_at == start]
            left = [row for row in self._theirs(session, rep, same) if row.start_at > now]
            mail = self._mail(session, rep, message_id, left, now) if left else None
        try:
            if mail is not None:
                self.ways.lay(rep, mail)
        except QuietcrmError as error:
            log.warning("brief.undelivered", rep=rep, reason=error.message)
            return False
        with self.store.writing() as session:
            briefs.sent(session, rep, message_id, now)
        if mail is not None:
            log.info("brief.laid", rep=rep, meetings=len(left))
        return mail is not None

    def _mail(
        self, session: Session, rep: str, message_id: str, rows: Sequence[MeetingRow], now: datetime
    ) -> OutgoingMail:
        member, language = self.office.settings.team[rep], self.office.settings.language_for(rep)
        page = BriefPage(session=session, office=self.office, rep=rep, now=now)
        blocks = [page.block(row) for row in rows]
        title, foot = phrase("brief_title", language), phrase("brief_foot", language)
        return OutgoingMail(
            message_id=message_id,
            sender=Address(member.mail, "quietcrm"),
            to=(Address(member.mail, member.name),),
            subject=_subject(page, rows, language),
            text=as_text(title, blocks, foot),
            html=as_html(title, blocks, foot),
            date=now,
            headers=own_headers("brief"),
        )


def _subject(page: BriefPage, rows: Sequence[MeetingRow], language: str) -> str:
    if len(rows) == 1:
        return f"{phrase('brief_one', language)}: {page.title(rows[0])}"
    names = list(dict.fromkeys(name for row in rows for name in page.names(row)))
    more = f" +{len(names) - NAMED}" if len(names) > NAMED else ""
    return f"{phrase('brief_many', language).format(len(rows))}: {', '.join(names[:NAMED])}{more}"


def _is_stirring(row: MeetingRow, now: datetime) -> bool:
    """Somebody is just booking or moving it."""
    since = max(filter(None, (row.created_at, row.known_at, row.moved_at)))
    return now - since < QUIET and row.start_at - now > PRESSING
