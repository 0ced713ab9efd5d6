"""Rows 24 and 25: a mailbox in Microsoft 365 by Graph in which nothing happens, and its first reading beside O365.

The service is the tests' fake one, in a process of its own; there is no real one to measure. O365 (MIT) pages through
the Inbox with bodies and keeps nothing; it knows no delta query for mail, so it has no idle poll to compare.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import processes
from bench.corpus import ROOT, Corpus, cache_folder
from bench.laboratory import scratch
from bench.rows import Figure, Row
from bench.standing import measure_polls
from bench.wire import Wire

POLLS = 50
PEER = """\
import sys
from O365 import Account, MSGraphProtocol
from O365.connection import Connection

class Here(MSGraphProtocol):
    _protocol_url = sys.argv[1].removesuffix("v1.0")

def request(self, url, method, **given):
    given["headers"] = {**(given.get("headers") or {}), "Authorization": "Bearer token-" + sys.argv[2],
                        "Prefer": 'IdType="ImmutableId"'}
    return self.naive_request(url, method, **given)

Connection.oauth_request = request
inbox = Account(("id", "secret"), protocol=Here()).mailbox().inbox_folder()
print(sum(1 for mail in inbox.get_messages(limit=None, batch=50) if mail.subject is not None and mail.body is not None))
"""


def poll_unchanged(corpus: Corpus) -> list[Row]:
    """Row 24: the poll as the daemon runs it, each minute."""
    from campaigns.graph_app import ServiceTime, swift

    from daemon.app import opened

    with scratch() as folder, _service(corpus) as port, Wire(port) as wire:
        url = f"http://127.0.0.1:{wire.port}/v1.0"
        directory = _office(folder, url)
        with swift(ServiceTime(url)), opened(directory) as app:
            poller = app.pollers["ana"]
            assert poller.poll().seen == corpus.count
            cpu, traffic = measure_polls(poller.poll, wire, POLLS)
    figures = [
        Figure(traffic[0], 2, 2, word="requests"),
        Figure(traffic[1], 2000, 1000, " B"),
        Figure(cpu, 10, 5, " ms CPU"),
    ]
    return [
        Row(24, "Graph: poll of an unchanged mailbox", figures, f"{corpus.count:,} mails; Inbox and Sent each time")
    ]


def read_first(corpus: Corpus, runs: int) -> list[Row]:
    """Row 25: everything there is, into a new store, beside O365 that only reads it."""
    ours: list[processes.Use] = []
    theirs: list[processes.Use] = []
    python, missing = _peer()
    with _service(corpus) as port:
        url = f"http://127.0.0.1:{port}/v1.0"
        for _ in range(runs):
            with scratch() as folder:
                directory = _office(folder, url)
                command = [sys.executable, "-m", "bench.cloud_reader", directory, url]
                ours.append(processes.run(command, folder=folder, environment={"PYTHONPATH": str(ROOT)}))
                assert json.loads(ours[-1].output.splitlines()[-1])["seen"] == corpus.count
            if not missing:
                with scratch() as folder:
                    theirs.append(processes.run([python, "-c", PEER, url, _rep()], folder=folder))
                    assert int(theirs[-1].output) == corpus.count, theirs[-1].output
    best = min(ours, key=lambda use: use.wall)
    figures = [
        Figure(corpus.count / best.wall, 200, 400, " mails/s", least=True),
        Figure(best.cpu / corpus.count * 1000, 2, 1, " ms CPU"),
    ]
    peer = min(theirs, key=lambda use: use.wall) if theirs else None
    note = f"O365 {missing}" if peer is None else _beside(corpus, peer)
    return [Row(25, f"Graph: first reading of {corpus.count:,} mails, per mail", figures, note)]


def _beside(corpus: Corpus, peer: processes.Use) -> str:
    return (
        f"the fake service is a part of it; O365 without storing anything {corpus.count / peer.wall:.0f} mails/s, "
        f"{peer.cpu / corpus.count * 1000:.2f} ms CPU"
    )


def _rep() -> str:
    from campaigns.graph_app import REP

    return REP


def _office(folder: Path, url: str) -> Path:
    from campaigns.graph_app import write_office

    directory = folder / "office"
    directory.mkdir()
    write_office(directory, url, 1)
    return directory


@contextmanager
def _service(corpus: Corpus) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.cloud_service", str(corpus.maildir)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def _peer() -> tuple[Path, str]:
    """Its Python, and why it cannot be used; installed on first use, in an environment of its own (55 MB)."""
    folder = cache_folder() / "venv-o365"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True)
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "O365>=2.1,<3"]
        if subprocess.run(pip, capture_output=True, check=False).returncode:
            return python, "cannot be installed here"
        (folder / "ready").touch()
    return python, ""
