"""Fetches mails by UID from the open folder and hands them to the parser while the next ones are on their way.

Two questions per chunk: header, structure, size, flags and arrival of all; then the text sections, grouped by
section, in the same round trip as the next chunk's headers. A mail that the server refuses or on which the
connection dies three times comes back as `Unreadable`; the others arrive.
"""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connectors.errors import ConnectorError
from connectors.folders import Folder
from connectors.imap.asking import HEAD_KEY, Asker, Question, Suspects, number
from connectors.imap.cursor import Mark
from connectors.imap.link import Link
from connectors.imap.settings import ImapSettings
from connectors.imap.structure import Plan, plan_mail
from connectors.imap.trouble import translated
from connectors.imap.wire import Garbled, Node, parse_internal_date
from connectors.model import Message, RawMail, RawPart, Unreadable
from connectors.protocols import Parser

__all__ = ["HEADER_ITEMS", "Harvest", "Reader", "open_head"]

CHUNK = 200
_FIRST_CHUNK = 50
"""So that the parser has work early."""
_TEXT_CLIP = 256 << 10
_HEADER_CLIP = 128 << 10
_WHOLE_CLIP = 1 << 20
_GROUP_BYTES = 8 << 20
_BATCH_BYTES = 32 << 20

HEADER_ITEMS = b"UID RFC822.SIZE INTERNALDATE FLAGS BODY.PEEK[HEADER]<0.%d>" % _HEADER_CLIP
_HEAD = HEADER_ITEMS + b" BODYSTRUCTURE"
_RETURNED = re.compile(rb"(?im)^(?:from|sender):[^\n]*(?:mailer-daemon|postmaster|mail delivery|mdaemon)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Harvest:
    """What a run over UIDs brought. `reached` are the UIDs done with, in the order asked, gone ones included;
    `oldest` the earliest arrival in seconds since 1970."""

    items: list[Message] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    reached: list[int] = field(default_factory=list)
    oldest: int = 1 << 40


class Reader:
    """Reads mails of one account over its link. Remembers, as long as it lives, which mails broke the connection."""

    def __init__(self, link: Link, parser: Parser) -> None:
        since = link.settings.since
        self._since = datetime(since.year, since.month, since.day, tzinfo=UTC) if since else _EPOCH
        self._link = link
        self._parser = parser
        self._account = link.settings.account
        self._suspects = Suspects()

    def read(self, folder: Folder, uidvalidity: int, uids: Sequence[int], *, any_age: bool = False) -> Harvest:
        """Read these mails of the open folder, in this order; stops early after 32 MB (see `Harvest.reached`).
        Those from before `since` are passed over unless `any_age`.

        Raises ConnectorError only when nothing at all could be read: what came before a failure is kept.
        """
        asker = Asker(self._link, self._suspects, folder, uidvalidity)
        run = _Run(asker, self._parser, self._link.settings, folder, uidvalidity)
        harvest = Harvest()
        try:
            with translated(self._account, self._link.where):
                for done in run.chunks(uids, _EPOCH if any_age else self._since):
                    harvest.reached += done
                    if run.asker.received > _BATCH_BYTES:
                        break
        except ConnectorError:
            self._link.abandon()
            if not harvest.reached:
                raise
        kept = set(harvest.reached)
        harvest.unreadable = [bad for uid, bad in run.unreadable.items() if uid in kept]
        harvest.marks = run.marks
        harvest.oldest = run.oldest
        for future in run.futures:
            for item in future.result():
                if isinstance(item, Unreadable):
                    harvest.unreadable.append(item)
                else:
                    harvest.items.append(item)
        return harvest


class _Run:
    """One call of `Reader.read`: answers so far, and what became of each mail."""

    def __init__(self, asker: Asker, parser: Parser, settings: ImapSettings, folder: Folder, uidvalidity: int) -> None:
        self.asker = asker
        self.parser = parser
        self.account = settings.account
        self.markup = settings.markup
        self.folder = folder
        self.uidvalidity = uidvalidity
        self.oldest = 1 << 40
        self.unreadable: dict[int, Unreadable] = {}
        self.futures: list[Future[list[Message | Unreadable]]] = []
        self.marks: list[Mark] = []

    def chunks(self, uids: Sequence[int], since: datetime) -> Iterator[list[int]]:
        """Read all; yields the UIDs of each chunk once its mails are on their way to the parser."""
        starts = [0, *range(_FIRST_CHUNK, len(uids), CHUNK)] if uids else []
        waiting = deque(list(uids[at:end]) for at, end in zip(starts, [*starts[1:], len(uids)], strict=True))
        if waiting:
            self.asker.ask([_head(waiting[0])])
        while waiting:
            chunk = waiting.popleft()
            raws = list(self._heads(chunk, since))
            groups = list(_by_bytes(raws)) or [[]]
            for group in groups[:-1]:
                self._texts(group, [])
            self._texts(groups[-1], [_head(waiting[0])] if waiting and self.asker.received <= _BATCH_BYTES else [])
            for uid in chunk[:-1]:  # the last one stays, as a sign that the server does answer
                self.asker.answers.pop(uid, None)
            yield chunk
            if waiting and self.asker.received <= _BATCH_BYTES:
                continue
            return

    def _heads(self, chunk: list[int], since: datetime) -> Iterator[tuple[int, RawMail, Plan | None]]:
        for uid in chunk:
            if reason := self.asker.failed.get((uid, HEAD_KEY)):
                self.unreadable[uid] = self._unreadable(uid, reason)
            elif (found := self.asker.answers.get(uid)) and HEAD_KEY in found:
                raw, plan = self._open(uid, found)
                if raw.received_at >= since:  # servers read SINCE by their own zone, or not at all
                    yield uid, raw, plan

    def _unreadable(self, uid: int, reason: str) -> Unreadable:
        return Unreadable(
            account=self.account, folder=self.folder.name, ref=f"{self.uidvalidity}:{uid}",
            stage="fetch", reason=reason,
        )  # fmt: skip

    def _open(self, uid: int, found: dict[bytes, Node]) -> tuple[RawMail, Plan | None]:
        header = found[HEAD_KEY] or b""
        raw = open_head(self.account, self.folder, f"{self.uidvalidity}:{uid}", found)
        self.oldest = min(self.oldest, int(raw.received_at.timestamp()))
        if len(self.marks) < 64:
            self.marks.append(Mark(self.folder.key, uid, int(raw.received_at.timestamp()), raw.size))
        plan = None
        with contextlib.suppress(Garbled):  # then the raw mail is read instead
            plan = plan_mail(
                found.get(b"BODYSTRUCTURE"),
                returned=lambda: _RETURNED.search(header) is not None,
                markup=self.markup,
            )
        if plan:
            notes = (*plan.notes, *raw.notes)
            raw = replace(raw, attachments=plan.attachments, content_type=plan.content_type, notes=notes)
        return raw, plan

    def _texts(self, group: list[tuple[int, RawMail, Plan | None]], more: list[Question]) -> None:
        """Fetch the text sections of these mails, ask `more` in the same round trip, start the parser."""
        questions = [_text_question(names, uids) for names, uids in _by_sections(group).items()]
        self.asker.ask([*questions, *more])
        raws = [self._complete(*entry) for entry in group]
        if raws:
            self.futures.append(self.parser.submit(raws))

    def _complete(self, uid: int, raw: RawMail, plan: Plan | None) -> RawMail:
        found = self.asker.answers.get(uid, {})
        if plan is None:
            whole = found.get(b"BODY[]")
            if not whole or 0 <= _WHOLE_CLIP < raw.size:
                return replace(raw, notes=("header only", *raw.notes))
            return replace(raw, whole=whole, header=b"")
        if not plan.sections:
            return raw
        parts = []
        for section in plan.sections:
            body = found.get(_key(section.name))
            if body is None and _key(section.name) not in found:
                return replace(raw, notes=("header only", *raw.notes))
            cut = len(body or b"") >= _TEXT_CLIP
            parts.append(
                RawPart(
                    content_type=section.content_type,
                    parameters=section.parameters,
                    encoding=section.encoding,
                    body=body or b"",
                    truncated=cut,
                    spare=section.spare,
                )
            )
        return replace(raw, parts=tuple(parts))


def open_head(account: str, folder: Folder, ref: str, found: dict[bytes, Node]) -> RawMail:
    """A mail by the answer to `HEADER_ITEMS`, with its header alone."""
    header = found[HEAD_KEY] or b""
    return RawMail(
        account=account,
        folder=folder.name,
        folder_role=folder.role,
        ref=ref,
        received_at=parse_internal_date(found.get(b"INTERNALDATE")),
        size=number(found.get(b"RFC822.SIZE")),
        flags=_flags(found.get(b"FLAGS")),
        header=_closed(header),
        notes=("header clipped",) if len(header) >= _HEADER_CLIP else (),
    )


def _head(uids: Sequence[int]) -> Question:
    return Question(tuple(uids), _HEAD, HEAD_KEY)


def _key(section: str) -> bytes:
    return b"BODY[%s]" % section.encode("ascii")


def _by_sections(group: list[tuple[int, RawMail, Plan | None]]) -> dict[tuple[str, ...], list[int]]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for uid, raw, plan in group:
        if plan is None and raw.size <= _WHOLE_CLIP:
            groups.setdefault(("",), []).append(uid)
        elif plan and plan.sections:
            groups.setdefault(tuple(section.name for section in plan.sections), []).append(uid)
    return groups


def _text_question(names: tuple[str, ...], uids: list[int]) -> Question:
    clip = _TEXT_CLIP if names != ("",) else _WHOLE_CLIP
    items = b"UID " + b" ".join(b"BODY.PEEK[%s]<0.%d>" % (name.encode("ascii"), clip) for name in names)
    return Question(tuple(uids), items, _key(names[-1]))


def _by_bytes(
    entries: list[tuple[int, RawMail, Plan | None]],
) -> Iterator[list[tuple[int, RawMail, Plan | None]]]:
    """Groups whose texts are at most 8 MB together, so that memory does not follow the mailbox."""
    group: list[tuple[int, RawMail, Plan | None]] = []
    total = 0
    for entry in entries:
        plan = entry[2]
        size = (
            sum(min(section.size, _TEXT_CLIP) for section in plan.sections) if plan else min(entry[1].size, _WHOLE_CLIP)
        )
        if group and total + size > _GROUP_BYTES:
            yield group
            group, total = [], 0
        group.append(entry)
        total += size
    if group:
        yield group


def _closed(header: bytes) -> bytes:
    return header if header.endswith((b"\r\n\r\n", b"\n\n")) or not header else header + b"\r\n\r\n"


def _flags(value: Node) -> tuple[str, ...]:
    """Flags as text; \\Recent belongs to a session and not to the mail."""
    if not isinstance(value, list):
        return ()
    return tuple(flag.decode("latin-1") for flag in value if isinstance(flag, bytes) and flag.lower() != b"\\recent")
