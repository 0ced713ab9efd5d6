"""rules lint: what the files show, and what the counts of the store show."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from config.errors import Problem
from daemon.clock import SystemClock
from daemon.glance import existing_store
from daemon.office import Office, load_office
from rules.lint import lint
from rules.ruleset import Rule
from rules.triggers import DATE, Trigger
from store import actions, coming, schema
from store.actions import Hits


def findings(directory: Path, days: int) -> list[Problem]:
    """Everything worth a look in the rules, by file and line. Raises ConfigError, StoreError."""
    office = load_office(directory)
    found = [
        *lint(directory, office.rules, office.settings),
        *_idle(office, SystemClock().now(), days),
        *_dates(office),
    ]
    return sorted(found, key=lambda one: (str(one.path), one.line, one.column))


def _idle(office: Office, now: datetime, days: int) -> list[Problem]:
    """Rules that were loaded long enough and did not act for so many days. () where there is no store yet."""
    store = existing_store(office)
    if store is None:
        return []
    try:
        with store.session() as session:
            hits = actions.hits(session)
    finally:
        store.close()
    since = now - timedelta(days=days)
    rules = (rule for rule in office.rules.rules if rule.mode != "off" and rule.name in hits)
    return [_told(office, rule, hits[rule.name], days) for rule in rules if _is_idle(hits[rule.name], since)]


def _dates(office: Office) -> list[Problem]:
    """Fields that rules take for dates and that hold none, a finding for each rule and field."""
    wrong = unreadable_dates(office)
    return [
        _told_date(office, rule, trigger, names)
        for rule in office.rules.rules
        for trigger in rule.triggers
        if rule.mode != "off" and (names := wrong.get(trigger.field)) and trigger.word == DATE
    ]


def unreadable_dates(office: Office) -> dict[str, list[str]]:
    """Field as rules name it -> the customers in whose records it holds no date, by name. {} without a store."""
    store = existing_store(office)
    if store is None or schema.current(store) != schema.HEAD:
        return {}
    found: dict[str, list[str]] = {}
    try:
        with store.session() as session:
            for owner, name, _, customer in coming.unreadable(session):
                found.setdefault(f"contact.{name}" if owner == "contact" else name, []).append(customer)
    finally:
        store.close()
    return found


def _told_date(office: Office, rule: Rule, trigger: Trigger, names: list[str]) -> Problem:
    file, _, line = rule.place.rpartition(":")
    some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Problem(
        code="W412",
        message=f'"{rule.name}" waits for {trigger.field}, which is no date at: {some}',
        path=office.directory / file,
        line=int(line),
        column=1,
        help=f'write it as 2026-12-31, for every year as --12-31: quietcrm customer edit "{names[0]}" --set ...',
        warning=True,
    )


def _is_idle(row: Hits, since: datetime) -> bool:
    return row.first_at < since and (row.last_hit_at is None or row.last_hit_at < since)


def _told(office: Office, rule: Rule, row: Hits, days: int) -> Problem:
    last = row.last_hit_at.astimezone(office.settings.zone) if row.last_hit_at else None
    ago = f"last on {last:%Y-%m-%d}" if last else "never"
    file, _, line = rule.place.rpartition(":")
    return Problem(
        code="W409",
        message=f'"{rule.name}" did not act for {days} days ({ago}, {row.hits} times in all)',
        path=office.directory / file,
        line=int(line),
        column=1,
        help=f"see why: quietcrm rules explain MAIL --rule {rule.name}; or take it away",
        warning=True,
    )
