"""The sequences that somebody is in, as they were entered: from the files where they are the same, else read again
from what the store kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlmodel import Session

from config.errors import Problem
from daemon.office import Office
from rules.reader import Reader
from rules.sequence import Sequence, stricter
from rules.sequences import read_version
from store import enrolments
from store.tables import Enrolment

GONE = 'the sequence "{0}" is not in the files any more'
BROKEN = 'what "{0}" was when they entered cannot be done any more: {1}'


@dataclass(slots=True)
class Book:
    """Versions by name and hash, read once. A text says why one cannot be used."""

    office: Office
    _read: dict[tuple[str, str], Sequence | str] = field(default_factory=dict)

    def find(self, session: Session, enrolment: Enrolment) -> Sequence | str:
        """The version somebody is in. Of its mode and the file's the stricter one holds: who writes `mode: draft` into
        the file wants nothing to leave by itself any more."""
        today = self.office.rules.sequences.get(enrolment.sequence)
        if today is None:
            return GONE.format(enrolment.sequence)
        if today.version == enrolment.version:
            return today
        key = (enrolment.sequence, enrolment.version)
        if key not in self._read:
            self._read[key] = self._load(session, key)
        found = self._read[key]
        return found if isinstance(found, str) else replace(found, mode=stricter(found.mode, today.mode))

    def _load(self, session: Session, key: tuple[str, str]) -> Sequence | str:
        kept = enrolments.versions(session, key[0]).get(key)
        if kept is None:
            return BROKEN.format(key[0], "nothing was kept of it")
        problems: list[Problem] = []
        rules, settings = self.office.rules, self.office.settings
        reader = Reader(
            settings=settings,
            problems=problems,
            templates=frozenset(rules.templates),
            sequences=frozenset(rules.sequences),
        )
        found = read_version(*key, kept.content, reader)
        return found or BROKEN.format(key[0], problems[0].message if problems else "it cannot be read")


def book_of(office: Office) -> Book:
    """The book of this office, begun at the first call. Offices are replaced whole, never changed."""
    global _last
    if _last is None or _last.office is not office:
        _last = Book(office)
    return _last


_last: Book | None = None


def keep_versions(session: Session, office: Office, now: datetime) -> None:
    """Keep what the sequences of the files say today, so that whoever enters can stay on it."""
    for one in office.rules.sequences.values():
        enrolments.keep_version(session, one.name, one.version, one.content, now)
