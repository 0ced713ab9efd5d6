"""What a mail that says something about a person may be about: our sends by token, address and state."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.statements import among, table
from store.tables import Interaction, OutboxMail, OutboxState, Participant, Way

_OUTBOX = table(OutboxMail)
_INTERACTION = table(Interaction)
_PARTICIPANT = table(Participant)


def by_tokens(session: Session, tokens: Collection[str]) -> list[OutboxMail]:
    """The sends that carry one of these tokens in their List-Unsubscribe."""
    wanted = [one for one in tokens if one]
    if not wanted:
        return []
    statement = select(_OUTBOX).where(_OUTBOX.c.token.in_(wanted), _OUTBOX.c.way == Way.SEND.value)
    return [OutboxMail(**row) for row in session.execute(statement).mappings()]


def own_sends(session: Session, message_ids: Collection[str]) -> dict[str, OutboxMail]:
    """Message-ID -> the mail of ours that went out by itself under it."""
    wanted = {one for one in message_ids if one}
    if not wanted:
        return {}
    statement = select(_OUTBOX).where(among(session, _OUTBOX.c.message_id, wanted), _OUTBOX.c.way == Way.SEND.value)
    return {row["message_id"]: OutboxMail(**row) for row in session.execute(statement).mappings()}


def uncertain_sends(session: Session) -> dict[str, OutboxMail]:
    """Message-ID -> send of which nobody knows whether it arrived."""
    statement = select(_OUTBOX).where(_OUTBOX.c.state == OutboxState.UNCERTAIN.value, _OUTBOX.c.way == Way.SEND.value)
    return {row["message_id"]: OutboxMail(**row) for row in session.execute(statement).mappings()}


def last_send_to(session: Session, recipients: Collection[str], since: datetime) -> OutboxMail | None:
    """The newest send since then that reached, or may have reached, the server for one of these addresses."""
    if not recipients:
        return None
    gone = (OutboxState.SENT.value, OutboxState.UNCERTAIN.value)
    statement = (
        select(_OUTBOX)
        .where(func.lower(_OUTBOX.c.recipient).in_([one.lower() for one in recipients]))
        .where(_OUTBOX.c.way == Way.SEND.value, _OUTBOX.c.state.in_(gone), _OUTBOX.c.settled_at >= since)
        .order_by(_OUTBOX.c.settled_at.desc(), _OUTBOX.c.id.desc())
        .limit(1)
    )
    row = session.execute(statement).mappings().first()
    return OutboxMail(**row) if row else None


def last_of_kind(session: Session, contact_id: int, kind: str) -> datetime | None:
    """When the newest mail of a kind ("out_of_office") came from a contact."""
    statement = (
        select(func.max(_INTERACTION.c.at))
        .join(_PARTICIPANT, _PARTICIPANT.c.interaction_id == _INTERACTION.c.id)
        .where(_PARTICIPANT.c.contact_id == contact_id, _PARTICIPANT.c.role == "from", _INTERACTION.c.kind == kind)
    )
    found: datetime | None = session.execute(statement).scalar()
    return found
