"""A look into Junk by header only: an answer may have landed there, and a follow-up must not go out after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from connectors.folders import Folder
from connectors.imap.asking import HEAD_KEY, Asker, Question, Suspects
from connectors.imap.identity import search_day
from connectors.imap.link import Link
from connectors.imap.reader import HEADER_ITEMS, open_head
from connectors.imap.wire import Refused
from connectors.model import Message, RawMail
from connectors.protocols import MOST_JUNK, Parser

__all__ = ["read_folder"]

_CHUNK = 200


def read_folder(link: Link, parser: Parser, folder: Folder, since: datetime) -> tuple[Message, ...]:
    """The newest mails of a folder that arrived since then, newest first; () if the folder refuses to be opened.
    Opened by EXAMINE, read by PEEK: no flag changes. Raises what the wire raises."""
    connection = link.connection()
    try:
        uidvalidity = connection.examine(folder.key).uidvalidity
    except Refused:
        return ()
    # Servers read SINCE by their own zone: a day more, then cut by the hour.
    day = search_day((since.astimezone(UTC) - timedelta(days=1)).date())
    found = connection.uids(1, criteria=b"SINCE " + day)[-4 * MOST_JUNK :]
    arrivals = connection.arrivals(folder.key, found) if found else {}
    first = since.timestamp()
    wanted = sorted((at, uid) for uid, (at, _) in arrivals.items() if at >= first)[-MOST_JUNK:]
    raws = _read(link, folder, uidvalidity, [uid for _, uid in reversed(wanted)])
    return tuple(item for item in parser.parse(raws) if isinstance(item, Message)) if raws else ()


def _read(link: Link, folder: Folder, uidvalidity: int, uids: Sequence[int]) -> list[RawMail]:
    asker = Asker(link, Suspects(), folder, uidvalidity)
    chunks = [tuple(uids[at : at + _CHUNK]) for at in range(0, len(uids), _CHUNK)]
    asker.ask([Question(chunk, HEADER_ITEMS, HEAD_KEY) for chunk in chunks])
    heads = [(uid, asker.answers[uid]) for uid in uids if HEAD_KEY in asker.answers.get(uid, {})]
    raws = [open_head(link.settings.account, folder, f"{uidvalidity}:{uid}", found) for uid, found in heads]
    return [replace(raw, notes=("header only", *raw.notes)) for raw in raws]
