"""Which mails that were read before are marked otherwise now: by CONDSTORE (RFC 7162) where the server announces it,
else by the flags of the newest mails of the Inbox, beside those of the last look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.categories import categories_in
from connectors.folders import Folder
from connectors.imap.asking import number
from connectors.imap.connection import Connection
from connectors.imap.wire import Node, compact, tokens
from connectors.model import Remark
from connectors.outgoing import message_id_of

__all__ = ["AT_MOST", "Changes"]

AT_MOST = 1000
"""Mails whose marks are told of in one look, the newest: whoever marks more at once means none of them."""
_RECENT = 200
_CHUNK = 200
_Marks = tuple[bool, tuple[str, ...]]


class Changes:
    """What was seen of the marks of one account, as long as the process lives."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], dict[int, _Marks]] = {}

    def since(
        self, connection: Connection, folder: Folder, uidvalidity: int, low: int, high: int, modseq: int
    ) -> list[Remark]:
        """Remarks on the mails from `low` to `high` that changed behind `modseq`; the folder is opened read-only."""
        connection.examine(folder.key)
        uids = connection.uids(max(low, 1), high, b"MODSEQ %d" % (modseq + 1)) if high >= max(low, 1) else []
        return self._told(connection, folder, uidvalidity, uids[-AT_MOST:])

    def recent(self, connection: Connection, folder: Folder, uidvalidity: int, high: int) -> list[Remark]:
        """The same for the newest mails up to `high`, where nothing says what changed."""
        connection.examine(folder.key)
        uids = connection.uids(max(1, high - 5 * _RECENT), high) if high > 0 else []
        return self._told(connection, folder, uidvalidity, uids[-_RECENT:])

    def _told(self, connection: Connection, folder: Folder, uidvalidity: int, uids: Sequence[int]) -> list[Remark]:
        seen = self._seen.setdefault((folder.key, uidvalidity), {})
        changed: dict[int, tuple[str, ...]] = {}
        for uid, flags in _flags(connection, uids):
            marks = ("\\flagged" in map(str.lower, flags), categories_in(flags))
            if seen.get(uid) != marks:  # most changes are mails that somebody reads
                seen[uid] = marks
                changed[uid] = flags
        ids = dict(_ids(connection, list(changed)))
        return [
            Remark(
                folder=folder.name,
                ref=f"{uidvalidity}:{uid}",
                message_id=ids[uid],
                flags=flags,
                categories=categories_in(flags),
            )
            for uid, flags in changed.items()
            if ids.get(uid)
        ]


def _flags(connection: Connection, uids: Sequence[int]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for uid, values in _fetched(connection, uids, b"FLAGS"):
        found = values.get(b"FLAGS")
        if isinstance(found, list):
            yield uid, tuple(flag.decode("latin-1") for flag in found if isinstance(flag, bytes))


def _ids(connection: Connection, uids: Sequence[int]) -> Iterator[tuple[int, str]]:
    for uid, values in _fetched(connection, uids, b"BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"):
        header = values.get(b"]", b"")  # the name of the item has brackets of its own: BODY[HEADER.FIELDS (...)]
        if isinstance(header, bytes) and (name := message_id_of(header)):
            yield uid, name


def _fetched(connection: Connection, uids: Sequence[int], items: bytes) -> Iterator[tuple[int, dict[bytes, Node]]]:
    """(UID, values) of these mails: explicit numbers, never a range to the end. What was not asked for is left out."""
    wanted = set(uids)
    for start in range(0, len(uids), _CHUNK):
        command = b"UID FETCH %s (UID %s)" % (compact(uids[start : start + _CHUNK]), items)
        for line in map(tokens, connection.wire.say(command).untagged):
            if len(line) > 2 and isinstance(line[2], list):
                keys = (bytes(key).upper() if isinstance(key, bytes) else b"" for key in line[2][::2])
                values = dict(zip(keys, line[2][1::2], strict=False))
                if (uid := number(values.get(b"UID"))) in wanted:
                    yield uid, values
