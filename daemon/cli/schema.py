"""schema: what may stand in a file, for editors and other programs."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from daemon.cli.options import AsJson, invocation
from daemon.cli.screen import say


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(schema)


def schema(
    context: typer.Context,
    part: Annotated[
        str, typer.Argument(metavar="config|rules|tests|blueprint|sequence", help="Which sort of files.")
    ] = "rules",
    as_json: AsJson = False,
) -> None:
    """Print the JSON schema of a sort of files, with the names of this office; `check` keeps them in .quietcrm/."""
    from config.values import did_you_mean
    from daemon.schemas import PARTS, schema_of

    if part not in PARTS:
        help = did_you_mean(part, PARTS, f"one of {', '.join(PARTS)}")
        raise typer.BadParameter(f'there are no files called "{part}"; {help}', param_hint="PART")
    found = schema_of(part, invocation(context).directory)
    say(json.dumps(found, ensure_ascii=False) if as_json else _indented(found))  # a schema is an object of its own


def _indented(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2)
