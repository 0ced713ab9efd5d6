"""Stands for an account or calendars whose password cannot be had: they fail alone, and the others go on."""

from __future__ import annotations

from config.errors import QuietcrmError
from connectors.calendars import CalendarBatch, Window
from connectors.errors import Misconfigured
from connectors.model import Batch, Cursor


class _Locked:
    """Says what is missing whenever it is asked."""

    def __init__(self, account: str, missing: QuietcrmError) -> None:
        self.account = account
        self._missing = missing

    def check(self) -> tuple[str, ...]:
        """Raises Misconfigured with the reason and the remedy."""
        raise self._error()

    def close(self) -> None:
        """Nothing to let go of."""
        self._missing.__traceback__ = None

    def _error(self) -> Misconfigured:
        return Misconfigured(self.account, self._missing.message, hint=self._missing.hint)


class LockedSource(_Locked):
    """A `Source` that cannot be opened."""

    def fetch(self, cursor: Cursor | None, *, limit: int) -> Batch:
        """Raises Misconfigured with the reason and the remedy."""
        raise self._error()


class LockedCalendar(_Locked):
    """A `CalendarSource` that cannot be opened."""

    def fetch(self, cursor: Cursor | None, window: Window, *, limit: int) -> CalendarBatch:
        """Raises Misconfigured with the reason and the remedy."""
        raise self._error()
