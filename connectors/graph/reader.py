"""Reads mails: pages of a folder from the newest down, or single ones by id, and hands them to the parser meanwhile.

A mail that the service cannot give comes back as `Unreadable`; the others arrive. Is it the mail, or the service? The
same mail is asked for its id alone: a service in trouble gives that neither, and then nothing is called unreadable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from connectors.folders import Folder
from connectors.graph.client import AT_ONCE, GraphClient, Json, Refused, entries
from connectors.graph.cursor import TOP
from connectors.graph.mails import BRIEF, EXPAND, HEADER, WHOLE, clean_id, is_report, mail_path, parse_moment, raw_mail
from connectors.graph.settings import GraphSettings
from connectors.model import Message, RawMail, Unreadable
from connectors.protocols import MOST_JUNK, Parser

__all__ = ["PAGE", "Harvest", "Reader", "is_gone"]

PAGE = 50
_GONE = frozenset({"erroritemnotfound", "errorfoldernotfound", "errorinvalididmalformed", "errorinvalidmailboxitemid"})
_NEWEST_FIRST = "receivedDateTime desc"


@dataclass(slots=True)
class Harvest:
    """Mails that were fetched; `settle` waits for those that are with the parser."""

    items: list[Message] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    futures: list[Future[list[Message | Unreadable]]] = field(default_factory=list)
    size: int = 0

    def settle(self) -> None:
        """Take what the parser made of them, in the order they were given to it."""
        for future in self.futures:
            for item in future.result():
                if isinstance(item, Unreadable):
                    self.unreadable.append(item)
                else:
                    self.items.append(item)
        self.futures.clear()


class Reader:
    """Reads mails of one mailbox. Errors are those of `GraphClient`."""

    def __init__(self, settings: GraphSettings, client: GraphClient, parser: Parser) -> None:
        self._settings = settings
        self._client = client
        self._parser = parser
        self._prefer = ("outlook.allow-unsafe-html",) if settings.markup else ()

    # -- pages

    def page(self, folder: Folder, first: str, last: str, count: int) -> tuple[list[Json], str]:
        """Up to `count` mails that arrived between two seconds, newest first, and the link to the next
        page, "" if there is none. Mails of a page that the service cannot give carry only their brief properties."""
        params = {"$orderby": _NEWEST_FIRST, "$top": str(count), "$filter": _between(first, last)}
        path = f"/mailFolders/{folder.key}/messages"
        try:
            answer = self._client.get(path, {**params, "$select": WHOLE, "$expand": EXPAND}, prefer=self._prefer)
        except Refused as error:
            if error.status < 500:
                raise
            answer = self._client.get(path, {**params, "$select": BRIEF})  # one of them may be at fault: which one?
        return entries(answer), str(answer.get("@odata.nextLink") or "")

    def follow(self, link: str) -> tuple[list[Json], str]:
        """The next page."""
        answer = self._client.get(link, prefer=self._prefer)
        return entries(answer), str(answer.get("@odata.nextLink") or "")

    def junk(self, folder: Folder, since: datetime) -> list[RawMail]:
        """What arrived in a folder of junk since then, newest first, header only."""
        params = {
            "$orderby": _NEWEST_FIRST,
            "$top": "100",
            "$filter": _between(f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", ""),
            "$select": HEADER,
        }
        found: list[RawMail] = []
        for row in self._client.pages(f"/mailFolders/{folder.key}/messages", params):
            if len(found) == MOST_JUNK:
                break
            found.append(raw_mail(self._settings.account, folder, row, brief=True))
        return found

    # -- mails

    def gather(self, folder: Folder, rows: Sequence[Json], harvest: Harvest) -> None:
        """Give the parser these mails, completing those that a page gave in brief."""
        brief = [str(row["id"]) for row in rows if "subject" not in row]
        complete = dict(zip(brief, self._whole(brief), strict=True))
        raws = []
        for row in rows:
            found = complete.get(str(row["id"]), row)
            if found is None or (isinstance(found, dict) and not _lies_here(found, folder)):
                harvest.gone.append(str(row["id"]))
            elif isinstance(found, Refused):
                harvest.unreadable.append(self._unreadable(folder, str(row["id"]), found))
            else:
                raws.append(self._raw(folder, found))
        harvest.size += sum(len(raw.whole) + sum(len(part.body) for part in raw.parts) for raw in raws)
        if raws:
            harvest.futures.append(self._parser.submit(raws))

    def fetch(self, folder: Folder, refs: Sequence[str], harvest: Harvest) -> None:
        """Read mails by id. Those that are no longer in this folder are named in `harvest.gone`."""
        self.gather(folder, [{"id": ref} for ref in refs], harvest)

    def _whole(self, refs: Sequence[str]) -> Iterator[Json | Refused | None]:
        if len(refs) < 2:
            return map(self._one, refs)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"graph-{self._settings.account}") as pool:
            return iter(list(pool.map(self._one, refs)))

    def _one(self, ref: str) -> Json | Refused | None:
        """One mail; None if it is gone, the refusal if it cannot be given though the service is well."""
        try:
            return self._client.get(mail_path(ref), {"$select": WHOLE, "$expand": EXPAND}, prefer=self._prefer)
        except Refused as error:
            if is_gone(error):
                return None
            if error.status < 500:
                raise
            return error if self._brief(ref, "id") is not None else None

    def _brief(self, ref: str, select: str) -> Json | None:
        try:
            return self._client.get(mail_path(ref), {"$select": select})
        except Refused as error:
            if is_gone(error):
                return None
            raise

    def marks(self, ref: str) -> Json | None:
        """How a mail is marked now; None if it is gone."""
        return self._brief(ref, BRIEF)

    def _raw(self, folder: Folder, row: Json) -> RawMail:
        mime = b""
        if is_report(row):
            try:
                mime = self._client.get_bytes(mail_path(str(row["id"]), "$value"))
            except Refused as error:
                if not is_gone(error) and error.status < 500:
                    raise
        return raw_mail(self._settings.account, folder, row, mime=mime)

    def _unreadable(self, folder: Folder, ref: str, error: Refused) -> Unreadable:
        row = self.marks(ref) or {}
        return Unreadable(
            account=self._settings.account,
            folder=folder.name,
            ref=ref,
            stage="fetch",
            reason=f"the service cannot give it: {error}",
            message_id=clean_id(row.get("internetMessageId")),
            received_at=parse_moment(row["receivedDateTime"]) if row.get("receivedDateTime") else None,
        )


def _between(first: str, last: str) -> str:
    """Arrived from `first` on and until the end of the second `last`."""
    until = ""
    if last and last != TOP:
        bound = parse_moment(last) + timedelta(seconds=1)
        until = f" and receivedDateTime lt {bound:%Y-%m-%dT%H:%M:%SZ}"
    return f"receivedDateTime ge {first}{until}"


def _lies_here(row: Json, folder: Folder) -> bool:
    """False for what was moved away meanwhile (its new folder tells of it), and for drafts."""
    return row.get("parentFolderId", folder.key) == folder.key and not row.get("isDraft")


def is_gone(error: Refused) -> bool:
    """An id that names nothing, or nothing any more. Other 404 (no such mailbox) are somebody else's business."""
    return bool({error.code.lower(), error.inner.lower()} & _GONE)
