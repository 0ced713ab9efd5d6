"""The real parser, in this process, with a record of what it was given."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.model import Message, RawMail, Unreadable
from connectors.parsing import InlineParser


class PlainParser(InlineParser):
    """A `Parser`. Keeps what it was given in `seen`."""

    def __init__(self) -> None:
        self.seen: list[RawMail] = []

    def parse(self, mails: Sequence[RawMail]) -> list[Message | Unreadable]:
        """Parse now."""
        self.seen += mails
        return super().parse(mails)
