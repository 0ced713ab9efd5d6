"""Mail that leaves by itself: claims with a fence, attempts, and what the last look wants to know of earlier ones.

A fence is the number of a daemon's start. Each claim and each attempt checks that it is still the newest, so a daemon
that was stopped for a while and goes on beside its successor can claim and send nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session

from store.statements import among, insert_new, table
from store.tables import (
    Interaction,
    InteractionCustomer,
    Meta,
    OutboxMail,
    OutboxState,
    SendAttempt,
    Sighting,
    Way,
)

_OUTBOX = table(OutboxMail)
_ATTEMPT = table(SendAttempt)
_META = table(Meta)
_INTERACTION = table(Interaction)
_LINK = table(InteractionCustomer)
_SIGHTING = table(Sighting)
_FENCE = "fence"
_CLOCK = "clock"
_COUNTED = (OutboxState.CLAIMED, OutboxState.SENDING, OutboxState.SENT, OutboxState.UNCERTAIN, OutboxState.BOUNCED)
"""States of a mail that left, may have left, or is about to."""


# --- one daemon --------------------------------------------------------------------------------------------------


def raise_fence(session: Session) -> int:
    """A new start: its number, higher than every one before. Earlier starts can claim and send nothing any more."""
    insert_new(session, _META, [{"key": _FENCE, "value": "0"}], key=("key",))
    number = int(session.execute(select(_META.c.value).where(_META.c.key == _FENCE)).scalar_one()) + 1
    session.execute(update(_META).where(_META.c.key == _FENCE).values(value=str(number)))
    return number


def take_over(session: Session, fence: int, now: datetime) -> tuple[int, int]:
    """What an earlier start left on its way: claimed mail is planned again, mail on the wire is uncertain. Counts."""
    columns = _OUTBOX.c
    left = (columns.way == Way.SEND, columns.fence < fence)
    claimed = (columns.state == OutboxState.CLAIMED, *left)
    freed = session.connection().execute(update(_OUTBOX).where(*claimed).values(state=OutboxState.PLANNED.value))
    sending = (columns.state == OutboxState.SENDING, *left)
    reason = "quietcrm ended while the mail was on its way"
    unclear = update(_OUTBOX).where(*sending).values(state=OutboxState.UNCERTAIN.value, reason=reason, settled_at=now)
    doubtful = session.connection().execute(unclear)
    open_attempts = (_ATTEMPT.c.outcome == "", _ATTEMPT.c.fence < fence)
    session.execute(update(_ATTEMPT).where(*open_attempts).values(outcome="unknown", said=reason, ended_at=now))
    return int(freed.rowcount), int(doubtful.rowcount)


def highest_time(session: Session, now: datetime) -> datetime:
    """The highest time ever noted; `now` if none was."""
    found = session.execute(select(_META.c.value).where(_META.c.key == _CLOCK)).scalar()
    return datetime.fromisoformat(str(found)) if found else now


def note_time(session: Session, now: datetime) -> None:
    """Keep a time that can be trusted, to the minute. It is the highest one, but for a clock that was wrong before and
    is believed now: then it is lower by far."""
    if insert_new(session, _META, [{"key": _CLOCK, "value": now.isoformat()}], key=("key",)):
        return
    gap = now - highest_time(session, now)
    if gap >= timedelta(minutes=1) or gap < -timedelta(minutes=5):
        session.execute(update(_META).where(_META.c.key == _CLOCK).values(value=now.isoformat()))


# --- one mail ----------------------------------------------------------------------------------------------------


def due(session: Session, now: datetime, reps: Collection[str], limit: int) -> list[OutboxMail]:
    """Sends of these people whose time has come, the longest ready first."""
    columns = _OUTBOX.c
    ready = or_(columns.retry_at.is_(None), columns.retry_at <= now)
    first = select(columns.id).where(
        columns.state == OutboxState.PLANNED, columns.way == Way.SEND, columns.due_at <= now, ready
    )
    # What was looked at in vain goes to the end: however much of it there is, the others have their turn.
    order = (func.coalesce(columns.retry_at, columns.due_at), columns.id)
    first = first.where(columns.rep.in_(list(reps))).order_by(*order).limit(limit)
    numbers = list(session.execute(first).scalars())  # without the texts, of which a long queue holds many
    return _rows(session, select(_OUTBOX).where(columns.id.in_(numbers)).order_by(*order))


def left_in_drafts(session: Session, reps: Collection[str], limit: int) -> list[tuple[int, str]]:
    """(id, Message-ID) of mails of these people that were claimed once and will not be sent as things are, and whose
    draft was not looked for since."""
    columns = _OUTBOX.c
    over = (OutboxState.CANCELLED.value, OutboxState.REFUSED.value, OutboxState.HELD.value)
    unseen = or_(columns.gone_at.is_(None), columns.gone_at < func.coalesce(columns.settled_at, columns.claimed_at))
    statement = select(columns.id, columns.message_id).where(columns.state.in_(over), columns.way == Way.SEND)
    statement = statement.where(columns.rep.in_(list(reps)), columns.claimed_at.is_not(None), unseen)
    return [(number, name) for number, name in session.execute(statement.order_by(columns.id).limit(limit))]


def due_of_others(session: Session, now: datetime, reps: Collection[str]) -> list[OutboxMail]:
    """Sends whose time has come of everybody but these people."""
    columns = _OUTBOX.c
    statement = select(_OUTBOX).where(
        columns.state == OutboxState.PLANNED, columns.way == Way.SEND, columns.due_at <= now
    )
    statement = statement.where(or_(columns.retry_at.is_(None), columns.retry_at <= now))
    return _rows(session, statement.where(columns.rep.not_in(list(reps))))


def look_again(session: Session, now: datetime) -> int:
    """Held mail whose time to be looked at again has come is planned once more; how many."""
    columns = _OUTBOX.c
    statement = update(_OUTBOX).where(columns.state == OutboxState.HELD, columns.retry_at <= now)
    return int(session.connection().execute(statement.values(state=OutboxState.PLANNED.value)).rowcount)


def claim(session: Session, number: int, fence: int, **fields: Any) -> bool:
    """Take a planned mail, if this is still the newest start; whether it was ours to take."""
    statement = (
        update(_OUTBOX)
        .where(_OUTBOX.c.id == number, _OUTBOX.c.state == OutboxState.PLANNED, _newest(fence))
        .values(state=OutboxState.CLAIMED.value, fence=fence, **fields)
    )
    return bool(session.connection().execute(statement).rowcount)


def begin_attempt(session: Session, number: int, fence: int, sender: str, now: datetime) -> int | None:
    """Note that the mail goes on the wire now; the attempt's number, or None if it is not ours any more."""
    columns = _OUTBOX.c
    ours = (columns.id == number, columns.state == OutboxState.CLAIMED, columns.fence == fence, _newest(fence))
    moved = update(_OUTBOX).where(*ours).values(state=OutboxState.SENDING.value, attempts=columns.attempts + 1)
    if not session.connection().execute(moved).rowcount:
        return None
    return _attempt(session, number, fence, sender, now)


def note_attempt(
    session: Session, number: int, fence: int, sender: str, now: datetime, *, counts: bool = True
) -> int | None:
    """Note a try that ended before the mail itself was on the wire (the recipient was refused); its number, None if the
    mail is gone. `counts`: the mail was tried, so that its words stay."""
    tried = update(_OUTBOX).where(_OUTBOX.c.id == number).values(attempts=_OUTBOX.c.attempts + int(counts))
    if not session.connection().execute(tried).rowcount:
        return None
    return _attempt(session, number, fence, sender, now)


def end_attempt(session: Session, attempt: int, outcome: str, code: int, said: str, now: datetime) -> None:
    """Say what came of an attempt."""
    values = {"outcome": outcome, "code": code, "said": said, "ended_at": now}
    session.execute(update(_ATTEMPT).where(_ATTEMPT.c.id == attempt).values(values))


def end_open_attempts(session: Session, number: int, reason: str, now: datetime) -> None:
    """Nobody knows what came of the tries of a mail that have no outcome yet."""
    values = {"outcome": "unknown", "said": reason, "ended_at": now}
    session.execute(update(_ATTEMPT).where(_ATTEMPT.c.outbox_id == number, _ATTEMPT.c.outcome == "").values(values))


def attempts(session: Session, number: int) -> list[SendAttempt]:
    """All tries to send a mail, the first one first."""
    statement = select(_ATTEMPT).where(_ATTEMPT.c.outbox_id == number).order_by(_ATTEMPT.c.id)
    return [SendAttempt(**row) for row in session.execute(statement).mappings()]


def in_doubt(session: Session, before: datetime) -> list[OutboxMail]:
    """Uncertain mail that was not looked up in Sent since `before`."""
    columns = _OUTBOX.c
    old = or_(columns.looked_at.is_(None), columns.looked_at <= before)
    return _rows(session, select(_OUTBOX).where(columns.state == OutboxState.UNCERTAIN, old).order_by(columns.id))


def without_copy(session: Session, limit: int, *, not_of: Collection[str] = ()) -> list[OutboxMail]:
    """Sent mail whose copy is still wanted in Sent, oldest first; but of these people."""
    columns = _OUTBOX.c
    gone = (OutboxState.SENT.value, OutboxState.BOUNCED.value)
    statement = select(_OUTBOX).where(columns.copy_state == "wanted", columns.state.in_(gone))
    statement = statement.where(columns.rep.not_in(list(not_of)))
    return _rows(session, statement.order_by(columns.id).limit(limit))


# --- what went before --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Departure:
    """A mail that left by itself: to whom, when, and whether it was an automatic answer."""

    recipient: str
    contact_id: int | None
    at: datetime
    reactive: bool


def departures(
    session: Session, recipients: Collection[str], contacts: Collection[int], since: datetime
) -> list[Departure]:
    """What left for these addresses (lower case) or contacts since, several mails in one question."""
    columns = _OUTBOX.c
    address = func.lower(columns.recipient)
    whose = or_(among(session, address, recipients), among(session, columns.contact_id, contacts))
    statement = select(address, columns.contact_id, columns.claimed_at, columns.reactive)
    return [Departure(*row) for row in session.execute(statement.where(_left(), _left_at() >= since, whose))]


def count_since(session: Session, since: datetime, *, reactive: bool = False) -> int:
    """How many mails left by themselves since (only automatic answers, if `reactive`)."""
    statement = select(func.count()).select_from(_OUTBOX).where(_left(), _left_at() >= since)
    if reactive:
        statement = statement.where(_OUTBOX.c.reactive)
    return int(session.execute(statement).scalar_one())


def planned_around(session: Session, at: datetime, span: timedelta) -> int:
    """How many sends rules planned within `span` of a moment, before and after."""
    columns = _OUTBOX.c
    statement = select(func.count()).select_from(_OUTBOX)
    statement = statement.where(columns.way == Way.SEND, columns.created_at.between(at - span, at + span))
    return int(session.execute(statement).scalar_one())


def watchers(session: Session, customer_ids: Collection[int], since: datetime) -> dict[int, set[str]]:
    """Customer -> the accounts in which mail of theirs was seen since."""
    statement = (
        select(_LINK.c.customer_id, _SIGHTING.c.account)
        .join(_SIGHTING, _LINK.c.interaction_id == _SIGHTING.c.interaction_id)
        .where(among(session, _LINK.c.customer_id, customer_ids), _LINK.c.at >= since)
        .distinct()
    )
    found: dict[int, set[str]] = defaultdict(set)
    for customer, account in session.execute(statement):
        found[customer].add(account)
    return found


def team_mail(
    session: Session, customer_ids: Collection[int], since: datetime
) -> dict[int, list[tuple[str, datetime]]]:
    """Customer -> who of us wrote to them as a person since, the newest first: (rep or address, when). A draft of a
    sequence that the rep sent is the sequence's mail."""
    columns = _INTERACTION.c
    named = columns.message_id != ""  # so has a send that was never claimed no Message-ID
    ours = exists().where(_OUTBOX.c.message_id == columns.message_id, named, _OUTBOX.c.way == Way.SEND)
    step = exists().where(_OUTBOX.c.sent_message_id == columns.message_id, named, _OUTBOX.c.enrolment_id.is_not(None))
    statement = (
        select(_LINK.c.customer_id, columns.rep, columns.sender, columns.at)
        .join(_LINK, _LINK.c.interaction_id == columns.id)
        .where(among(session, _LINK.c.customer_id, customer_ids), _LINK.c.at >= since)
        .where(columns.direction == "out", columns.kind == "human", ~ours, ~step)
        .order_by(_LINK.c.at.desc())
    )
    found: dict[int, list[tuple[str, datetime]]] = defaultdict(list)
    for customer, rep, sender, at in session.execute(statement):
        found[customer].append((rep or sender, at))
    return found


def all_of(session: Session, numbers: Collection[int]) -> list[OutboxMail]:
    """The mails with these numbers as they are now, the longest due first."""
    columns = _OUTBOX.c
    statement = select(_OUTBOX).where(among(session, columns.id, numbers)).order_by(columns.due_at, columns.id)
    return _rows(session, statement)


def _attempt(session: Session, number: int, fence: int, sender: str, now: datetime) -> int:
    row = {"outbox_id": number, "at": now, "sender": sender, "fence": fence, "outcome": "", "code": 0, "said": ""}
    return int(session.connection().execute(insert(_ATTEMPT).values(row).returning(_ATTEMPT.c.id)).scalar_one())


def _left() -> Any:
    return (_OUTBOX.c.way == Way.SEND) & _OUTBOX.c.state.in_([one.value for one in _COUNTED])


def _left_at() -> Any:
    return _OUTBOX.c.claimed_at


def _newest(fence: int) -> Any:
    return exists().where(_META.c.key == _FENCE, _META.c.value == str(fence))


def _rows(session: Session, statement: Select[Any]) -> list[OutboxMail]:
    return [OutboxMail(**row) for row in session.execute(statement).mappings()]
