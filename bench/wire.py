"""A TCP relay on loopback that counts what an IMAP client moves, and can add a round-trip time.

A turn is a change of direction from server to client: what a client with a slow line waits for.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

_PIECE = 1 << 18


@dataclass(slots=True)
class Traffic:
    """What went through since the relay started or was `reset`. `told_at` = when the server last announced new mail."""

    connections: int = 0
    up: int = 0
    down: int = 0
    turns: int = 0
    told_at: list[float] = field(default_factory=list)


class Wire:
    """Relays to `port` from a port of its own, in a thread. Use as a context; `rtt` in seconds."""

    def __init__(self, port: int, *, rtt: float = 0.0) -> None:
        self._target = port
        self._rtt = rtt
        self.port = 0
        self.traffic = Traffic()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)

    def __enter__(self) -> Wire:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the relay does not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def reset(self) -> Traffic:
        """Begin to count anew; what was counted so far."""
        old, self.traffic = self.traffic, Traffic()
        return old

    def cpu(self) -> float:
        """Seconds of CPU that the relay itself has used."""
        assert self._thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.traffic.connections += 1
        await asyncio.sleep(self._rtt)  # the TCP handshake
        inner, outer = await asyncio.open_connection("127.0.0.1", self._target, limit=1 << 20)
        line = _Line()
        await asyncio.gather(self._pump(reader, outer, line, up=True), self._pump(inner, writer, line, up=False))
        writer.close()
        outer.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, line: _Line, *, up: bool) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(maxsize=256)
        passing = asyncio.create_task(_pass_on(waiting, sink))
        data = b"-"
        while data:
            try:
                data = await source.read(_PIECE)
            except OSError:
                data = b""
            self._count(data, line, up=up)
            await waiting.put((time.monotonic() + self._rtt / 2, data))
        await passing

    def _count(self, data: bytes, line: _Line, *, up: bool) -> None:
        traffic = self.traffic
        if up:
            traffic.up += len(data)
            traffic.turns += bool(data) and not line.asking
        else:
            traffic.down += len(data)
            if len(data) < 200 and b" EXISTS\r\n" in data:
                traffic.told_at.append(time.monotonic())
        line.asking = up


@dataclass(slots=True)
class _Line:
    asking: bool = False


async def _pass_on(waiting: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
    while True:
        due, data = await waiting.get()
        if (pause := due - time.monotonic()) > 0:
            await asyncio.sleep(pause)
        try:
            if not data:
                sink.write_eof()
                return
            sink.write(data)
            await sink.drain()
        except OSError:
            return
