"""Mails in files, read as the daemon reads them: for `read`, for `rules explain FILE.eml`."""

from __future__ import annotations

import mailbox
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from connectors.model import Message, RawMail, Unreadable
from connectors.protocols import Parser
from daemon.agenda import SUFFIXES, occurrence

AT_ONCE = 64
LARGEST = 64 * 1024 * 1024
"""Bytes of a file that are read at all."""


def mails_at(paths: Sequence[Path], parser: Parser) -> Iterator[tuple[str, Message | Unreadable]]:
    """Every mail in files, folders (recursively, without the calendars there) and mbox files, in name order, with the
    path (mbox: path#number)."""
    raws = (raw for path in paths for raw in _raw_mails(path))
    while some := list(islice(raws, AT_ONCE)):
        for raw, item in zip(some, parser.parse(some), strict=True):
            yield raw.ref, item


def _raw_mails(path: Path) -> Iterator[RawMail]:
    if path.is_dir():
        for inner in sorted(one for one in path.rglob("*") if one.is_file() and one.suffix.lower() not in SUFFIXES):
            yield from _raw_mails(inner)
        return
    if _is_mbox(path):
        for number, whole in enumerate(_split_mbox(path), 1):
            yield _raw(f"{path}#{number}", whole, path)
        return
    with path.open("rb") as file:
        yield _raw(str(path), file.read(LARGEST), path)


def _is_mbox(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith(b"From "):
        return False
    # A single mail saved with its envelope line is no mbox; one with a second envelope line is.
    return path.suffix.lower() in ("", ".mbox", ".mbx") and path.stat().st_size > 0


def _split_mbox(path: Path) -> Iterator[bytes]:
    box = mailbox.mbox(path, create=False)
    try:
        for key in box.iterkeys():
            yield box.get_bytes(key)
    finally:
        box.close()


def _raw(ref: str, whole: bytes, path: Path) -> RawMail:
    stat = path.stat()
    return RawMail(
        account="file",
        folder=str(path.parent),
        ref=ref,
        received_at=datetime.fromtimestamp(stat.st_mtime, UTC),
        size=len(whole),
        whole=whole,
    )


def summary(path: str, item: Message | Unreadable) -> dict[str, Any]:
    """The shape of `read --json` for one mail; what could not be read at all has kind "unreadable"."""
    if isinstance(item, Unreadable):
        return _unreadable(path, item)
    bounce = item.bounce
    return {
        "path": path,
        "kind": item.kind.value,
        "subject": item.subject,
        "from": item.sender.email if item.sender else "",
        "to": [one.email for one in item.to],
        "date": item.sent_at.isoformat() if item.sent_at else None,
        "message_id": item.message_id,
        "text": item.text,
        "quoted": item.quoted,
        "signature": item.signature,
        "attachments": [one.name for one in item.attachments],
        "bounce": {"recipients": list(bounce.recipients), "hard": bounce.hard, "reason": bounce.reason}
        if bounce
        else None,
        "away_until": item.away_until.isoformat() if item.away_until else None,
        "degraded": list(item.degraded),
        "invitations": [
            {"method": one.method.value, "events": [occurrence(event) for event in one.events]}
            for one in item.invitations
        ],
    }


def _unreadable(path: str, item: Unreadable) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("subject", "from", "text", "quoted", "signature"), "")
    return {
        "path": path,
        "kind": "unreadable",
        **empty,
        "to": [],
        "date": None,
        "message_id": item.message_id,
        "attachments": [],
        "bounce": None,
        "away_until": None,
        "degraded": [item.reason],
        "invitations": [],
    }


def one_mail(path: Path, parser: Parser) -> Message | Unreadable:
    """The (first) mail in a file."""
    found: Iterable[tuple[str, Message | Unreadable]] = mails_at([path], parser)
    return next(iter(found))[1]
