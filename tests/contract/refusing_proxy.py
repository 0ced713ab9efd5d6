"""Between client and IMAP server: answers some FETCH commands with NO instead of passing them on."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from typing import Self

_FETCH = re.compile(rb"(\S+) UID FETCH (\S+) \((.*)\)\r\n")


class RefusingProxy:
    """`refuses(uids, items)` is asked for every FETCH; a text back is the answer behind NO, None lets it pass."""

    host = "127.0.0.1"

    def __init__(self, host: str, port: int, refuses: Callable[[bytes, bytes], str | None]) -> None:
        self._target = (host, port)
        self._refuses = refuses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._refused: dict[tuple[socket.socket, bytes], str] = {}

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(timeout=5)
        for one in (self._listener, *self._sockets):
            one.close()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            self._start(self._down, server, client)
            self._start(self._up, client, server)

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        try:
            with server.makefile("rb") as lines:
                for line in lines:
                    tag = line.partition(b" ")[0]
                    text = self._refused.pop((client, tag), None)
                    client.sendall(line if text is None else tag + b" NO " + text.encode() + b"\r\n")
            client.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        try:
            with client.makefile("rb") as lines:
                for line in lines:
                    match = _FETCH.match(line)
                    answer = self._refuses(match[2], match[3]) if match else None
                    if match and answer is not None:
                        # The server answers something in its turn, so that the order of answers stays a server's.
                        self._refused[client, match[1]] = answer
                        line = match[1] + b" NOOP\r\n"
                    server.sendall(line)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            return
