"""Tells a renumbered mailbox from another mailbox under the same login.

UIDVALIDITY alone cannot: it changes in both cases. The saved position holds a few marks (UID, arrival, size); if a
third of them is still there under whatever number, the mailbox is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto

from connectors.imap.connection import Connection, Standing
from connectors.imap.cursor import Mark, Place, Position

__all__ = ["Verdict", "is_renumbered", "is_shaken", "judge", "search_day"]

_MOST_CANDIDATES = 500
_GLANCE = 2


class Verdict(Enum):
    """What became of the mailbox since the position was saved."""

    SAME = auto()
    RENUMBERED = auto()
    OTHER = auto()


def judge(
    connection: Connection, keys: Sequence[str], standings: Mapping[str, Standing], position: Position, inbox: str
) -> Verdict:
    """Compare the mailbox with the marks of the position; `keys` are the folders read, in their order."""
    identity = standings[inbox].identity if inbox in standings else ""
    if not position.marks or (identity and identity == position.identity):
        return Verdict.SAME
    marked = {mark.folder for mark in position.marks}
    if any(_is_as_marked(connection, standings, position, key) for key in keys if key in marked):
        return Verdict.SAME
    # A colleague's mailbox holds some of the same mails, so one alone proves nothing.
    found = sum(_finds(connection, mark) for mark in position.marks if mark.folder in standings)
    return Verdict.RENUMBERED if found * 3 >= len(position.marks) else Verdict.OTHER


def is_renumbered(place: Place, standing: Standing) -> bool:
    """UIDVALIDITY changed, or UIDNEXT went back, which it never may (RFC 3501 2.3.1.1)."""
    return standing.uidvalidity != place.uidvalidity or 0 < standing.uidnext < place.live


def is_shaken(standings: Mapping[str, Standing], position: Position) -> bool:
    """Whether a folder with marks was numbered anew."""
    pairs = [(position.places.get(mark.folder), standings.get(mark.folder)) for mark in position.marks]
    return any(place and standing and is_renumbered(place, standing) for place, standing in pairs)


def search_day(day: date) -> bytes:
    """A date of SEARCH, e.g. 1-Feb-2026, whatever the locale."""
    month = "JanFebMarAprMayJunJulAugSepOctNovDec"[day.month * 3 - 3 : day.month * 3]
    return f"{day.day}-{month}-{day.year}".encode()


def _is_as_marked(connection: Connection, standings: Mapping[str, Standing], position: Position, key: str) -> bool:
    """The folder has its numbers, and no marked number belongs to another mail."""
    place, standing = position.places.get(key), standings.get(key)
    if place is None or standing is None or is_renumbered(place, standing):
        return False
    marks = {mark.uid: mark for mark in position.marks if mark.folder == key}
    uids = sorted(marks)
    # Asked at every new connection, so the newest must do, unless somebody has moved them away.
    found = connection.arrivals(key, uids[-_GLANCE:]) or connection.arrivals(key, uids[:-_GLANCE])
    return all((at, size) == (marks[uid].at, marks[uid].size) for uid, (at, size) in found.items() if uid in marks)


def _finds(connection: Connection, mark: Mark) -> bool:
    """Whether a marked mail is in its folder under any number."""
    if connection.open_key != mark.folder:
        connection.examine(mark.folder)
    day = datetime.fromtimestamp(max(mark.at, 86_400), UTC).date()
    days = (search_day(day - timedelta(days=1)), search_day(day + timedelta(days=2)))
    sizes = (max(0, mark.size - 1), mark.size + 1)
    uids = connection.uids(1, criteria=b"SINCE %s BEFORE %s LARGER %d SMALLER %d" % (*days, *sizes))
    return (mark.at, mark.size) in connection.arrivals(mark.folder, uids[:_MOST_CANDIDATES]).values()
