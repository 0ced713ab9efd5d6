"""The daemon: ticks, signals, reload, a clean stop.

APScheduler only gives interval ticks in memory; what is due, when and for whom stands in the tables. Each account
polls on its own, so one that hangs holds up nobody. Everything that touches desks runs on one tick, in order.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from config.accounts import Account, interval
from daemon import systemd
from daemon.alert_causes import CONFIG_PATIENCE, find_causes
from daemon.app import App
from daemon.control import ControlServer
from daemon.counts import Tally
from daemon.health import status, status_line
from daemon.listening import Listening
from daemon.office import Office
from daemon.reloading import Reloading
from daemon.requests import answer
from daemon.watchdog import Hang, hang_words, ping_every
from store import retention
from store.errors import AlreadyRunning, StoreError

log = structlog.get_logger()

DESK_TICK = 5
SEND_TICK = 2
SWEEP_TICK = 10
NOTIFY_TICK = 3
SEQUENCE_TICK = 10
GESTURE_TICK = 5
REVISIT_TICK = 30
OCCASION_TICK = 60
NOTICE_TICK = 60
STATUS_TICK = 30
ALERT_TICK = 30
WATCH_TICK = 1
BEAT_TICK = 10
BEAT = 300.0
"""Seconds in which the ticks themselves have to come round: a dead scheduler hangs nowhere and yet does nothing."""
SAY_AGAIN = 3600.0
"""Seconds after which the same trouble of a tick is logged again."""
STOP_SECONDS = 8.0
THREADS = 200
"""Started only when needed. An account holds up one, and a second that waits its turn; no number of dead servers may
use up the pool."""
OUTDONE = 8
"""Exit code where another process took over."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
POLLS = 2
"""One that runs and one that waits for it: what wakes us during a poll may have come after its look."""


def _be_woken(_number: int, _frame: FrameType | None) -> None:
    """What a signal means is decided in the main loop."""


class Service:
    """Runs an App until a signal ends it."""

    def __init__(self, app: App) -> None:
        self._app = app
        # The kernel may hand a signal to any thread; the number written here wakes the main one in any case.
        self._signals, self._signalled = socket.socketpair()
        self._signalled.setblocking(False)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={
                "default": ThreadPoolExecutor(THREADS),
                "desk": ThreadPoolExecutor(1),
                "alert": ThreadPoolExecutor(1),
            },
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        self._control = ControlServer(app.office.state, self._request)
        self._listening = Listening(app, self._wake)
        self._turn = threading.Lock()
        self._reloading = Reloading(app, swap=self._swap, settled=self._reloaded)
        self._status = "starting"
        self._hangs: tuple[str, ...] = ()
        self._said: dict[str, tuple[str, float]] = {}
        self._tally = Tally()
        self._metrics: Any = None
        self._outdone: AlreadyRunning | None = None

    def run(self) -> None:
        """Start, say READY, work, and stop cleanly at SIGTERM or SIGINT. SIGHUP reloads the configuration."""
        signal.set_wakeup_fd(self._signalled.fileno())
        for number in SIGNALS:
            signal.signal(number, _be_woken)
        self._app.parser.keep_warm()
        self._app.wake = self._wake
        self._app.sends.begin()
        self._schedule()
        self._control.start()
        self._scheduler.start()
        self._listening.renew()
        self._serve_metrics()
        systemd.notify("READY=1", f"STATUS={self._look_around()}")
        log.info("daemon.started", accounts=len(self._app.pollers), config=self._app.office.hash)
        if self._app.config_trouble:
            log.error("config.refused", kept=self._app.office.hash, trouble=self._app.config_trouble)
            self._tell_config()
        self._reloading.keep()
        self._work()
        self._stop()
        if self._outdone:
            raise self._outdone

    def _work(self) -> None:
        pause = ping_every(STATUS_TICK)
        while True:
            self._ping()
            ready, _, _ = select.select([self._signals], [], [], pause)
            number = self._signals.recv(1)[0] if ready else 0
            if number in (signal.SIGTERM, signal.SIGINT):
                return
            if number != signal.SIGHUP:
                continue
            # Beside us: a desk may hold the turn while its server hangs, and SIGTERM has to be heard all the same.
            threading.Thread(target=self.reload, name="reload", daemon=True).start()

    def _ping(self) -> None:
        """Feed the watchdog of systemd, unless a worker hangs. Asks nothing of store or network."""
        hangs = self._app.watchdog.hung()
        self._note_hangs(hangs)
        if hangs:
            systemd.notify(f"STATUS={hang_words(hangs)}")
        else:
            systemd.notify("WATCHDOG=1", f"STATUS={self._status}")

    def _note_hangs(self, hangs: list[Hang]) -> None:
        names = tuple(sorted({hang.worker for hang in hangs}))
        if names != self._hangs:
            for hang in hangs:
                if hang.worker not in self._hangs:
                    log.error("worker.hangs", worker=hang.worker)
                    self._hasten("alert")  # before systemd ends us
            if not names:
                log.info("worker.moves", workers=self._hangs)
            self._hangs = names

    def _look_around(self) -> str:
        """Make the line for systemd anew."""
        try:
            self._status = status_line(self._app)
        except StoreError as error:
            self._status = f"the database does not answer: {error.message}"
        return self._status

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
            os._exit(OUTDONE if self._outdone else 0)
        log.info("daemon.stopped")

    def _end(self) -> None:
        """Wait for whatever still works, and let go of every connection."""
        self._listening.close()
        if self._metrics is not None:
            self._metrics.close()
        self._scheduler.shutdown(wait=True)
        self._app.close()

    # --- ticks -----------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        for name, account in self._app.office.settings.accounts.items():
            self._add_poll(name, account)
        self._add_calendars()
        self._add_senders()
        self._add("sweep", self._sweep, SWEEP_TICK)
        self._add("notify", lambda: self._app.notifier.send_due(), NOTIFY_TICK)
        self._add("sequences", self._go_on, SEQUENCE_TICK)
        self._add("desk", self._desk, DESK_TICK, executor="desk")
        self._add("revisit", self._revisit, REVISIT_TICK)
        self._add("gestures", self._react, GESTURE_TICK)
        self._add("occasions", self._occasions, OCCASION_TICK)
        self._add("notice", self._notice, NOTICE_TICK, executor="desk")
        self._add("housekeeping", self._keep_house, 3600)
        self._add("status", self._look_around, STATUS_TICK)
        self._add("alert", self._alert, ALERT_TICK, executor="alert")
        self._add("watch", self._reloading.look, WATCH_TICK)
        self._add("sign-ins", self._note_sign_ins, WATCH_TICK)
        self._add("beat", self._beat, BEAT_TICK)
        self._beat()

    def _add(
        self, name: str, act: Any, seconds: float, *args: Any, executor: str = "default", at_once: int = 1
    ) -> None:
        self._scheduler.add_job(
            self._tick,
            "interval",
            seconds=seconds,
            args=(name, act, *args),
            id=name,
            executor=executor,
            max_instances=at_once,
            next_run_time=datetime.now(UTC),
        )

    def _add_poll(self, name: str, account: Account) -> None:
        self._add(f"poll:{name}", self._poll, interval(account).total_seconds(), name, at_once=POLLS)

    def _add_calendars(self) -> None:
        for name, calendar in self._app.office.settings.calendars.items():
            self._add(f"calendar:{name}", self._look_into, calendar.every.delta().total_seconds(), name)
            self._add(f"items:{name}", self._lay_items, DESK_TICK, name)

    def _look_into(self, name: str) -> None:
        """Read the calendars of one login; its pauses are its own."""
        poller = self._app.calendars.get(name)
        if poller is None or not poller.is_due():
            return
        counts = poller.poll()
        if counts.new:
            log.info("calendar.polled", calendar=name, meetings=counts.logged, seen=counts.seen)

    def _lay_items(self, name: str) -> None:
        """Reminders in the calendars of one login: a server that keeps us waiting holds up nobody else's."""
        items = self._app.items.get(name)
        if items is not None:
            items.tidy()

    def _add_senders(self) -> None:
        """One tick a sender: a server that keeps us waiting holds up nobody else's mail."""
        for name in self._app.office.settings.senders:
            self._add(f"send:{name}", self._app.sends.send_due, SEND_TICK, name)

    def _sweep(self) -> None:
        with self._app.watchdog.step("sweep"):
            self._app.sends.sweep()

    def _go_on(self) -> None:
        with self._app.watchdog.step("sequences"):
            self._app.sequences.tick()

    def _tick(self, name: str, act: Any, *args: Any) -> None:
        """One tick of one worker. What goes wrong is said once an hour, not every five seconds for a night."""
        if self._app.stop:
            return
        try:
            act(*args)
        except Exception as error:
            now, what = self._app.clock.monotonic(), f"{type(error).__name__}: {error}"
            before, said_at = self._said.get(name, ("", 0.0))
            if before == what and now - said_at < SAY_AGAIN:
                return
            self._said[name] = (what, now)
            if isinstance(error, StoreError):
                log.error("tick.failed", tick=name, reason=error.message, hint=error.hint)
                self._hasten("status")
                self._hasten("alert")
            else:
                log.error("tick.failed", tick=name, exc_info=error)

    def _beat(self) -> None:
        self._app.watchdog.beat("ticks", BEAT)

    def _poll(self, name: str) -> None:
        poller = self._app.pollers.get(name)
        if poller is None or not poller.is_due():
            return
        counts = poller.poll(once=False)
        self._tally.add(name, counts)
        if counts.new:
            log.info("account.polled", account=name, logged=counts.logged, seen=counts.seen)
        if poller.behind and not self._app.stop:
            self._wake(name)

    def _wake(self, name: str) -> None:
        """Poll an account now, or as soon as the poll that runs is over."""
        self._hasten(f"poll:{name}")

    def _hasten(self, job: str) -> None:
        with suppress(JobLookupError):  # the account is gone from the settings
            self._scheduler.modify_job(job, next_run_time=datetime.now(UTC))

    def _desk(self) -> None:
        with self._turn, self._app.watchdog.step("desk"):
            self._hold_store()
            self._app.desks.tidy()
            self._app.mailbox_marks.tidy()
            self._app.copies.tidy()

    def _notice(self) -> None:
        with self._turn, self._app.watchdog.step("notice"):
            self._hold_store()
            self._app.notices.deliver_due()
            self._app.briefs.deliver_due()

    def _hold_store(self) -> None:
        """Before anything is laid into mailboxes: is the store still ours? A session of PostgreSQL that held the lock
        may have ended while we slept, and another daemon may have taken over; then we are the one too many."""
        try:
            self._app.hold()
        except AlreadyRunning as error:
            self._outdone = error
            self._app.stop.event.set()
            self._signalled.send(bytes([signal.SIGTERM]))
            raise

    def _note_sign_ins(self) -> None:
        """Somebody signed in beside us, by the command line: go on at once."""
        mended = self._app.note_sign_ins()
        for name in mended:
            self._wake(name)
        if mended:
            self._listening.renew()

    def _revisit(self) -> None:
        with self._app.watchdog.step("revisit"):
            for name, counts in self._app.revisit.run().items():
                self._tally.add(name, counts)

    def _occasions(self) -> None:
        with self._app.watchdog.step("occasions"):
            done = self._app.occasions.look()
        if done:
            log.info("occasions.happened", acted=done)

    def _react(self) -> None:
        with self._app.watchdog.step("gestures"):
            self._app.reactions.run()

    def _alert(self) -> None:
        app = self._app
        hangs = app.watchdog.hung()
        with app.watchdog.step("alert"):
            causes = find_causes(
                app.store,
                app.office,
                config_trouble=app.config_trouble,
                disk_trouble=app.disk.trouble(),
                hangs=hangs,
                clock_trouble=app.sends.clock_trouble,
                senders=app.outlets.troubles(),
                sign_ins=app.sign_ins.lost(),
            )
            app.alerts.tell(causes)

    def _keep_house(self) -> None:
        now = self._app.clock.now()
        keep = self._app.office.settings.retention
        with self._app.watchdog.step("housekeeping"), self._app.store.writing() as session:
            retention.purge(session, now, quarantine_for=keep.quarantine.delta(), traces_for=keep.traces.delta())

    # --- reload and requests ---------------------------------------------------------------------------------------

    def reload(self) -> str:
        """Load the files again: all or nothing. What was wrong goes to the log and the admin; the old set stays."""
        return self._reloading.reload()

    def _swap(self, office: Office) -> None:
        with self._turn, self._app.watchdog.step("reload"):
            self._app.assemble(office)
            self._reschedule()

    def _reloaded(self) -> str:
        self._serve_metrics()
        self._tell_config()
        return self._look_around()

    def _tell_config(self) -> None:
        """Have the alerts look now, and again when trouble with the files has lasted long enough to be told."""
        self._hasten("alert")
        if self._app.config_trouble:
            at = datetime.now(UTC) + CONFIG_PATIENCE + timedelta(seconds=1)
            self._scheduler.add_job(
                self._hasten, "date", run_date=at, args=("alert",), id="tell config", replace_existing=True
            )

    def _reschedule(self) -> None:
        wanted = self._app.office.settings.accounts
        for job in self._scheduler.get_jobs():
            if job.id.startswith(("poll:", "send:", "calendar:", "items:")):
                job.remove()
        for name, account in wanted.items():
            self._add_poll(name, account)
        self._add_calendars()
        self._add_senders()
        self._listening.renew()

    def _request(self, command: str, args: dict[str, Any]) -> Any:
        if command == "reload":
            return {"problems": self.reload()}
        if command == "status":
            return self._status_told()
        with self._turn, self._app.watchdog.step("control"):
            return answer(self._app, command, args)

    def _status_told(self) -> dict[str, Any]:
        app = self._app
        config = {  # first: a reload in between must not show as mended what the office below has not loaded yet
            "config_trouble": app.config_trouble,
            "config_refused_at": app.config_refused_at,
            "config_mended_at": app.config_mended_at,
        }
        return status(app.office, app.store, app.clock.now()) | config

    def _serve_metrics(self) -> None:
        """Serve the figures where the settings want it now. A port that is taken is said, and all else goes on."""
        port = self._app.office.settings.metrics.port
        if self._metrics is not None and self._metrics.port != port:
            self._metrics.close()
            self._metrics = None
        if port and self._metrics is None:
            from daemon.metrics import MetricsServer  # 5 MB: only where somebody asks for figures

            try:
                self._metrics = MetricsServer(port, self._app, self._tally)
            except OSError as error:
                log.error("metrics.refused", port=port, reason=error.strerror)
