"""The far side of `parser_child`: a process that only parses. Standard library only, nothing above `connectors`.

Frames on file descriptor 0 (a socket), both ways: 8 bytes of length, little endian, then the body. In: marshal of
("mail" or "calendar", a list of them as tuples), from our parent. Out: JSON, for what a parser of hostile mail says
must never run anything.
"""

from __future__ import annotations

import contextlib
import gc
import json
import marshal
import os
import resource
from collections.abc import Sequence
from typing import Any

from connectors.mail.crossing import unpack_mail
from connectors.mail.mime import read_safely

__all__ = ["serve"]


def serve(memory: int, seconds: int, zones: Sequence[str] = ()) -> None:
    """Answer frames until the parent closes the socket. `memory` bytes of address space for the process, `seconds` of
    CPU for a frame; the kernel ends a child that wants more (RLIMIT_AS, RLIMIT_CPU). `zones`: folders of time zones."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _go_first()
    if zones:
        os.environ["PYTHONTZPATH"] = os.pathsep.join(zones)  # zoneinfo looks there once the first calendar comes
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)  # parsing makes many objects and hardly a cycle
    while frame := _read_frame():
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, resource.RLIM_INFINITY))
        _write_frame([_peak(), _read_all(*marshal.loads(frame))])  # noqa: S302 - from our parent


def _read_all(sort: str, items: Sequence[tuple[Any, ...]]) -> list[Any]:
    if sort == "mail":
        return [read_safely(unpack_mail(packed)) for packed in items]
    from connectors.ical.crossing import unpack_calendar  # only children that see a calendar load these
    from connectors.ical.reading import read_calendar

    return [read_calendar(unpack_calendar(packed)) for packed in items]


def _go_first() -> None:
    """Where memory runs out for all of us, the kernel is to end the child, not the daemon (proc(5), oom_score_adj)."""
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        try:
            os.write(descriptor, b"1000")
        finally:
            os.close(descriptor)


def _peak() -> int:
    """Peak memory of this process in kB. Not ru_maxrss: that one is inherited from the parent through exec, so that
    a large daemon would take each of its children for grown and replace it after every frame."""
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/self/status", "rb") as status:  # noqa: PTH123
        return next(int(line.split()[1]) for line in status if line.startswith(b"VmHWM:"))
    return 0


def _read_frame() -> bytes:
    head = _read(8)
    return _read(int.from_bytes(head, "little")) if head else b""


def _read(size: int) -> bytes:
    """Exactly `size` bytes, b"" if the other side is gone."""
    data = bytearray()
    while len(data) < size:
        piece = os.read(0, min(size - len(data), 1 << 20))
        if not piece:
            return b""
        data += piece
    return bytes(data)


def _write_frame(answer: Sequence[object]) -> None:
    body = json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    view = memoryview(len(body).to_bytes(8, "little") + body)
    while view:
        view = view[os.write(0, view) :]
