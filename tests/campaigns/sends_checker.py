"""Compares what a server accepted, what lies in Sent and what the database says of a backlog of sends.

Truth is the SMTP server's list and the mailbox; the product's own code is not imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from pathlib import Path

from campaigns.backlog import PLANNED_FOR, Backlog, Row
from servers.smtp_sink import Envelope

ENDS = ("sent", "uncertain")


@dataclass(slots=True)
class SendsVerdict:
    """What is wrong, by kind; empty lists if nothing is."""

    planned: int = 0
    sent: int = 0
    uncertain: int = 0
    accepted: int = 0
    copies: int = 0
    wrong: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Nothing twice, nothing lost, nothing stuck, every copy once."""
        return not any(self.wrong.values())

    def text(self) -> str:
        """One line, and the first few of each kind of fault."""
        counts = (
            f"{self.planned} planned: {self.sent} sent, {self.uncertain} uncertain; "
            f"the server accepted {self.accepted}; {self.copies} copies in Sent"
        )
        return "\n".join([counts, *(f"  {kind}: {names[:5]}" for kind, names in self.wrong.items() if names)])


def check(backlog: Backlog, accepted: Sequence[Envelope], on_the_wire: Collection[int]) -> SendsVerdict:
    """Compare when everything is over. `on_the_wire`: the mails that may be uncertain, and they alone."""
    rows = backlog.rows()
    ours = [one for one in accepted if _recipient(one).rpartition("@")[2].startswith(PLANNED_FOR)]
    taken = Counter(_recipient(one) for one in ours)
    names = Counter(message_id_of(one.data) for one in ours)
    lying = copies_in(backlog.sent_folder)
    uncertain = {row.number for row in rows if row.state == "uncertain"}
    outcomes = Counter(backlog.attempts())
    wrong = {
        "accepted twice": [name for name, times in (taken + names).items() if times > 1],
        "accepted, not planned": sorted(set(taken) - {row.recipient for row in rows}),
        "accepted under another Message-ID": _renamed(rows, ours),
        "lost": [row.recipient for row in rows if row.state == "sent" and not taken[row.recipient]],
        "stuck or ended otherwise": [f"{row.number} {row.state}" for row in rows if row.state not in ENDS],
        "uncertain without need": sorted(map(str, uncertain - set(on_the_wire))),
        "uncertain, not listed": sorted(map(str, uncertain - (backlog.listed("uncertain") if uncertain else set()))),
        "attempt without outcome": [str(number) for number, outcome in outcomes if not outcome],
        "sent without one attempt that says so": _unproven(rows, outcomes),
        "no copy in Sent": [row.message_id for row in rows if row.state == "sent" and not lying[row.message_id]],
        "two copies in Sent": [name for name, times in lying.items() if times > 1],
        "copy of what is not sent": [row.message_id for row in rows if row.state != "sent" and lying[row.message_id]],
    }
    sent = sum(row.state == "sent" for row in rows)
    return SendsVerdict(len(rows), sent, len(uncertain), sum(taken.values()), sum(lying.values()), wrong)


def copies_in(folder: Path) -> Counter[str]:
    """Message-IDs of what lies in a Maildir."""
    return Counter(message_id_of(path.read_bytes()) for place in ("cur", "new") for path in (folder / place).iterdir())


def count_files(folder: Path) -> int:
    """How many lie there."""
    return sum(1 for place in ("cur", "new") for _ in (folder / place).iterdir())


def message_id_of(raw: bytes) -> str:
    """Without brackets."""
    header = BytesHeaderParser().parsebytes(raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0])
    return str(header["message-id"] or "").strip().strip("<>")


def _recipient(envelope: Envelope) -> str:
    (recipient,) = envelope.recipients
    return recipient


def _renamed(rows: Sequence[Row], accepted: Sequence[Envelope]) -> list[str]:
    names = {row.recipient: row.message_id for row in rows}
    return [_recipient(one) for one in accepted if names.get(_recipient(one)) != message_id_of(one.data)]


def _unproven(rows: Sequence[Row], outcomes: Counter[tuple[int, str]]) -> list[str]:
    """A mail that was looked up in Sent has an attempt whose outcome stays unknown."""
    sure = {number for number, outcome in outcomes if outcome in ("sent", "unknown")}
    return [str(row.number) for row in rows if row.state == "sent" and row.number not in sure]
