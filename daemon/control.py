"""The line between the command line and a running daemon: a Unix socket in the state folder.

Only one process writes to a store. A command that changes something asks the running daemon to do it; where none
runs, the command takes the writer's lock and does it itself, by the same function. One JSON line each way.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from config.errors import QuietcrmError
from daemon.errors import NotRunning

log = structlog.get_logger()

LONGEST = 16 * 1024 * 1024
ANSWER_SECONDS = 600.0

Handler = Callable[[str, dict[str, Any]], Any]


class RemoteError(QuietcrmError):
    """An error of the daemon, as told over the socket; `kind` names its class."""

    def __init__(self, kind: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


def socket_path(state: Path) -> Path:
    """Where the daemon listens."""
    return state / "quietcrm.sock"


class ControlServer:
    """Answers requests on a thread of its own, one after the other."""

    def __init__(self, state: Path, handle: Handler) -> None:
        self._path = socket_path(state)
        self._handle = handle
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen. The socket is readable and writable by its owner only."""
        self._path.unlink(missing_ok=True)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            _bind(self._listener, self._path)
        finally:
            os.umask(before)
        self._listener.listen(8)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and remove the socket."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        listener = self._listener
        while listener is not None and self._listener is listener:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line, contextlib.suppress(OSError):
                line.settimeout(ANSWER_SECONDS)
                self._answer(line)

    def _answer(self, line: socket.socket) -> None:
        try:
            request = json.loads(_read_line(line))
            answer = {"ok": self._handle(str(request["command"]), dict(request["args"]))}
        except QuietcrmError as error:
            answer = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        except Exception as error:
            log.error("control.failed", exc_info=error)
            answer = {"error": "Bug", "message": f"unexpected {type(error).__name__}", "hint": "see the daemon's log"}
        line.sendall(json.dumps(answer, default=str).encode() + b"\n")


def ask(state: Path, command: str, args: dict[str, Any]) -> Any:
    """Ask a running daemon. Raises NotRunning if none listens, RemoteError for its errors."""
    path = socket_path(state)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(ANSWER_SECONDS)
        try:
            _connect(line, path)
        except OSError as error:
            raise NotRunning("no daemon runs here", hint="start it: quietcrm run") from error
        line.sendall(json.dumps({"command": command, "args": args}).encode() + b"\n")
        answer = json.loads(_read_line(line))
    if "error" in answer:
        raise RemoteError(answer["error"], answer["message"], hint=answer["hint"])
    return answer["ok"]


def _read_line(line: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while not parts or not parts[-1].endswith(b"\n"):
        part = line.recv(65536)
        size += len(part)
        if not part or size > LONGEST:
            raise ConnectionError("the other side hung up")
        parts.append(part)
    return b"".join(parts)


def _bind(listener: socket.socket, path: Path) -> None:
    """A Unix socket's path may be at most about 100 bytes: bind relative to its folder by way of /proc."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _connect(line: socket.socket, path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        line.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
