"""Copies of logged mails in the mailboxes: where each lies, and how it was marked when it was last looked at."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from connectors.model import Message
from store.gate import storable
from store.statements import among, table, upsert
from store.tables import Interaction, Sighting

_SIGHTING = table(Sighting)
_INTERACTION = table(Interaction)
FLAGGED = "\\Flagged"
_KEY = ("interaction_id", "account", "folder")


class Copy(NamedTuple):
    """One copy. `marks` None = not known."""

    interaction_id: int
    account: str
    folder: str
    ref: str
    seen_at: datetime
    marks: str | None = None


def marks_of(flags: Iterable[str], categories: Iterable[str]) -> str:
    """Flag and categories as one text, one a line: what a person may change about a copy. "" = none."""
    flagged = [FLAGGED] if any(flag.lower() == FLAGGED.lower() for flag in flags) else []
    return "\n".join([*flagged, *sorted({storable(" ".join(name.split())) for name in categories})])


def names_in(marks: str | None) -> tuple[str, ...]:
    """The flag and the categories of such a text."""
    return tuple((marks or "").split("\n")) if marks else ()


def sighted(interaction_id: int, message: Message) -> Copy:
    """A mail that was just read, as a copy of this interaction."""
    marks = marks_of(message.flags, message.categories)
    return Copy(interaction_id, message.account, message.folder, message.ref, message.received_at, marks)


def add_sightings(session: Session, copies: Sequence[Copy]) -> None:
    """Note copies. One seen before gets the new place."""
    rows = [one._asdict() for one in copies]
    upsert(session, _SIGHTING, rows, key=_KEY, change=("ref", "seen_at", "marks"))


def of_mails(session: Session, numbers: Collection[int], account: str) -> dict[int, list[Copy]]:
    """Interaction -> its copies in one account."""
    if not numbers:
        return {}
    wanted = (_SIGHTING.c.account == account, among(session, _SIGHTING.c.interaction_id, numbers))
    found: dict[int, list[Copy]] = defaultdict(list)
    for row in session.execute(select(_SIGHTING).where(*wanted).order_by(_SIGHTING.c.folder)).mappings():
        found[row["interaction_id"]].append(Copy(**row))
    return dict(found)


def by_message_ids(session: Session, account: str, message_ids: Collection[str]) -> dict[str, list[Copy]]:
    """Message-ID -> copies in one account."""
    wanted = {one for one in message_ids if one}
    if not wanted:
        return {}
    statement = (
        select(_INTERACTION.c.message_id, _SIGHTING)
        .join(_SIGHTING, _SIGHTING.c.interaction_id == _INTERACTION.c.id)
        .where(among(session, _INTERACTION.c.message_id, wanted), _SIGHTING.c.account == account)
    )
    found: dict[str, list[Copy]] = defaultdict(list)
    for row in session.execute(statement):
        found[row[0]].append(Copy(*row[1:]))
    return dict(found)


def remark(session: Session, copy: Copy, marks: str) -> None:
    """Note how a copy is marked now."""
    session.execute(update(_SIGHTING).where(*_is(copy)).values(marks=marks))


def moved(session: Session, old: Copy, new: Copy) -> None:
    """Note that a copy lies elsewhere now."""
    if (old.account, old.folder) != (new.account, new.folder):
        session.execute(delete(_SIGHTING).where(*_is(old)))
    add_sightings(session, [new])


def _is(copy: Copy) -> tuple[ColumnElement[bool], ...]:
    return tuple(_SIGHTING.c[name] == getattr(copy, name) for name in _KEY)
