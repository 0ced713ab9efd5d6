"""The stream of an Exchange mailbox: told of news, and over every way in which it breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from exchange_settings import settings_for
from plain_parser import PlainParser
from servers.ews import EwsServer
from source_contract import mail, read_all

from connectors.exchange.source import ExchangeSource
from connectors.exchange.stream import Stream, StreamHub

Start = Callable[..., "Heard"]


class Heard:
    """A stream, and how often it told of news."""

    def __init__(self, server: EwsServer, **changes: object) -> None:
        self.count = 0
        self._news = threading.Condition()
        settings = {key: changes.pop(key) for key in ("password", "endpoint") if key in changes}
        self.stream = Stream(settings_for(server, **settings), self._hear, first_pause=0.01, **changes)  # type: ignore[arg-type]

    def _hear(self) -> None:
        with self._news:
            self.count += 1
            self._news.notify_all()

    def await_more_than(self, count: int) -> int:
        with self._news:
            assert self._news.wait_for(lambda: self.count > count, timeout=30.0)
            return self.count


@pytest.fixture
def server() -> Iterator[EwsServer]:
    with EwsServer() as running:
        yield running
        assert not running.violations


@pytest.fixture
def start(server: EwsServer) -> Iterator[Start]:
    started: list[Heard] = []

    def make(**changes: object) -> Heard:
        heard = Heard(server, **changes)
        started.append(heard)
        heard.stream.start()
        return heard

    yield make
    for heard in started:
        heard.stream.stop()
        assert not heard.stream._thread.is_alive()


def test_a_new_connection_is_news_and_so_is_a_mail(server: EwsServer, start: Start) -> None:
    heard = start()
    count = heard.await_more_than(0)
    assert heard.stream.is_open
    server.deliver(mail(1))
    heard.await_more_than(count)


@pytest.mark.parametrize("forget", [False, True], ids=["closed", "subscription gone"])
def test_after_the_end_of_a_stream_comes_the_next(server: EwsServer, start: Start, forget: bool) -> None:
    heard = start()
    count = heard.await_more_than(0)
    server.end_streams(forget=forget)
    with server.news:
        assert server.news.wait_for(lambda: bool(server.subscriptions), timeout=30.0)
    server.deliver(mail(1))
    heard.await_more_than(count)


def test_a_cut_stream_is_opened_again(server: EwsServer, start: Start) -> None:
    heard = start()
    count = heard.await_more_than(0)
    server.drop_connections()
    count = heard.await_more_than(count)
    server.deliver(mail(1))
    assert heard.await_more_than(count) > count


def test_a_silent_stream_counts_as_dead(server: EwsServer, start: Start) -> None:
    """A router forgot the connection: nothing comes, not even a sign of life."""
    server.silent = True
    heard = start(silence=0.2)
    connections = heard.await_more_than(0)
    assert heard.await_more_than(connections) > connections


@pytest.mark.parametrize("operation", ["Subscribe", "GetStreamingEvents"])
@pytest.mark.parametrize("fault", ["503", "504", "cut", "html"])
def test_trouble_at_the_beginning_passes(server: EwsServer, start: Start, operation: str, fault: str) -> None:
    server.faults.script(operation, fault, fault)
    heard = start()
    with server.news:
        assert server.news.wait_for(lambda: not server.faults.scripts[operation], timeout=30.0)
    count = heard.count
    server.deliver(mail(1))
    heard.await_more_than(count)


def test_a_pause_is_obeyed(server: EwsServer, start: Start) -> None:
    server.back_off = 3600.0
    server.faults.script("Subscribe", "busy500")
    heard = start()
    with server.news:
        assert server.news.wait_for(lambda: bool(server.faults.struck), timeout=30.0)
    heard.stream.stop()
    assert server.early == 0
    assert server.requests["Subscribe"] == 1


def test_a_refused_login_ends_it(server: EwsServer, start: Start) -> None:
    heard = start(password="wrong")
    heard.stream._thread.join(timeout=30.0)
    assert heard.stream.hopeless
    assert "refused the login" in heard.stream.trouble
    assert heard.count == 0


def test_reading_goes_on_while_a_stream_is_open(server: EwsServer, start: Start) -> None:
    """In exchangelib a stream holds the one connection of its pool, and every other call waits for ever."""
    start().await_more_than(0)
    server.deliver(mail(1))
    source = ExchangeSource(settings_for(server), PlainParser())
    assert read_all(source).ids == ["m1"]
    source.close()


def test_a_source_waits_for_news(server: EwsServer) -> None:
    source = ExchangeSource(settings_for(server), PlainParser())
    assert source.wait(30.0)  # the connection itself
    timer = threading.Timer(0.05, lambda: server.deliver(mail(1)))
    timer.start()
    assert source.wait(30.0)
    timer = threading.Timer(0.05, source.interrupt)
    timer.start()
    assert not source.wait(30.0)
    assert not source.wait(0.01)
    source.close()


def test_the_hub_watches_what_it_is_told(server: EwsServer) -> None:
    told: list[str] = []
    news = threading.Event()

    def hear(account: str) -> None:
        told.append(account)
        news.set()

    hub = StreamHub(hear)
    hub.watch([settings_for(server)])
    assert news.wait(30.0)
    hub.watch([settings_for(server)])
    assert hub.streaming() == ("exchange",)
    assert server.requests["Subscribe"] == 1
    hub.watch([])
    assert hub.streaming() == ()
    hub.close()
    assert set(told) == {"exchange"}
