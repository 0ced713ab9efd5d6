"""A line that ends at each byte of the last answer, the short form of `python -m campaigns.send_drops`."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns.backlog import Backlog
from campaigns.send_drops import ENDINGS, WHOLE, DroppingSink, SendDrops, drops
from servers.dovecot import DovecotServer


@pytest.mark.timeout(300)
def test_dropped_or_killed_at_bytes_of_the_answer(tmp_path: Path) -> None:
    with DovecotServer() as server, DroppingSink(server) as sink:
        planned = drops(36, 1)
        tally = SendDrops(Backlog(tmp_path / "office", server, sink.port, len(planned)), sink, planned).run()
    assert tally.is_clean, tally.text()
    assert tally.verdict.accepted == len(planned)
    in_doubt = [drop for drop in planned if not drop.is_whole]
    assert tally.looked_up == sum(drop.keeps_copy for drop in in_doubt)
    assert tally.verdict.uncertain >= sum(not drop.keeps_copy for drop in in_doubt) > 10


def test_the_long_form_meets_every_place_both_with_and_without_a_copy() -> None:
    planned = drops(500, 54)
    places = {(drop.after, drop.ending, drop.keeps_copy) for drop in planned}
    assert len(planned) == 500
    assert sum(drop.ending == "kill" for drop in planned) == 54
    assert len(places) == (WHOLE + 1) * len(ENDINGS) * 2
