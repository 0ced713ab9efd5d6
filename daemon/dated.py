"""Keeps the table of dates up to date: which fields of which records hold which day, as far as rules wait for them.

The records hold dates as people write them. A field is read through once when a rule first names it; afterwards the
numbered changes tell which records are to be read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from daemon.office import Office
from rules.coming import read_dated
from rules.ruleset import RuleSet
from rules.triggers import DATE
from store import coming
from store.coming import Mark
from store.engine import Store

Field = tuple[str, str]
"""("customer" or "contact", name of the field)"""
FEED = "dates"
AT_ONCE = 2000


def fields_waited_for(rules: RuleSet) -> set[Field]:
    """The fields whose date some rule waits for."""
    return {("contact" if one.of_a_contact else "customer", one.key) for one in rules.triggers if one.word == DATE}


@dataclass(slots=True)
class Dates:
    """Reads dates out of the records. Call from one thread."""

    store: Store

    def refresh(self, office: Office, now: datetime) -> None:
        """Bring the table up to the newest change."""
        language = office.settings.company.language
        wanted = {_name(field, language): field for field in sorted(fields_waited_for(office.rules))}
        with self.store.session() as session:
            marks = coming.marks(session)
            newest = coming.newest_change(session)
        built = {name for name in marks if name.startswith(_PREFIX)}
        if wanted.keys() - built or built - wanted.keys():
            self._forget(built - wanted.keys(), wanted.values())
            for name in sorted(wanted.keys() - built):
                self._build(name, wanted[name], language, now)
        if wanted:
            self._follow(marks.get(FEED), newest, wanted.values(), language, now)

    def _forget(self, names: Collection[str], kept: Collection[Field]) -> None:
        with self.store.writing() as session:
            for name in names:
                owner, _, field = name.removeprefix(_PREFIX).partition(" ")[0].partition(".")
                if (owner, field) not in kept:
                    coming.forget_dates(session, owner, field)
            coming.forget_marks(session, [*names, *([] if kept else [FEED])])

    def _build(self, name: str, field: Field, language: str, now: datetime) -> None:
        """Read a field of every record, a page at a time."""
        number = 0
        while True:
            with self.store.session() as session:
                page = coming.fields_behind(session, field[0], number, AT_ONCE)
            if not page:
                break
            number = page[-1][0]
            found = {row: days for row, fields in page if (days := _days(fields, [field[1]], language))}
            if found:
                with self.store.writing() as session:
                    coming.keep_dates(session, field[0], [field[1]], found)
        with self.store.writing() as session:
            coming.set_marks(session, {name: Mark(now)})

    def _follow(self, found: Mark | None, newest: int, fields: Iterable[Field], language: str, now: datetime) -> None:
        """Read again what was changed since."""
        several, mark, known = list(fields), found or Mark(now, newest), found is not None
        while True:
            with self.store.session() as session:
                changed = coming.changes_behind(session, mark.number, AT_ONCE)
                undone = coming.undone_since(session, mark.at) if mark.at else []
            rows = {(one.table_name, one.row_id) for one in changed} | set(undone)
            if not rows and known:
                return
            last = changed[-1].id if changed else None
            mark, known = Mark(now, last if last is not None else mark.number), True
            with self.store.writing() as session:
                for owner in coming.OWNERS:
                    names = [field for table, field in several if table == owner]
                    numbers = {number for table, number in rows if table == owner}
                    if names and numbers:
                        texts = coming.fields_of(session, owner, numbers)
                        days = {number: _days(texts.get(number, {}), names, language) for number in numbers}
                        coming.keep_dates(session, owner, names, days)
                coming.set_marks(session, {FEED: mark})
            if len(changed) < AT_ONCE:
                return


def _days(fields: Mapping[str, Any], names: Iterable[str], language: str) -> dict[str, int]:
    """Field -> day, as DatedField.month_day; fields without a value are missing."""
    found = {}
    for name in names:
        value = fields.get(name)
        if value is not None and str(value).strip():
            read = read_dated(value, language)
            found[name] = read.month * 100 + read.day if read else coming.UNREADABLE
    return found


_PREFIX = "field "


def _name(field: Field, language: str) -> str:
    """The mark of a field that was read through; in another language the same text may be another day."""
    return f"{_PREFIX}{field[0]}.{field[1]} {language}"
