"""A source that compiles and does nothing yet: copy this file, fill it in, and make its contract suite green.

How to add a connector:
1. Copy this file to `connectors/NAME/source.py` and fill in the three methods.
2. Add a model with `type: NAME` to `config/accounts.py` and one line to `connectors.factory.SOURCES`.
3. Subclass `SourceContract` (tests/contract/source_contract.py) with four hooks; it says what is still wrong.
If mails lie somewhere as whole files, a `connectors.shelf.Shelf` with three methods is all you need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.errors import Unavailable
from connectors.model import Batch, Cursor, Message, Unreadable
from connectors.protocols import Parser

__all__ = ["SkeletonSettings", "SkeletonSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SkeletonSettings:
    """What your protocol needs to know. Passwords are `field(repr=False)`."""

    account: str


class SkeletonSource:
    """A `Source`. Blocking calls, one thread at a time; open the connection in `fetch`, not here."""

    def __init__(self, settings: SkeletonSettings, parser: Parser) -> None:
        self._settings = settings
        self._parser = parser

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        return self._settings.account

    def check(self) -> tuple[str, ...]:
        """Connect, log in, list folders; one plain sentence a finding."""
        raise self._unfinished()

    def fetch(self, cursor: Cursor | None, *, limit: int) -> Batch:
        """The rules, in the order in which they are usually broken:

        - Decide from `cursor` alone what comes next; what you keep in memory may only make it faster.
        - First what is new in every folder, then the past, newest first, at most `limit` in all.
        - Turn each mail into a `RawMail` and give it to `self._parser`; never parse here.
        - One mail that fails is an `Unreadable`; the others arrive.
        - Translate the library's errors in one context manager; only a refused login is `AuthRejected`.
        - The new cursor goes out with the items. Unreadable text there is `CursorExpired`.
        """
        raise self._unfinished()

    def reread(self, places: Sequence[tuple[str, str]]) -> tuple[Message | Unreadable, ...]:
        """Optional: read the mails at (folder name, ref) once more, whatever their age; gone ones are left out."""
        raise self._unfinished()

    def close(self) -> None:
        """Let go of connections; `fetch` connects again."""

    def _unfinished(self) -> Unavailable:
        return Unavailable(self.account, "this connector is not written yet", hint="see CONTRIBUTING.md")
