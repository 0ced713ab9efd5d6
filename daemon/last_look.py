"""The last look before a mail leaves by itself: may it go now? Pure; what it looks at is gathered by daemon.evidence.

Whatever stands in the way is an obstacle. The mail is cancelled where it is not wanted any more, becomes a draft where
its time is over, waits where time alone helps, and is held where a person should know. A person who releases a held
mail lifts that one obstacle, never the ones that protect the customer's wish.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import chain

from rules.clock import instant
from rules.hours import OfficeHours
from rules.pacing import Pace

FRESH = 60.0
"""Seconds after which a look into a mailbox says nothing about it any more (decision 28)."""
PEER_PAUSE = timedelta(days=7)
"""One automatic answer a person in this time (RFC 5230 4.2)."""
BRAKE_WINDOW = timedelta(minutes=120)
BRAKE_COUNT = 20
RETRY_FOR = timedelta(hours=48)
"""How long a server may put a mail off; that time does not make it late."""
SOON = timedelta(seconds=2)
TRY_AGAIN = timedelta(minutes=1)


class Obstacle(StrEnum):
    """What can stand in the way of a mail."""

    OWN = "own"
    UNWANTED = "unwanted"
    BOUNCED = "bounced"
    ANSWERED = "answered"
    JUNK = "junk"
    NOT_THEIRS = "not_theirs"
    AWAY = "away"
    LATE = "late"
    UNREAD = "unread"
    UNREACHABLE = "unreachable"
    COLLEAGUE = "colleague"
    PEER = "peer"
    ONE_A_DAY = "one_a_day"
    BRAKE = "brake"
    CAP = "cap"
    BREAKER = "breaker"
    HOURS = "hours"
    NO_SENDER = "no_sender"
    UNFILLED = "unfilled"
    SEQUENCE = "sequence"
    ASK = "ask"
    MODE = "mode"
    PACE = "pace"
    PAUSED = "paused"
    SERVER = "server"


class Step(StrEnum):
    """What is to be done with the mail."""

    GO = "go"
    WAIT = "wait"
    HOLD = "hold"
    CANCEL = "cancel"
    DRAFT = "draft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`until`: when to look again, None = a person decides. `shift`: time that does not count towards being late."""

    step: Step
    obstacle: Obstacle | None = None
    reason: str = ""
    until: datetime | None = None
    shift: timedelta = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A mailbox that was not looked into lately. `reason` = why it cannot be, "" if it only has to be polled."""

    account: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InSequence:
    """What the sequence has to say of the mail of one of its steps.

    ended    why it is over for them, "" if it goes on; trouble: why it cannot go on now
    mode     draft, ask or auto, as it holds now
    left     when its last mails left by themselves, the last one last; key: whose distance to them is asked for
    """

    ended: str = ""
    trouble: str = ""
    mode: str = "auto"
    pace: Pace = field(default_factory=Pace)
    left: tuple[datetime, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything the last look goes by, of one moment. Times are aware UTC.

    answered     why it is settled ("the customer wrote"), "" if it is not
    junk         the account in whose Junk folder an answer lies, "" if none
    unwanted     why the address gets no mail ("unsubscribed"), "" if it does
    theirs       the planned address still belongs to the planned contact
    colleague    who of the team wrote to the customer since, and when
    unread       mailboxes that may hold an answer nobody has seen
    to_contact   when the last mail left by itself for this contact; `answered_by_us`: the last automatic answer
    reactive     automatic answers of the office within BRAKE_WINDOW; `today` sends of this day
    burst        mails to customers that rules planned within an hour of this one
    paused       the admin let the rule, the sequence or everything stand still; breaker: why it stands still by itself
    sequence     None for a mail that is no step of one; else `hours` are those in which its steps may come
    """

    now: datetime
    hours: OfficeHours
    own: bool = False
    answered: str = ""
    junk: str = ""
    unwanted: str = ""
    bounced: str = ""
    theirs: bool = True
    away_until: date | None = None
    colleague: tuple[str, datetime] | None = None
    unread: tuple[Unread, ...] = ()
    to_contact: datetime | None = None
    answered_by_us: datetime | None = None
    reactive: int = 0
    today: int = 0
    burst: int = 0
    paused: bool = False
    breaker: str = ""
    sequence: InSequence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The mail that wants to go. `released`: obstacles that a person lifted for it; `of_its_day`: late is too late."""

    late_after: datetime | None
    reactive: bool
    of_its_day: bool = False
    released: frozenset[str] = frozenset()
    day_limit: int = 80
    hour_limit: int = 200


GO = Verdict(step=Step.GO)
IN_JUNK = "an answer lies in the Junk folder of "
DAY_OVER = "the day it is for is over"


def look(mail: Request, seen: Evidence) -> Verdict:
    """What is to be done with the mail now. Nobody lifts what ends a mail, only what holds it."""
    found = _obstacles(mail, seen)
    return next((one for one in found if one.step is Step.CANCEL or one.obstacle not in mail.released), GO)


def ended(seen: Evidence) -> Verdict | None:
    """What ends a mail for good, None if nothing does: asked once more right before it goes on the wire."""
    return next(_ends(seen), None)


def unanswered(seen: Evidence) -> Verdict | None:
    """What is to be known before somebody counts as silent, None if nothing stands in the way: no answer lies in Junk,
    and everywhere else was looked."""
    return next(chain(_ends(seen), _unread(seen)), None)


def _obstacles(mail: Request, seen: Evidence) -> Iterator[Verdict]:
    yield from _ends(seen)
    if not seen.theirs:
        yield _hold(Obstacle.NOT_THEIRS, "the address is not the contact's any more")
    yield from _away(seen)
    yield from _of_sequence(seen)
    if seen.paused:
        yield _wait(Obstacle.PAUSED, "stands still until the admin lets it go on", seen.now + TRY_AGAIN)
    if mail.late_after is not None and seen.now > mail.late_after:
        if mail.of_its_day:
            yield _cancel(Obstacle.LATE, DAY_OVER)
        yield Verdict(step=Step.DRAFT, obstacle=Obstacle.LATE, reason="too late to go by itself")
    yield from _unread(seen)
    yield from _brakes(mail, seen)
    if not seen.hours.is_open(seen.now):
        opens = seen.hours.next_open(seen.now)
        yield _wait(Obstacle.HOURS, "waits for office hours", opens, shift=opens - seen.now)


def _ends(seen: Evidence) -> Iterator[Verdict]:
    """What makes a mail pointless or unwanted for good. No release lifts the customer's own wish: it is asked again."""
    if seen.own:
        yield _cancel(Obstacle.OWN, "the address is our own")
    if seen.unwanted:
        yield _cancel(Obstacle.UNWANTED, f"the address gets no mail: {seen.unwanted}")
    if seen.bounced:
        yield _cancel(Obstacle.BOUNCED, f"mail to the address came back: {seen.bounced}")
    if seen.answered:
        yield _cancel(Obstacle.ANSWERED, seen.answered)
    if seen.junk:
        yield _cancel(Obstacle.JUNK, f"{IN_JUNK}{seen.junk}")
    if seen.sequence is not None and seen.sequence.ended:
        yield _cancel(Obstacle.SEQUENCE, seen.sequence.ended)


def _of_sequence(seen: Evidence) -> Iterator[Verdict]:
    sequence = seen.sequence
    if sequence is None:
        return
    if sequence.trouble:
        yield _hold(Obstacle.SEQUENCE, sequence.trouble, seen.now + TRY_AGAIN)
    if sequence.mode == "draft":
        reason = "the sequence leaves the sending to people now"
        yield Verdict(step=Step.DRAFT, obstacle=Obstacle.MODE, reason=reason)
    if sequence.mode == "ask":
        yield _hold(Obstacle.ASK, "waits for a word")


def _pace(seen: Evidence) -> Iterator[Verdict]:
    """The distance to the other mails of the sequence, also where something held several up."""
    sequence = seen.sequence
    if sequence is None:
        return
    pace, left = sequence.pace, sequence.left
    if pace.gap is not None and left and seen.now < left[-1] + pace.gap.after(sequence.key):
        free = left[-1] + pace.gap.after(sequence.key)
        yield _wait(Obstacle.PACE, "keeps its distance to the mail before", free, shift=free - seen.now)
    if pace.per_day and len(left) >= pace.per_day:
        tomorrow = _tomorrow(seen)
        yield _wait(Obstacle.PACE, f"{len(left)} mails of the sequence left today", tomorrow, shift=tomorrow - seen.now)


def _tomorrow(seen: Evidence) -> datetime:
    today = seen.now.astimezone(seen.hours.zone).date()
    return seen.hours.next_open(instant(today + timedelta(days=1), 0, seen.hours.zone))


def _away(seen: Evidence) -> Iterator[Verdict]:
    if seen.away_until is None:
        return
    back = seen.hours.next_open(instant(seen.away_until, 0, seen.hours.zone))
    if seen.now < back:
        yield _wait(Obstacle.AWAY, f"the contact is away until {seen.away_until}", back, shift=back - seen.now)


def _unread(seen: Evidence) -> Iterator[Verdict]:
    broken = next((one for one in seen.unread if one.reason), None)
    if broken:
        reason = f"the mailbox {broken.account} cannot be read: {broken.reason}"
        yield _hold(Obstacle.UNREACHABLE, reason, seen.now + TRY_AGAIN)
    if not all(one.reason for one in seen.unread):  # nobody who does without the broken one does without these
        yield _wait(Obstacle.UNREAD, "looks into the mailboxes first", seen.now + SOON)


def _brakes(mail: Request, seen: Evidence) -> Iterator[Verdict]:
    if seen.colleague:
        who, at = seen.colleague
        yield _hold(Obstacle.COLLEAGUE, f"{who} wrote to the customer on {at.astimezone(seen.hours.zone):%Y-%m-%d}")
    if mail.reactive and seen.answered_by_us is not None and seen.now - seen.answered_by_us < PEER_PAUSE:
        yield _cancel(Obstacle.PEER, "they got an automatic answer within the last 7 days")
    if mail.reactive and seen.reactive >= BRAKE_COUNT:
        reason = f"{seen.reactive} automatic answers within two hours: a loop?"
        yield _hold(Obstacle.BRAKE, reason, seen.now + BRAKE_WINDOW)
    if seen.breaker:
        yield _hold(Obstacle.BREAKER, seen.breaker)
    if seen.burst > mail.hour_limit:
        yield _hold(Obstacle.BREAKER, f"rules planned {seen.burst} mails within an hour (limit {mail.hour_limit})")
    today = seen.now.astimezone(seen.hours.zone).date()
    tomorrow = _tomorrow(seen)
    if seen.to_contact is not None and seen.to_contact.astimezone(seen.hours.zone).date() == today:
        yield _wait(Obstacle.ONE_A_DAY, "the contact got a mail today", tomorrow, shift=tomorrow - seen.now)
    if seen.today >= mail.day_limit:
        reason = f"{seen.today} mails left today (limit {mail.day_limit})"
        yield _hold(Obstacle.CAP, reason, tomorrow)
    yield from _pace(seen)


def _cancel(obstacle: Obstacle, reason: str) -> Verdict:
    return Verdict(step=Step.CANCEL, obstacle=obstacle, reason=reason)


def _hold(obstacle: Obstacle, reason: str, until: datetime | None = None) -> Verdict:
    return Verdict(step=Step.HOLD, obstacle=obstacle, reason=reason, until=until)


def _wait(obstacle: Obstacle, reason: str, until: datetime, *, shift: timedelta = timedelta()) -> Verdict:
    return Verdict(step=Step.WAIT, obstacle=obstacle, reason=reason, until=until, shift=shift)
