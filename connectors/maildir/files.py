"""What the file shelves share: loading one mail within bounds, and which errors mean a wrong setting."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from connectors.errors import Misconfigured
from connectors.shelf import Content, Entry

__all__ = ["LARGEST", "Listings", "content_of", "load_file", "require_folder"]

LARGEST = 40 << 20
"""A larger mail becomes a header row: its text is not read (bytes)."""

_HEADER_CLIP = 128 << 10

_SETTLED = 2_000_000_000
"""Nanoseconds after which the time stamp of a directory can be trusted: before, it may change within one tick."""


class Listings:
    """Listings of directories, made again only when a directory has changed."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[list[int], list[Entry]]] = {}

    def entries(self, key: str, directories: Sequence[Path], make: Callable[[], list[Entry]]) -> list[Entry]:
        """The same list object as last time while the directories stand still. Raises OSError."""
        looked_at = time.time_ns()
        state = [path.stat().st_mtime_ns for path in directories]
        kept = self._kept.get(key)
        if kept and kept[0] == state:
            return kept[1]
        listed = make()
        if max(state) < looked_at - _SETTLED:
            self._kept[key] = (state, listed)
        else:
            self._kept.pop(key, None)
        return listed


def require_folder(account: str, path: Path) -> None:
    """Raises Misconfigured unless `path` is a folder."""
    if not path.is_dir():
        raise Misconfigured(account, f"{path} is not a folder", hint="correct `path:` of this account")


def load_file(path: Path, flags: tuple[str, ...] = ()) -> Content | None:
    """One mail from its own file; None if the file has gone. Raises OSError."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            data = file.read(_HEADER_CLIP if size > LARGEST else size)
    except FileNotFoundError:
        return None
    return content_of(data, size, flags)


def content_of(data: bytes, size: int, flags: tuple[str, ...] = ()) -> Content:
    """A mail of `size` bytes of which `data` was read: the whole, or the beginning of one that is too large."""
    if size <= LARGEST:
        return Content(whole=data, size=size, flags=flags)
    return Content(header=header_of(data), size=size, flags=flags)


def header_of(data: bytes) -> bytes:
    """The header block with its empty line."""
    for gap in (b"\r\n\r\n", b"\n\n"):
        head, found, _ = data.partition(gap)
        if found:
            return head + gap
    return data + b"\n\n"
