"""One child that parses, seen from here: what it may use, how it is started, asked and ended. Its own half is
connectors.mail.child.

A child is a fresh interpreter that imports `connectors.mail` and nothing else of ours (no ORM, no pydantic, no CLI), so
it is small and holds no secret.
"""

from __future__ import annotations

import json
import marshal
import os
import socket
import subprocess
import sys
import time
import zoneinfo
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["Child", "ChildDied", "ParserLimits", "Trade", "child_command"]

_ENVIRONMENT = ("LD_LIBRARY_PATH", "TZ")
"""All that a child gets of our environment, which may hold passwords."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParserLimits:
    """What a child may use.

    memory      bytes of address space (RLIMIT_AS)
    cpu         seconds of CPU for one chunk of mails (RLIMIT_CPU)
    wall        seconds until a chunk's answer; then the child is killed
    chunk       mails sent to a child at once; `chunk_bytes` likewise
    mail        bytes of a whole mail; of a bigger one only the header is read
    lifetime    mails after which a child is replaced
    growth      bytes of peak memory after which a child is replaced
    idle        seconds without work after which a child ends
    attempts    deaths that one mail may cause on its own
    """

    memory: int = 512_000_000
    cpu: int = 20
    wall: float = 60.0
    chunk: int = 64
    chunk_bytes: int = 8_000_000
    mail: int = 64_000_000
    lifetime: int = 20_000
    growth: int = 96_000_000
    idle: float = 60.0
    attempts: int = 3


class ChildDied(Exception):
    """The child ended or was ended; the text says how."""


def child_command(limits: ParserLimits) -> list[str]:
    """The command line of a child: isolated, no site-packages, our package root as the only path added."""
    root = str(Path(__file__).resolve().parent.parent)
    start = f"from connectors.mail.child import serve;serve({limits.memory},{limits.cpu},{_zone_folders()!r})"
    code = f"import sys;sys.path.insert(0,{root!r});{start}"
    return [sys.executable, "-I", "-S", "-B", "-c", code]


def _zone_folders() -> list[str]:
    """Where the time zones lie: a child, which sees no packages, is to know the same ones as we do."""
    package = find_spec("tzdata")
    packaged = (package.submodule_search_locations if package else None) or ()
    return [
        folder for folder in (*zoneinfo.TZPATH, *(f"{path}/zoneinfo" for path in packaged)) if Path(folder).is_dir()
    ]


@dataclass(frozen=True, slots=True)
class Trade:
    """How one sort of thing goes to a child and comes back.

    fit       within the limits, before it goes
    weigh     its bytes
    pack      in shapes that marshal knows; `build` makes the result of the thing and of what came back
    give_up   the result for one that ends every child, and why
    """

    name: str
    fit: Callable[[Any, ParserLimits], Any]
    weigh: Callable[[Any], int]
    pack: Callable[[Any], tuple[Any, ...]]
    build: Callable[[Any, Any], Any]
    give_up: Callable[[Any, str], Any]


class Child:
    """One running child and our end of its socket."""

    def __init__(self, limits: ParserLimits) -> None:
        self.served = 0
        self.peak = 0
        self.socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell, no outside words
                child_command(limits),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,  # Ctrl-C in a terminal is the parent's to answer
            )

    def exchange(self, trade: Trade, items: Sequence[Any], wall: float) -> list[Any]:
        """Results of the items, in order. Raises ChildDied."""
        body = marshal.dumps((trade.name, [trade.pack(raw) for raw in items]))
        deadline = time.monotonic() + wall
        try:
            self.socket.settimeout(wall)
            self.socket.sendall(len(body).to_bytes(8, "little") + body)
            size = int.from_bytes(self._receive(8, deadline), "little")
            peak, readings = json.loads(self._receive(size, deadline))
            answer = [trade.build(raw, reading) for raw, reading in zip(items, readings, strict=True)]
        except TimeoutError:
            self.end()
            raise ChildDied(f"took longer than {wall:g} seconds") from None
        except (OSError, ValueError, TypeError):
            raise ChildDied(self._tell_end()) from None
        self.served += len(items)
        self.peak = int(peak) * 1024
        return answer

    def _receive(self, size: int, deadline: float) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            count = self.socket.recv_into(view)
            if not count:
                raise OSError("the child closed its socket")
            view = view[count:]
        return bytes(data)

    def _tell_end(self) -> str:
        self.end()
        code = self.process.returncode
        return f"ended by signal {-code}" if code and code < 0 else f"ended with code {code}"

    def end(self) -> None:
        """Close, kill if need be, and wait. Safe to call twice."""
        self.socket.close()
        try:
            self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
