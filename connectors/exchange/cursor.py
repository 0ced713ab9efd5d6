"""The saved position of an Exchange mailbox: one versioned JSON text that nobody else reads.

Per folder the sync state of the server (everything after it is new) and how far back the past was read. What is found
changed after the state is live; the past is found by the time of arrival, newest first, so the two never wait for each
other. Items that came new and yet lie in the part of the past still to be read are noted, and not read twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.errors import CursorExpired
from connectors.model import Cursor, Progress

__all__ = ["FINISHED", "UNTOUCHED", "Place", "Position", "mark_of"]

_VERSION = 1
_MARK_BYTES = 8
_MOST_LATE = 5000
Marks = set[bytes]
FINISHED = -1
UNTOUCHED = 1 << 40


@dataclass(slots=True)
class Place:
    """Where one folder stands. Times are seconds since 1970.

    state           the server's sync state: all that changed after it is new, once `based`
    ahead           marks of items of the next page that were read already
    low             of the past, everything that arrived in this second or before is unread; FINISHED after the last
    tied            marks of those that arrived in this second and were read
    late            marks of items that came new, arrived before that second, and were read at once
    newest          arrival of the newest item read, or known when the baseline was taken
    news_above      what the past brings from above this is new: the folder is read again; 0 = nothing
    done, total     items of the past
    """

    state: str = ""
    based: bool = False
    low: int = UNTOUCHED
    newest: int = 0
    news_above: int = 0
    done: int = 0
    total: int = 0
    ahead: Marks = field(default_factory=set)
    tied: Marks = field(default_factory=set)
    late: Marks = field(default_factory=set)

    @property
    def has_past(self) -> bool:
        """Whether there may be more of the past."""
        return self.low != FINISHED

    def advance(self, read: Sequence[tuple[str, int]]) -> None:
        """These (id, arrival) of the past were read, newest first."""
        lowest = read[-1][1]
        again = self.tied if lowest == self.low else set()
        self.tied = again | {mark_of(ref) for ref, at in read if at == lowest}
        self.low = lowest
        self.done += len(read)

    def finish(self) -> None:
        """Nothing is left of the past."""
        self.low, self.total, self.news_above = FINISHED, self.done, 0
        self.tied.clear()
        self.late.clear()

    def note(self, arrived: dict[str, int]) -> None:
        """These came new; those that lie in the part of the past still to be read need not be read again."""
        if not arrived:
            return
        self.newest = max(self.newest, *arrived.values())
        if self.has_past and len(self.late) < _MOST_LATE:
            self.late |= {mark_of(ref) for ref, at in arrived.items() if at <= self.low}

    def start_over(self) -> None:
        """The server knows the state no more: a new baseline, and all is read again. What came since the newest that we
        know is new all the same."""
        above = self.news_above or self.newest
        self.state, self.based, self.low, self.news_above, self.done = "", False, UNTOUCHED, above, 0
        for marks in (self.ahead, self.tied, self.late):
            marks.clear()


@dataclass(slots=True)
class Position:
    """The whole mailbox: its address, the id of its Inbox, and folders by their ids."""

    mailbox: str = ""
    inbox: str = ""
    places: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def load(cls, cursor: Cursor | None, account: str) -> Position:
        """From a saved cursor; None is the very beginning. Raises CursorExpired for what this version cannot read."""
        if cursor is None:
            return cls()
        try:
            data = json.loads(cursor)
            if data["v"] != _VERSION or data["kind"] != "exchange":
                raise ValueError(f"version {data['v']}")
            places = {str(key): _place(*values) for key, values in data["folders"].items()}
            return cls(str(data["mailbox"]), str(data["inbox"]), places)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CursorExpired(
                account, "the saved position cannot be read", hint="nothing to do: the account is read again"
            ) from error

    def save(self) -> Cursor:
        """The same as text; equal positions give equal text."""
        folders = {
            key: [
                [one.state, one.based, one.low, one.newest, one.news_above, one.done, one.total],
                *(_packed(marks) for marks in (one.ahead, one.tied, one.late)),
            ]
            for key, one in sorted(self.places.items())
        }
        data = {"v": _VERSION, "kind": "exchange", "mailbox": self.mailbox, "inbox": self.inbox, "folders": folders}
        return Cursor(json.dumps(data, separators=(",", ":")))

    def progress(self) -> Progress:
        """The past of all folders together."""
        done = sum(place.done for place in self.places.values())
        return Progress(done=done, total=max(done, sum(place.total for place in self.places.values())))


def mark_of(ref: str) -> bytes:
    """A short mark of an item's id."""
    return hashlib.blake2b(ref.encode(), digest_size=_MARK_BYTES).digest()


def _place(plain: list[Any], *packed: str) -> Place:
    state, based, low, newest, above, done, total = plain
    numbers = int(low), int(newest), int(above), int(done), int(total)
    ahead, tied, late = map(_unpacked, packed)
    return Place(str(state), bool(based), *numbers, ahead, tied, late)


def _unpacked(text: str) -> Marks:
    packed = base64.b64decode(text, validate=True)
    return {packed[at : at + _MARK_BYTES] for at in range(0, len(packed), _MARK_BYTES)}


def _packed(marks: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(marks))).decode("ascii")
