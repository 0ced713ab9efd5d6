"""What a command shows: results on stdout, remarks on stderr, colour only on a terminal, JSON where asked."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    FINE = 0
    PROBLEMS = 1
    USAGE = 2
    CONFIG = 3
    NOT_FOUND = 4
    LOGIN = 5
    NETWORK = 6
    REFUSED = 7
    RUNNING = 8
    INTERRUPTED = 130


def console(*, stderr: bool = False) -> Console:
    """A Rich console that is plain when it is no terminal or NO_COLOR is set."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 140
    return Console(file=stream, no_color=bool(os.environ.get("NO_COLOR")), highlight=False, soft_wrap=True, width=width)


def say(text: str = "") -> None:
    """A line of the result, on stdout. Control characters of mail are made harmless."""
    sys.stdout.write(harmless(text) + "\n")


def remark(text: str) -> None:
    """A line beside the result, on stderr."""
    sys.stderr.write(harmless(text) + "\n")


_STEERING = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
_UNESCAPED = re.compile("[\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")


def harmless(text: str) -> str:
    """Text from mail must not steer a terminal: controls other than newline and tab, and overrides of the direction
    of writing, become U+FFFD."""
    return _STEERING.sub("\ufffd", text)


SCHEMA = 1
"""Of the objects of `--json`. What is in them may grow; when something is taken away or means something else, this
counts up."""


def emit(data: Mapping[str, Any] | Sequence[Any], *, as_json: bool, human: Callable[[], None]) -> None:
    """Show a result: one JSON object on stdout, what is a list under "items"; or whatever `human` prints."""
    if as_json:
        shown = {"schema": SCHEMA, **(data if isinstance(data, Mapping) else {"items": data})}
        text = json.dumps(shown, ensure_ascii=False, default=_plain)
        # json leaves C1 controls as they are, and some terminals obey them.
        sys.stdout.write(_UNESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
    else:
        human()


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


ROOMY = 140
"""Columns of a terminal from which on a table shows all it has."""


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", beside: Sequence[str] = ()
) -> None:
    """A table on stdout: boxed on a terminal and no wider than that, tab-separated elsewhere (for grep and cut).
    `beside`: headings that a terminal narrower than ROOMY leaves out. Where there are no rows, that is remarked."""
    rows = list(rows)
    if not rows:
        remark("none found")
        return
    if not sys.stdout.isatty():
        for row in rows:
            say("\t".join(str(cell).replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich.table import Table
    from rich.text import Text

    shown = console()
    left = [at for at, heading in enumerate(headings) if shown.width >= ROOMY or heading not in beside]
    grid = Table(title=title or None, title_justify="left", header_style="bold")
    for at in left:
        grid.add_column(headings[at], overflow="fold")
    for row in rows:
        grid.add_row(*(Text(harmless(str(row[at]))) for at in left))
    shown.print(grid, soft_wrap=False)


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress display on stderr with bar, count and time left; invisible where there is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        disable=quiet or not sys.stderr.isatty(),
        transient=True,
    )
    with display:
        yield display


def local(at: datetime | None, zone: Any) -> str:
    """A time for people, in their zone: "2026-11-20 14:03"; "-" if there is none."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M") if at else "-"
