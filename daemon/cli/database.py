"""db upgrade|backup|restore|check."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.options import AsJson, invocation
from daemon.cli.screen import Exit, emit, remark, say

group = typer.Typer(help="The database: upgrade, backup, restore, check.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(group, name="db")


def _url(directory: Path) -> str:
    from config.load import load_settings

    return load_settings(directory).store_url(directory)


@group.command("upgrade")
def upgrade(context: typer.Context, as_json: AsJson = False) -> None:
    """Bring the schema to this release; a backup is made first. The daemon does this by itself at start."""
    from daemon.office import state_directory
    from store import schema
    from store.engine import open_store
    from store.lock import WriterLock

    directory = invocation(context).directory
    url = _url(directory)
    store = open_store(url, base=directory)
    try:
        with WriterLock(store):
            report = schema.upgrade(url, directory, backup_to=state_directory(directory) / "backups")
    finally:
        store.close()
    data = {"before": report.before, "after": report.after, "backup": report.backup}
    done = (
        "is current" if report.before == report.after else f"went from {report.before or 'nothing'} to {report.after}"
    )
    emit(
        data,
        as_json=as_json,
        human=lambda: say(f"the schema {done}" + (f"; backup: {report.backup}" if report.backup else "")),
    )


@group.command("backup")
def backup(
    context: typer.Context,
    target: Annotated[Path | None, typer.Argument(help="File to write; default: state/backups/DATE.tar.gz.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write database, hash key and the last good configuration into one file. The daemon may run on."""
    from daemon.office import state_directory
    from store.backup import backup as write

    directory = invocation(context).directory
    folder = state_directory(directory) / "backups"
    target = target or folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz"
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = write(_url(directory), directory, target)
    emit({"file": made, "bytes": made.stat().st_size}, as_json=as_json, human=lambda: say(f"written: {made}"))


@group.command("restore")
def restore(
    context: typer.Context,
    archive: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file made by db backup.")],
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the store from a backup. Stop the daemon first. The archive is verified before anything is replaced."""
    from store.backup import restore as bring_back
    from store.engine import open_store
    from store.lock import WriterLock

    directory = invocation(context).directory
    url = _url(directory)
    store = open_store(url, base=directory)
    try:
        with WriterLock(store):
            report = bring_back(archive, url, directory, force=force)
    finally:
        store.close()
    data = {"rows": sum(report.rows.values()), "tables": dict(report.rows)}
    emit(data, as_json=as_json, human=lambda: say(f"restored {data['rows']} rows; next: quietcrm status"))


@group.command("check")
def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Look for damage. Exit code 1 if there is any."""
    from store import schema
    from store.engine import open_store

    directory = invocation(context).directory
    store = open_store(_url(directory), base=directory, read_only=True)
    try:
        problems = schema.check(store)
    finally:
        store.close()
    emit({"problems": problems}, as_json=as_json, human=lambda: say("\n".join(problems) or "the store is sound"))
    if problems:
        remark("restore a backup: quietcrm db restore FILE")
        raise typer.Exit(Exit.PROBLEMS)
