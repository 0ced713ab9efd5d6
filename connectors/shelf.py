"""The common half of sources that read mail from files or memory: what is new first, then the past, newest first.

A `Shelf` lists entries and loads one; `ShelfSource` does the rest. The saved position holds, per folder, a short hash
of every entry that was there at the last look, so that an old mail copied in later (with an old time) is found as
well; an entry that goes leaves the set at the next look, so it never outgrows the mailbox.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from heapq import merge
from itertools import islice
from typing import Protocol, runtime_checkable

from connectors.categories import categories_in
from connectors.errors import CursorExpired, Misconfigured
from connectors.folders import Folder, Purpose, choose_folders, missing_names
from connectors.model import Batch, Cursor, Message, Progress, RawMail, Remark, Unreadable
from connectors.outgoing import message_id_of
from connectors.protocols import MOST_JUNK, Parser

__all__ = ["Content", "Entry", "MarkedShelf", "Shelf", "ShelfSource"]

_VERSION = 1
_HASH_BYTES = 6
_CHUNK = 100
_BATCH_BYTES = 32 << 20
_HEAD = 128 << 10
FIRST_LOOK = 200
"""How many marked mails of a folder a process tells of at its first look: what was done while it was down."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One mail as listed. `at` is its arrival in nanoseconds since 1970, `ref` names it in its folder for ever."""

    at: int
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One mail as loaded: `whole`, or only its `header` where the mail is too large to be read."""

    whole: bytes = b""
    header: bytes = b""
    size: int
    flags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


class Shelf(Protocol):
    """Where mails lie. Reading never changes anything there."""

    def folders(self) -> Sequence[Folder]:
        """All folders. Raises Misconfigured or Unavailable if there is nothing to list."""
        ...

    def entries(self, folder: Folder) -> Sequence[Entry]:
        """The mails in a folder, in any order. The very same object again says that nothing changed. Raises OSError."""
        ...

    def load(self, folder: Folder, entry: Entry) -> Content | None:
        """One mail; None if it has gone. Raises OSError or ValueError if it cannot be read."""
        ...


@runtime_checkable
class MarkedShelf(Protocol):
    """A shelf whose mails a person can mark."""

    def marks(self, folder: Folder) -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
        """ref -> (flags, categories) of the mails as `entries` listed them last; those that bear none may be left
        out. Raises OSError."""
        ...


@dataclass(slots=True)
class _Shelved:
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
class _Listing:
    """A folder's entries, oldest first, with their hashes. `given` is what the shelf gave, to see if it is the same."""

    folder: Folder
    given: Sequence[Entry]
    entries: list[Entry]
    hashes: list[bytes]
    present: set[bytes]


_TOP = Entry(1 << 62, "")


class ShelfSource:
    """A `Source` over a shelf; see `connectors.protocols` for the promises."""

    def __init__(
        self,
        account: str,
        shelf: Shelf,
        parser: Parser,
        *,
        since: date | None = None,
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
    ) -> None:
        self._account = account
        self._shelf = shelf
        self._parser = parser
        self._since = int(datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp()) * 10**9 if since else 0
        self._only = tuple(only)
        self._skip = tuple(skip)
        self._listed: _Listed = {}
        self._last: tuple[Cursor | None, _Places] = (None, {})
        self._marked: dict[str, tuple[Sequence[Entry], dict[str, tuple[bool, tuple[str, ...]]]]] = {}

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        return self._account

    def check(self) -> tuple[str, ...]:
        """List the folders; says what is read and which names of the settings fit nothing."""
        folders = list(self._shelf.folders())
        chosen = choose_folders(folders, self._only, self._skip)
        count = sum(len(self._shelf.entries(folder)) for folder in chosen)
        findings = [f"reads {len(chosen)} of {len(folders)} folders, {count} messages"]
        names = missing_names(folders, (*self._only, *self._skip))
        return (*findings, *(f"no folder is called {name!r}" for name in names))

    def fetch(self, cursor: Cursor | None, *, limit: int) -> Batch:
        """Read up to `limit` messages: new ones of every folder first, else the next older ones."""
        position = self._position(cursor)
        folders = choose_folders(list(self._shelf.folders()), self._only, self._skip)
        listed = {folder.key: self._list(folder) for folder in folders}
        self._listed = listed
        _settle(position, listed)
        changed = [one for listing in listed.values() for one in self._changed(listing, position[listing.folder.key])]
        window = list(islice(_live(position, listed), max(1, limit)))
        backfill = not window
        if backfill:
            window = list(islice(_past(position, listed, self._since), max(1, limit)))
        read, items, unreadable = self._read(window)
        _advance(position, window[:read], backfill)
        _finish(position, listed, self._since)
        self._last = (_save(position), position)
        return Batch(
            items=tuple(items),
            unreadable=tuple(unreadable),
            cursor=self._last[0],
            more=any(place.low is not None for place in position.values()) or any(_live(position, listed)),
            backfill=backfill and bool(window),
            folders=tuple(folder.name for folder in folders),
            changed=tuple(changed),
            progress=_progress(position),
        )

    def reread(self, places: Sequence[tuple[str, str]]) -> tuple[Message | Unreadable, ...]:
        """Read the mails at (folder name, ref) again; what is no longer there is left out. Raises Misconfigured."""
        wanted = set(places)
        folders = [folder for folder in self._shelf.folders() if folder.name in {name for name, _ in wanted}]
        window = [
            (folder, entry)
            for folder in folders
            for entry in self._list(folder).entries
            if (folder.name, entry.ref) in wanted
        ]
        found: list[Message | Unreadable] = []
        while window:
            read, items, unreadable = self._read(window)
            found += [*items, *unreadable]
            window = window[read:]
        return tuple(found)

    def read_junk(self, since: datetime) -> tuple[Message, ...]:
        """What lies in the folders of junk and arrived since then, newest first, header only."""
        first = int(since.timestamp()) * 10**9
        folders = [folder for folder in self._shelf.folders() if folder.purpose is Purpose.JUNK]
        listed = [(entry, folder) for folder in folders for entry in self._list(folder).entries if entry.at >= first]
        newest = sorted(listed, key=lambda pair: pair[0], reverse=True)[:MOST_JUNK]
        loaded = (self._open(folder, entry) for entry, folder in newest)  # one by one: they may be large
        heads = [_header_only(raw) for raw in loaded if isinstance(raw, RawMail)]
        return tuple(item for item in self._parser.parse(heads) if isinstance(item, Message)) if heads else ()

    def close(self) -> None:
        """Nothing is held open."""

    def _position(self, cursor: Cursor | None) -> _Places:
        """The saved position; the one just returned is at hand and need not be read again."""
        last, self._last = self._last, (None, {})
        return last[1] if cursor is not None and last[0] == cursor else _load(cursor, self._account)

    def _list(self, folder: Folder) -> _Listing:
        try:
            given = self._shelf.entries(folder)
            before = self._listed.get(folder.key)
            if before and before.given is given:
                return before
            entries = sorted(given)
            hashes = [_hash(entry.ref) for entry in entries]
            return _Listing(folder, given, entries, hashes, set(hashes))
        except OSError as error:
            raise Misconfigured(
                self._account, f"folder {folder.name} cannot be listed: {error.strerror}", hint="check its permissions"
            ) from error

    def _changed(self, listing: _Listing, place: _Shelved) -> Iterator[Remark]:
        """Mails that were read before and are flagged or categorised otherwise than at the last look of this process;
        at its first look, the newest that bear any mark."""
        if not isinstance(self._shelf, MarkedShelf):
            return
        key = listing.folder.key
        given, before = self._marked.get(key, ((), None))
        if given is listing.given:
            return
        seen = {}
        for ref, (flags, categories) in self._shelf.marks(listing.folder).items():
            if (marks := ("\\Flagged" in flags, categories)) != (False, ()):
                seen[ref] = marks
        self._marked[key] = (listing.given, seen)
        nothing: tuple[bool, tuple[str, ...]] = (False, ())
        known = {
            entry.ref: entry for entry, name in zip(listing.entries, listing.hashes, strict=True) if name in place.known
        }
        refs = [ref for ref in known if before is None or seen.get(ref, nothing) != before.get(ref, nothing)]
        for ref in refs if before is not None else [ref for ref in refs if ref in seen][-FIRST_LOOK:]:
            if remark := self._remark(listing.folder, known[ref]):
                yield remark

    def _remark(self, folder: Folder, entry: Entry) -> Remark | None:
        try:
            content = self._shelf.load(folder, entry)
        except (OSError, ValueError):
            return None
        if content is None:
            return None
        raw = content.whole or content.header
        return Remark(
            folder=folder.name,
            ref=entry.ref,
            message_id=message_id_of(raw[:_HEAD]),
            flags=content.flags,
            categories=content.categories or categories_in(content.flags),
        )

    def _read(self, window: list[tuple[Folder, Entry]]) -> tuple[int, list[Message], list[Unreadable]]:
        """Load and parse; stops early after 32 MB. How many entries were dealt with, and what they gave."""
        futures: list[Future[list[Message | Unreadable]]] = []
        unreadable: list[Unreadable] = []
        count = size = 0
        for start in range(0, len(window), _CHUNK):
            raws = []
            for folder, entry in window[start : start + _CHUNK]:
                count += 1
                loaded = self._open(folder, entry)
                if isinstance(loaded, RawMail):
                    raws.append(loaded)
                    size += len(loaded.whole)
                elif loaded:
                    unreadable.append(loaded)
                if size > _BATCH_BYTES:
                    break
            if raws:
                futures.append(self._parser.submit(raws))
            if size > _BATCH_BYTES:
                break
        results = [item for future in futures for item in future.result()]
        unreadable += [item for item in results if isinstance(item, Unreadable)]
        return count, [item for item in results if isinstance(item, Message)], unreadable

    def _open(self, folder: Folder, entry: Entry) -> RawMail | Unreadable | None:
        received_at = datetime.fromtimestamp(min(entry.at, 1 << 62) // 10**9, UTC)
        try:
            content = self._shelf.load(folder, entry)
        except (OSError, ValueError) as error:
            return Unreadable(
                account=self._account,
                folder=folder.name,
                ref=entry.ref,
                stage="fetch",
                reason=f"it cannot be read: {error}",
                received_at=received_at,
            )
        if content is None:
            return None
        return RawMail(
            account=self._account,
            folder=folder.name,
            folder_role=folder.role,
            ref=entry.ref,
            received_at=received_at,
            size=content.size,
            flags=content.flags,
            categories=content.categories,
            whole=content.whole,
            header=content.header,
            notes=("header only",) if content.header else (),
        )


def _header_only(raw: RawMail) -> RawMail:
    header = raw.header or b"\r\n\r\n".join([re.split(rb"\r?\n\r?\n", raw.whole, maxsplit=1)[0], b""])
    return replace(raw, whole=b"", header=header, notes=("header only",))


_Listed = dict[str, _Listing]
_Places = dict[str, _Shelved]


def _hash(ref: str) -> bytes:
    return hashlib.blake2b(ref.encode("utf-8", "surrogateescape"), digest_size=_HASH_BYTES).digest()


def _settle(position: _Places, listed: _Listed) -> None:
    """New folders get their baseline, vanished folders and entries leave."""
    for key in position.keys() - listed.keys():
        del position[key]
    for key, listing in listed.items():
        place = position.get(key)
        if place is None:
            low = _TOP if listing.entries else None
            position[key] = _Shelved(set(listing.present), low, 0, len(listing.entries))
        elif not place.known <= listing.present:
            place.known &= listing.present
            place.packed = ""


def _live(position: _Places, listed: _Listed) -> Iterator[tuple[Folder, Entry]]:
    """Entries that were not there at the last look, oldest first."""
    for key, listing in listed.items():
        known = position[key].known
        if len(known) < len(listing.present):
            pairs = zip(listing.entries, listing.hashes, strict=True)
            yield from ((listing.folder, entry) for entry, name in pairs if name not in known)


def _past(position: _Places, listed: _Listed, since: int) -> Iterator[tuple[Folder, Entry]]:
    """What is left of the back-fill, newest first over all folders."""
    ranges = [_past_of(position[key], listing, since) for key, listing in listed.items()]
    return merge(*ranges, key=lambda pair: pair[1], reverse=True)


def _past_of(place: _Shelved, listing: _Listing, since: int) -> Iterator[tuple[Folder, Entry]]:
    if place.low is None:
        return
    for index in range(bisect_left(listing.entries, place.low) - 1, -1, -1):
        if listing.entries[index].at < since:
            return
        if listing.hashes[index] in place.known and listing.hashes[index] not in place.late:
            yield listing.folder, listing.entries[index]


def _advance(position: _Places, dealt_with: list[tuple[Folder, Entry]], backfill: bool) -> None:
    for folder, entry in dealt_with:
        place = position[folder.key]
        if backfill:
            place.low = entry
            place.done += 1
        else:
            place.known.add(_hash(entry.ref))
            place.packed = ""
            if place.low is not None and entry < place.low:
                place.late.add(_hash(entry.ref))


def _finish(position: _Places, listed: _Listed, since: int) -> None:
    """Folders whose back-fill has nothing left are done with it."""
    for key, place in position.items():
        if place.low is not None and not any(_past_of(place, listed[key], since)):
            place.low, place.total = None, place.done
            place.late.clear()


def _progress(position: _Places) -> Progress:
    done = sum(place.done for place in position.values())
    return Progress(done=done, total=max(done, sum(place.total for place in position.values())))


def _load(cursor: Cursor | None, account: str) -> _Places:
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


def _place(known: str, low: list[object] | None, done: int, total: int, late: str) -> _Shelved:
    entry = Entry(int(str(low[0])), str(low[1])) if low else None
    return _Shelved(_unpack(known), entry, done, total, _unpack(late), known)


def _unpack(text: str) -> set[bytes]:
    packed = base64.b64decode(text, validate=True)
    return {packed[at : at + _HASH_BYTES] for at in range(0, len(packed), _HASH_BYTES)}


def _pack(hashes: set[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(hashes))).decode("ascii")


def _save(position: _Places) -> Cursor:
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
