"""The installed `quietcrm` as a process on a configuration folder of its own, and how to wait for what it does."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

COMMAND = Path(sys.executable).with_name("quietcrm")
PASSWORD = "secret"

T = TypeVar("T")


class Installed:
    """Runs the console script; `environment` is added to ours. What it says on stderr goes to `log`.

    before   words before the command: something that confines it
    """

    def __init__(self, directory: Path, **environment: str) -> None:
        self.directory = directory
        self.log = directory / "stderr.log"
        self.before: Sequence[str] = ()
        self.state = Path(environment.get("STATE_DIRECTORY", directory / "state"))
        self._environment = os.environ | {"REP_PASSWORD": PASSWORD} | environment

    @property
    def database(self) -> Path:
        """The SQLite file of the default `store:`."""
        return self.state / "crm.db"

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command and return at once; its stdout is a pipe."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.before, str(COMMAND), "--config", str(self.directory), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
            )

    def run(self, *arguments: str, codes: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; it must end with one of `codes`."""
        done = subprocess.run(
            [*self.before, str(COMMAND), "--config", str(self.directory), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
        )
        assert done.returncode in codes, f"{arguments}: {done.returncode}\n{done.stdout[-500:]}{done.stderr[-2000:]}"
        return done

    def __call__(self, *arguments: str, codes: Sequence[int] = (0,)) -> Any:
        """Run a command with --json; what it printed, of a list its items."""
        said = json.loads(self.run(*arguments, "--json", codes=codes).stdout)
        return said.get("items", said)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What the SQLite file says, beside a running daemon too."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()

    def number(self, statement: str, *values: object) -> int:
        """The first value of the first row."""
        return int(self.rows(statement, *values)[0][0])

    def said(self) -> str:
        """The end of what it said on stderr."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


def await_true(what: str, look: Callable[[], T], *, seconds: float, every: float = 0.05) -> T:
    """Look again and again until the answer counts as true, and return it. Raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
    return found


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM, *, seconds: float = 30.0) -> int:
    """Send a signal, wait, close the pipe; the return code."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        if process.stdout:
            process.stdout.close()
