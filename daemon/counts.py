"""What became of the mails of one pass. The parts always add up to `seen`."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Counts:
    """Counters of one account in one pass; `skipped` by reason (internal, never_log, ignored, own)."""

    seen: int = 0
    logged: int = 0
    duplicate: int = 0
    unmatched: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    degraded: int = 0
    quarantined: int = 0
    failed: int = 0

    def add(self, other: Counts) -> None:
        """Add another pass to this one."""
        self.seen += other.seen
        self.logged += other.logged
        self.duplicate += other.duplicate
        self.unmatched += other.unmatched
        self.skipped += other.skipped
        self.degraded += other.degraded
        self.quarantined += other.quarantined
        self.failed += other.failed

    @property
    def accounted(self) -> int:
        """The sum of the parts."""
        parts = (self.logged, self.duplicate, self.unmatched, self.degraded, self.quarantined, self.failed)
        return sum(parts) + self.skipped.total()

    @property
    def new(self) -> int:
        """Rows written."""
        return self.logged + self.degraded

    def as_dict(self) -> dict[str, Any]:
        """The shape of `sync --once --json`."""
        return {
            "seen": self.seen,
            "logged": self.logged,
            "duplicate": self.duplicate,
            "unmatched": self.unmatched,
            "skipped": dict(sorted(self.skipped.items())),
            "degraded": self.degraded,
            "quarantined": self.quarantined,
            "failed": self.failed,
        }


class Tally:
    """What became of all mails since the start, by account. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, Counts] = {}

    def add(self, account: str, counts: Counts) -> None:
        """Count one pass of an account."""
        with self._lock:
            self._counts.setdefault(account, Counts()).add(counts)

    def now(self) -> dict[str, dict[str, Any]]:
        """Account -> counts, as `Counts.as_dict`."""
        with self._lock:
            return {account: counts.as_dict() for account, counts in self._counts.items()}
