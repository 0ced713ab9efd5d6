"""The daemon: ticks, signals, reload, a clean stop.

APScheduler only gives interval ticks in memory; what is due, when and for whom stands in the tables. Each account
polls on its own, so one that hangs holds up nobody. Everything that touches desks runs on one tick, in order.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from config.accounts import Account, interval
from config.errors import ConfigError, QuietcrmError
from config.show import render_problems
from daemon import systemd
from daemon.app import App
from daemon.control import ControlServer
from daemon.health import status, status_line
from daemon.office import load_office
from daemon.requests import answer
from store import retention

log = structlog.get_logger()

DESK_TICK = 5
REVISIT_TICK = 30
NOTICE_TICK = 60
STATUS_TICK = 30
STOP_SECONDS = 8.0
THREADS = 200
"""Started only when needed. An account holds up one, and a second that waits its turn; no number of dead servers may
use up the pool."""
POLLS = 2
"""One that runs and one that waits for it: what wakes us during a poll may have come after its look."""


class Service:
    """Runs an App until a signal ends it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(THREADS), "desk": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._control = ControlServer(app.office.state, self._request)
        self._idle: Any = None
        self._turn = threading.Lock()
        self._reloading = threading.Lock()

    def run(self) -> None:
        """Start, say READY, work, and stop cleanly at SIGTERM or SIGINT. SIGHUP reloads the configuration."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._schedule()
        self._control.start()
        self._scheduler.start()
        self._listen()
        systemd.notify("READY=1", f"STATUS={status_line(self._app)}")
        log.info("daemon.started", accounts=len(self._app.pollers), config=self._app.office.hash)
        self._work()
        self._stop()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.put(number)

    def _work(self) -> None:
        while True:
            try:
                number = self._signals.get(timeout=STATUS_TICK)
            except queue.Empty:
                systemd.notify("WATCHDOG=1", f"STATUS={status_line(self._app)}")
                continue
            if number != signal.SIGHUP:
                return
            # Beside us: a desk may hold the turn while its server hangs, and SIGTERM has to be heard all the same.
            threading.Thread(target=self.reload, name="reload", daemon=True).start()

    def _stop(self) -> None:
        systemd.notify("STOPPING=1")
        log.info("daemon.stopping")
        self._app.stop.event.set()
        self._control.stop()
        ending = threading.Thread(target=self._end, name="ending", daemon=True)
        ending.start()
        ending.join(STOP_SECONDS)
        if ending.is_alive():
            # A server keeps a worker waiting. Every write is one transaction, so ending here loses nothing.
            log.warning("daemon.cut_short")
            os._exit(0)
        log.info("daemon.stopped")

    def _end(self) -> None:
        """Wait for whatever still works, and let go of every connection."""
        if self._idle is not None:
            self._idle.close()
        self._scheduler.shutdown(wait=True)
        self._app.close()

    # --- ticks -----------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        for name, account in self._app.office.settings.accounts.items():
            self._add_poll(name, account)
        self._add("desk", self._desk, DESK_TICK, executor="desk")
        self._add("revisit", self._revisit, REVISIT_TICK)
        self._add("notice", self._notice, NOTICE_TICK, executor="desk")
        self._add("housekeeping", self._keep_house, 3600)

    def _add(
        self, name: str, act: Any, seconds: float, *args: Any, executor: str = "default", at_once: int = 1
    ) -> None:
        self._scheduler.add_job(
            act,
            "interval",
            seconds=seconds,
            args=args,
            id=name,
            executor=executor,
            max_instances=at_once,
            next_run_time=datetime.now(UTC),
        )

    def _add_poll(self, name: str, account: Account) -> None:
        self._add(f"poll:{name}", self._poll, interval(account).total_seconds(), name, at_once=POLLS)

    def _poll(self, name: str) -> None:
        poller = self._app.pollers.get(name)
        if poller is None or self._app.stop or not poller.is_due():
            return
        counts = poller.poll(once=False)
        if counts.new:
            log.info("account.polled", account=name, logged=counts.logged, seen=counts.seen)
        if poller.behind and not self._app.stop:
            self._wake(name)

    def _wake(self, name: str) -> None:
        """Poll an account now, or as soon as the poll that runs is over."""
        with suppress(JobLookupError):  # the account is gone from the settings
            self._scheduler.modify_job(f"poll:{name}", next_run_time=datetime.now(UTC))

    def _desk(self) -> None:
        if not self._app.stop:
            with self._turn:
                self._app.desks.tidy()

    def _notice(self) -> None:
        if not self._app.stop:
            with self._turn:
                self._app.notices.deliver_due()

    def _revisit(self) -> None:
        if not self._app.stop:
            self._app.revisit.run()

    def _keep_house(self) -> None:
        now = self._app.clock.now()
        keep = self._app.office.settings.retention
        with self._app.store.writing() as session:
            retention.purge(session, now, quarantine_for=keep.quarantine.delta(), traces_for=keep.traces.delta())

    def _listen(self) -> None:
        """Let servers wake us; polling goes on behind it. Accounts that are watched already stay so."""
        from connectors.imap.idle import IdleHub

        names = self._app.idle_accounts
        if names and self._idle is None:
            self._idle = IdleHub(self._wake)
            self._idle.start()
        if self._idle is not None:
            self._idle.watch([self._app.imap_settings(name) for name in names])

    # --- reload and requests ---------------------------------------------------------------------------------------

    def reload(self) -> str:
        """Load the files again: all or nothing. What was wrong goes to the log and the notice; the old set stays."""
        with self._reloading:
            systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            trouble = self._app.config_trouble = self._load()
            systemd.notify("READY=1", f"STATUS={status_line(self._app)}")
        if trouble:
            log.error("config.refused", kept=self._app.office.hash)
        else:
            log.info("config.loaded", config=self._app.office.hash)
        return trouble

    def _load(self) -> str:
        try:
            office = load_office(self._app.office.directory)
            with self._turn:
                self._app.assemble(office)
                self._reschedule()
        except ConfigError as error:
            return render_problems(error.problems, base=self._app.office.directory)
        except QuietcrmError as error:
            return f"{error.message}\n  = help: {error.hint}"
        return ""

    def _reschedule(self) -> None:
        wanted = self._app.office.settings.accounts
        for job in self._scheduler.get_jobs():
            if job.id.startswith("poll:"):
                job.remove()
        for name, account in wanted.items():
            self._add_poll(name, account)
        self._listen()

    def _request(self, command: str, args: dict[str, Any]) -> Any:
        if command == "reload":
            return {"problems": self.reload()}
        if command == "status":
            return status(self._app.office, self._app.store, self._app.clock.now()) | {
                "config_trouble": self._app.config_trouble
            }
        with self._turn:
            return answer(self._app, command, args)
