"""Options that many commands share."""

from __future__ import annotations

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

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it. Without this the plan is only shown.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=MOST, help="At most this many.")]


def invocation(context: typer.Context) -> Invocation:
    """The options given before the command."""
    found = context.find_object(Invocation)
    assert found is not None
    return found
