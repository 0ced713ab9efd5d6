"""rules lint: what is allowed in the rules and yet surely not meant."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from daemon.cli.options import AsJson, invocation, whole
from daemon.cli.screen import Exit, emit, remark, say


def register(rules: typer.Typer) -> None:
    """Add the command to `quietcrm rules`."""
    rules.command("lint")(lint)


def lint(
    context: typer.Context,
    days: Annotated[
        int, typer.Option(parser=whole(1, 36500), help="A rule that did not act for so long is named.")
    ] = 90,
    as_json: AsJson = False,
) -> None:
    """Rules that can never act, what nothing uses, patterns that are slow or hold for everything, idle rules."""
    from config.show import render_problems
    from daemon.linting import findings

    found = findings(invocation(context).directory, days)
    data = [_as_dict(one) for one in found]
    emit(data, as_json=as_json, human=lambda: say(render_problems(found)) if found else None)
    if found:
        remark(f"{len(found)} found; nothing of it keeps a rule from running")
        raise typer.Exit(Exit.PROBLEMS)
    if not as_json:
        say("nothing found")


def _as_dict(one: Any) -> dict[str, Any]:
    return {
        "code": one.code,
        "message": one.message,
        "file": str(one.path),
        "line": one.line,
        "column": one.column,
        "help": one.help,
    }
