"""Two daemons on one store, one of them stopped for a while, and a daemon that is told to end while it sends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from campaigns.backlog import Backlog
from campaigns.checker import connect
from campaigns.installed import await_true, end
from campaigns.sends_checker import check
from campaigns.stages import StageSink
from servers.dovecot import DovecotServer
from servers.postgres import PostgresServer

RUNNING = 8
STOP_SECONDS = 10
_LOCKS = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture
def server() -> Iterator[DovecotServer]:
    with DovecotServer() as server:
        yield server


@pytest.fixture
def sink() -> Iterator[StageSink]:
    with StageSink() as sink:
        yield sink


@pytest.mark.timeout(300)
@pytest.mark.parametrize("on", ["sqlite", "postgresql"])
def test_a_second_daemon_leaves_at_once(
    tmp_path: Path, server: DovecotServer, sink: StageSink, request: pytest.FixtureRequest, on: str
) -> None:
    backlog = _backlog(tmp_path, server, sink, 8, request.getfixturevalue("postgres") if on == "postgresql" else None)
    sink.arm("dot", 3)
    with backlog.running() as first:
        assert sink.await_caught(first, seconds=60)
        if on == "postgresql":
            _end_lock_session(backlog)
            await_true("it takes the lock again", lambda: _count(backlog, _LOCKS), seconds=120)
        second = backlog.command.run("run", codes=(RUNNING,))
        assert "already writes" in second.stderr
        sink.release()
        await_true("the backlog is done", backlog.is_settled, seconds=60)
    verdict = check(backlog, sink.mails, ())
    assert verdict.is_clean, verdict.text()
    assert verdict.sent == 8


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", ["rcpt", "dot"])
def test_a_daemon_that_slept_while_another_took_over_sends_nothing_more(
    tmp_path: Path, server: DovecotServer, sink: StageSink, postgres: PostgresServer, stage: str
) -> None:
    """Stopped with mails claimed (and one on the wire, at the dot), it wakes beside its successor."""
    backlog = _backlog(tmp_path, server, sink, 40, postgres)
    sink.arm("rcpt" if stage == "rcpt" else "dot", 2)
    sleeper = backlog.command.start("run")
    try:
        assert sink.await_caught(sleeper, seconds=60)
        caught = sink.recipient
        sink.answer_to_stopped(sleeper)
        _end_lock_session(backlog)
        with backlog.running() as successor:
            sink.arm("dot", 10)  # the successor has work left when the sleeper wakes
            assert sink.await_caught(successor, seconds=60)
            assert _state(backlog, caught) != "sending"
            heard = len(sink.commands)
            sleeper.send_signal(signal.SIGCONT)
            if stage == "rcpt":
                await_true("it gives up", lambda: "RSET" in sink.commands[heard:], seconds=120)
            else:
                await_true("what it knew is known", lambda: _state(backlog, caught) == "sent", seconds=120)
            assert sleeper.wait(60) == RUNNING, backlog.command.said()
            sink.release()
            await_true("the backlog is done", backlog.is_settled, seconds=120)
    finally:
        end(sleeper, signal.SIGKILL)
    verdict = check(backlog, sink.mails, ())
    assert verdict.is_clean, verdict.text()
    assert verdict.sent == 40


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", ["body", "dot"])
def test_told_to_end_while_the_mail_is_on_the_wire(
    tmp_path: Path, server: DovecotServer, sink: StageSink, stage: str
) -> None:
    backlog = _backlog(tmp_path, server, sink, 8, None)
    sink.arm("body" if stage == "body" else "dot", 4)
    process = backlog.command.start("run")
    try:
        assert sink.await_caught(process, seconds=60)
    finally:
        code = end(process, signal.SIGTERM, seconds=STOP_SECONDS)
    assert code == 0, backlog.command.said()
    caught = sink.recipient
    sink.release()
    (row,) = (row for row in backlog.rows() if row.recipient == caught)
    assert row.state == "sending"
    with backlog.running():
        await_true("the backlog is done", backlog.is_settled, seconds=60)
    assert _state(backlog, caught) == "uncertain"
    verdict = check(backlog, sink.mails, {row.number})
    assert verdict.is_clean, verdict.text()
    assert (verdict.sent, verdict.uncertain) == (7, 1)


def _backlog(
    folder: Path, server: DovecotServer, sink: StageSink, count: int, postgres: PostgresServer | None
) -> Backlog:
    if postgres is None:
        return Backlog(folder / "office", server, sink.port, count)
    return Backlog(folder / "office", server, sink.port, count, store=postgres.new_database())


def _end_lock_session(backlog: Backlog) -> None:
    """The server ends the session that holds the lock, as a restart or a network that forgets connections does."""
    assert _count(backlog, _LOCKS.replace("*", "pg_terminate_backend(pid)")) == 1
    await_true("it is gone", lambda: not _count(backlog, _LOCKS), seconds=10)


def _count(backlog: Backlog, statement: str) -> int:
    with closing(connect(backlog.database)) as connection:
        return int(connection.execute(statement).fetchone()[0])


def _state(backlog: Backlog, recipient: str) -> str:
    return next(row.state for row in backlog.rows() if row.recipient == recipient)
