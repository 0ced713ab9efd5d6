"""Options that many commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class Invocation:
    """What holds for every command: the configuration folder and how much to say."""

    directory: Path
    verbose: bool = False
    quiet: bool = False


MOST = 2**31 - 1
"""The largest number a command takes: every database can count so far."""


def whole(least: int = 0, most: int = MOST) -> Callable[[str | int], int]:
    """A reader of whole numbers from `least` to `most`; its error says what to write (typer's own does not)."""

    def read(given: str | int) -> int:
        text = str(given).strip()
        if re.fullmatch(r"-?[0-9]{1,18}", text) and least <= int(text) <= most:
            return int(text)
        raise typer.BadParameter(f'"{text}" is no whole number between {least} and {most}; write one like 12')

    return read


AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it. Without this the plan is only shown.")]
Limit = Annotated[int, typer.Option("--limit", parser=whole(1), help="At most this many.")]


def invocation(context: typer.Context) -> Invocation:
    """The options given before the command."""
    found = context.find_object(Invocation)
    assert found is not None
    return found
