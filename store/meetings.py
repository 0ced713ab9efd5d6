"""Meetings: interactions of the channel "meeting", each occurrence once, with its copies in the calendars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.orm import Session

from store.gate import storable, storable_values
from store.statements import among, insert_new, table, upsert
from store.tables import (
    Customer,
    Interaction,
    InteractionCustomer,
    Meeting,
    MeetingCopy,
    Participant,
    Sighting,
    Trace,
)

_MEETING = table(Meeting)
_COPY = table(MeetingCopy)
_INTERACTION = table(Interaction)
_LINK = table(InteractionCustomer)
_PARTICIPANT = table(Participant)
_SIGHTING = table(Sighting)
_CUSTOMER = table(Customer)
CHANNEL = "meeting"
CANCELLED = "cancelled"
OCCASION = "occasion"


def series_hash(uid: str) -> str:
    """What all occurrences of one UID share (connectors.calendars.series_key)."""
    return blake2b(uid.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def identity_of(uid: str, original: str) -> str:
    """The identity of an occurrence as an interaction."""
    return f"e:{series_hash(uid)}:{original}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingState:
    """What a calendar or an invitation says of one occurrence; see store.tables.Meeting. `attendees`: plain JSON data,
    all of them; `people`: (role, address, name) of organizer and attendees for the list of participants."""

    uid: str
    original: str
    sequence: int
    stamped_at: datetime | None
    title: str
    start_at: datetime
    end_at: datetime
    start_day: date | None = None
    end_day: date | None = None
    zone: str = ""
    zone_unclear: bool = False
    status: str = "confirmed"
    place: str = ""
    organizer: str = ""
    attendees: Sequence[Mapping[str, str]] = ()
    people: Sequence[tuple[str, str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingRow:
    """A meeting as it stands. `id` is its number in the history, `rep` whose it is, `created_at` when it was first
    seen, `backfill` whether it belonged to the past then."""

    id: int
    identity: str
    title: str
    rep: str
    direction: str
    created_at: datetime
    backfill: bool
    series: str
    uid: str
    original: str
    sequence: int
    stamped_at: datetime | None
    start_at: datetime
    end_at: datetime
    start_day: date | None
    end_day: date | None
    zone: str
    zone_unclear: bool
    status: str
    place: str
    organizer: str
    attendees: list[dict[str, str]]
    known_at: datetime | None
    moves: int
    moved_at: datetime | None
    cancelled_at: datetime | None
    missed_at: datetime | None

    @property
    def cancelled(self) -> bool:
        """Whether it was called off."""
        return self.status == CANCELLED


def is_like(one: MeetingRow, other: MeetingRow | MeetingState) -> bool:
    """Whether it may be the same meeting under another UID: it stands, is called the same, with the same people."""
    return not one.cancelled and one.title == other.title and _people(one) == _people(other)


def _people(one: MeetingRow | MeetingState) -> set[str]:
    return {str(who["email"]).lower() for who in one.attendees}


# --- writing


def record(
    session: Session,
    state: MeetingState,
    *,
    customers: Mapping[int, str],
    contacts: Mapping[str, int],
    rep: str,
    direction: str,
    backfill: bool,
    now: datetime,
    trace: Mapping[str, Any] | None = None,
    config_hash: str = "",
) -> int | None:
    """A meeting that belongs into the history; its number, None if it is there already.

    customers: id -> rung; contacts: address key -> contact id.
    """
    identity = identity_of(state.uid, state.original)
    empty = ("content_key", "message_id", "thread", "text", "sender", "sender_name", "logged_by", "degraded")
    row: dict[str, Any] = {
        **dict.fromkeys(empty, ""),
        "identity": identity,
        "channel": CHANNEL,
        "kind": CHANNEL,
        "direction": direction,
        "at": state.start_at,
        "sent_at": None,
        "subject": storable(state.title),
        "attachments": [],
        "headers": [],
        "size": -1,
        "rep": rep,
        "backfill": backfill,
        "created_at": now,
    }
    if not insert_new(session, _INTERACTION, [row], key=("identity",)):
        return None
    number = int(session.execute(select(_INTERACTION.c.id).where(_INTERACTION.c.identity == identity)).scalar_one())
    link(session, number, state.start_at, customers)
    session.execute(
        insert(_MEETING).values(
            interaction_id=number,
            series=series_hash(state.uid),
            uid=storable(state.uid),
            original=state.original,
            known_at=None if backfill else now,
            moves=0,
            **_columns(state),
        )
    )
    _put_people(session, number, state, contacts)
    if trace:
        kept = {"interaction_id": number, "config_hash": config_hash, "at": now, "data": storable_values(dict(trace))}
        insert_new(session, table(Trace), [kept])
    return number


def change(session: Session, row: MeetingRow, state: MeetingState, contacts: Mapping[str, int], **further: Any) -> None:
    """The meeting as it stands now. `further`: columns beside those of the state (known_at, moves ...)."""
    values = {**_columns(state), **further}
    session.execute(update(_MEETING).where(_MEETING.c.interaction_id == row.id).values(values))
    mine = _INTERACTION.c.id == row.id
    session.execute(update(_INTERACTION).where(mine).values(subject=storable(state.title), at=state.start_at))
    session.execute(update(_LINK).where(_LINK.c.interaction_id == row.id).values(at=state.start_at))
    if [dict(one) for one in state.attendees] != row.attendees:
        session.execute(delete(_PARTICIPANT).where(_PARTICIPANT.c.interaction_id == row.id))
        _put_people(session, row.id, state, contacts)


def link(session: Session, number: int, at: datetime, customers: Mapping[int, str]) -> None:
    """A meeting at `at` is one with these customers (id -> rung) too."""
    named = {"interaction_id": number, "at": at}
    insert_new(session, _LINK, [{**named, "customer_id": one, "rung": rung} for one, rung in customers.items()])


def note(session: Session, number: int, **values: Any) -> None:
    """Set columns of a meeting: cancelled_at, missed_at ..."""
    session.execute(update(_MEETING).where(_MEETING.c.interaction_id == number).values(values))


def rename(session: Session, number: int, uid: str, original: str) -> None:
    """The same meeting is called otherwise now: its series was moved, or begun anew under another UID."""
    identity = identity_of(uid, original)
    session.execute(update(_INTERACTION).where(_INTERACTION.c.id == number).values(identity=identity))
    values = {"series": series_hash(uid), "uid": storable(uid), "original": original}
    session.execute(update(_MEETING).where(_MEETING.c.interaction_id == number).values(values))


def absorb(session: Session, row: MeetingRow, other: MeetingRow) -> None:
    """Two entries are one meeting: `row` goes on under the name of `other`, with its state and its copies."""
    for target in (_COPY, _SIGHTING):
        place = target.c.account, target.c["calendar" if target is _COPY else "folder"]
        theirs = select(*place).where(target.c.interaction_id == other.id)
        session.execute(delete(target).where(target.c.interaction_id == row.id, tuple_(*place).in_(theirs)))
        session.execute(update(target).where(target.c.interaction_id == other.id).values(interaction_id=row.id))
    names = (
        "sequence",
        "stamped_at",
        "start_at",
        "end_at",
        "start_day",
        "end_day",
        "zone",
        "zone_unclear",
        "status",
        "place",
    )
    values = {name: getattr(other, name) for name in (*names, "organizer", "attendees")}
    forget(session, other.id)
    rename(session, row.id, other.uid, other.original)
    note(session, row.id, **values)


def put_copies(session: Session, copies: Sequence[MeetingCopy]) -> None:
    """Note copies as they are seen now."""
    names = ("interaction_id", "account", "calendar", "ref", "digest", "answer", "missed", "seen_at", "gone_at")
    rows = {(one.interaction_id, one.account, one.calendar): one for one in copies}
    values = [{name: getattr(one, name) for name in names} for one in rows.values()]
    upsert(session, _COPY, values, key=names[:3], change=names[3:])


def lose(session: Session, copies: Iterable[MeetingCopy], at: datetime) -> None:
    """Note that copies are no longer where they were."""
    for one in copies:
        if one.gone_at is None:
            session.execute(update(_COPY).where(*_is(one)).values(gone_at=at))


def forget(session: Session, number: int) -> None:
    """Take a meeting out of the history, as if nobody had ever seen it. What rules did for it stays."""
    for target in (_MEETING, _COPY, _SIGHTING, _PARTICIPANT, _LINK, table(Trace)):
        session.execute(delete(target).where(target.c.interaction_id == number))
    session.execute(delete(_INTERACTION).where(_INTERACTION.c.id == number))


def forget_copy(session: Session, copy: MeetingCopy) -> None:
    """A copy that must not be known of any more."""
    session.execute(delete(_COPY).where(*_is(copy)))


def _is(copy: MeetingCopy) -> tuple[ColumnElement[bool], ...]:
    names = ("interaction_id", "account", "calendar")
    return tuple(_COPY.c[name] == getattr(copy, name) for name in names)


def _columns(state: MeetingState) -> dict[str, Any]:
    names = ("sequence", "stamped_at", "start_at", "end_at", "start_day", "end_day", "zone", "zone_unclear", "status")
    texts = {"place": storable(state.place), "organizer": storable(state.organizer)}
    people = [{name: storable(value) for name, value in one.items()} for one in state.attendees]
    return {name: getattr(state, name) for name in names} | texts | {"attendees": people}


def _put_people(session: Session, number: int, state: MeetingState, contacts: Mapping[str, int]) -> None:
    rows = {
        (role, key): {
            "interaction_id": number,
            "role": role,
            "key": key,
            "email": storable(email),
            "name": storable(name),
            "contact_id": contacts.get(key),
        }
        for role, email, name in state.people
        if (key := storable(email.lower()))
    }
    insert_new(session, _PARTICIPANT, list(rows.values()))


# --- reading

_OWN = [one for one in _MEETING.c if one.name != "interaction_id"]
_SHARED = [_INTERACTION.c[name] for name in ("id", "identity", "rep", "direction", "created_at", "backfill")]
_ROWS = (
    select(*_SHARED, _INTERACTION.c.subject.label("title"), *_OWN)
    .select_from(_MEETING)
    .join(_INTERACTION, _INTERACTION.c.id == _MEETING.c.interaction_id)
)


def find(session: Session, identities: Collection[str]) -> dict[str, MeetingRow]:
    """Identity -> the meeting."""
    if not identities:
        return {}
    wanted = among(session, _INTERACTION.c.identity, identities)
    statement = _ROWS.where(wanted, _INTERACTION.c.channel == CHANNEL)
    return {row.identity: row for row in _rows(session, statement)}


def by_numbers(session: Session, numbers: Collection[int]) -> dict[int, MeetingRow]:
    """Number -> the meeting; numbers of anything else are missing."""
    if not numbers:
        return {}
    statement = _ROWS.where(among(session, _MEETING.c.interaction_id, numbers))
    return {row.id: row for row in _rows(session, statement)}


def of_series(session: Session, uids: Collection[str]) -> list[MeetingRow]:
    """Every known occurrence of these UIDs."""
    if not uids:
        return []
    hashes = {series_hash(uid) for uid in uids}
    return _rows(session, _ROWS.where(among(session, _MEETING.c.series, hashes)))


def starting(session: Session, since: datetime, until: datetime) -> list[MeetingRow]:
    """Those that begin in [since, until), the earliest first, cancelled ones too."""
    return _rows(session, _ROWS.where(_MEETING.c.start_at >= since, _MEETING.c.start_at < until))


def ending(session: Session, since: datetime, until: datetime) -> list[MeetingRow]:
    """Those that end in (since, until]."""
    return _rows(session, _ROWS.where(_MEETING.c.end_at > since, _MEETING.c.end_at <= until))


def marked_missed(session: Session, since: datetime, until: datetime) -> list[MeetingRow]:
    """Those that a rep marked in (since, until] because nobody came."""
    return _rows(session, _ROWS.where(_MEETING.c.missed_at > since, _MEETING.c.missed_at <= until))


def moved(session: Session, since: datetime, until: datetime) -> list[MeetingRow]:
    """Those that were moved in [since, until)."""
    return _rows(session, _ROWS.where(_MEETING.c.moved_at >= since, _MEETING.c.moved_at < until))


def first_seen(session: Session, since: datetime, until: datetime) -> list[MeetingRow]:
    """Those that somebody booked in [since, until) while we looked."""
    return _rows(session, _ROWS.where(_MEETING.c.known_at.is_not(None), _between(since, until)))


def _between(since: datetime, until: datetime) -> ColumnElement[bool]:
    return and_(_INTERACTION.c.created_at >= since, _INTERACTION.c.created_at < until)


def of_customer(session: Session, customer: int, since: datetime, until: datetime) -> list[MeetingRow]:
    """A customer's meetings that begin in [since, until), the earliest first."""
    theirs = select(_LINK.c.interaction_id).where(
        _LINK.c.customer_id == customer, _LINK.c.at >= since, _LINK.c.at < until
    )
    return _rows(session, _ROWS.where(_MEETING.c.interaction_id.in_(theirs)))


def copies_of(session: Session, numbers: Collection[int]) -> dict[int, list[MeetingCopy]]:
    """Meeting -> its copies in calendars, those that are gone too."""
    if not numbers:
        return {}
    found: dict[int, list[MeetingCopy]] = defaultdict(list)
    statement = select(_COPY).where(among(session, _COPY.c.interaction_id, numbers))
    for row in session.execute(statement.order_by(_COPY.c.account, _COPY.c.calendar)).mappings():
        found[row["interaction_id"]].append(MeetingCopy(**row))
    return dict(found)


def copies_at(session: Session, account: str, places: Collection[tuple[str, str]]) -> list[MeetingCopy]:
    """The copies that lie in these objects: (calendar, ref)."""
    wanted = set(places)
    if not wanted:
        return []
    refs = among(session, _COPY.c.ref, {ref for _, ref in wanted})
    names = among(session, _COPY.c.calendar, {calendar for calendar, _ in wanted})
    rows = session.execute(select(_COPY).where(_COPY.c.account == account, names, refs)).mappings()
    return [MeetingCopy(**row) for row in rows if (row["calendar"], row["ref"]) in wanted]


def lost(
    session: Session, account: str, before: datetime, after: datetime, *, since: datetime | None = None
) -> list[MeetingRow]:
    """Those that begin after `after`, stand, and are gone from every calendar that had them; from one of this account
    before `before`, and not before `since`."""
    here = exists().where(
        _COPY.c.interaction_id == _MEETING.c.interaction_id, _COPY.c.account == account, _COPY.c.gone_at <= before
    )
    if since is not None:
        here = here.where(_COPY.c.gone_at >= since)
    still = exists().where(_COPY.c.interaction_id == _MEETING.c.interaction_id, _COPY.c.gone_at.is_(None))
    wanted = (_MEETING.c.start_at > after, _MEETING.c.status != CANCELLED, here, ~still)
    return _rows(session, _ROWS.where(*wanted))


def customers_of(session: Session, numbers: Collection[int]) -> dict[int, list[int]]:
    """Meeting -> its customers."""
    if not numbers:
        return {}
    found: dict[int, list[int]] = defaultdict(list)
    statement = select(_LINK.c.interaction_id, _LINK.c.customer_id).where(
        among(session, _LINK.c.interaction_id, numbers)
    )
    for number, customer in session.execute(statement.order_by(_LINK.c.interaction_id, _LINK.c.customer_id)):
        found[number].append(customer)
    return dict(found)


def names_of(session: Session, numbers: Collection[int]) -> dict[int, list[str]]:
    """Meeting -> the names of its customers."""
    if not numbers:
        return {}
    found: dict[int, list[str]] = defaultdict(list)
    statement = select(_LINK.c.interaction_id, _CUSTOMER.c.name).join(_CUSTOMER, _CUSTOMER.c.id == _LINK.c.customer_id)
    statement = statement.where(among(session, _LINK.c.interaction_id, numbers)).order_by(_CUSTOMER.c.name)
    for number, name in session.execute(statement):
        found[number].append(name)
    return dict(found)


@dataclass(frozen=True, slots=True)
class CameOf:
    """Something that rules did because of a meeting: its number in the history, and the words of the trigger."""

    id: int
    at: datetime
    words: str


def came_of(session: Session, number: int) -> list[CameOf]:
    """What came true of a meeting and set rules off, the earliest first."""
    theirs = select(_LINK.c.customer_id).where(_LINK.c.interaction_id == number)
    statement = (
        select(_INTERACTION.c.id, _INTERACTION.c.at, _INTERACTION.c.identity)
        .join(_LINK, _LINK.c.interaction_id == _INTERACTION.c.id)
        .where(
            _LINK.c.customer_id.in_(theirs),
            _INTERACTION.c.channel == OCCASION,
            _INTERACTION.c.identity.contains(f"|meeting {number}|", autoescape=True),
        )
    )
    rows = session.execute(statement.distinct().order_by(_INTERACTION.c.at, _INTERACTION.c.id))
    return [CameOf(row.id, row.at, row.identity.partition("|")[0]) for row in rows]


def in_mail(session: Session, numbers: Collection[int]) -> set[int]:
    """Those of the meetings that an invitation in some mailbox told of."""
    if not numbers:
        return set()
    statement = select(_SIGHTING.c.interaction_id).where(among(session, _SIGHTING.c.interaction_id, numbers))
    return set(session.execute(statement).scalars())


def count(session: Session) -> int:
    """How many meetings there are."""
    return int(session.execute(select(func.count()).select_from(_MEETING)).scalar_one())


def _rows(session: Session, statement: Any) -> list[MeetingRow]:
    ordered = statement.order_by(_MEETING.c.start_at, _MEETING.c.interaction_id)
    return [MeetingRow(**row) for row in session.execute(ordered).mappings()]
