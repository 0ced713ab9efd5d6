"""One batch of mail while it is worked through, and the rows made of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlmodel import Session

from connectors.model import FolderRole, Message
from daemon.counts import Counts
from daemon.marks import Ours, Scene
from daemon.office import Office
from rules.decision import Decision, Direction, Outcome
from rules.facts import CustomerFacts, Directory, Moment
from store.identity import Identity
from store.interactions import NewInteraction, Touch
from store.unmatched import NewUnmatched

OWN_HEADER = "x-quietcrm"
OWN_MAIL = ("reminder", "notice", "alert", "brief")


@dataclass(slots=True)
class Work:
    """The state of one batch while it is worked through."""

    session: Session
    account: str
    office: Office
    now: datetime
    backfill: bool
    rep: str
    moments: dict[str, Moment]
    directory: Directory
    items: Sequence[Message]
    promised: set[int]
    ours: Ours
    counts: Counts = field(default_factory=Counts)
    rows: list[NewInteraction] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)
    strangers: list[NewUnmatched] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    unowned: set[int] = field(default_factory=set)
    hits: list[str] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)
    invitations: list[Message] = field(default_factory=list)
    made: Collection[str] = ()


def new_row(
    work: Work,
    message: Message,
    who: Identity,
    decision: Decision,
    numbers: tuple[int, ...],
    contacts: dict[str, int],
    rungs: dict[int, str] | None = None,
) -> NewInteraction:
    """The row of a mail that belongs into the history; `rungs` where rules named further customers."""
    rungs = rungs or dict(decision.match.rungs)
    return NewInteraction(
        message=message,
        identity=who,
        kind=message.kind.value,
        direction=decision.direction.value,
        customers=[(number, rungs.get(number, "")) for number in numbers],
        contacts=contacts,
        rep=work.rep,
        logged_by=decision.logged_by,
        degraded="; ".join(message.degraded),
        backfill=work.backfill,
        headers_only=decision.outcome is Outcome.HEADERS,
        trace=decision.as_dict() if _is_telling(work, decision) else None,
        config_hash=work.office.hash,
        created_at=work.now,
    )


def _is_telling(work: Work, decision: Decision) -> bool:
    """Whether the trace says more than the row does. Of old mail nobody acted on, evaluating again tells the same."""
    if not work.backfill or decision.actions or decision.match.ambiguous or len(decision.match.customers) > 1:
        return True
    return any(one.result in ("fired", "watched", "paused") or one.shadowed for one in decision.traces)


def arrived(message: Message, now: datetime) -> Message:
    """The mail, arrived now at the latest: a copying program or a wrong clock may have stamped it years ahead, and
    then every promise to its customer would look answered, or never could be."""
    return message if message.received_at <= now else replace(message, received_at=now)


def is_header_only(message: Message) -> bool:
    """Whether the text of the mail could not be read."""
    return any(reason.startswith("header only") for reason in message.degraded)


def touch_facts(customers: dict[int, CustomerFacts], number: int, at: datetime, direction: Direction) -> None:
    """Let later mails of the batch see when the customer last wrote, or was written to."""
    facts = customers.get(number)
    if facts is None:
        return
    before = facts.last_in_at if direction is Direction.IN else facts.last_out_at
    if before is not None and before >= at:  # nearly always in a back-fill, which goes newest first
        return
    customers[number] = replace(facts, last_in_at=at) if direction is Direction.IN else replace(facts, last_out_at=at)


def is_unsent(message: Message) -> bool:
    """A draft that lies in another folder than Drafts: nobody sent it yet. In Sent the mark is a program's mistake."""
    return "\\Draft" in message.flags and message.folder_role is not FolderRole.SENT


def is_own(message: Message, office: Office) -> bool:
    """A reminder, notice or brief of ours: by its header, which counts only between people of the office."""
    return (
        message.header(OWN_HEADER) in OWN_MAIL
        and message.sender is not None
        and all(office.settings.is_internal(person.key) for person in message.people())
    )
