"""What the tests of calendars in Microsoft 365 share: a checked fake service with ana's calendars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graph_world import ANA, Clock, FixedTokens
from servers.graph_calendars import GraphCalendarServer
from servers.graph_oracle import find_check, nothing

from connectors.graph.settings import GraphCalendarSettings


def calendar_settings(server: GraphCalendarServer, clock: Clock, **changes: Any) -> GraphCalendarSettings:
    """The settings of ana's calendars on the fake service."""
    values = {
        "account": "ana",
        "login": ANA,
        "tokens": FixedTokens(),
        "service": server.url,
        "pace": clock.pace,
        "timeout": 20.0,
        "zone": "Europe/Lisbon",
    }
    return GraphCalendarSettings(**{**values, **changes})


@contextmanager
def graph_office(clock: Clock) -> Iterator[GraphCalendarServer]:
    """A service with ana's calendars; whoever misuses it, or has anybody invited, fails in the end."""
    with GraphCalendarServer(check=find_check() or nothing, monotonic=clock.monotonic) as server:
        server.add_mailbox(ANA)
        yield server
        assert not server.violations, server.violations[:5]
        assert not server.invitations, server.invitations[:5]
