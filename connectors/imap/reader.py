"""Fetches mails by UID from the open folder and hands them to the parser while the next ones are on their way.

Two questions per chunk: header, structure, size, flags and arrival of all; then the text sections, grouped by
section, in the same round trip as the next chunk's headers. A mail that the server refuses or on which the
connection dies three times comes back as `Unreadable`; the others arrive.
"""

from __future__ import annotations

import contextlib
import imaplib
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from connectors.errors import ConnectorError, Unavailable
from connectors.folders import Folder
from connectors.imap.cursor import Mark
from connectors.imap.link import Link
from connectors.imap.structure import Plan, plan_mail
from connectors.imap.trouble import FETCH_BUSY, refused, translated
from connectors.imap.wire import Answer, Garbled, Node, Refused, compact, parse_internal_date, tokens
from connectors.model import Message, RawMail, RawPart, Unreadable
from connectors.protocols import Parser

__all__ = ["Harvest", "Reader"]

CHUNK = 200
_TEXT_CLIP = 256 << 10
_HEADER_CLIP = 128 << 10
_WHOLE_CLIP = 1 << 20
_GROUP_BYTES = 8 << 20
_BATCH_BYTES = 32 << 20
_TRIES = 3
_REFUSALS = 4
_LOST_IN_A_ROW = 10
_REFUSED_ALL = 20

_HEAD = b"UID RFC822.SIZE INTERNALDATE FLAGS BODYSTRUCTURE BODY.PEEK[HEADER]<0.%d>" % _HEADER_CLIP
_HEAD_KEY = b"BODY[HEADER]"
_RETURNED = re.compile(rb"(?im)^(?:from|sender):[^\n]*(?:mailer-daemon|postmaster|mail delivery|mdaemon)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Question:
    """One FETCH. A mail has answered when `proof` is among what came for it."""

    uids: tuple[int, ...]
    items: bytes
    proof: bytes


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
        self._suspects: Counter[tuple[str, int, int]] = Counter()

    def read(self, folder: Folder, uidvalidity: int, uids: Sequence[int], *, any_age: bool = False) -> Harvest:
        """Read these mails of the open folder, in this order; stops early after 32 MB (see `Harvest.reached`).
        Those from before `since` are passed over unless `any_age`.

        Raises ConnectorError only when nothing at all could be read: what came before a failure is kept.
        """
        run = _Run(self._link, self._parser, self._suspects, folder, uidvalidity, _EPOCH if any_age else self._since)
        harvest = Harvest()
        try:
            with translated(self._account, self._link.where):
                for done in run.chunks(uids):
                    harvest.reached += done
                    if run.received > _BATCH_BYTES:
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

    def __init__(
        self,
        link: Link,
        parser: Parser,
        suspects: Counter[tuple[str, int, int]],
        folder: Folder,
        uidvalidity: int,
        since: datetime,
    ) -> None:
        self.link = link
        self.parser = parser
        self.suspects = suspects
        self.folder = folder
        self.uidvalidity = uidvalidity
        self.since = since
        self.received = 0
        self.oldest = 1 << 40
        self.unreadable: dict[int, Unreadable] = {}
        self.futures: list[Future[list[Message | Unreadable]]] = []
        self.marks: list[Mark] = []
        self._answers: dict[int, dict[bytes, Node]] = {}
        self._failed: dict[tuple[int, bytes], str] = {}
        self._tries: Counter[tuple[int, bytes]] = Counter()
        self._garbled = ""
        self._lost_in_a_row = 0

    # -- the stream of chunks

    def chunks(self, uids: Sequence[int]) -> Iterator[list[int]]:
        """Read all; yields the UIDs of each chunk once its mails are on their way to the parser."""
        waiting = deque(list(uids[at : at + CHUNK]) for at in range(0, len(uids), CHUNK))
        if waiting:
            self._ask([_head(waiting[0])])
        while waiting:
            chunk = waiting.popleft()
            raws = list(self._heads(chunk))
            groups = list(_by_bytes(raws)) or [[]]
            for group in groups[:-1]:
                self._texts(group, [])
            self._texts(groups[-1], [_head(waiting[0])] if waiting and self.received <= _BATCH_BYTES else [])
            for uid in chunk[:-1]:  # the last one stays, as a sign that the server does answer
                self._answers.pop(uid, None)
            yield chunk
            if waiting and self.received <= _BATCH_BYTES:
                continue
            return

    def _heads(self, chunk: list[int]) -> Iterator[tuple[int, RawMail, Plan | None]]:
        for uid in chunk:
            if reason := self._failed.get((uid, _HEAD_KEY)):
                self.unreadable[uid] = self._unreadable(uid, reason)
            elif (found := self._answers.get(uid)) and _HEAD_KEY in found:
                raw, plan = self._open(uid, found)
                if raw.received_at >= self.since:  # servers read SINCE by their own zone, or not at all
                    yield uid, raw, plan

    def _unreadable(self, uid: int, reason: str) -> Unreadable:
        return Unreadable(
            account=self.link.settings.account, folder=self.folder.name, ref=f"{self.uidvalidity}:{uid}",
            stage="fetch", reason=reason,
        )  # fmt: skip

    def _open(self, uid: int, found: dict[bytes, Node]) -> tuple[RawMail, Plan | None]:
        header = found[_HEAD_KEY] or b""
        size = _number(found.get(b"RFC822.SIZE"))
        received_at = parse_internal_date(found.get(b"INTERNALDATE"))
        self.oldest = min(self.oldest, int(received_at.timestamp()))
        if len(self.marks) < 64:
            self.marks.append(Mark(self.folder.key, uid, int(received_at.timestamp()), size))
        plan = None
        with contextlib.suppress(Garbled):  # then the raw mail is read instead
            plan = plan_mail(found.get(b"BODYSTRUCTURE"), returned=lambda: _RETURNED.search(header) is not None)
        raw = RawMail(
            account=self.link.settings.account,
            folder=self.folder.name,
            folder_role=self.folder.role,
            ref=f"{self.uidvalidity}:{uid}",
            received_at=received_at,
            size=size,
            flags=_flags(found.get(b"FLAGS")),
            header=_closed(header),
            attachments=plan.attachments if plan else (),
            content_type=plan.content_type if plan else "",
        )
        return raw, plan

    def _texts(self, group: list[tuple[int, RawMail, Plan | None]], more: list[_Question]) -> None:
        """Fetch the text sections of these mails, ask `more` in the same round trip, start the parser."""
        questions = [_text_question(names, uids) for names, uids in _by_sections(group).items()]
        self._ask([*questions, *more])
        raws = [self._complete(*entry) for entry in group]
        if raws:
            self.futures.append(self.parser.submit(raws))

    def _complete(self, uid: int, raw: RawMail, plan: Plan | None) -> RawMail:
        found = self._answers.get(uid, {})
        if plan is None:
            whole = found.get(b"BODY[]")
            if not whole or 0 <= _WHOLE_CLIP < raw.size:
                return replace(raw, notes=("header only",))
            return replace(raw, whole=whole, header=b"")
        if not plan.sections:
            return raw
        parts = []
        for section in plan.sections:
            body = found.get(_key(section.name))
            if body is None and _key(section.name) not in found:
                return replace(raw, notes=("header only",))
            cut = len(body or b"") >= _TEXT_CLIP
            parts.append(
                RawPart(
                    content_type=section.content_type,
                    parameters=section.parameters,
                    encoding=section.encoding,
                    body=body or b"",
                    truncated=cut,
                )
            )
        return replace(raw, parts=tuple(parts))

    # -- questions and failures

    def _ask(self, questions: list[_Question]) -> None:
        """Ask until every mail has answered, has gone, or has failed for good."""
        pending = self._rest(questions)
        while pending:
            connection = self.link.connection()
            self._garbled = ""
            asked, later = self._turn(pending)
            try:
                answers = connection.wire.run(*map(_command, asked), each=self._take)
            except TimeoutError:
                self._blame(asked)
                raise
            except (OSError, Garbled, imaplib.IMAP4.error) as error:
                self._blame(asked, str(error))
                self.link.reopen(self.folder.key, self.uidvalidity)
                pending = self._rest(pending)
                continue
            pending = [
                again
                for question, answer in zip(asked, answers, strict=True)
                for again in self._again(question, answer)
            ] + later

    def _turn(self, pending: list[_Question]) -> tuple[list[_Question], list[_Question]]:
        """(what to ask now, what later). Everything at once, but a mail that was refused twice all by itself."""
        stubborn = [one for one in pending if self._tries[one.uids[0], one.proof] >= 2]
        if len(stubborn) < len(pending):
            return [one for one in pending if one not in stubborn], stubborn
        return pending[:1], pending[1:]

    def _take(self, pieces: list[bytes]) -> None:
        self.received += sum(map(len, pieces))
        if len(pieces) == 1 and b" FETCH " not in pieces[0]:
            return
        try:
            line = tokens(pieces)
        except Garbled as error:
            self._garbled = str(error)
            return
        if len(line) < 3 or line[1].upper() != b"FETCH" or not isinstance(line[2], list):
            return
        values = line[2]
        found = {_plain_key(key): value for key, value in zip(values[::2], values[1::2], strict=False)}
        if found.get(_HEAD_KEY, b"") is None:  # deleted while it was read; the search for it tells
            del found[_HEAD_KEY]
        if (uid := _number(found.get(b"UID"))) > 0:
            self._answers.setdefault(uid, {}).update(found)
            self._lost_in_a_row = 0

    def _missing(self, question: _Question) -> list[int]:
        nothing: dict[bytes, Node] = {}
        return [uid for uid in question.uids if question.proof not in self._answers.get(uid, nothing)]

    def _blame(self, pending: list[_Question], reason: str = "") -> None:
        """Servers answer in the order of UIDs: the first mail without an answer is the one the connection died on, or
        one whose answer was lost with the connection. So it is asked for alone before it is given up."""
        for question in pending:
            if missing := self._missing(question):
                suspect = (self.folder.key, self.uidvalidity, min(missing))
                self.suspects[suspect] += 1
                if self.suspects[suspect] == _TRIES:
                    self._lost_in_a_row += 1
                break
        if self._lost_in_a_row >= _LOST_IN_A_ROW:
            account = self.link.settings.account
            raise Unavailable(account, f"the connection breaks on every mail: {reason}", hint="look at the server")

    def _rest(self, questions: list[_Question]) -> list[_Question]:
        """What is left of questions: neither answered nor given up. Suspects are asked for first, one by one."""
        rest = []
        for question in questions:
            innocent = []
            for uid in self._missing(question):
                blamed = self.suspects[self.folder.key, self.uidvalidity, uid]
                if blamed >= _TRIES:
                    self._failed[uid, question.proof] = "the connection broke on it three times"
                elif (uid, question.proof) in self._failed:
                    continue
                elif blamed:
                    rest.append(replace(question, uids=(uid,)))
                else:
                    innocent.append(uid)
            if innocent:
                rest.append(replace(question, uids=tuple(innocent)))
        return rest

    def _again(self, question: _Question, answer: Answer) -> list[_Question]:
        """After the tagged answer: mails to be asked for once more, one by one."""
        missing = self._missing(question)
        if not missing:
            return []
        if answer.code in FETCH_BUSY and len(question.uids) == 1 and not self._answers:
            error = Refused(answer.status, answer.code, answer.text)
            raise refused(self.link.settings.account, self.link.where, error)
        if answer.status == "OK":  # most likely deleted meanwhile; what is still there was left out by the server
            missing = self._existing(missing)
        reason = f"the server refused it: {answer.text}" if answer.status != "OK" else "the server left it out"
        again = []
        for uid in missing:
            self._tries[uid, question.proof] += 1
            if self._tries[uid, question.proof] >= _REFUSALS:
                self._failed[uid, question.proof] = self._garbled or reason
            else:
                again.append(replace(question, uids=(uid,)))
        if len(self._failed) >= _REFUSED_ALL and not self._answers:
            raise Unavailable(self.link.settings.account, f"the server refuses every mail: {answer.text}")
        return again

    def _existing(self, uids: list[int]) -> list[int]:
        found: set[int] = set()
        for pieces in self.link.connection().wire.say(b"UID SEARCH UID " + compact(uids)).untagged:
            found.update(int(word) for word in pieces[0].split()[2:] if word.isdigit())
        return [uid for uid in uids if uid in found]


def _head(uids: Sequence[int]) -> _Question:
    return _Question(tuple(uids), _HEAD, _HEAD_KEY)


def _command(question: _Question) -> bytes:
    return b"UID FETCH %s (%s)" % (compact(question.uids), question.items)


def _key(section: str) -> bytes:
    return b"BODY[%s]" % section.encode("ascii")


def _plain_key(key: Node) -> bytes:
    """`BODY[1]<0>` as `BODY[1]`."""
    text: bytes = key if isinstance(key, bytes) else b""
    return text.partition(b"<")[0].upper() if text.endswith(b">") else text.upper()


def _by_sections(group: list[tuple[int, RawMail, Plan | None]]) -> dict[tuple[str, ...], list[int]]:
    groups: dict[tuple[str, ...], list[int]] = {}
    for uid, raw, plan in group:
        if plan is None and raw.size <= _WHOLE_CLIP:
            groups.setdefault(("",), []).append(uid)
        elif plan and plan.sections:
            groups.setdefault(tuple(section.name for section in plan.sections), []).append(uid)
    return groups


def _text_question(names: tuple[str, ...], uids: list[int]) -> _Question:
    clip = _TEXT_CLIP if names != ("",) else _WHOLE_CLIP
    items = b"UID " + b" ".join(b"BODY.PEEK[%s]<0.%d>" % (name.encode("ascii"), clip) for name in names)
    return _Question(tuple(uids), items, _key(names[-1]))


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


def _number(value: Node) -> int:
    return int(value) if isinstance(value, bytes) and value.isdigit() else -1


def _flags(value: Node) -> tuple[str, ...]:
    """Flags as text; \\Recent belongs to a session and not to the mail."""
    if not isinstance(value, list):
        return ()
    return tuple(flag.decode("latin-1") for flag in value if isinstance(flag, bytes) and flag.lower() != b"\\recent")
