"""Effects that rules had: each once, keyed (event, rule, slot). When rules were first loaded, how often they hit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from store.statements import among, insert_new, table
from store.tables import ActionDone, RuleLoaded

_DONE = table(ActionDone)
_LOADED = table(RuleLoaded)
TURN = "once per "
"""Begins the event of a row that keeps whom a rule with `once:` acted for; events of mails are hashes."""
Claim = tuple[str, str, str]
"""(event, rule, slot)"""


def claim(session: Session, claims: Sequence[Claim], now: datetime) -> set[Claim]:
    """Take effects for our own; those that nobody had taken before. Only these may be carried out."""
    wanted = list(dict.fromkeys(claims))
    if not wanted:
        return set()
    events = {event for event, _, _ in wanted}
    rows = session.execute(
        select(_DONE.c.event, _DONE.c.rule, _DONE.c.slot).where(among(session, _DONE.c.event, events))
    )
    taken = {(row[0], row[1], row[2]) for row in rows}
    # Row by row on purpose: only the count of one insert tells whether another writer was faster with it.
    return {one for one in wanted if one not in taken and _take(session, one, now)}


def _take(session: Session, claim: Claim, now: datetime) -> bool:
    event, rule, slot = claim
    row = {"event": event, "rule": rule, "slot": slot, "done_at": now, "detail": ""}
    return bool(insert_new(session, _DONE, [row], key=("event", "rule", "slot")))


def describe(session: Session, claim: Claim, detail: str) -> None:
    """Say what came of a claimed effect ("draft 17")."""
    event, rule, slot = claim
    where = (_DONE.c.event == event, _DONE.c.rule == rule, _DONE.c.slot == slot)
    session.execute(update(_DONE).where(*where).values(detail=detail))


def done_for(session: Session, event: str) -> list[tuple[str, str, str]]:
    """What was done because of an event: (rule, slot, detail)."""
    statement = select(_DONE.c.rule, _DONE.c.slot, _DONE.c.detail).where(_DONE.c.event == event)
    return [(row[0], row[1], row[2]) for row in session.execute(statement.order_by(_DONE.c.rule, _DONE.c.slot))]


def turns(session: Session, keys: Collection[str]) -> dict[tuple[str, str], datetime]:
    """(rule, key) -> arrival of the mail that a rule with `once:` acted on last, for these keys of rules.once."""
    events = {_turn(key) for key in keys if key}
    if not events:
        return {}
    found = select(_DONE.c.rule, _DONE.c.event, _DONE.c.done_at).where(among(session, _DONE.c.event, events))
    return {(row[0], row[1].removeprefix(TURN)): row[2] for row in session.execute(found)}


def turns_before(session: Session, moment: datetime) -> dict[tuple[str, str], datetime]:
    """(rule, key) -> arrival of the mail it acted on last, where that was before a moment."""
    rows = select(_DONE.c.rule, _DONE.c.event, _DONE.c.done_at).where(
        _DONE.c.slot == "once", _DONE.c.event.startswith(TURN), _DONE.c.done_at < moment
    )
    return {(row[0], row[1].removeprefix(TURN)): row[2] for row in session.execute(rows)}


def take_turn(session: Session, rule: str, key: str, at: datetime) -> None:
    """Note that a rule acted for `key` on a mail that arrived at `at`; the latest such mail counts."""
    row = {"event": _turn(key), "rule": rule, "slot": "once", "done_at": at, "detail": ""}
    if not insert_new(session, _DONE, [row], key=("event", "rule", "slot")):
        mine = (_DONE.c.event == _turn(key), _DONE.c.rule == rule, _DONE.c.slot == "once", _DONE.c.done_at < at)
        session.execute(update(_DONE).where(*mine).values(done_at=at))


def _turn(key: str) -> str:
    return f"{TURN}{key}"


def release(session: Session, claims: Iterable[Claim]) -> None:
    """Give claims back whose effect did not happen after all."""
    for event, rule, slot in claims:
        session.execute(delete(_DONE).where(_DONE.c.event == event, _DONE.c.rule == rule, _DONE.c.slot == slot))


@dataclass(frozen=True, slots=True)
class LoadedRule:
    """A rule as it is loaded now. `was`: the name it had before, "" if none."""

    name: str
    fingerprint: str = ""
    was: str = ""


def load_rules(session: Session, rules: Collection[LoadedRule], now: datetime) -> dict[str, datetime]:
    """Note that these rules are loaded; name -> since when each sees mail.

    That is now for a new or changed rule, and since the first loading for an unchanged one, under its old name too.
    """
    known, fresh = hits(session), []
    for rule in rules:
        before = known.get(rule.name) or (known.get(rule.was) if rule.was else None)
        same = before is not None and before.fingerprint == rule.fingerprint
        first_at = before.first_at if before is not None and same else now
        if rule.name not in known:
            row = {"name": rule.name, "first_at": first_at, "fingerprint": rule.fingerprint, "hits": 0}
            fresh.append(row)
        elif not same:
            changed = {"first_at": now, "fingerprint": rule.fingerprint}
            session.execute(update(_LOADED).where(_LOADED.c.name == rule.name).values(changed))
    insert_new(session, _LOADED, fresh, key=("name",))
    return loaded_rules(session)


def loaded_rules(session: Session) -> dict[str, datetime]:
    """Rule -> when it was first loaded; rules that are gone from the files included."""
    return {row[0]: row[1] for row in session.execute(select(_LOADED.c.name, _LOADED.c.first_at))}


def hit(session: Session, rules: Iterable[str], now: datetime) -> None:
    """Count that rules acted: one hit for each time a name is given."""
    for name, times in sorted(Counter(rules).items()):
        session.execute(
            update(_LOADED).where(_LOADED.c.name == name).values(hits=_LOADED.c.hits + times, last_hit_at=now)
        )


class Hits(NamedTuple):
    """What is kept of a rule, see RuleLoaded: an instance of that for each of ten thousand takes seconds."""

    name: str
    first_at: datetime
    fingerprint: str
    hits: int
    last_hit_at: datetime | None


def hits(session: Session) -> dict[str, Hits]:
    """Rule -> first loading, hits, last hit."""
    columns = [_LOADED.c[name] for name in Hits._fields]
    return {row[0]: Hits(*row) for row in session.execute(select(*columns))}
