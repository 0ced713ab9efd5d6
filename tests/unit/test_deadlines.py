"""The watchdog's book: who hangs, who only waits, who made progress."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.clock import HeldClock
from daemon.watchdog import Watchdog, hang_words, ping_every


class Scene:
    """A watchdog at a clock that is moved by hand."""

    def __init__(self) -> None:
        self.clock = HeldClock(datetime(2026, 11, 22, tzinfo=UTC))
        self.watchdog = Watchdog(self.clock.monotonic, longest=900)

    def move(self, seconds: float) -> list[str]:
        """Let time pass; who hangs now."""
        self.clock.move(timedelta(seconds=seconds))
        return [hang.worker for hang in self.watchdog.hung()]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_step_that_lasts_too_long_is_a_hang(scene: Scene) -> None:
    with scene.watchdog.step("desk", 60):
        assert scene.move(60) == []
        assert scene.move(1) == ["desk"]
        assert hang_words(scene.watchdog.hung()) == 'the worker "desk" hangs since 1 s'
    assert scene.move(1000) == [], "it is over"


def test_progress_starts_the_step_anew(scene: Scene) -> None:
    with scene.watchdog.step("poll ana", 60):
        for _ in range(10):
            assert scene.move(59) == []
            scene.watchdog.progress()
        assert scene.move(61) == ["poll ana"]
    scene.watchdog.progress()  # outside a step it means nothing


def test_a_step_inside_has_its_own_time_and_its_end_is_progress(scene: Scene) -> None:
    with scene.watchdog.step("desk", 60):
        with scene.watchdog.step("send by ana", 1500):
            assert scene.move(1500) == [], "600 s after the final dot are allowed"
            assert scene.move(1) == ["send by ana"]
        assert scene.move(59) == []
        assert scene.move(2) == ["desk"]


def test_waiting_for_another_worker_is_no_hang_and_that_worker_is_one(scene: Scene) -> None:
    ready, over = threading.Event(), threading.Event()

    def poll() -> None:
        with scene.watchdog.step("poll ana", 900):
            ready.set()
            over.wait()

    thread = threading.Thread(target=poll)
    thread.start()
    ready.wait()
    with scene.watchdog.step("revisit", 60), scene.watchdog.waiting():
        assert scene.move(900) == []
        assert scene.move(1) == ["poll ana"], "another thread's progress does not cover it up"
        scene.watchdog.progress()
        assert scene.move(1) == ["poll ana"]
    over.set()
    thread.join()
    assert scene.move(1) == []


def test_what_comes_round_by_a_clock_has_to_come_round(scene: Scene) -> None:
    scene.watchdog.beat("ticks", 300)
    assert scene.move(299) == []
    scene.watchdog.beat("ticks", 300)
    assert scene.move(300) == []
    assert scene.move(1) == ["ticks"]


def test_an_error_ends_the_step(scene: Scene) -> None:
    with pytest.raises(ValueError, match="x"), scene.watchdog.step("desk", 1):
        raise ValueError("x")
    assert scene.move(10) == []


@given(st.lists(st.tuples(st.sampled_from("asp"), st.floats(0, 100)), max_size=40))
def test_never_a_hang_before_a_deadline_and_always_one_behind_it(deeds: list[tuple[str, float]]) -> None:
    """A model: the time since the last sign of life, against the limit of the innermost step."""
    scene = Scene()
    outer, inner, silent = scene.watchdog.step("outer", 60), None, 0.0
    with outer:
        for deed, seconds in deeds:
            if deed == "p":
                scene.watchdog.progress()
                silent = 0.0
            elif deed == "s" and inner is None:
                inner = scene.watchdog.step("inner", 30)
                inner.__enter__()
                silent = 0.0
            elif deed == "s" and inner is not None:
                inner.__exit__(None, None, None)
                inner, silent = None, 0.0
            silent += seconds
            limit = 30 if inner else 60
            hung = scene.move(seconds)
            if abs(silent - limit) > 0.01:
                assert bool(hung) == (silent > limit)
        if inner is not None:
            inner.__exit__(None, None, None)


def test_the_ping_comes_twice_in_what_systemd_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    for told, seconds in (("120000000", 30.0), ("20000000", 10.0), ("", 30.0), ("0", 30.0), ("soon", 30.0)):
        monkeypatch.setenv("WATCHDOG_USEC", told)
        assert ping_every(30.0) == seconds
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert ping_every(30.0) == 1.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert ping_every(30.0) == 30.0, "meant for another process"
