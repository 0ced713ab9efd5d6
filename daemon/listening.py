"""Lets servers wake us when mail comes, by IDLE of IMAP and the streams of Exchange; polling goes on behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daemon.app import App


class Listening:
    """The lines that are held open. `wake` is called with the name of an account that has something new."""

    def __init__(self, app: App, wake: Callable[[str], None]) -> None:
        self._app = app
        self._wake = wake
        self._idle: Any = None
        self._streams: Any = None

    def renew(self) -> None:
        """Watch the accounts that the settings name now. Those that are watched already stay so."""
        self._renew_streams()
        self._renew_idle()

    def close(self) -> None:
        """Hang up."""
        for hub in (self._idle, self._streams):
            if hub is not None:
                hub.close()

    def _renew_idle(self) -> None:
        names = self._app.idle_accounts
        if names and self._idle is None:
            from connectors.imap.idle import IdleHub

            self._idle = IdleHub(self._wake)
            self._idle.start()
        if self._idle is not None:
            self._idle.watch([self._app.imap_settings(name) for name in names])

    def _renew_streams(self) -> None:
        names = self._app.streaming_accounts
        if names and self._streams is None:
            from connectors.exchange.stream import StreamHub  # 40 MB: only where there is an Exchange Server

            self._streams = StreamHub(self._wake)
        if self._streams is not None:
            self._streams.watch([self._app.exchange_settings(name) for name in names])
