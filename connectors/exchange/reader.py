"""Fetches items by their ids and hands them to the parser while the next ones are on their way.

A mail is read by its properties: the header it came with (PidTagTransportMessageHeaders), its body as it is kept, its
attachments by name. That is what the parser needs, in one request of ten mails, and no attachment is moved. Mail that
never travelled has no such header: it is written from the properties. Reports, invitations and signed mail only make
sense in their own form: of those the MIME is fetched, up to a megabyte.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connectors.errors import ConnectorError
from connectors.exchange.getting import GONE, Getter
from connectors.exchange.header import PEOPLE, written_header
from connectors.exchange.link import Answer, Link
from connectors.exchange.words import (
    Element,
    M,
    child,
    item_ids,
    item_shape,
    moment,
    number,
    properties,
    property_tag,
    text,
)
from connectors.exchange.words import field as path
from connectors.folders import Folder
from connectors.model import Attachment, Message, RawMail, RawPart, Remark, Unreadable
from connectors.protocols import Parser

__all__ = ["BODIES", "HEADS", "Harvest", "Reader"]

BODIES = 10
"""Items with bodies in one request; Microsoft's number for not being throttled."""
HEADS = 100
_BODY_CLIP = 256 << 10
_MIME_CLIP = 1 << 20
_BATCH_BYTES = 32 << 20
_HEADERS = 0x007D
_FLAG, _VERB = 0x1090, 0x1081
_ANSWERED = frozenset({"102", "103"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OWN_FORM = re.compile(
    r"(?im)^content-type:\s*(?:multipart/(?:report|signed|encrypted)|text/calendar|application/(?:x-)?pkcs7-mime)"
)

_MARKS = ("item:Categories", "message:IsRead", "item:IsDraft")
_HEAD = ("item:ParentFolderId", "item:ItemClass", "item:Size", "item:DateTimeReceived", "item:Attachments", *_MARKS)


@dataclass(slots=True)
class Harvest:
    """What a run over ids brought. `reached` are the ids done with, in the order asked, gone ones included; `arrived`
    says when those came that are still there, in seconds since 1970; `trouble` ended it before the last."""

    items: list[Message] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    arrived: dict[str, int] = field(default_factory=dict)
    trouble: ConnectorError | None = None


class Reader:
    """Reads items of one mailbox over its link."""

    def __init__(self, link: Link, parser: Parser) -> None:
        since = link.settings.since
        self._since = datetime(since.year, since.month, since.day, tzinfo=UTC) if since else _EPOCH
        self._link = link
        self._parser = parser
        self._getter = Getter(link)

    def read(self, folder: Folder, refs: Sequence[str], *, any_age: bool = False, head_only: bool = False) -> Harvest:
        """Read these items of a folder, in this order; stops early after 32 MB (see `Harvest.reached`).

        Those from before `since` are passed over unless `any_age`. Raises ConnectorError only when nothing at all
        could be read: what came before a failure is kept, and the failure told.
        """
        harvest, size = Harvest(), 0
        futures: list[Future[list[Message | Unreadable]]] = []
        step = HEADS if head_only else BODIES
        for start in range(0, len(refs), step):
            chunk = refs[start : start + step]
            try:
                raws, unreadable = self._chunk(folder, chunk, head_only=head_only)
            except ConnectorError as error:
                if not harvest.reached:
                    raise
                harvest.trouble = error
                break
            harvest.reached += chunk
            harvest.unreadable += unreadable
            harvest.arrived |= {raw.ref: int(raw.received_at.timestamp()) for raw in raws}
            wanted = [raw for raw in raws if any_age or raw.received_at >= self._since]
            if wanted:
                futures.append(self._parser.submit(wanted))
            size += sum(len(raw.header) + len(raw.whole) + sum(len(part.body) for part in raw.parts) for raw in raws)
            if size > _BATCH_BYTES:
                break
        for item in (one for future in futures for one in future.result()):
            (harvest.unreadable if isinstance(item, Unreadable) else harvest.items).append(item)  # type: ignore[arg-type]
        return harvest

    def remarks(self, folder: Folder, refs: Sequence[str]) -> list[Remark]:
        """How these items are marked now; those that have gone are left out. Raises ConnectorError."""
        shape = item_shape(*map(path, (*_MARKS, "message:InternetMessageId")), *_flag_paths())
        found = []
        for start in range(0, len(refs), HEADS):
            chunk = refs[start : start + HEADS]
            for ref, answer in zip(chunk, self._link.ask(M.GetItem(shape, item_ids(chunk))), strict=False):
                element = next(iter(answer.within("Items")), None) if answer.is_good else None
                if element is not None:
                    flags, categories = _marks(element)
                    id = text(element, "InternetMessageId").strip().strip("<>")
                    found.append(Remark(folder=folder.name, ref=ref, message_id=id, flags=flags, categories=categories))
        return found

    # -- one request and what it brings

    def _chunk(self, folder: Folder, refs: Sequence[str], *, head_only: bool) -> tuple[list[RawMail], list[Unreadable]]:
        shape = _shape(people=False, head_only=head_only)
        raws: list[RawMail] = []
        unreadable: list[Unreadable] = []
        bare: list[tuple[RawMail, str]] = []
        for ref, answer in self._getter.get(shape, refs):
            if isinstance(answer, str) or not answer.is_good:
                if isinstance(answer, str) or answer.code not in GONE:
                    reason = answer if isinstance(answer, str) else f"the server refused it: {answer.words}"
                    unreadable.append(self._unreadable(folder, ref, reason))
                continue
            element = next(iter(answer.within("Items")), None)
            if element is None or _parent(element) not in ("", folder.key):
                continue
            raw = self._open(folder, ref, element, head_only=head_only)
            if raw.header and not head_only and _needs_own_form(element, raw.header):
                bare.append((raw, "mime"))
            elif not raw.header:
                bare.append((raw, "mime" if not _is_note(element) and not head_only else "people"))
            else:
                raws.append(raw)
        raws += self._completed(bare)
        order = {ref: index for index, ref in enumerate(refs)}
        return sorted(raws, key=lambda raw: order[raw.ref]), unreadable

    def _completed(self, bare: list[tuple[RawMail, str]]) -> list[RawMail]:
        """Mails of which more is needed: the people and subject of those without a header, or the whole."""
        done = []
        for raw, need in bare:
            fits = raw.size <= _MIME_CLIP
            shape = item_shape(mime=True) if need == "mime" and fits else _shape(people=True, head_only=True)
            for _, answer in self._getter.get(shape, [raw.ref]):
                element = None
                if isinstance(answer, Answer) and answer.is_good:
                    element = next(iter(answer.within("Items")), None)
                if element is not None:
                    done.append(_complete(raw, element, need == "mime" and not fits))
        return done

    def _open(self, folder: Folder, ref: str, element: Element, *, head_only: bool) -> RawMail:
        flags, categories = _marks(element)
        header = dict(properties(element)).get(f"0x{_HEADERS:04x}", "")
        return RawMail(
            account=self._link.settings.account,
            folder=folder.name,
            folder_role=folder.role,
            ref=ref,
            received_at=moment(text(element, "DateTimeReceived")) or _EPOCH,
            size=number(element, "Size"),
            flags=flags,
            categories=categories,
            header=_closed(header),
            parts=() if head_only else tuple(_body(element)),
            attachments=tuple(_attachments(element)),
            notes=("header only",) if head_only else (),
        )

    def _unreadable(self, folder: Folder, ref: str, reason: str) -> Unreadable:
        return Unreadable(
            account=self._link.settings.account, folder=folder.name, ref=ref, stage="fetch", reason=reason[:300]
        )


def _shape(*, people: bool, head_only: bool) -> Element:
    paths = [*map(path, (*_HEAD, *(PEOPLE if people else ()), *(() if head_only else ("item:Body",)))), *_flag_paths()]
    if not people:
        paths.append(property_tag(_HEADERS, "String"))
    return item_shape(*paths, body_limit=0 if head_only else _BODY_CLIP)


def _flag_paths() -> list[Element]:
    return [property_tag(_FLAG, "Integer"), property_tag(_VERB, "Integer")]


def _complete(raw: RawMail, element: Element, too_large: bool) -> RawMail:
    mime = text(element, "MimeContent")
    if mime:
        try:
            return replace(raw, whole=base64.b64decode(mime), header=b"", parts=(), attachments=())
        except binascii.Error:
            return replace(raw, parts=(), notes=("header only", *raw.notes))
    notes = ("header only",) if too_large and "header only" not in raw.notes else ()
    header = raw.header or written_header(element)
    return replace(raw, header=header, parts=() if too_large else raw.parts, notes=(*notes, *raw.notes))


def _parent(element: Element) -> str:
    found = child(element, "ParentFolderId")
    return str(found.get("Id", "")) if found is not None else ""


def _is_note(element: Element) -> bool:
    kind = text(element, "ItemClass").upper()
    return kind.startswith("IPM.NOTE") and "SMIME" not in kind


def _needs_own_form(element: Element, header: bytes) -> bool:
    return not _is_note(element) or _OWN_FORM.search(header.decode("utf-8", "replace")) is not None


def _closed(header: str) -> bytes:
    """As bytes, with the empty line at its end; Exchange may store it without."""
    data = header.replace("\r\n", "\n").strip("\n").replace("\n", "\r\n").encode("utf-8", "replace")
    return data + b"\r\n\r\n" if data else b""


def _marks(element: Element) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(flags, categories). Flags in the words of IMAP, as everywhere."""
    told = dict(properties(element))
    flags = [
        ("\\Seen", text(element, "IsRead") == "true"),
        ("\\Flagged", told.get(f"0x{_FLAG:04x}") == "2"),
        ("\\Answered", told.get(f"0x{_VERB:04x}") in _ANSWERED),
        ("\\Draft", text(element, "IsDraft") == "true"),
    ]
    listed = child(element, "Categories")
    categories = tuple(one.text for one in listed if one.text) if listed is not None else ()
    return tuple(name for name, is_set in flags if is_set), categories


def _body(element: Element) -> Iterator[RawPart]:
    body = child(element, "Body")
    if body is None or not body.text:
        return
    data = body.text.encode("utf-8", "replace")
    yield RawPart(
        content_type="text/html" if body.get("BodyType") == "HTML" else "text/plain",
        parameters=(("charset", "utf-8"),),
        encoding="8bit",
        body=data[:_BODY_CLIP],
        truncated=body.get("IsTruncated") == "true" or len(data) > _BODY_CLIP,
    )


def _attachments(element: Element) -> Iterator[Attachment]:
    listed = child(element, "Attachments")
    for one in listed if listed is not None else ():
        whole = one.tag.endswith("}ItemAttachment")
        kind = text(one, "ContentType") or ("message/rfc822" if whole else "application/octet-stream")
        yield Attachment(name=text(one, "Name"), content_type=kind.lower(), size=number(one, "Size"))
