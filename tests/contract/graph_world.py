"""What the tests of the Graph connector share: a checked fake service, a token, and time that passes at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from servers.graph import GraphServer
from servers.graph_oracle import find_check, nothing

from connectors.graph import client
from connectors.graph.settings import GraphSettings, Pace

ANA = "ana@vendas.example"


@dataclass
class Clock:
    """Monotonic seconds that pass only when somebody sleeps. `slept` are the pauses."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds

    def monotonic(self) -> float:
        """What time it is."""
        return self.now

    @property
    def pace(self) -> Pace:
        """For the settings of a connector."""
        return Pace(monotonic=self.monotonic, sleep=self.sleep, chance=lambda: 0.5)


@dataclass
class FixedTokens:
    """A token that never ends; `fresh` is given once the service has refused it."""

    token: str = f"token-{ANA}"
    fresh: str = ""
    refused: list[str] = field(default_factory=list)

    def bearer(self, *, refused: str = "") -> str:
        """The token."""
        if refused:
            self.refused.append(refused)
            self.token = self.fresh or self.token
        return self.token


def settings_for(server: GraphServer, clock: Clock, **changes: object) -> GraphSettings:
    """The settings of ana's account on the fake service."""
    values = {
        "account": "ana",
        "login": ANA,
        "tokens": FixedTokens(),
        "service": server.url,
        "pace": clock.pace,
        "timeout": 20.0,
    }
    return GraphSettings(**{**values, **changes})  # type: ignore[arg-type]


@contextmanager
def graph_server(clock: Clock) -> Iterator[GraphServer]:
    """A service with ana's mailbox; whoever misuses it fails in the end. An earlier one may have had the same port."""
    client._gates.clear()
    with GraphServer(check=find_check() or nothing, monotonic=clock.monotonic) as server:
        server.add_mailbox(ANA)
        yield server
        assert not server.violations, server.violations[:5]
