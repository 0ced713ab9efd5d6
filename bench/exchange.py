"""Rows 21 and 22: an Exchange mailbox that nothing happened in, and its first reading beside exchangelib's own way.

The server is that of the tests, in a process of its own; each client is one too, so that CPU is told apart:
`python -m bench.exchange quietcrm|exchangelib|poll URL`.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.rows import Figure, Row

REPOSITORY = Path(__file__).resolve().parent.parent
POLLS = 200


def read_exchange(count: int, runs: int) -> list[Row]:
    """Both rows."""
    with _server(count) as (url, ask):
        idle = _client("poll", url)
        before = ask()
        uses: dict[str, list[dict[str, float]]] = {"quietcrm": [], "exchangelib": []}
        for _ in range(runs):
            for name, done in uses.items():
                done.append(_client(name, url))
    middle = {
        name: {key: statistics.median(use[key] for use in done) for key in done[0]} for name, done in uses.items()
    }
    return [_idle_row(idle, before), _reading_row(count, runs, middle, uses)]


def _idle_row(idle: dict[str, float], server: dict[str, int]) -> Row:
    figures = [
        Figure(idle["requests"], 2, 1, word="requests"),
        Figure(idle["bytes"], 8000, 4000, " B", word="down"),
        Figure(idle["cpu"] * 1000 / POLLS, 5, 2, " ms", word="CPU"),
    ]
    note = f"a poll of an unchanged mailbox of 2 folders, mean of {POLLS}; one request for any number of folders"
    return Row(21, "Exchange: poll of an unchanged mailbox", figures, note, {"server": server})


def _reading_row(count: int, runs: int, middle: dict[str, dict[str, float]], uses: dict[str, Any]) -> Row:
    ours, theirs = middle["quietcrm"], middle["exchangelib"]
    figures = [
        Figure(ours["wall"] / theirs["wall"], 1.0, 0.5, "x", word="wall"),
        Figure(ours["cpu"] / theirs["cpu"], 1.0, 0.5, "x", word="CPU"),
    ]
    note = (
        f"{ours['count'] / ours['wall']:.0f} and {theirs['count'] / theirs['wall']:.0f} mails a second, "
        f"CPU {ours['cpu']:.1f} and {theirs['cpu']:.1f} s; exchangelib: `inbox.sync_items()`, "
        f"no text, nothing parsed; medians of {runs} runs"
    )
    return Row(22, f"Exchange: first reading of {count:,} mails / exchangelib", figures, note, uses)


# -- the server


@contextmanager
def _server(count: int) -> Iterator[tuple[str, Any]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(count, theirs), daemon=True)
    process.start()
    try:
        url = ours.recv()

        def ask() -> dict[str, int]:
            ours.send("figures")
            found: dict[str, int] = ours.recv()
            return found

        yield url, ask
    finally:
        ours.send("end")
        process.join(30)


def _serve(count: int, pipe: Connection) -> None:
    sys.path.append(str(REPOSITORY / "tests"))
    from random import Random

    from campaigns.exchange import a_mail
    from servers.ews import EwsServer

    with EwsServer() as server:
        server.oracle.complaints = lambda _envelope: []  # type: ignore[method-assign]
        for number in range(count):
            raw, at, _, marks = a_mail(number, Random(number))
            server.deliver(raw, received=at, **{**marks, "transport": True})
        pipe.send(server.url)
        while pipe.recv() == "figures":
            pipe.send({"requests": server.requests.total(), "bytes": server.bytes_out})


# -- the clients


def _client(name: str, url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.exchange", name, url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _source(url: str, parser: Any) -> Any:
    from connectors.exchange.settings import ExchangeSettings
    from connectors.exchange.source import ExchangeSource

    ana = "ana@vendas.example"
    settings = ExchangeSettings(account="ana", endpoint=url, mailbox=ana, login=ana, password="secret", auth="basic")
    return ExchangeSource(settings, parser)


def _quietcrm(url: str) -> int:
    """Header, text, kind: everything the daemon needs, parsed in its children."""
    from connectors.parsing import ParserPool

    parser, count, cursor = ParserPool(), 0, None
    source = _source(url, parser)
    while True:
        batch = source.fetch(cursor, limit=2000)
        count, cursor = count + len(batch.items), batch.cursor
        if not batch.more:
            parser.close()
            source.close()
            return count


def _exchangelib(url: str) -> int:
    from exchangelib import DELEGATE, Account, Configuration, Credentials

    ana = "ana@vendas.example"
    config = Configuration(service_endpoint=url, credentials=Credentials(ana, "secret"), auth_type="basic")
    account = Account(ana, config=config, access_type=DELEGATE)
    return sum(1 for _ in account.inbox.sync_items())


def _poll(url: str) -> dict[str, float]:
    from connectors.parsing import InlineParser

    source = _source(url, InlineParser())
    cursor = None
    while (batch := source.fetch(cursor, limit=2000)).more:
        cursor = batch.cursor
    cursor = batch.cursor
    sizes: list[int] = []
    account = source._link.account()
    post = account.protocol.create_session().__class__.send

    def weigh(session: Any, request: Any, **more: Any) -> Any:
        answer = post(session, request, **more)
        sizes.append(len(answer.content))
        return answer

    type(account.protocol.create_session()).send = weigh
    began = time.process_time()
    for _ in range(POLLS):
        source.fetch(cursor, limit=2000)
    cpu = time.process_time() - began
    return {"requests": len(sizes) / POLLS, "bytes": sum(sizes) / POLLS, "cpu": cpu}


def main(name: str, url: str) -> None:
    """One client; its figures as a line of JSON."""
    if name == "poll":
        found = _poll(url)
    else:
        began = time.monotonic()
        count = {"quietcrm": _quietcrm, "exchangelib": _exchangelib}[name](url)
        use = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        cpu = sum(one.ru_utime + one.ru_stime for one in use)
        found = {"wall": time.monotonic() - began, "cpu": cpu, "count": count}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
