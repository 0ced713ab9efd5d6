"""SIGKILL while mail leaves, the short form of `python -m campaigns.send_kills`; and its checker, not blind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from campaigns.backlog import Backlog
from campaigns.installed import await_true
from campaigns.send_kills import SendKills
from campaigns.sends_checker import check
from campaigns.stages import StageSink
from servers.dovecot import DovecotServer
from servers.postgres import PostgresServer


@pytest.fixture
def server() -> Iterator[DovecotServer]:
    with DovecotServer() as server:
        yield server


@pytest.mark.timeout(300)
def test_killed_while_it_sends(tmp_path: Path, server: DovecotServer) -> None:
    phases = ("claim", "connect", "data", "dot", "copy")
    with StageSink() as sink:
        backlog = Backlog(tmp_path / "office", server, sink.port, 25)
        tally = SendKills(backlog, sink, seed=3).run(len(phases), 1, phases)
    assert tally.is_clean, tally.text()
    assert all(tally.kills[phase] for phase in phases), tally.text()
    assert tally.verdict.sent + tally.verdict.uncertain == 25
    assert 2 <= tally.verdict.uncertain <= tally.total


@pytest.mark.timeout(300)
def test_killed_while_it_records_on_postgresql(tmp_path: Path, server: DovecotServer, postgres: PostgresServer) -> None:
    phases = ("claim", "attempt", "record")
    with StageSink() as sink:
        backlog = Backlog(tmp_path / "office", server, sink.port, 15, store=postgres.new_database())
        tally = SendKills(backlog, sink, seed=4).run(len(phases), 1, phases)
    assert tally.is_clean, tally.text()
    assert all(tally.kills[phase] for phase in phases), tally.text()


@pytest.mark.timeout(300)
def test_the_checker_sees_what_is_wrong(tmp_path: Path, server: DovecotServer) -> None:
    with StageSink() as sink:
        backlog = Backlog(tmp_path / "office", server, sink.port, 4)
        with backlog.running():
            await_true("the backlog is done", backlog.is_settled, seconds=60)
    mails = sink.mails
    clean = check(backlog, mails, ())
    assert clean.is_clean, clean.text()
    assert (clean.planned, clean.sent, clean.accepted, clean.copies) == (4, 4, 4, 4)

    assert check(backlog, mails[1:], ()).wrong["lost"]
    assert check(backlog, [*mails, mails[0]], ()).wrong["accepted twice"]
    stranger = replace(mails[0], recipients=("joao@cliente9.example",))
    assert check(backlog, [*mails, stranger], ()).wrong["accepted, not planned"]
    copies = sorted(path for place in ("cur", "new") for path in (backlog.sent_folder / place).iterdir())
    (copies[0].parent / "twice").write_bytes(copies[1].read_bytes())
    copies[0].unlink()
    verdict = check(backlog, mails, ())
    assert len(verdict.wrong["no copy in Sent"]) == len(verdict.wrong["two copies in Sent"]) == 1
    _do(backlog, "UPDATE outbox SET state = 'uncertain' WHERE id = 1")
    _do(backlog, "UPDATE outbox SET state = 'claimed' WHERE id = 2")
    _do(backlog, "UPDATE send_attempt SET outcome = '' WHERE outbox_id = 3")
    verdict = check(backlog, mails, ())
    assert verdict.wrong["uncertain without need"] == ["1"]
    assert verdict.wrong["stuck or ended otherwise"] == ["2 claimed"]
    assert verdict.wrong["attempt without outcome"] == verdict.wrong["sent without one attempt that says so"] == ["3"]
    assert verdict.wrong["copy of what is not sent"]
    assert not check(backlog, mails, (1,)).wrong["uncertain without need"]


def _do(backlog: Backlog, statement: str) -> None:
    with sqlite3.connect(backlog.database) as connection:
        connection.execute(statement)
    connection.close()
