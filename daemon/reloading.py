"""Another configuration under a running daemon: all of it, or none and the last good one goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from config import good
from config.errors import QuietcrmError
from config.load import config_hash
from daemon import systemd
from daemon.app import App
from daemon.loading import load_settled, refusal
from daemon.office import Office
from daemon.watch import Watch, signature
from store.errors import StoreError

log = structlog.get_logger()

AGAIN = 30.0
"""Seconds until a set that only the database refused is tried again."""


class Reloading:
    """Loads the files when they changed or somebody asks. One at a time; any thread.

    swap      puts an office in place between two mails; raises QuietcrmError and leaves everything as it was
    settled   called after each attempt, good or bad
    """

    def __init__(self, app: App, *, swap: Callable[[Office], None], settled: Callable[[], str]) -> None:
        self._app = app
        self._swap = swap
        self._settled = settled
        self._turn = threading.Lock()
        self._tried = app.office.hash
        self._watch = Watch(signature(app.office.directory))
        if app.config_trouble or app.office.hash != self._hash_on_disk():
            self._tried = ""  # the first look compares
            self._watch.look_again(app.clock.monotonic())

    def keep(self) -> None:
        """Keep the set that runs as the last good one, unless it is that one. Never raises."""
        office = self._app.office
        if office.files == office.directory:
            _keep(_stage(office))

    def look(self) -> None:
        """Load the files if they changed and were then left alone."""
        app = self._app
        if not self._watch.is_settled(signature(app.office.directory), app.clock.monotonic()):
            return
        if self._hash_on_disk() != self._tried:
            self.reload()

    def reload(self) -> str:
        """Load the files now; what is wrong with them, "" if they run. What runs stays where anything is wrong."""
        app = self._app
        with self._turn:
            systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            before = app.config_trouble
            trouble = self._load()
            app.note_config(trouble)
            systemd.notify("READY=1", f"STATUS={self._settled()}")
        if trouble:
            log.error("config.refused", kept=app.office.hash, trouble=trouble)
        else:
            log.info("config.mended" if before else "config.loaded", config=app.office.hash)
        return trouble

    def _load(self) -> str:
        app, directory = self._app, self._app.office.directory
        self._tried = self._hash_on_disk()
        try:
            office = load_settled(directory)
            self._refuse_another_store(office)
            staged = _stage(office)  # now: the swap may wait long for its turn
            self._swap(office)
        except StoreError as error:
            self._tried = ""
            self._watch.look_again(app.clock.monotonic() + AGAIN)
            return refusal(error, directory)
        except Exception as error:  # whatever is in the files, what runs goes on
            return refusal(error, directory)
        _keep(staged)
        return ""

    def _refuse_another_store(self, office: Office) -> None:
        if office.settings.store != self._app.office.settings.store:
            hint = "it is used from the next start on: stop quietcrm and start it again"
            raise QuietcrmError("quietcrm.yaml names another `store` than the one that is open", hint=hint)

    def _hash_on_disk(self) -> str:
        return config_hash(self._app.office.directory)


def _stage(office: Office) -> Path | None:
    """Copy the set into the state folder; None if that fails or the files changed since they were loaded."""
    try:
        staged = good.stage(office.directory, office.state)
    except OSError as error:
        _say_not_kept(error)
        return None
    return staged if good.staged_hash(staged) == office.hash else None


def _keep(staged: Path | None) -> None:
    try:
        if staged is not None:
            good.keep(staged)
    except OSError as error:
        _say_not_kept(error)


def _say_not_kept(error: OSError) -> None:
    log.error("config.not_kept", reason=error.strerror, hint="free space in the state folder")
