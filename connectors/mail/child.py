"""The far side of `connectors.parsing`: a process that only parses. Standard library only, nothing above `connectors`.

Frames on file descriptor 0 (a socket), both ways: 8 bytes of length, little endian, then the body. In: marshal of
a list of mails as tuples, from our parent. Out: JSON, for what a parser of hostile mail says must never run anything.
"""

from __future__ import annotations

import gc
import json
import marshal
import os
import resource
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.mail.mime import read_safely
from connectors.model import Attachment, RawMail, RawPart

__all__ = ["pack_mail", "serve", "unpack_mail"]

Packed = tuple[Any, ...]


def pack_mail(raw: RawMail) -> Packed:
    """What the parser needs of a mail, in shapes that marshal knows."""
    return (
        raw.received_at.timestamp(),
        raw.whole,
        raw.header,
        [(part.content_type, part.parameters, part.encoding, part.body, part.truncated) for part in raw.parts],
        [(item.name, item.content_type, item.size) for item in raw.attachments],
        raw.content_type,
        raw.notes,
    )


def unpack_mail(packed: Packed) -> RawMail:
    """The mail again; the fields that only the parent needs are empty."""
    received, whole, header, parts, attachments, content_type, notes = packed
    return RawMail(
        account="",
        folder="",
        ref="",
        received_at=datetime.fromtimestamp(received, UTC),
        whole=whole,
        header=header,
        parts=tuple(
            RawPart(content_type=kind, parameters=tuple(parameters), encoding=encoding, body=body, truncated=truncated)
            for kind, parameters, encoding, body, truncated in parts
        ),
        attachments=tuple(Attachment(name=name, content_type=kind, size=size) for name, kind, size in attachments),
        content_type=content_type,
        notes=tuple(notes),
    )


def serve(memory: int, seconds: int) -> None:
    """Answer frames until the parent closes the socket. `memory` bytes of address space for the process, `seconds` of
    CPU for a frame; the kernel ends a child that wants more (RLIMIT_AS, RLIMIT_CPU)."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)  # parsing makes many objects and hardly a cycle
    while frame := _read_frame():
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, resource.RLIM_INFINITY))
        readings = [read_safely(unpack_mail(packed)) for packed in marshal.loads(frame)]  # noqa: S302 - from our parent
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _write_frame([peak, readings])


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
