"""Thousands of old mails behind, read slowly: new mail comes first all the same, a kill loses nothing of the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from campaigns.backfill import Scene, fill
from campaigns.installed import await_true
from servers.dovecot import DovecotServer

OLD = 3000


@pytest.mark.timeout(600)
def test_new_mail_goes_before_old_mail(tmp_path: Path) -> None:
    with DovecotServer() as server:
        fill(server, OLD)
        scene = Scene(tmp_path / "office", server, OLD)
        scene.kill_and_resume(3, pause=4)
        report = scene.report
        assert len(report.latencies) == 3
        assert max(report.latencies) <= 60
        assert 0 < report.done_before_kill <= report.done_after_kill < OLD
        assert report.acted_on_old == 0
        assert report.acted_on_new == 2 * 3, "a draft and a reminder each"

        with scene.running() as pid:
            scene.set_rate(0)
            os.kill(pid, signal.SIGHUP)
            finished = lambda: scene.command("status")["accounts"]["rep1"]["state"] == "ok"  # noqa: E731
            await_true("without the throttle it is soon through", finished, seconds=120, every=0.5)
        scene.judge()
        assert scene.report.rows == OLD
        assert scene.command.number("SELECT count(*) FROM interaction") == OLD + 3
        assert scene.command("status")["accounts"]["rep1"]["backfill"] == {
            "done": OLD, "total": OLD, "left_seconds": None,
        }  # fmt: skip
