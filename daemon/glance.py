"""A look at mailboxes that stores nothing anywhere: no row, no position, no file.

For commands that an admin tries first: `doctor`, `sync --dry-run`, `customer propose`. They work before there is a
store; where there is one they see what it knows.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import Session

from connectors.model import Cursor, Message, Progress, Unreadable
from connectors.protocols import Source
from daemon.directory import directory_for
from daemon.office import Office, load_office, state_directory
from daemon.wishes import is_wish
from rules.decision import Decision, Outcome
from rules.engine import evaluate
from rules.facts import Directory, Moment
from rules.triggers import UNSUBSCRIBED
from store import customers, interactions, schema
from store.engine import Store, open_store, parse_url
from store.hashing import KEY_SIZE, HashKey
from store.identity import identity

BATCH = 500
FOLDERS = 2
"""How many folders the newest mails are taken from: the Inbox and Sent."""


class Knowledge:
    """What the store knows about mails; nothing where there is no store yet."""

    def __init__(self, office: Office, store: Store | None, key: HashKey) -> None:
        self._office = office
        self._store = store
        self._key = key
        self._loaded = dict.fromkeys((rule.name for rule in office.rules.rules), datetime.min.replace(tzinfo=UTC))

    @classmethod
    def none(cls, office: Office) -> Knowledge:
        """For an office whose store cannot be read."""
        return cls(office, None, HashKey(secrets.token_bytes(KEY_SIZE)))

    def directory(self, messages: Sequence[Message]) -> Directory:
        """The rules' view of the store for these mails."""
        if self._store is None:
            return Directory()
        with self._store.session() as session:
            return directory_for(session, self._key, self._office.settings, messages, self._office.rules)

    def logged(self, messages: Sequence[Message]) -> set[str]:
        """Identity keys of those mails that are in the history already."""
        if self._store is None:
            return set()
        with self._store.session() as session:
            return set(interactions.find_known(session, [identity(message) for message in messages]))

    def names(self, numbers: Collection[int]) -> dict[int, str]:
        """Names of customers by number."""
        if self._store is None:
            return {}
        with self._store.session() as session:
            return {number: row.name for number, row in customers.facts(session, numbers).items()}

    def explain(self, message: Message, directory: Directory, now: datetime) -> Decision:
        """What the rules would say if this mail came now, every rule traced."""
        return self._evaluate(message, directory, now, explain=True)

    def outcome(self, message: Message, directory: Directory, now: datetime) -> Outcome:
        """What would become of this mail."""
        return self._evaluate(message, directory, now, explain=False).outcome

    def _evaluate(self, message: Message, directory: Directory, now: datetime, *, explain: bool) -> Decision:
        before = min(message.received_at, message.sent_at or message.received_at) - timedelta(days=1)
        moment = Moment(now=now, baseline=before, loaded=self._loaded)
        rules, settings = self._office.rules, self._office.settings
        wish = self._is_wish(message, directory)
        return evaluate(rules, message, directory, settings, moment, explain=explain, unsubscribed=wish)

    def _is_wish(self, message: Message, directory: Directory) -> bool:
        if self._store is None or UNSUBSCRIBED not in self._office.rules.events:
            return False
        with self._store.session() as session:
            return is_wish(session, self._office.rules, self._office.settings, directory, message)


@contextmanager
def knowledge(office: Office) -> Iterator[Knowledge]:
    """What the store of this office knows, read-only. Raises StoreOlder, StoreNewer, StoreError."""
    store = existing_store(office)
    try:
        if store is not None:
            schema.ensure_current(store)
        yield Knowledge(office, store, _key(office.directory))
    finally:
        if store is not None:
            store.close()


@contextmanager
def glancing(directory: Path) -> Iterator[tuple[Office, Session | None]]:
    """The office and what its store knows, None where there is none yet: for what the files alone can tell. Raises
    ConfigError, StoreError."""
    office = load_office(directory)
    store = existing_store(office)
    if store is None:
        yield office, None
        return
    try:
        with store.session() as session:
            yield office, session
    finally:
        store.close()


def existing_store(office: Office) -> Store | None:
    """The office's store opened for reading, None if it was never made. Raises StoreError."""
    url = office.settings.store_url(office.directory)
    parsed = parse_url(url, office.directory)
    if parsed.drivername == "sqlite" and not Path(parsed.database or "").exists():
        return None
    store = open_store(url, base=office.directory, read_only=True)
    try:
        made = bool(schema.current(store))
    except BaseException:
        store.close()
        raise
    if not made:
        store.close()
    return store if made else None


def _key(directory: Path) -> HashKey:
    """The store's hash key; where there is none yet, one that matches nothing and is not kept."""
    path = state_directory(directory) / "hash.key"
    return HashKey.load(path) if path.exists() else HashKey(secrets.token_bytes(KEY_SIZE))


def newest(source: Source, count: int) -> tuple[list[Message], list[Unreadable]]:
    """The `count` newest mails of Inbox and Sent, newest first, and what could not be read. Raises ConnectorError."""
    cursor: Cursor | None = None
    items: list[Message] = []
    unreadable: list[Unreadable] = []
    for _ in range(FOLDERS):
        batch = source.fetch(cursor, limit=count)
        items += batch.items
        unreadable += batch.unreadable
        cursor = batch.cursor
        if not batch.more:
            break
    return sorted(items, key=lambda one: one.received_at, reverse=True)[:count], unreadable


def every_mail(source: Source, show: Callable[[Progress], None]) -> Iterator[Sequence[Message]]:
    """All mails of an account in batches, newest first in each folder; `show` hears of the progress.

    Raises ConnectorError.
    """
    cursor: Cursor | None = None
    while True:
        batch = source.fetch(cursor, limit=BATCH)
        show(batch.progress)
        yield batch.items
        if not batch.more:
            return
        cursor = batch.cursor
