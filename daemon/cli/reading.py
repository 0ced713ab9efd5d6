"""read: what quietcrm sees in a mail. Needs no configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.options import AsJson
from daemon.cli.screen import Exit, emit, progress, remark, say


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(read)


def read(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Mails, folders of mails, Maildirs, mbox files.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show what quietcrm sees in mails: kind, people, new text, quote, signature, bounce, return date."""
    from connectors.parsing import ParserPool
    from daemon.reading import mails_at, summary

    missing = [path for path in paths if not path.exists()]
    for path in missing:
        remark(f"{path}: no such file or folder")
    parser = ParserPool(workers=2)
    try:
        with progress(quiet=as_json and not sys.stderr.isatty()) as bars:
            bar = bars.add_task("reading", total=None)
            found = list(_counted(mails_at([path for path in paths if path.exists()], parser), bars, bar))
    finally:
        parser.close()
    rows = [summary(name, item) for name, item in found]
    emit(rows, as_json=as_json, human=lambda: _show(rows))
    if missing:
        raise typer.Exit(Exit.NOT_FOUND)


def _counted(items: Iterable[Any], bars: Any, bar: Any) -> Iterator[Any]:
    for item in items:
        bars.advance(bar)
        yield item


def _show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        say(f"{row['path']}")
        say(f"  kind: {row['kind']}   date: {row['date'] or '-'}   id: {row['message_id'] or '-'}")
        say(f"  from: {row['from']}   to: {', '.join(row['to']) or '-'}")
        say(f"  subject: {row['subject']}")
        if row["bounce"]:
            hard = {True: "hard", False: "soft", None: "unclear"}[row["bounce"]["hard"]]
            say(f"  bounce: {', '.join(row['bounce']['recipients']) or '-'} ({hard}, {row['bounce']['reason']})")
        if row["away_until"]:
            say(f"  away until: {row['away_until']}")
        if row["attachments"]:
            say(f"  attachments: {', '.join(row['attachments'])}")
        if row["degraded"]:
            say(f"  degraded: {'; '.join(row['degraded'])}")
        for line in row["text"].splitlines():
            say(f"  | {line}")
        hidden = [f"{len(row[part].splitlines())} lines {part}" for part in ("quoted", "signature") if row[part]]
        if hidden:
            say(f"  ({', '.join(hidden)})")
        say()
