"""IDLE (RFC 2177): the server tells of news. A hint only: sources are polled all the same.

`IdleLine` is one account's second connection, for `Wakeable.wait`. `IdleHub` watches the lines of all accounts from
one thread with one selector; connecting, which can take long, happens in two workers beside it.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from connectors.errors import AuthRejected, ConnectorError, Misconfigured
from connectors.imap.connection import Connection, connect
from connectors.imap.settings import ImapSettings
from connectors.imap.trouble import translated
from connectors.imap.wire import Cut

__all__ = ["RENEW_AFTER", "IdleChannel", "IdleHub", "IdleLine"]

RENEW_AFTER = 540.0
"""Servers may end an IDLE after 29 minutes, and routers forget a silent connection after five to ten."""

_ANSWER_WITHIN = 30.0
_LONGEST_PAUSE = 300.0


class IdleChannel:
    """A connection in IDLE, read without blocking. Raises OSError when the line is dead."""

    def __init__(self, connection: Connection, now: float) -> None:
        self._connection = connection
        self.socket: socket.socket = connection.client.socket()
        self._buffer = bytearray()
        self._serial = 0
        self._ending = False
        self.deadline = 0.0
        connection.examine("INBOX")
        self.socket.setblocking(False)
        self._begin(now)

    def fileno(self) -> int:
        """For selectors."""
        return self.socket.fileno()

    def _begin(self, now: float) -> None:
        self._serial += 1
        self._ending = False
        self._send(b"i%d IDLE\r\n" % self._serial)
        self.deadline = now + RENEW_AFTER

    def _send(self, data: bytes) -> None:
        # A few bytes into an idle socket's empty buffer: they fit, or the line is dead.
        self.socket.sendall(data)

    def tick(self, now: float) -> None:
        """Past the deadline: renew, or give up a line that did not answer the renewal, or whose login is about to
        end."""
        if self._connection.is_stale:
            raise Cut("the login of the idle connection is about to end")
        if now < self.deadline:
            return
        if self._ending:
            raise Cut("the server does not answer on the idle connection")
        self._ending = True
        self._send(b"DONE\r\n")
        self.deadline = now + _ANSWER_WITHIN

    def read(self, now: float) -> bool:
        """Take in what came. True if the Inbox changed. Raises OSError at the end of the stream."""
        while True:
            try:
                data = self.socket.recv(65_536)
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            if not data:
                raise Cut("the server closed the idle connection")
            self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > 65_536:
            raise Cut("an endless line on the idle connection")
        heard = [self._heard(line.split(), now) for line in lines]
        return any(heard)

    def _heard(self, words: list[bytes], now: float) -> bool:
        if not words:
            return False
        if words[0] == b"i%d" % self._serial:
            if words[1:2] != [b"OK"]:
                raise Cut("the server ended IDLE")
            self._begin(now)
        elif words[:2] == [b"*", b"BYE"]:
            raise Cut("the server said goodbye")
        return words[0] == b"*" and words[-1].upper() in (b"EXISTS", b"RECENT")

    def close(self) -> None:
        """Leave without waiting for an answer; never raises."""
        with contextlib.suppress(OSError):
            self._send(b"DONE\r\n")
        self._connection.abandon()


class IdleLine:
    """The idle connection of one source. `wait` in one thread, `interrupt` from any."""

    def __init__(self, settings: ImapSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._channel: IdleChannel | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)

    def wait(self, timeout: float) -> bool:
        """True as soon as the Inbox changed; False after `timeout` seconds or an interrupt. Raises OSError and the like
        when the line breaks: the caller polls, and the next `wait` connects anew."""
        end = self._monotonic() + timeout
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._wake_in, selectors.EVENT_READ)
                channel = self._open()
                if channel:
                    selector.register(channel, selectors.EVENT_READ)
                return self._watch(selector, channel, end)
        except BaseException:
            self._drop()
            raise

    def _watch(self, selector: selectors.BaseSelector, channel: IdleChannel | None, end: float) -> bool:
        # TLS may hold what came between two waits, where no selector sees it.
        if channel and channel.read(self._monotonic()):
            return True
        while (now := self._monotonic()) < end:
            pause = min(end, channel.deadline) - now if channel else end - now
            for key, _ in selector.select(max(0.0, pause)):
                if key.fileobj is self._wake_in:
                    _drain(self._wake_in)
                    return False
                if channel and channel.read(self._monotonic()):
                    return True
            if channel:
                channel.tick(self._monotonic())
        return False

    def interrupt(self) -> None:
        """Make a running or the next `wait` return."""
        with contextlib.suppress(OSError):
            self._wake_out.send(b"x")

    def close(self) -> None:
        """Drop the connection; `wait` may be called again."""
        self._drop()

    def _open(self) -> IdleChannel | None:
        if self._channel is None:
            connection = connect(self._settings)
            if "IDLE" not in connection.capabilities:
                connection.close()
                return None
            self._channel = IdleChannel(connection, self._monotonic())
        return self._channel

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel:
            channel.close()

    def __del__(self) -> None:
        self._wake_in.close()
        self._wake_out.close()


def _drain(wake: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while wake.recv(4096):
            pass


def _close_opened(opening: Future[IdleChannel | None]) -> None:
    if not opening.cancelled() and not opening.exception() and (channel := opening.result()):
        channel.close()


@dataclass(slots=True)
class _Watched:
    """One account of the hub."""

    settings: ImapSettings
    channel: IdleChannel | None = None
    opening: Future[IdleChannel | None] | None = None
    retry_at: float = 0.0
    pause: float = 0.0
    hopeless: bool = False
    trouble: str = field(default="", repr=False)


class IdleHub:
    """One thread that watches all idle connections and calls `changed(account)` when an Inbox got mail.

    `changed` runs on the hub's thread and must be quick (wake the poller). Dead lines are opened again with growing
    pauses; accounts without IDLE, with a refused login or with impossible settings are left to polling.
    """

    def __init__(
        self,
        changed: Callable[[str], None],
        *,
        first_pause: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._changed = changed
        self._first_pause = first_pause
        self._monotonic = monotonic
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="idle-connect")
        self._thread = threading.Thread(target=self._run, name="idle-hub", daemon=True)

    def start(self) -> None:
        """Begin watching."""
        self._thread.start()

    def add(self, settings: ImapSettings) -> None:
        """Watch an account, anew if it is watched already. From any thread."""
        self.remove(settings.account)
        with self._lock:
            self._watched[settings.account] = _Watched(settings)
        self._wake()

    def remove(self, account: str) -> None:
        """Stop watching an account. From any thread."""
        with self._lock:
            watched = self._watched.pop(account, None)
        if watched:
            watched.hopeless = True  # the thread may be looking at it this moment
            opening, watched.opening = watched.opening, None
            if opening:
                opening.add_done_callback(_close_opened)
            self._release(watched)

    def watch(self, wanted: Sequence[ImapSettings]) -> None:
        """Watch these accounts and no others; those whose settings are the same keep their connection, unless there
        is trouble with it."""
        with self._lock:
            known = {name: watched for name, watched in self._watched.items() if not watched.trouble}
        for name in {*self._watched} - {settings.account for settings in wanted}:
            self.remove(name)
        for settings in wanted:
            if settings.account not in known or known[settings.account].settings != settings:
                self.add(settings)

    def idling(self) -> tuple[str, ...]:
        """The accounts whose server would tell of new mail now."""
        with self._lock:
            return tuple(name for name, watched in self._watched.items() if watched.channel)

    def close(self) -> None:
        """End the thread and all connections."""
        self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)
        self._workers.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            everyone = list(self._watched.values())
        for watched in everyone:
            if watched.opening and watched.opening.done() and not watched.opening.cancelled():
                self._adopt(watched)
            self._release(watched)
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b"x")

    def _run(self) -> None:
        while not self._stopping:
            with self._lock:
                everyone = list(self._watched.values())
            now = self._monotonic()
            for watched in everyone:
                self._tend(watched, now)
            for key, _ in self._selector.select(self._pause(everyone, now)):
                if key.fileobj is self._wake_in:
                    _drain(self._wake_in)
                else:
                    self._hear(key.data)

    def _pause(self, everyone: list[_Watched], now: float) -> float:
        times = [watched.channel.deadline if watched.channel else watched.retry_at for watched in everyone
                 if not watched.hopeless and not watched.opening]  # fmt: skip
        return min(60.0, max(0.0, min(times, default=now + 60.0) - now))

    def _tend(self, watched: _Watched, now: float) -> None:
        if watched.opening and watched.opening.done():
            self._adopt(watched)
        if watched.channel:
            with self._surviving(watched):
                watched.channel.tick(now)
        elif not watched.opening and not watched.hopeless and now >= watched.retry_at:
            watched.opening = self._workers.submit(self._open, watched.settings)
            watched.opening.add_done_callback(lambda _: self._wake())

    def _open(self, settings: ImapSettings) -> IdleChannel | None:
        with translated(settings.account, f"{settings.host}:{settings.port}"):
            connection = connect(settings)
            if "IDLE" not in connection.capabilities:
                connection.close()
                return None
            return IdleChannel(connection, self._monotonic())

    def _adopt(self, watched: _Watched) -> None:
        opening, watched.opening = watched.opening, None
        if opening is None:
            return
        try:
            watched.channel = opening.result()
        except (AuthRejected, Misconfigured) as error:
            watched.hopeless, watched.trouble = True, error.message
            return
        except ConnectorError as error:
            self._later(watched, error.message)
            return
        if watched.channel is None:
            watched.hopeless, watched.trouble = True, "the server has no IDLE"
            return
        watched.pause, watched.trouble = 0.0, ""
        self._selector.register(watched.channel, selectors.EVENT_READ, watched)
        # Mail may have come while the line was down, and TLS may hold bytes that no selector sees.
        self._hear(watched)
        self._changed(watched.settings.account)

    def _hear(self, watched: _Watched) -> None:
        with self._surviving(watched):
            if watched.channel and watched.channel.read(self._monotonic()):
                self._changed(watched.settings.account)

    @contextlib.contextmanager
    def _surviving(self, watched: _Watched) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            self._release(watched)
            self._later(watched, str(error))

    def _later(self, watched: _Watched, trouble: str) -> None:
        watched.trouble = trouble
        watched.pause = min(_LONGEST_PAUSE, watched.pause * 2 or self._first_pause)
        watched.retry_at = self._monotonic() + watched.pause

    def _release(self, watched: _Watched) -> None:
        channel, watched.channel = watched.channel, None
        if channel:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(channel)
            channel.close()
