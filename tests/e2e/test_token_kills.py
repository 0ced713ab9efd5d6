"""SIGKILL while tokens are renewed, the short form of `python -m campaigns.tokens`; and the campaign, not blind."""

from __future__ import annotations

from campaigns.tokens import MOMENTS, run


def test_nobody_is_ever_locked_out() -> None:
    tally = run(12, seed=2)
    assert not tally.locked_out, tally.text()
    assert all(tally.kills[moment] == 3 for moment in MOMENTS), tally.text()


def test_who_uses_a_token_before_keeping_it_is_locked_out() -> None:
    tally = run(60, seed=2, careless=True)
    assert tally.locked_out, tally.text()
