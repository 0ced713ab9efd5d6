"""A pause that Microsoft 365 asks for is kept by everybody who asks that mailbox, however it was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from random import Random
from threading import Lock

import pytest
from graph_world import ANA, Clock, graph_server, settings_for
from servers.graph import Fault, GraphServer

from connectors.graph.client import GraphClient, Lost, Refused

FOLDER = "/mailFolders/inbox"
Connect = Callable[[], GraphClient]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[GraphServer]:
    with graph_server(clock) as server:
        yield server


@pytest.fixture
def connect(server: GraphServer, clock: Clock) -> Iterator[Connect]:
    with ExitStack() as stack:

        def build() -> GraphClient:
            client = GraphClient(settings_for(server, clock))
            stack.callback(client.close)
            return client

        yield build


def assert_paused(client: GraphClient, seconds: float) -> None:
    with pytest.raises(Refused) as caught:
        client.get(FOLDER)
    assert caught.value.code == "paused"
    assert caught.value.retry_after == pytest.approx(seconds, abs=1)


def test_a_mail_whose_end_is_not_known_may_bring_a_pause_with_it(server: GraphServer, connect: Connect) -> None:
    sender, reader = connect(), connect()
    draft = sender.post("/messages", {"subject": "Proposta", "toRecipients": []})
    server.script = [("POST", "/send", Fault(status=503, retry_after=90))]
    with pytest.raises(Lost):
        sender.post(f"/messages/{draft['id']}/send")
    assert_paused(reader, 90)


def test_a_pause_that_the_last_try_is_told_counts_for_the_others(server: GraphServer, connect: Connect) -> None:
    one, other = connect(), connect()
    tries = [Fault(status=429, code="TooManyRequests", retry_after=2)] * 3
    server.script = [("GET", ".*", fault) for fault in (*tries, Fault(status=429, retry_after=40))]
    with pytest.raises(Refused):
        one.get(FOLDER)
    assert_paused(other, 40)


def test_a_pause_that_grows_while_it_is_waited_for_is_kept_to_its_new_end(
    server: GraphServer, clock: Clock, connect: Connect
) -> None:
    other = connect()
    server.script = [("GET", ".*", Fault(status=429, retry_after=3))]
    clock.sleep = grow = _Grown(clock, other)  # type: ignore[method-assign]
    waiting = connect()
    began = clock.now
    waiting.get(FOLDER)
    assert grow.grown
    assert clock.now - began == pytest.approx(8)


class _Grown:
    """Sleep; the first time the pause has become longer by then."""

    def __init__(self, clock: Clock, client: GraphClient) -> None:
        self.clock, self.client, self.grown = clock, client, False

    def __call__(self, seconds: float) -> None:
        self.clock.now += seconds
        if seconds > 1.5 and not self.grown:
            self.grown = True
            self.client._rest(5.0)


@pytest.mark.timeout(60)
def test_of_many_who_ask_at_once_only_those_on_their_way_ask_within_a_pause(
    server: GraphServer, connect: Connect
) -> None:
    """The service notes a fourth one; `graph_server` ends with none noted."""
    random, lock = Random(7), Lock()

    def fault(_call: object) -> Fault | None:
        with lock:
            return Fault(status=429, retry_after=2) if random.random() < 0.1 else None

    server.faults = fault
    clients = [connect() for _ in range(3)]

    def ask(number: int) -> bool:
        try:
            return bool(clients[number % 3].get(FOLDER))
        except Refused as error:
            return error.status == 429

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))
    assert server.counts[f"GET {FOLDER}"] >= 150


def test_a_client_that_forgets_pauses_is_noticed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GraphClient, "_rest", lambda _client, _seconds: None)
    with GraphServer(monotonic=clock.monotonic) as server:
        server.add_mailbox(ANA)
        client = GraphClient(settings_for(server, clock))
        server.script = [("GET", ".*", Fault(status=429, retry_after=90))]
        for _ in range(5):  # one is told, three may be on their way
            with pytest.raises(Refused):
                client.get(FOLDER)
        client.close()
        assert server.violations[0] == f"{ANA}: asked within a pause"
