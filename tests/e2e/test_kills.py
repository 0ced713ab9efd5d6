"""SIGKILL in known moments, the short form of `make torture`; and the checker, which must not be blind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from campaigns.checker import Verdict, check
from campaigns.installed import Installed
from campaigns.kills import REPS, Campaign
from servers.dovecot import DovecotServer
from servers.mailboxes import Office
from servers.postgres import PostgresServer


@pytest.mark.timeout(600)
def test_killed_in_every_phase(tmp_path: Path) -> None:
    with DovecotServer() as server:
        tally = Campaign(tmp_path, server, 1500, seed=7).run(12, 3)
    assert [verdict.text() for verdict in tally.verdicts if not verdict.is_clean] == []
    assert tally.verdicts
    assert tally.total >= 12
    assert min(map(tally.of, ("fetch", "parse", "write", "commit"))) >= 3, tally.text()
    assert tally.half_written > 0, "some were killed with a journal on disk"


@pytest.mark.timeout(600)
def test_killed_on_postgresql(tmp_path: Path, postgres: PostgresServer) -> None:
    with DovecotServer() as server:
        tally = Campaign(tmp_path, server, 1000, seed=8).run(3, 1, postgres=postgres)
    assert [verdict.text() for verdict in tally.verdicts if not verdict.is_clean] == []
    assert tally.total >= 3


def test_the_checker_sees_what_is_wrong(tmp_path: Path) -> None:
    """It agrees with the generator's truth, and every kind of fault made by hand is found."""
    with DovecotServer() as server:
        campaign = Campaign(tmp_path, server, 300, seed=9)
        command = campaign.install(server.port, "sqlite:///state/crm.db")
        command("sync", "--once")
        clean = _check(command, server)
        assert clean.is_clean, clean.text()
        assert clean.expected == _logged(campaign.office)
        assert clean.copies == sum(len(mail.copies) for mail in campaign.office.messages)

        _do(command, "DELETE FROM sighting WHERE interaction_id = 1")
        assert _check(command, server).wrong["copies not listed"]
        _do(command, "UPDATE interaction SET message_id = 'another@one.example' WHERE id = 2")
        verdict = _check(command, server)
        assert verdict.wrong["lost"]
        assert verdict.wrong["not ours"] == ["another@one.example"]
        third = "(SELECT message_id FROM interaction WHERE id = 3)"
        _do(command, f"UPDATE interaction SET message_id = {third} WHERE id = 2")
        assert _check(command, server).wrong["doubled"]
        _do(command, "DELETE FROM unmatched WHERE id = (SELECT min(id) FROM unmatched)")
        assert _check(command, server).wrong["unmatched lost"]


def _check(command: Installed, server: DovecotServer) -> Verdict:
    return check(str(command.database), {rep: server.maildir(rep) for rep in REPS})


def _logged(office: Office) -> int:
    return office.outcomes()["logged"]


def _do(command: Installed, statement: str) -> None:
    with sqlite3.connect(command.database) as connection:
        connection.execute(statement)
    connection.close()
