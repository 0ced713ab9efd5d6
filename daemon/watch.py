"""Tells when the files of a configuration were changed and then left alone. Pure but for `signature`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.load import config_entries

QUIET = 2.0
"""Seconds without a change before the files count as saved."""

Signature = frozenset[tuple[str, int, int, int, int]]


def signature(directory: Path) -> Signature:
    """Name, inode, size and times of every configuration file: another one when any of them was written, replaced,
    removed or may be read by others than before."""
    found = set()
    for entry in config_entries(directory):
        try:
            stat = entry.stat()
        except OSError:
            continue  # gone this moment: the next look sees it
        found.add((entry.path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
    return frozenset(found)


@dataclass(slots=True)
class Watch:
    """What was seen last and since when; times in seconds of a clock that never jumps."""

    seen: Signature
    _changed_at: float | None = None

    def is_settled(self, now: Signature, at: float) -> bool:
        """Whether the files changed and were then left alone for QUIET seconds; says yes once for each change."""
        if now != self.seen:
            self.seen, self._changed_at = now, at
            return False
        if self._changed_at is None or at - self._changed_at < QUIET:
            return False
        self._changed_at = None
        return True

    def look_again(self, at: float) -> None:
        """Say yes once more, QUIET seconds after `at`, though nothing changes."""
        self._changed_at = at
