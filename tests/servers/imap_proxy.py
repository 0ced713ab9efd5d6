"""Between client and IMAP server, and aware of FETCH: refuses mails by UID, cuts them in the middle, or holds one.

Works by lines: a FETCH command is one line, and an answer of Dovecot begins `* 7 FETCH (UID 12 ...` as it was asked.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Self

from servers.listener import Listener

_COMMAND = re.compile(rb"(\S+) UID FETCH (\S+) \((.*)\)\r\n")
_ANSWER = re.compile(rb"\* \d+ FETCH \(UID (\d+) ")


def expand(uids: bytes) -> set[int]:
    """The numbers of a sequence set without stars."""
    found: set[int] = set()
    for part in uids.split(b","):
        low, _, high = part.partition(b":")
        found.update(range(int(low), int(high or low) + 1))
    return found


class ImapProxy:
    """`refused` and `cut` name UIDs (of every folder); the reason of a refusal goes behind NO.

    `asked` counts how often header or text of each UID was asked for, `down` the bytes that came from the server.
    `hold(n)`: after n more bytes of FETCH answers the line stands still in the middle of one until `release()`.
    """

    host = "127.0.0.1"

    def __init__(
        self, host: str, port: int, *, refused: Mapping[int, str] | None = None, cut: Collection[int] = ()
    ) -> None:
        self.refused = dict(refused or {})
        self.cut = set(cut)
        self.asked: Counter[int] = Counter()
        self.down = 0
        self._target = (host, port)
        self._lock = threading.Lock()
        self._hold_after = -1
        self._held = threading.Event()
        self._released = threading.Event()
        self._listener = Listener("imap-proxy", self._serve)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._listener.stop()

    def hold(self, after: int) -> None:
        """Stop in the middle of a FETCH answer once `after` more bytes of such answers went through."""
        with self._lock:
            self._hold_after = after
            self._held.clear()
            self._released.clear()

    def is_held(self) -> bool:
        """A FETCH answer stands still now: its rest and its tagged line have not been sent."""
        return self._held.is_set() and not self._released.is_set()

    def release(self) -> None:
        """Let everything flow, and hold nothing any more."""
        with self._lock:
            self._hold_after = -1
        self._released.set()

    def _serve(self, client: socket.socket) -> None:
        with socket.create_connection(self._target, timeout=10) as server:
            server.settimeout(None)
            talk = _Talk(self, client, server)
            up = threading.Thread(target=talk.carry_up, daemon=True)
            up.start()
            talk.carry_down()
            for each in (client, server):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            up.join(10)

    def count_asked(self, uids: set[int]) -> None:
        """Remember what was asked for."""
        with self._lock:
            self.asked.update(uids)

    def pass_answer(self, size: int) -> bool:
        """Count bytes of a FETCH answer; True if it is to stand still here."""
        with self._lock:
            if self._hold_after < 0:
                return False
            self._hold_after -= size
            if self._hold_after >= 0:
                return False
            self._hold_after = -1
            return True

    def stand_still(self) -> None:
        """Say that a line is held, and hold it."""
        self._held.set()
        self._released.wait()


class _Talk:
    """One connection."""

    def __init__(self, proxy: ImapProxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self._refusing: dict[bytes, str] = {}
        self._fetching: set[bytes] = set()

    def carry_up(self) -> None:
        with contextlib.suppress(OSError, ValueError), self.client.makefile("rb") as lines:
            for line in lines:
                self.server.sendall(self._asked(line))
        with contextlib.suppress(OSError):  # however it ended: the server sees the end, and then so do we
            self.server.shutdown(socket.SHUT_WR)

    def _asked(self, line: bytes) -> bytes:
        match = _COMMAND.match(line)
        if not match:
            return line
        uids = expand(match[2])
        if b"BODY.PEEK[" in match[3]:
            self.proxy.count_asked(uids)
        for uid in sorted(uids):
            if uid in self.proxy.refused:
                # The server answers something in its turn, so that the order of answers stays a server's.
                self._refusing[match[1]] = self.proxy.refused[uid]
                return match[1] + b" NOOP\r\n"
        self._fetching.add(match[1])
        return line

    def carry_down(self) -> None:
        with contextlib.suppress(OSError, ValueError), self.server.makefile("rb") as lines:
            left = -1
            for line in lines:
                self.proxy.down += len(line)
                tag = line.partition(b" ")[0]
                self._fetching.discard(tag)
                if (text := self._refusing.pop(tag, None)) is not None:
                    line = tag + b" NO " + text.encode() + b"\r\n"
                match = _ANSWER.match(line)
                if match and int(match[1]) in self.proxy.cut:
                    left = 2  # its first line ends in {size}; two lines of the literal follow, the rest never does
                if left == 0:
                    _reset(self.client)
                    return
                left -= left > 0
                if self._fetching and self.proxy.pass_answer(len(line)):
                    self.client.sendall(line[: len(line) // 2])
                    self.proxy.stand_still()
                    line = line[len(line) // 2 :]
                self.client.sendall(line)


def _reset(connection: socket.socket) -> None:
    """Close with RST: what was sent and not read yet is lost too."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
