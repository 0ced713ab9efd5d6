"""Pages of docs/ followed in a terminal: their fenced blocks, run as they stand, on a real server."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servers.dovecot import DovecotServer

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
BIN = Path(sys.executable).parent
EDITOR = """#!/bin/sh
# Keeps the heading and the people whose company is known by a domain of its own.
grep -v -e 'freemail\\.example' -e unknown "$1" >"$1.kept" && mv "$1.kept" "$1"
"""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of the page: the words behind the fence, and what stands in it."""

    words: tuple[str, ...]
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    fence = re.compile(r"^```(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
    return [Block(tuple(words.split()), text) for words, text in fence.findall(page.read_text("utf-8"))]


class Shell:
    """Runs the page's blocks one after the other in bash, as a reader would type them into one terminal."""

    def __init__(self, folder: Path, values: dict[str, str]) -> None:
        self.environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(folder), "LANG": "C.UTF-8", **values}
        self.here = folder
        self._marker = folder / "here"

    def run(self, text: str, *, code: int = 0) -> str:
        """Run a block; its standard output. It must end with `code`."""
        script = f"set -euo pipefail\ntrap 'pwd >{self._marker}' EXIT\n{text}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.here, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, f"{text}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        self.here = Path(self._marker.read_text().strip())
        return done.stdout

    def json(self, command: str) -> Any:
        """What a command says with --json."""
        return json.loads(self.run(f"{command} --json"))


@contextmanager
def terminal(dovecot: DovecotServer, tmp_path: Path) -> Iterator[Shell]:
    """A terminal with the reader's own values; a daemon that a failed test left behind is ended by its number."""
    editor = tmp_path / "editor"
    editor.write_text(EDITOR)
    editor.chmod(0o755)
    config = tmp_path / "office"
    yield Shell(
        tmp_path,
        {
            "QUIETCRM_CONFIG": str(config),
            "MAIL_ADDRESS": "rep1@vendas.example",
            "MAIL_LOGIN": "rep1",
            "MAIL_PASSWORD": "secret",
            "IMAP_HOST": dovecot.host,
            "IMAP_PORT": str(dovecot.port),
            "IMAP_SECURITY": "none",
            "EDITOR": str(editor),
        },
    )
    stated = config / "run.pid"
    if stated.exists():
        number = int(stated.read_text())
        if b"quietcrm\0run" in command_of(number):
            os.kill(number, signal.SIGKILL)


def command_of(number: int) -> bytes:
    """The command line of a process, b"" if it is gone."""
    try:
        return Path(f"/proc/{number}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def await_that(holds: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    """Ask again and again until it holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not after {seconds:.0f} s"
        select.select([], [], [], 0.1)


def log_of(shell: Shell) -> str:
    """What the daemon wrote."""
    return (shell.here / "run.log").read_text()


def await_loaded(shell: Shell) -> None:
    """Wait until the daemon has read the whole mailbox."""
    await_that(lambda: "daemon.started" in log_of(shell), "the daemon starts")

    def through() -> bool:
        account = shell.json("quietcrm status")["accounts"]["ana"]
        fill = account["backfill"]
        return bool(account["last_success"] and fill and fill["total"] and fill["done"] == fill["total"])

    await_that(through, "the old mail is read")


def await_end(shell: Shell) -> None:
    """Wait until the daemon is gone."""
    number = int((shell.here / "run.pid").read_text())
    await_that(lambda: not command_of(number), "the daemon ends", 20.0)
