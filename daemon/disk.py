"""Whether there is room on the disk for more mail: reading stops before the database hits a full disk, and goes on by
itself when there is room again."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

SHARE = 0.05
LEAST = 100_000_000
MOST = 10_000_000_000
"""Of a very large disk twentieth part is more than an office will ever fill: this much is always room enough."""
BACK = 1.1
"""Reading goes on when there is a tenth more room than it stopped at, so that it does not flutter."""


class Usage(Protocol):
    """What shutil.disk_usage answers, in bytes."""

    @property
    def total(self) -> int: ...

    @property
    def free(self) -> int: ...


class DiskGuard:
    """Watches the disk of one folder. Thread-safe."""

    def __init__(self, folder: Path, measure: Callable[[Path], Usage] = shutil.disk_usage) -> None:
        self._folder = folder
        self._measure = measure
        self._lock = threading.Lock()
        self._low = False

    def trouble(self) -> str:
        """Why no mail may be read now, "" if there is room. Measured anew each time."""
        try:
            usage = self._measure(self._folder)
        except OSError:
            return ""  # not there yet, or the store has trouble of its own and tells it
        floor = min(max(LEAST, usage.total * SHARE), MOST)
        with self._lock:
            self._low = usage.free < floor * (BACK if self._low else 1)
            low = self._low
        return f"only {usage.free // 1_000_000} MB are free on the disk of {self._folder}" if low else ""


REMEDY = "make room on that disk; quietcrm reads on by itself"
