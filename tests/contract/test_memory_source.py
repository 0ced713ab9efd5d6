"""The reference passes first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import pytest
from plain_parser import PlainParser
from source_contract import FIRST, BreakableContract

from connectors.memory import MemoryMailbox, MemorySource


class TestMemorySource(BreakableContract):
    @pytest.fixture(autouse=True)
    def mailbox(self) -> None:
        self.box = MemoryMailbox()

    def make_source(
        self, parser: PlainParser, *, since: date | None = None, only: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> MemorySource:
        return MemorySource("memory", self.box, parser, since=since, only=only, skip=skip)

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        self.box.add(raw, folder=folder, at=at)

    def break_mail(self, number: int) -> None:
        for mail in self.box.mails["INBOX"]:
            if f"<m{number}@".encode() in mail.raw:
                mail.broken = True

    def snapshot(self) -> object:
        return [
            (name, mail.ref, mail.raw, tuple(mail.flags)) for name, mails in self.box.mails.items() for mail in mails
        ]
