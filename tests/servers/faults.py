"""A TCP proxy on loopback that counts, and breaks the line when told to.

`turns` is how often the talk changed to the client's side: the round trips a connection would pay for on a slow line.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Literal, Self

from servers.listener import Listener

Side = Literal["up", "down"]
"""`up` flows from client to server, `down` from server to client."""


@dataclass(slots=True)
class Counts:
    """What went through so far, over all connections."""

    connections: int = 0
    up: int = 0
    down: int = 0
    turns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What to do once `after` bytes of one connection went through on `side`; the rest of those bytes is lost.

    `cut` resets both sides (RST), `close` ends them politely (FIN), `stall` keeps them open and lets nothing
    through in either direction until `release()`; then the withheld bytes follow.
    """

    what: Literal["cut", "close", "stall"]
    side: Side = "down"
    after: int = 0
    times: int = 1
    """How many connections it hits; -1 = every one."""


class FaultProxy:
    """`with FaultProxy("127.0.0.1", port) as proxy:` then let the client talk to `proxy.port`."""

    host = "127.0.0.1"

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._counts = Counts()
        self._fault: Fault | None = None
        self._hits = 0
        self._refuse = False
        self._open: set[socket.socket] = set()
        self._released = threading.Event()
        self._struck = threading.Condition(self._lock)
        self._listener = Listener("fault-proxy", self._serve)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and every connection."""
        self.release()
        self.drop()
        self._listener.stop()

    def counts(self) -> Counts:
        """A copy of the counters."""
        with self._lock:
            return Counts(self._counts.connections, self._counts.up, self._counts.down, self._counts.turns)

    def reset_counts(self) -> None:
        """Start counting from nought."""
        with self._lock:
            self._counts = Counts()

    def plan(self, fault: Fault | None) -> None:
        """Arm a fault for the connections made from now on (None: none), forgetting earlier hits."""
        with self._lock:
            self._fault, self._hits = fault, 0
            self._released.clear()

    def await_hit(self, *, seconds: float = 20.0) -> None:
        """Return once the planned fault has struck; raises TimeoutError."""
        with self._struck:
            if not self._struck.wait_for(lambda: self._hits > 0, timeout=seconds):
                raise TimeoutError(f"the fault did not strike within {seconds:.0f} s")

    def release(self) -> None:
        """End every stall: the bytes flow again."""
        self._released.set()

    def refuse(self, refusing: bool = True) -> None:
        """Reset each new connection at once, as a server that is down does; False ends it."""
        with self._lock:
            self._refuse = refusing

    def drop(self) -> None:
        """Reset every connection that is open now; returns when they are closed."""
        with self._struck:
            connections = set(self._open)
            for connection in connections:
                _reset(connection)
            self._struck.wait_for(lambda: not connections & self._open, timeout=10)

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._counts.connections += 1
            refusing, fault = self._refuse, self._fault
        if refusing:
            _reset(client)
            return
        with socket.create_connection(self._target, timeout=10) as server:
            server.settimeout(None)
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {client, server}
            try:
                self._pump(client, server, fault)
            finally:
                client.close()
                server.close()
                with self._struck:
                    self._open -= {client, server}
                    self._struck.notify_all()

    def _pump(self, client: socket.socket, server: socket.socket, fault: Fault | None) -> None:
        """Carry bytes until one side ends. The order of reading is what `turns` is counted from."""
        passed: dict[Side, int] = {"up": 0, "down": 0}
        last: Side = "down"
        with selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, "up")
            ready.register(server, selectors.EVENT_READ, "down")
            while True:
                for key, _ in ready.select():
                    side: Side = "up" if key.data == "up" else "down"
                    source, target = (client, server) if side == "up" else (server, client)
                    chunk = source.recv(65536)
                    if not chunk:
                        return
                    turned = side == "up" and last == "down"
                    last = side
                    if fault is not None and fault.side == side and passed[side] + len(chunk) > fault.after:
                        rest = self._strike(fault, chunk, fault.after - passed[side], (source, target))
                        if rest is None:
                            return
                        chunk, fault = rest, None
                    passed[side] += len(chunk)
                    self._count(side, len(chunk), turned)  # before sending: who has an answer finds it counted
                    target.sendall(chunk)

    def _strike(
        self, fault: Fault, chunk: bytes, allowed: int, ends: tuple[socket.socket, socket.socket]
    ) -> bytes | None:
        """Let `allowed` bytes pass, then do what was planned. What is still to be sent, or None when it is over."""
        with self._lock:
            if fault.times >= 0 and self._hits >= fault.times:
                return chunk
        source, target = ends
        self._count(fault.side, allowed, False)
        target.sendall(chunk[:allowed])
        with self._struck:
            self._hits += 1
            self._struck.notify_all()
        if fault.what == "stall":
            self._released.wait()
            return chunk[allowed:]
        if fault.what == "cut":
            _reset(target)
            _reset(source)
        return None

    def _count(self, side: Side, size: int, turned: bool) -> None:
        with self._lock:
            self._counts.turns += turned
            if side == "up":
                self._counts.up += size
            else:
                self._counts.down += size


def _reset(connection: socket.socket) -> None:
    """Make the close of this socket an RST, and wake whoever reads from it."""
    with contextlib.suppress(OSError):  # closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
