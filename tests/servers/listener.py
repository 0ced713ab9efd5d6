"""A listening loopback socket with a thread for each connection, and a stop that ends them all."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self


class Listener:
    """Accepts from the moment it is made (the backlog holds early clients) until `stop()`.

    narrow   connections get small buffers on both sides: what is not read soon has not been sent
    """

    host = "127.0.0.1"

    def __init__(self, name: str, serve: Callable[[socket.socket], None], *, narrow: bool = False) -> None:
        self._serve = serve
        self._socket = socket.create_server((self.host, 0))
        if narrow:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.port: int = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self._stopping = False
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, name=f"{name}-accept", daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        """Close the port, end every connection, wait for the threads."""
        with self._lock:
            self._stopping = True
            connections = list(self._open)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in connections:
            with contextlib.suppress(OSError):  # the client was quicker
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # stopped
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            with self._lock:
                if self._stopping:
                    connection.close()
                    return
                self._open.add(connection)
                self._threads = [each for each in self._threads if each.is_alive()] + [thread]
                thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):  # the other side went away: the end of any conversation
                self._serve(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()
