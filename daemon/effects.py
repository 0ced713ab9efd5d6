"""What a decision does to the records. Runs inside the pipeline's transaction; every effect is claimed first, so a
restart, a rescan or a second mailbox never repeats one; every change to a record is numbered and can be reversed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from sqlmodel import Session

from connectors.model import Address, Message
from daemon.office import Office
from daemon.settling import CUSTOMER_WROTE, TEAM_WROTE
from rules.decision import Action, Decision, Direction
from store import actions, customers, outbox, records, reminders, unmatched
from store.hashing import HashKey

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One mail and what was decided about it. `event` keys its effects."""

    session: Session
    office: Office
    key: HashKey
    message: Message
    decision: Decision
    event: str
    account: str
    now: datetime

    @property
    def rep(self) -> str:
        """Whose mailbox this is, "" if nobody's."""
        setting = self.office.settings.accounts.get(self.account)
        return (setting.rep or "") if setting else ""


@dataclass(slots=True)
class People:
    """Who the mail belongs to, after rules had their say. `customers`: id -> rung, the main one first."""

    customers: dict[int, str]
    contacts: dict[str, int]
    contact_id: int | None = None
    interaction_id: int | None = None
    _created: list[str] = field(default_factory=list)

    @property
    def main(self) -> int | None:
        """The customer that created things go to."""
        return next(iter(self.customers), None)


def file_under(cause: Cause) -> People:
    """First half: settle whose mail this is. Makes customers and contacts where rules ask for them."""
    match = cause.decision.match
    people = People(
        customers={number: match.rungs.get(number, "") for number in match.customers},
        contacts={},
        contact_id=match.contact.id if match.contact else None,
    )
    return people
