"""What stays of mail and meetings of people nobody knows: keyed hashes, and where to read it when they become known."""

from __future__ import annotations

from datetime import datetime

from config.settings import Settings
from connectors.calendars import CalendarEvent
from connectors.model import Message
from daemon.meeting_times import box_of
from daemon.meeting_work import identity
from rules.decision import Decision, Match
from rules.office import office_of
from store import meetings
from store.hashing import HashKey
from store.identity import Identity
from store.unmatched import NewUnmatched


def stranger_mail(
    key: HashKey, settings: Settings, message: Message, who: Identity, decision: Decision
) -> NewUnmatched:
    """A mail: by its people, and by the mails it answers."""
    hashes = _people(key, settings, decision.match)
    hashes |= {key.message(reference) for reference in message.references[-10:]}
    if message.message_id:
        hashes.add(key.own_message(message.message_id))
    return NewUnmatched(
        identity=key.identity(who.key),
        account=message.account,
        folder=message.folder,
        ref=message.ref,
        at=message.received_at,
        kind=message.kind.value,
        direction=decision.direction.value,
        hashes=frozenset(hashes),
    )


def stranger_meeting(
    key: HashKey, settings: Settings, account: str, event: CalendarEvent, found: Match, now: datetime
) -> NewUnmatched:
    """An occurrence in a calendar of the account: by its people."""
    return NewUnmatched(
        identity=key.identity(identity(event)),
        account=box_of(account),
        folder=event.calendar,
        ref=event.ref,
        at=now,
        kind=meetings.CHANNEL,
        hashes=frozenset(_people(key, settings, found)),
    )


def _people(key: HashKey, settings: Settings, found: Match) -> set[str]:
    public = office_of(settings).is_public
    hashes = {key.address(one.key) for one in found.outside}
    return hashes | {key.domain(one.domain) for one in found.outside if not public(one.domain)}
