"""The daemon: ticks, signals, reload, a clean stop.

APScheduler only gives interval ticks in memory; what is due, when and for whom stands in the tables. Each account
polls on its own, so one that hangs holds up nobody. Everything that touches desks runs on one tick, in order.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from config.accounts import interval
from config.errors import ConfigError
from config.show import render_problems
from daemon import systemd
from daemon.app import App
from daemon.control import ControlServer
from daemon.health import status_line
from daemon.office import load_office
from daemon.requests import answer
from store import retention

log = structlog.get_logger()

DESK_TICK = 5
REVISIT_TICK = 30
NOTICE_TICK = 60
STATUS_TICK = 30
STOP_SECONDS = 10.0
THREADS = 24


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
            self.reload()

    def _stop(self) -> None:
        systemd.notify("STOPPING=1")
        log.info("daemon.stopping")
        self._app.stop.event.set()
        self._control.stop()
        if self._idle is not None:
            self._idle.close()
        ending = threading.Thread(target=self._scheduler.shutdown, kwargs={"wait": True}, daemon=True)
        ending.start()
        ending.join(STOP_SECONDS)
        if ending.is_alive():
            # A server keeps a worker waiting. Every write is one transaction, so ending here loses nothing.
            log.warning("daemon.cut_short")
            os._exit(0)
        log.info("daemon.stopped")

    # --- ticks -----------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        for name, account in self._app.office.settings.accounts.items():
            self._add(f"poll:{name}", self._poll, interval(account).total_seconds(), name)
        self._add("desk", self._desk, DESK_TICK, executor="desk")
        self._add("revisit", self._revisit, REVISIT_TICK)
        self._add("notice", self._notice, NOTICE_TICK, executor="desk")
        self._add("housekeeping", self._keep_house, 3600)

    def _add(self, name: str, act: Any, seconds: float, *args: Any, executor: str = "default") -> None:
        self._scheduler.add_job(
            act, "interval", seconds=seconds, args=args, id=name, executor=executor, next_run_time=datetime.now(UTC)
        )

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
        """Poll an account now; a poll that is running meanwhile is not doubled."""
        job = self._scheduler.get_job(f"poll:{name}")
        if job is not None:
            job.modify(next_run_time=datetime.now(UTC))

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
        """Let servers wake us; polling goes on behind it."""
        from connectors.imap.idle import IdleHub

        names = self._app.idle_accounts
        if not names:
            return
        self._idle = IdleHub(self._wake)
        for name in names:
            self._idle.add(self._app.imap_settings(name))
        self._idle.start()

    # --- reload and requests ---------------------------------------------------------------------------------------

    def reload(self) -> str:
        """Load the files again: all or nothing. What was wrong goes to the log and the notice; the old set stays."""
        systemd.notify("RELOADING=1")
        try:
            office = load_office(self._app.office.directory)
        except ConfigError as error:
            text = render_problems(error.problems, base=self._app.office.directory)
            log.error("config.refused", problems=len(error.problems), kept=self._app.office.hash)
            self._app.config_trouble = text
            systemd.notify("READY=1", f"STATUS={status_line(self._app)}")
            return text
        with self._turn:
            self._app.assemble(office)
            self._app.config_trouble = ""
            self._reschedule()
        log.info("config.loaded", config=office.hash)
        systemd.notify("READY=1", f"STATUS={status_line(self._app)}")
        return ""

    def _reschedule(self) -> None:
        wanted = {f"poll:{name}": account for name, account in self._app.office.settings.accounts.items()}
        for job in self._scheduler.get_jobs():
            if job.id.startswith("poll:") and job.id not in wanted:
                job.remove()
        for job_id, account in wanted.items():
            if self._scheduler.get_job(job_id) is None:
                self._add(job_id, self._poll, interval(account).total_seconds(), job_id.removeprefix("poll:"))
        if self._idle is not None:
            self._idle.close()
            self._idle = None
        self._listen()

    def _request(self, command: str, args: dict[str, Any]) -> Any:
        if command == "reload":
            return {"problems": self.reload()}
        with self._turn:
            return answer(self._app, command, args)
