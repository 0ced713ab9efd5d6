"""Marks on mails in the reps' mailboxes, from plan to end; see store.tables.MarkState."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from connectors.model import Marks
from store import sightings
from store.errors import Conflict, NotFound
from store.sightings import FLAGGED, names_in
from store.statements import among, insert_new, table, values_of
from store.tables import MailboxMark, MarkState

_MARK = table(MailboxMark)
_AGAIN = "it is being done this moment: try again in a minute"


def plan(session: Session, row: MailboxMark) -> int | None:
    """Insert unless (event, rule, slot) was there before; the id, or None."""
    if not insert_new(session, _MARK, [values_of(row)], key=("event", "rule", "slot")):
        return None
    key = (_MARK.c.event == row.event, _MARK.c.rule == row.rule, _MARK.c.slot == row.slot)
    return int(session.execute(select(_MARK.c.id).where(*key)).scalar_one())


def get(session: Session, number: int) -> MailboxMark:
    """One mark; NotFound."""
    row = session.execute(select(_MARK).where(_MARK.c.id == number)).mappings().first()
    if row is None:
        raise NotFound(f"there is no mark {number}", hint="quietcrm rules explain shows the marks of a mail")
    return MailboxMark(**row)


def due(session: Session, now: datetime, limit: int, *, not_in: Collection[str] = ()) -> list[MailboxMark]:
    """Those to be tried now, the oldest first; not in accounts that rest. A mail is moved last of all."""
    waits = or_(_MARK.c.retry_at.is_(None), _MARK.c.retry_at <= now)
    statement = select(_MARK).where(_MARK.c.state == MarkState.PLANNED.value, waits, _MARK.c.account.not_in(not_in))
    rows = [MailboxMark(**row) for row in session.execute(statement.order_by(_MARK.c.id).limit(limit)).mappings()]
    return sorted(rows, key=lambda row: (row.interaction_id, bool(row.marks.get("move")), row.id))


def begin(session: Session, number: int, retry_at: datetime) -> bool:
    """Note that a try begins, and when the next one may; False if it is settled by now."""
    mine = (_MARK.c.id == number, _MARK.c.state == MarkState.PLANNED.value)
    values = {"attempts": _MARK.c.attempts + 1, "retry_at": retry_at}
    return bool(session.connection().execute(update(_MARK).where(*mine).values(values)).rowcount)


def settle(session: Session, number: int, state: MarkState, now: datetime, **fields: Any) -> None:
    """It came to an end. `fields`: reason, before."""
    session.execute(update(_MARK).where(_MARK.c.id == number).values(state=state.value, done_at=now, **fields))


def of_mails(session: Session, numbers: Collection[int]) -> list[MailboxMark]:
    """All marks of these mails, oldest first."""
    if not numbers:
        return []
    statement = select(_MARK).where(among(session, _MARK.c.interaction_id, numbers)).order_by(_MARK.c.id)
    return [MailboxMark(**row) for row in session.execute(statement).mappings()]


def counts(session: Session) -> dict[str, int]:
    """State -> how many."""
    return {row[0]: row[1] for row in session.execute(select(_MARK.c.state, func.count()).group_by(_MARK.c.state))}


def impossible_since(session: Session, since: datetime) -> list[tuple[str, str, int]]:
    """(account, reason, how many) of what could not be done since then."""
    columns = (_MARK.c.account, _MARK.c.reason)
    statement = select(*columns, func.count()).where(
        _MARK.c.state == MarkState.IMPOSSIBLE.value, _MARK.c.done_at >= since
    )
    return [(row[0], row[1], row[2]) for row in session.execute(statement.group_by(*columns).order_by(*columns))]


def as_data(marks: Marks) -> dict[str, Any]:
    """What is asked for as plain JSON data, what is not left out."""
    data = {"add": list(marks.add), "remove": list(marks.remove), "unflag": marks.unflag, "move": marks.move}
    kept = {name: value for name, value in data.items() if value}
    return kept | ({"flag": marks.flag.isoformat()} if marks.flag else {})


def from_data(data: Mapping[str, Any]) -> Marks:
    """The same again."""
    flag = data.get("flag")
    return Marks(
        add=tuple(data.get("add", ())),
        remove=tuple(data.get("remove", ())),
        flag=date.fromisoformat(flag) if flag else None,
        unflag=bool(data.get("unflag")),
        move=str(data.get("move", "")),
    )


def take_back(session: Session, number: int, change: int, now: datetime) -> None:
    """Cancel a mark, or plan the opposite of one that was done. Raises Conflict where it cannot be taken back."""
    try:
        row = get(session, number)
    except NotFound:  # gone with its mail
        return
    if row.state == MarkState.PLANNED:
        if row.attempts:
            raise Conflict(_AGAIN, hint="")
        settle(session, number, MarkState.CANCELLED, now, reason="taken back")
    elif row.state == MarkState.DONE:
        lies = sightings.of_mails(session, [row.interaction_id], row.account).get(row.interaction_id, [])
        opposite = _opposite(row, {copy.folder for copy in lies})
        if opposite != Marks():
            plan(session, _planned_back(row, change, opposite, now))


def _planned_back(row: MailboxMark, change: int, opposite: Marks, now: datetime) -> MailboxMark:
    return MailboxMark(
        event=f"undo {change}",
        rule=row.rule,
        slot=row.slot,
        interaction_id=row.interaction_id,
        account=row.account,
        folder=row.folder,
        ref=row.ref,
        message_id=row.message_id,
        marks=as_data(opposite),
        created_at=now,
    )


def _opposite(row: MailboxMark, folders: set[str]) -> Marks:
    """What brings the mail back to how it was. What was there before anyway stays."""
    did, was = from_data(row.marks), names_in(row.before.get("marks"))
    had = {name.casefold() for name in was}
    home = str(row.before.get("folder", ""))
    if did.move and (row.folder not in folders or folders - {row.folder, home}):
        raise Conflict("somebody filed the mail since", hint="")
    return Marks(
        add=tuple(name for name in did.remove if name.casefold() in had),
        remove=tuple(name for name in did.add if name.casefold() not in had),
        unflag=did.flag is not None and FLAGGED not in was,
        move=home if did.move and home != row.folder else "",
    )
