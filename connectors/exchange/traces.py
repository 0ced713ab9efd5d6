"""What earlier tries to send a mail left behind: a draft, a mail on its way, the copy in Sent Items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from connectors.exchange import writing
from connectors.exchange.finding import equals
from connectors.exchange.link import Link
from connectors.exchange.trouble import refusal
from connectors.exchange.words import Element, M, T, child, field, folder_ids, item_shape, moment, named, text

__all__ = ["Trace", "traces"]

_MAKING = timedelta(minutes=2)
_MOST = "50"
_SUBMITTED, _CREATED, _CHANGED = "IsSubmitted", "DateTimeCreated", "LastModifiedTime"


@dataclass(frozen=True, slots=True)
class Trace:
    """`is_edited`: somebody worked on it after it had been made. `is_leaving`: the server was told to send it."""

    ref: str
    is_edited: bool
    is_leaving: bool


def traces(link: Link, folders: Sequence[str], message_id: str) -> list[list[Trace]]:
    """For each folder what lies there of a mail of ours, by our stamp or its Message-ID. Raises ConnectorError."""
    stamp, name = named(writing.STAMP), field("message:InternetMessageId")
    paths = [field(f"item:{one}") for one in (_SUBMITTED, _CREATED, _CHANGED)]
    known = T.Or(equals(stamp, message_id), equals(name, f"<{message_id}>"))
    view = M.IndexedPageItemView(MaxEntriesReturned=_MOST, Offset="0", BasePoint="Beginning")
    request = M.FindItem(
        item_shape(*paths), view, M.Restriction(known), folder_ids("ParentFolderIds", folders), Traversal="Shallow"
    )
    found = []
    for answer in link.ask(request):
        if not answer.is_good:
            raise refusal(link.settings, answer.code, answer.words)
        found.append(list(_each(answer.within("RootFolder"))))
    return found


def _each(root: Element) -> Iterator[Trace]:
    items = child(root, "Items")
    for item in items if items is not None else ():
        ref = child(item, "ItemId")
        if ref is not None:
            made, changed = moment(text(item, _CREATED)), moment(text(item, _CHANGED))
            is_edited = made is None or changed is None or changed - made > _MAKING
            yield Trace(str(ref.get("Id")), is_edited, text(item, _SUBMITTED) == "true")
