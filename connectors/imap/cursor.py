"""The saved position of an IMAP account: one versioned JSON text that nobody else reads.

Per folder a live range (everything from `live` on is still to be read) and a back-fill range (everything below `low`
is still to be read, newest first). `marks` are a few mails that have been seen (UID, arrival, size): they tell
a renumbered mailbox from another mailbox under the same login. They name nobody and hold no text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from connectors.errors import CursorExpired
from connectors.model import Cursor, Progress

__all__ = ["Mark", "Place", "Position"]

_VERSION = 1
_MOST_MARKS = 8


@dataclass(slots=True)
class Place:
    """Where one folder stands.

    live       the next UID to read when it appears
    low        back-fill has reached down to here: UIDs below are unread; 0 or 1 when finished
    low_at     arrival of the oldest mail read so far, seconds since 1970; merges the folders by age
    done, total    messages of the back-fill
    modseq     changes up to this one were told (RFC 7162), 0 = none yet
    """

    uidvalidity: int
    live: int
    low: int
    low_at: int = 0
    done: int = 0
    total: int = 0
    modseq: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """A mail that was there: `at` is INTERNALDATE in seconds since 1970, `size` RFC822.SIZE."""

    folder: str
    uid: int
    at: int
    size: int


@dataclass(slots=True)
class Position:
    """The whole account. `identity` is the server's own name of the mailbox (RFC 8474 MAILBOXID of the Inbox)."""

    places: dict[str, Place] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    identity: str = ""

    @classmethod
    def load(cls, cursor: Cursor | None, account: str) -> Position:
        """From a saved cursor; None is the very beginning. Raises CursorExpired for what this version cannot read."""
        if cursor is None:
            return cls()
        try:
            data = json.loads(cursor)
            if data["v"] != _VERSION or data["kind"] != "imap":
                raise ValueError(f"version {data['v']}")
            places = {key: Place(*values) for key, values in data["folders"].items()}
            marks = [Mark(*values) for values in data["marks"]]
            return cls(places, marks, str(data["identity"]))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CursorExpired(
                account, "the saved position cannot be read", hint="nothing to do: the account is read again"
            ) from error

    def save(self) -> Cursor:
        """The same as text; equal positions give equal text."""
        data = {
            "v": _VERSION,
            "kind": "imap",
            "identity": self.identity,
            "folders": {key: list(asdict(self.places[key]).values()) for key in sorted(self.places)},
            "marks": [[mark.folder, mark.uid, mark.at, mark.size] for mark in self.marks],
        }
        return Cursor(json.dumps(data, separators=(",", ":")))

    def remember(self, seen: Iterable[Mark]) -> None:
        """Add marks and keep a few, spread evenly over age: some should outlive any tidying up of the mailbox."""
        marks = sorted({*self.marks, *seen}, key=lambda mark: (mark.at, mark.uid, mark.folder))
        if len(marks) > _MOST_MARKS:
            step = (len(marks) - 1) / (_MOST_MARKS - 1)
            marks = [marks[round(index * step)] for index in range(_MOST_MARKS)]
        self.marks = marks

    def progress(self) -> Progress:
        """Back-fill of all folders together."""
        done = sum(place.done for place in self.places.values())
        return Progress(done=done, total=max(done, sum(place.total for place in self.places.values())))
