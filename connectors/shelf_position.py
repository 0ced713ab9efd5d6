"""The saved position in mail that lies as files or in memory: one versioned JSON text that nobody else reads.

Per folder a short hash of every entry that was there at the last look, so that an old mail copied in later (with an old
time) is found as well, and how far the back-fill has come. An entry that goes leaves the set at the next look, so it
never outgrows the mailbox.
"""

from __future__ import annotations

import base64
import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import merge

from connectors.errors import CursorExpired
from connectors.folders import Folder
from connectors.model import Cursor, Progress

__all__ = [
    "Entry",
    "Listed",
    "Listing",
    "Place",
    "Places",
    "advance",
    "finish",
    "load_position",
    "new_entries",
    "older_entries",
    "progress_of",
    "save_position",
    "settle",
    "short",
]

_VERSION = 1
_HASH_BYTES = 6


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One mail as listed. `at` is its arrival in nanoseconds since 1970, `ref` names it in its folder for ever."""

    at: int
    ref: str


@dataclass(slots=True)
class Place:
    """One folder of the position. `low` is the oldest entry of the back-fill that was read, None when finished;
    `late` are entries below it that came while it ran and were read at once."""

    known: set[bytes] = field(default_factory=set)
    low: Entry | None = None
    done: int = 0
    total: int = 0
    late: set[bytes] = field(default_factory=set)
    packed: str = ""
    """`known` as it is saved, "" when it has changed since."""


@dataclass(slots=True)
class Listing:
    """A folder's entries, oldest first, with their hashes. `given` is what the shelf gave, to see if it is the same."""

    folder: Folder
    given: Sequence[Entry]
    entries: list[Entry]
    hashes: list[bytes]
    present: set[bytes]


_TOP = Entry(1 << 62, "")
Listed = dict[str, Listing]
Places = dict[str, Place]


def short(ref: str) -> bytes:
    """The short form of an entry's name."""
    return hashlib.blake2b(ref.encode("utf-8", "surrogateescape"), digest_size=_HASH_BYTES).digest()


def settle(position: Places, listed: Listed) -> None:
    """New folders get their baseline, vanished folders and entries leave."""
    for key in position.keys() - listed.keys():
        del position[key]
    for key, listing in listed.items():
        place = position.get(key)
        if place is None:
            low = _TOP if listing.entries else None
            position[key] = Place(set(listing.present), low, 0, len(listing.entries))
        elif not place.known <= listing.present:
            place.known &= listing.present
            place.packed = ""


def new_entries(position: Places, listed: Listed) -> Iterator[tuple[Folder, Entry]]:
    """Entries that were not there at the last look, oldest first."""
    for key, listing in listed.items():
        known = position[key].known
        if len(known) < len(listing.present):
            pairs = zip(listing.entries, listing.hashes, strict=True)
            yield from ((listing.folder, entry) for entry, name in pairs if name not in known)


def older_entries(position: Places, listed: Listed, since: int) -> Iterator[tuple[Folder, Entry]]:
    """What is left of the back-fill, newest first over all folders."""
    ranges = [_past_of(position[key], listing, since) for key, listing in listed.items()]
    return merge(*ranges, key=lambda pair: pair[1], reverse=True)


def _past_of(place: Place, listing: Listing, since: int) -> Iterator[tuple[Folder, Entry]]:
    if place.low is None:
        return
    for index in range(bisect_left(listing.entries, place.low) - 1, -1, -1):
        if listing.entries[index].at < since:
            return
        if listing.hashes[index] in place.known and listing.hashes[index] not in place.late:
            yield listing.folder, listing.entries[index]


def advance(position: Places, dealt_with: list[tuple[Folder, Entry]], backfill: bool) -> None:
    """Entries that were read leave what is still to be read."""
    for folder, entry in dealt_with:
        place = position[folder.key]
        if backfill:
            place.low = entry
            place.done += 1
        else:
            place.known.add(short(entry.ref))
            place.packed = ""
            if place.low is not None and entry < place.low:
                place.late.add(short(entry.ref))


def finish(position: Places, listed: Listed, since: int) -> None:
    """Folders whose back-fill has nothing left are done with it."""
    for key, place in position.items():
        if place.low is not None and not any(_past_of(place, listed[key], since)):
            place.low, place.total = None, place.done
            place.late.clear()


def progress_of(position: Places) -> Progress:
    """How much of the back-fill is done, over all folders."""
    done = sum(place.done for place in position.values())
    return Progress(done=done, total=max(done, sum(place.total for place in position.values())))


def load_position(cursor: Cursor | None, account: str) -> Places:
    """The places of a saved position, none for None. Raises CursorExpired."""
    if cursor is None:
        return {}
    try:
        data = json.loads(cursor)
        if data["v"] != _VERSION or data["kind"] != "shelf":
            raise ValueError("another version")
        return {key: _place(*values) for key, values in data["folders"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CursorExpired(
            account, "the saved position cannot be read", hint="nothing to do: the account is read again"
        ) from error


def _place(known: str, low: list[object] | None, done: int, total: int, late: str) -> Place:
    entry = Entry(int(str(low[0])), str(low[1])) if low else None
    return Place(_unpack(known), entry, done, total, _unpack(late), known)


def _unpack(text: str) -> set[bytes]:
    packed = base64.b64decode(text, validate=True)
    return {packed[at : at + _HASH_BYTES] for at in range(0, len(packed), _HASH_BYTES)}


def _pack(hashes: set[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(hashes))).decode("ascii")


def save_position(position: Places) -> Cursor:
    """The places as one text."""
    for place in position.values():
        place.packed = place.packed or _pack(place.known)
    folders = {
        key: [
            place.packed,
            [place.low.at, place.low.ref] if place.low else None,
            place.done,
            place.total,
            _pack(place.late),
        ]
        for key, place in sorted(position.items())
    }
    return Cursor(json.dumps({"v": _VERSION, "kind": "shelf", "folders": folders}, separators=(",", ":")))
