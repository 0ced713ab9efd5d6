"""The saved position in the calendars of a mailbox: one versioned JSON text that nobody else reads.

Per calendar the link that gives the next changes of one window of time, and which objects lie there: a single event, or
a series with its occurrences.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.calendars import Window
from connectors.errors import CursorExpired
from connectors.model import Cursor

__all__ = ["CalendarPlace", "CalendarPosition", "short"]

_VERSION = 1


def short(ref: str) -> str:
    """The short form of an occurrence's id."""
    return hashlib.blake2b(ref.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


@dataclass(slots=True)
class CalendarPlace:
    """Where one calendar stands.

    link     what to ask next, as the service gave it; "" = list the window from its beginning
    midway   there is more to ask now
    known    objects that were read and have something in the window; of a series the short ids of its occurrences
    unmet    while the window is listed: those of them, and of those due, that it has not named so far
    due      objects to be read; True where the service does not show them any more
    seen     where the service cannot tell what changed: the short form of how each object looked when it was listed
    """

    name: str
    link: str = ""
    midway: bool = True
    known: dict[str, list[str]] = field(default_factory=dict)
    unmet: list[str] = field(default_factory=list)
    due: dict[str, bool] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    def begin_again(self) -> None:
        """List the window from its beginning; what is known stays known."""
        self.link, self.midway, self.unmet = "", True, list(dict.fromkeys((*self.known, *self.due)))

    def note(self, ref: str, series: str, *, removed: bool) -> None:
        """The service names an object, or an occurrence of `series`. What it removes may have been moved only."""
        if removed:
            owner = ref if ref in self.known or ref in self.due else self._owner(ref)
            if owner:
                self.due[owner] = owner == ref or self.due.get(owner, False)
            return
        owner = series or ref
        self.due[owner] = False
        if owner in self.unmet:
            self.unmet.remove(owner)

    def note_end(self, link: str) -> None:
        """The listing, or the changes, came to their end: what it did not name is looked for."""
        self.link, self.midway = link, False
        self.due.update(dict.fromkeys(self.unmet, True))
        self.unmet, self.seen = [], {}

    def compare(self, looks: Mapping[str, str]) -> None:
        """The window was listed without being asked what changed; `looks` are its objects, each with its look."""
        self.link, self.midway, self.unmet = "", False, []
        self.due.update(dict.fromkeys((self.known.keys() | self.due.keys()) - looks.keys(), True))
        seen = {ref: short(look) for ref, look in looks.items()}
        self.due.update({ref: False for ref in sorted(seen) if seen[ref] != self.seen.get(ref)})
        self.seen = seen

    def _owner(self, ref: str) -> str:
        name = short(ref)
        return next((series for series, occurrences in self.known.items() if name in occurrences), "")


@dataclass(slots=True)
class CalendarPosition:
    """All calendars of a mailbox, by id. `window`: its edges in seconds since 1970."""

    window: tuple[float, float]
    places: dict[str, CalendarPlace] = field(default_factory=dict)

    @classmethod
    def load(cls, cursor: Cursor | None, account: str, window: Window) -> CalendarPosition:
        """From a saved cursor; None is the very beginning. With another window everything is listed anew. Raises
        CursorExpired for what this version cannot read."""
        edges = window.start.timestamp(), window.end.timestamp()
        if cursor is None:
            return cls(edges)
        try:
            data = json.loads(cursor)
            if data["v"] != _VERSION or data["kind"] != "graph calendars":
                raise ValueError("another version")
            found = cls(
                (data["window"][0], data["window"][1]), {key: _unpack(one) for key, one in data["places"].items()}
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CursorExpired(
                account, "the saved position cannot be read", hint="nothing to do: the calendars are read again"
            ) from error
        if found.window != edges:
            found.window = edges
            for place in found.places.values():
                place.begin_again()
        return found

    def save(self) -> Cursor:
        """The same as text; equal positions give equal text."""
        places = {key: _pack(self.places[key]) for key in sorted(self.places)}
        data = {"v": _VERSION, "kind": "graph calendars", "window": self.window, "places": places}
        return Cursor(json.dumps(data, separators=(",", ":")))


def _pack(place: CalendarPlace) -> list[Any]:
    due = {ref: int(doubted) for ref, doubted in place.due.items()}
    return [place.name, place.link, int(place.midway), place.known, place.unmet, due, place.seen]


def _unpack(values: list[Any]) -> CalendarPlace:
    name, link, midway, known, unmet, due, seen = values
    return CalendarPlace(
        name=str(name),
        link=str(link),
        midway=bool(midway),
        known={str(ref): [str(one) for one in occurrences] for ref, occurrences in known.items()},
        unmet=[str(ref) for ref in unmet],
        due={str(ref): bool(doubted) for ref, doubted in due.items()},
        seen={str(ref): str(look) for ref, look in seen.items()},
    )
