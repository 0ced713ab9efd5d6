"""What a program uses: wall time, CPU of it and its children, and the memory of the whole tree."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_EVERY = 0.2
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Use:
    """Seconds and megabytes. `noise`: cores that other work kept busy meanwhile, our server included."""

    wall: float
    cpu: float
    memory: float
    noise: float
    output: str


class Failed(RuntimeError):
    """The program did not end well; the text is the end of what it said."""


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path,
    seconds: float = 900,
    weigh: bool = False,
) -> Use:
    """Run to the end. Raises Failed for another exit code than 0 or beyond `seconds`. `weigh` samples the memory."""
    busy, start = _busy(), time.monotonic()
    with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=out,
            stderr=err,
            env=os.environ | dict(environment or {}),
            cwd=folder,
            start_new_session=True,
        )
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        peak = Peak(process.pid) if weigh else None
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        memory = peak.end() if peak else 0.0
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise Failed(f"{command[0]} ended with {process.returncode}: {err.read().decode(errors='replace')[-2000:]}")
        cpu = used.ru_utime + used.ru_stime  # with all children that were waited for
        return Use(wall, cpu, memory, max(0.0, (_busy() - busy - cpu) / wall), out.read().decode(errors="replace"))


class Peak:
    """Watches the memory of a process and all below it until `end`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY):
            self._peak = max(self._peak, weigh_tree(self._pid))

    def end(self) -> float:
        """The most it was, in megabytes."""
        self._ended.set()
        self._thread.join()
        return self._peak


def weigh_tree(pid: int) -> float:
    """Megabytes (PSS: shared pages count in parts) of a process and its descendants; 0 if it is gone."""
    try:
        top = psutil.Process(pid)
        return sum(_pss(each.pid) for each in (top, *top.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0.0


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _busy() -> float:
    values = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    return (sum(values) - values[3] - values[4] - values[7]) / TICKS
