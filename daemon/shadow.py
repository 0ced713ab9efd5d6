"""Two accounts that show one mailbox, by two protocols say: which mails does one give and the other does not?

For offices that move from one connector to another. Reads only; stores nothing. Mails are told apart as in the history,
by Message-ID, and by their content where they have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from config.settings import Settings
from connectors import factory
from connectors.factory import Surroundings
from connectors.model import Cursor, Message
from connectors.parsing import ParserPool
from connectors.protocols import Source
from store.identity import identity

BATCH = 500
MARGIN = timedelta(days=1)
"""Servers cut by days of their own zone: so much more is read than is compared."""
FIELDS = ("date", "from", "text")


@dataclass(frozen=True, slots=True)
class Fact:
    """What is compared of one copy of a mail. `text` is a digest of the words, whatever the white space."""

    message_id: str
    received_at: datetime
    date: str
    sender: str
    text: str
    subject: str
    folder: str

    def shown(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "message_id": self.message_id,
            "received_at": self.received_at,
            "date": self.date,
            "from": self.sender,
            "subject": self.subject,
            "folder": self.folder,
        }

    def differs(self, other: Fact) -> tuple[str, ...]:
        """The names of what is not the same."""
        pairs = ((self.date, other.date), (self.sender, other.sender), (self.text, other.text))
        return tuple(name for name, (mine, theirs) in zip(FIELDS, pairs, strict=True) if mine != theirs)


@dataclass(slots=True)
class Reading:
    """What one account gave. `complete` = it came to its end before the limit."""

    account: str
    mails: dict[str, list[Fact]] = field(default_factory=dict)
    read: int = 0
    unreadable: int = 0
    complete: bool = False

    def add(self, messages: Iterable[Message]) -> None:
        """Take in mails."""
        for message in messages:
            self.mails.setdefault(_key(message), []).append(_fact(message))
            self.read += 1


@dataclass(frozen=True, slots=True)
class Difference:
    """One mail under one Message-ID that the accounts show otherwise."""

    fields: tuple[str, ...]
    first: Fact
    second: Fact


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict. What only one has can be told only if the other was read to its end."""

    first: Reading
    second: Reading
    same: int
    only_first: tuple[Fact, ...]
    only_second: tuple[Fact, ...]
    differing: tuple[Difference, ...]

    @property
    def is_clean(self) -> bool:
        """Both were read to their end and are the same."""
        whole = self.first.complete and self.second.complete
        return whole and not (self.only_first or self.only_second or self.differing)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        readings = (self.first, self.second)
        only = zip(readings, (self.only_first, self.only_second), strict=True)
        return {
            "accounts": {
                one.account: {"read": one.read, "unreadable": one.unreadable, "complete": one.complete}
                for one in readings
            },
            "same": self.same,
            "only_in": {reading.account: [fact.shown() for fact in facts] for reading, facts in only},
            "differing": [
                {
                    "message_id": one.first.message_id,
                    "fields": one.fields,
                    self.first.account: one.first.shown(),
                    self.second.account: one.second.shown(),
                }
                for one in self.differing
            ],
        }


def read_both(
    settings: Settings,
    directory: Path,
    names: tuple[str, str],
    *,
    since: date,
    limit: int,
    show: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[Reading, Reading]:
    """Read both at once, from a day before `since`, at most `limit` mails each; `show` hears of account, mails read and
    mails there are (0: not known). Raises ConnectorError, SecretUnavailable."""
    today = datetime.now(UTC).astimezone(settings.zone).date()
    around = Surroundings(base=directory, today=today)
    parser = ParserPool()

    def read(name: str) -> Reading:
        account = settings.accounts[name].model_copy(update={"since": since - MARGIN})
        source = factory.build_source(name, account, parser, around)
        try:
            return _read(source, limit, lambda read, total: show(name, read, total))
        finally:
            source.close()

    try:
        with ThreadPoolExecutor(2, thread_name_prefix="shadow") as pool:
            first, second = pool.map(read, names)
            return first, second
    finally:
        parser.close()


def _read(source: Source, limit: int, show: Callable[[int, int], None]) -> Reading:
    reading = Reading(source.account)
    cursor: Cursor | None = None
    while reading.read < limit:
        batch = source.fetch(cursor, limit=min(BATCH, limit - reading.read))
        reading.add(item for item in batch.items if isinstance(item, Message))
        reading.unreadable += len(batch.unreadable)
        show(reading.read, batch.progress.total)
        if not batch.more:
            reading.complete = True
            break
        cursor = batch.cursor
    return reading


def compare(first: Reading, second: Reading, *, since: date, until: datetime) -> Comparison:
    """Compare what both gave. Mail that arrived before `since` or after `until`, when the reading began, is looked up
    but not missed."""
    start = datetime.combine(since, time.min, UTC)
    common = first.mails.keys() & second.mails.keys()
    differing = [found for key in common if (found := _difference(first.mails[key], second.mails[key]))]

    def missing(mine: Reading, theirs: Reading) -> tuple[Fact, ...]:
        if not theirs.complete:
            return ()
        alone = (mine.mails[key][0] for key in mine.mails.keys() - theirs.mails.keys())
        return tuple(sorted((fact for fact in alone if start <= fact.received_at <= until), key=_newest_first))

    return Comparison(
        first=first,
        second=second,
        same=len(common) - len(differing),
        only_first=missing(first, second),
        only_second=missing(second, first),
        differing=tuple(sorted(differing, key=lambda one: _newest_first(one.first))),
    )


def _difference(mine: list[Fact], theirs: list[Fact]) -> Difference | None:
    """The least that differs between any two copies; None if two are the same."""
    pairs: Iterator[Difference] = (Difference(one.differs(other), one, other) for one in mine for other in theirs)
    found = min(pairs, key=lambda one: len(one.fields))
    return found if found.fields else None


def _newest_first(fact: Fact) -> tuple[float, str]:
    return -fact.received_at.timestamp(), fact.message_id


def _key(message: Message) -> str:
    return message.message_id or identity(message).content


def _fact(message: Message) -> Fact:
    words = " ".join(message.text.split()).casefold()
    return Fact(
        message_id=message.message_id,
        received_at=message.received_at,
        date=message.sent_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if message.sent_at else "",
        sender=message.sender.key if message.sender else "",
        text=hashlib.blake2b(words.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest(),
        subject=message.subject[:200],
        folder=message.folder,
    )
