"""Exchange keeps the promises of a source, on a server with state that is held against Microsoft's schema."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime

import pytest
from exchange_settings import settings_for
from plain_parser import PlainParser
from servers.ews import EwsServer
from source_contract import FIRST, BreakableContract

from connectors.exchange.source import ExchangeSource


class ExchangeHooks(BreakableContract):
    """The hooks on a mailbox of the EWS server."""

    sent = "Sent Items"
    junk = "Junk Email"
    server: EwsServer

    @pytest.fixture(autouse=True)
    def mailbox(self) -> Iterator[None]:
        with EwsServer() as server:
            self.server = server
            self.prepare()
            yield
            assert not server.violations

    def prepare(self) -> None:
        """Set the server's switches."""

    def make_source(
        self, parser: PlainParser, *, since: date | None = None, only: Sequence[str] = (), skip: Sequence[str] = ()
    ) -> ExchangeSource:
        return ExchangeSource(settings_for(self.server, since=since, only=tuple(only), skip=tuple(skip)), parser)

    def add_mail(self, raw: bytes, *, folder: str = "INBOX", at: datetime = FIRST) -> None:
        place = "inbox" if folder == "INBOX" else folder
        transport = folder != self.sent  # what was sent from here never travelled
        self.server.deliver(raw, folder=place, received=at, transport=transport)

    def break_mail(self, number: int) -> None:
        for item in self.server.box.items():
            if f"<m{number}@".encode() in item.raw:
                item.broken = True

    def snapshot(self) -> object:
        return [
            (item.id, item.folder, item.change_key, item.read, item.raw, tuple(item.categories), dict(item.extended))
            for item in self.server.box.items()
        ]


class TestExchangeSource(ExchangeHooks):
    pass


class TestExchangeWithoutCommitTimes(ExchangeHooks):
    """A server that does not tell when a folder changed: each is asked for its changes."""

    def prepare(self) -> None:
        self.server.commit_times = False


class TestExchangeWithFractions(ExchangeHooks):
    """Times with fractions of a second, which exchangelib's models cannot read."""

    def prepare(self) -> None:
        self.server.fraction = ".1234567"
