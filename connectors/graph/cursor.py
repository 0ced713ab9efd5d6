"""The saved position of a Graph account: one versioned JSON text that nobody else reads.

Per folder the link that gives the next changes, and a short hash of every mail that was there: a change and a new mail
look alike in a delta answer, and after a link has died the folder is listed again without reading anything twice.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from connectors.errors import CursorExpired
from connectors.graph.hashes import Hashes
from connectors.model import Cursor, Progress

__all__ = ["TOP", "Place", "Position", "digest_of"]

_VERSION = 1
TOP = "9999-12-31T23:59:59Z"
"""Later than any mail: where a back-fill begins."""


def digest_of(cursor: Cursor) -> bytes:
    """By which a cursor is known again without keeping its text, which grows with the mailbox."""
    return hashlib.blake2b(cursor.encode("utf-8", "surrogatepass"), digest_size=16).digest()


@dataclass(slots=True)
class Place:
    """Where one folder stands.

    link     what to ask next, as the service gave it; "" = list the folder from its beginning
    midway   there is more to ask now: a listing, or changes, that have not come to their end
    fresh    the first listing is not over: what it names is old mail
    known    mails that are in the folder and have been told of
    met      while the folder is listed: what the listing has named so far; None at other times
    waiting  ids of new mail that was told of and is not read yet
    low      the back-fill has read down to this second of arrival; "" = it is finished
    ties     mails of that very second that it has read
    late     mails below `low` that came while it ran and were read at once
    """

    link: str = ""
    midway: bool = True
    fresh: bool = True
    known: Hashes = field(default_factory=Hashes)
    met: Hashes | None = field(default_factory=Hashes)
    waiting: list[str] = field(default_factory=list)
    low: str = TOP
    ties: Hashes = field(default_factory=Hashes)
    late: Hashes = field(default_factory=Hashes)
    done: int = 0
    total: int = 0

    def begin_again(self) -> None:
        """List the folder from its beginning; what is known of it stays known."""
        self.link, self.midway, self.met = "", True, Hashes()

    def note_end(self, link: str) -> None:
        """The listing, or the changes, came to their end."""
        self.link, self.midway = link, False
        if self.met is not None:
            self.known.keep(self.met)
            self.met = None
        if self.fresh:
            self.fresh = False
            self.low = TOP if self.total else ""


@dataclass(slots=True)
class Position:
    """The whole account. `mailbox` is the id of its Inbox, by which another mailbox under the same name shows."""

    places: dict[str, Place] = field(default_factory=dict)
    mailbox: str = ""

    @classmethod
    def load(cls, cursor: Cursor | None, account: str) -> Position:
        """From a saved cursor; None is the very beginning. Raises CursorExpired for what this version cannot read."""
        if cursor is None:
            return cls()
        try:
            data = json.loads(cursor)
            if data["v"] != _VERSION or data["kind"] != "graph":
                raise ValueError("another version")
            return cls({key: _unpack(value) for key, value in data["folders"].items()}, str(data["mailbox"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CursorExpired(
                account, "the saved position cannot be read", hint="nothing to do: the account is read again"
            ) from error

    def save(self) -> Cursor:
        """The same as text; equal positions give equal text."""
        folders = {key: _pack(self.places[key]) for key in sorted(self.places)}
        data = {"v": _VERSION, "kind": "graph", "mailbox": self.mailbox, "folders": folders}
        return Cursor(json.dumps(data, separators=(",", ":")))

    def progress(self) -> Progress:
        """Back-fill of all folders together."""
        done = sum(place.done for place in self.places.values())
        return Progress(done=done, total=max(done, sum(place.total for place in self.places.values())))


def _pack(place: Place) -> list[Any]:
    met = None if place.met is None else place.met.pack()
    hashes = [place.known.pack(), met, place.ties.pack(), place.late.pack()]
    return [place.link, int(place.midway), int(place.fresh), *hashes, place.waiting, place.low, place.done, place.total]


def _unpack(values: list[Any]) -> Place:
    link, midway, fresh, known, met, ties, late, waiting, low, done, total = values
    return Place(
        link=str(link),
        midway=bool(midway),
        fresh=bool(fresh),
        known=Hashes.unpack(known),
        met=None if met is None else Hashes.unpack(met),
        waiting=[str(ref) for ref in waiting],
        low=str(low),
        ties=Hashes.unpack(ties),
        late=Hashes.unpack(late),
        done=int(done),
        total=int(total),
    )
