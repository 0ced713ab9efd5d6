"""The common half of sources that read mail from files or memory: what is new first, then the past, newest first.

A `Shelf` lists entries and loads one; `ShelfSource` does the rest, from the position that `shelf_position` keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import islice
from typing import Protocol, runtime_checkable

from connectors.categories import categories_in
from connectors.errors import Misconfigured
from connectors.folders import Folder, Purpose, choose_folders, missing_names
from connectors.model import Batch, Cursor, Message, RawMail, Remark, Unreadable
from connectors.outgoing import message_id_of
from connectors.protocols import MOST_JUNK, Parser
from connectors.shelf_position import (
    Entry,
    Listed,
    Listing,
    Place,
    Places,
    advance,
    finish,
    load_position,
    new_entries,
    older_entries,
    progress_of,
    save_position,
    settle,
    short,
)

__all__ = ["Content", "Entry", "MarkedShelf", "Shelf", "ShelfSource"]

_CHUNK = 100
_BATCH_BYTES = 32 << 20
_HEAD = 128 << 10
FIRST_LOOK = 200
"""How many marked mails of a folder a process tells of at its first look: what was done while it was down."""


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
        self._listed: Listed = {}
        self._last: tuple[Cursor | None, Places] = (None, {})
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
        settle(position, listed)
        changed = [one for listing in listed.values() for one in self._changed(listing, position[listing.folder.key])]
        window = list(islice(new_entries(position, listed), max(1, limit)))
        backfill = not window
        if backfill:
            window = list(islice(older_entries(position, listed, self._since), max(1, limit)))
        read, items, unreadable = self._read(window)
        advance(position, window[:read], backfill)
        finish(position, listed, self._since)
        self._last = (save_position(position), position)
        return Batch(
            items=tuple(items),
            unreadable=tuple(unreadable),
            cursor=self._last[0],
            more=any(place.low is not None for place in position.values()) or any(new_entries(position, listed)),
            backfill=backfill and bool(window),
            folders=tuple(folder.name for folder in folders),
            changed=tuple(changed),
            progress=progress_of(position),
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

    def _position(self, cursor: Cursor | None) -> Places:
        """The saved position; the one just returned is at hand and need not be read again."""
        last, self._last = self._last, (None, {})
        return last[1] if cursor is not None and last[0] == cursor else load_position(cursor, self._account)

    def _list(self, folder: Folder) -> Listing:
        try:
            given = self._shelf.entries(folder)
            before = self._listed.get(folder.key)
            if before and before.given is given:
                return before
            entries = sorted(given)
            hashes = [short(entry.ref) for entry in entries]
            return Listing(folder, given, entries, hashes, set(hashes))
        except OSError as error:
            raise Misconfigured(
                self._account, f"folder {folder.name} cannot be listed: {error.strerror}", hint="check its permissions"
            ) from error

    def _changed(self, listing: Listing, place: Place) -> Iterator[Remark]:
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
