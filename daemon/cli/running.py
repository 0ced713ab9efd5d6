"""run, reload, sync, status."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from daemon.cli.options import AsJson, invocation
from daemon.cli.screen import Exit, emit, local, progress, remark, say, table


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(run)
    app.command()(reload)
    app.command()(sync)
    app.command()(status)


def run(context: typer.Context) -> None:
    """Run the daemon in the foreground until SIGTERM. Changed files, and SIGHUP, make it load the configuration again;
    files with a fault are refused and the last good ones run, at a start too."""
    from daemon.app import opened
    from daemon.loading import boot
    from daemon.logs import configure_logs
    from daemon.service import Service

    given = invocation(context)
    start = boot(given.directory)
    setting = start.office.settings.log
    configure_logs(form=setting.format, level="debug" if given.verbose else setting.level)
    with opened(given.directory, boot=start) as app:
        _spare_the_collector()
        Service(app).run()


def _spare_the_collector() -> None:
    """What is loaded now stays, and batches of mail make many objects but few cycles: look for them less often. Saves
    a seventh of the CPU of a first reading."""
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def reload(context: typer.Context, as_json: AsJson = False) -> None:
    """Ask the running daemon to load the configuration now, and show the verdict."""
    from daemon.control import ask
    from daemon.office import state_directory

    verdict = ask(state_directory(invocation(context).directory), "reload", {})
    emit(verdict, as_json=as_json, human=lambda: say(verdict["problems"] or "loaded"))
    if verdict["problems"]:
        raise typer.Exit(Exit.CONFIG)


def sync(
    context: typer.Context,
    _once: Annotated[
        bool, typer.Option("--once", help="One pass over what is there, then end (the only way so far).")
    ] = True,
    account: Annotated[
        list[str] | None, typer.Option("--account", "--mailbox", help="Only this account; may repeat.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done with the newest mails; write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read every mailbox once, then end. Counts for each account: its parts add up to what was seen."""
    from daemon.app import opened
    from daemon.logs import configure_logs
    from daemon.meeting_times import box_of

    given = invocation(context)
    configure_logs(level="debug" if given.verbose else "warning")
    if dry_run:
        from daemon.cli.rehearsal import rehearse

        rehearse(given, account or [], as_json=as_json)
        return
    with opened(given.directory) as app:
        _spare_the_collector()
        names = _chosen(app, account)
        with progress(quiet=given.quiet or as_json) as bars:
            passes = _sync_all(app, names, bars)
        calendars = {name: poller.poll() for name, poller in app.calendars.items()} if not account else {}
        done = _act_on(app, passes)
        states = _states(app)
    boxes = [box_of(name) for name in calendars]
    broken = {name: states[name] for name in (*names, *boxes) if states[name].state in ("failing", "parked", "paused")}
    data: dict[str, Any] = {
        "accounts": {name: passes[name].as_dict() | _trouble(broken.get(name)) for name in names},
        "calendars": {name: one.as_dict() | _trouble(broken.get(box_of(name))) for name, one in calendars.items()},
        "drafts_and_reminders": done,
    }
    emit(data, as_json=as_json, human=lambda: _show_sync(data))
    if broken:
        raise typer.Exit(Exit.LOGIN if any(row.state == "parked" for row in broken.values()) else Exit.NETWORK)


def _chosen(app: Any, wanted: list[str] | None) -> list[str]:
    from store.errors import NotFound

    for name in wanted or []:
        if name not in app.pollers:
            raise NotFound(f'no account "{name}"', hint=f"accounts: {', '.join(app.pollers)}")
    return wanted or list(app.pollers)


def _act_on(app: Any, passes: dict[str, Any]) -> int:
    """What follows from mail that was read: mail of people known by now (counted with its account), occasions, steps,
    and what is laid into mailboxes and calendars; how many of those."""
    for name, counts in app.revisit.run().items():
        passes[name].logged += counts.logged + counts.degraded
        passes[name].seen += counts.logged + counts.degraded
    app.occasions.look()
    app.sequences.tick()
    done = sum(items.tidy() for items in app.items.values())
    return int(done + app.desks.tidy() + app.mailbox_marks.tidy() + app.notifier.send_due())


def _states(app: Any) -> dict[str, Any]:
    from store import accounts

    with app.store.session() as session:
        return {row.name: row for row in accounts.everything(session)}


def _sync_all(app: Any, names: list[str], bars: Any) -> dict[str, Any]:
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="sync") as pool:
        return dict(zip(names, pool.map(lambda name: _sync_one(app, name, bars), names), strict=True))


def _sync_one(app: Any, name: str, bars: Any) -> Any:
    bar = bars.add_task(name, total=None)

    def show(batch: Any, counts: Any) -> None:
        if batch.progress.total:
            bars.update(bar, total=batch.progress.total, completed=batch.progress.done)
        else:
            bars.advance(bar, counts.seen)

    counts = app.pollers[name].poll(progress=show)
    bars.update(bar, total=max(counts.seen, 1), completed=max(counts.seen, 1))
    return counts


def _trouble(row: Any) -> dict[str, str]:
    return {"state": row.state, "reason": row.reason, "hint": row.hint} if row else {}


def _show_sync(data: dict[str, Any]) -> None:
    rows = []
    calendars = {f"calendars.{name}": counts for name, counts in data["calendars"].items()}
    for name, counts in (data["accounts"] | calendars).items():
        skipped = ", ".join(f"{number} {reason}" for reason, number in counts["skipped"].items()) or "0"
        rest = [str(counts[part]) for part in ("degraded", "quarantined", "failed")]
        rows.append([name, counts["seen"], counts["logged"], counts["duplicate"], counts["unmatched"], skipped, *rest])
    headings = [
        "account",
        "seen",
        "logged",
        "known before",
        "unmatched",
        "skipped",
        "degraded",
        "quarantined",
        "failed",
    ]
    table(headings, rows)
    new = sum(counts["logged"] + counts["degraded"] for counts in (data["accounts"] | calendars).values())
    say(f"{new} new")
    for name, counts in (data["accounts"] | calendars).items():
        if "reason" in counts:
            remark(f"{name}: {counts['reason']}" + (f"\n  = help: {counts['hint']}" if counts["hint"] else ""))


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """How each mailbox is doing, what waits, what is held."""
    from daemon.app import looking
    from daemon.health import status as health
    from daemon.office import state_directory

    given = invocation(context)
    data = _told(state_directory(given.directory))
    if data is None:
        with looking(given.directory) as (office, store):
            data = health(office, store, datetime.now(UTC)) | _NOT_RUNNING
    emit(data, as_json=as_json, human=lambda: _show_status(data))


_NOT_RUNNING = {"running": False, "config_trouble": "", "config_refused_at": None, "config_mended_at": None}


def _told(state: Path) -> dict[str, Any] | None:
    """What the running daemon says of itself: it may run on an older configuration than the one on disk."""
    from daemon.control import ask
    from daemon.errors import NotRunning

    try:
        data: dict[str, Any] = ask(state, "status", {})
    except NotRunning:
        return None
    times = ("last_success", "last_mail", "retry_at", "config_refused_at", "config_mended_at")
    for part in (data, *data["accounts"].values(), *data["calendars"].values()):
        part.update({name: datetime.fromisoformat(part[name]) for name in times if part.get(name)})
    return data | {"running": True}


def _show_status(data: dict[str, Any]) -> None:
    zone = ZoneInfo(data["zone"])
    say(f"daemon: {'running' if data['running'] else 'not running (quietcrm run)'}   configuration {data['config']}")
    if data["config_trouble"]:
        since = local(data["config_refused_at"], zone)
        say(f"the configuration on disk is refused since {since}, the last good one runs:\n{data['config_trouble']}")
    elif data["config_mended_at"]:
        at = local(data["config_mended_at"], zone)
        say(f"the configuration on disk was refused and is mended: it runs since {at}")
    rows = []
    for name, one in data["accounts"].items():
        fill = one["backfill"]
        behind = f"{fill['done']}/{fill['total']}" if fill and fill["total"] else "-"
        left = f"{fill['left_seconds'] // 60} min" if fill and fill["left_seconds"] else "-"
        rows.append([name, one["state"], local(one["last_success"], zone), behind, left, one["reason"] or "-"])
    for name, one in data["calendars"].items():
        read = local(one["last_success"], zone)
        rows.append([f"calendars.{name}", one["state"], read, "-", "-", one["reason"] or "-"])
    table(["account", "state", "last read", "back-fill", "time left", "reason"], rows)
    for what in ("outbox", "reminders"):
        counts = ", ".join(f"{number} {state}" for state, number in sorted(data[what].items()))
        say(f"{what}: {counts or 'empty'}")
    _show_sends(data["sends"])
    _show_sequences(data)
    say(f"unreadable mails kept: {data['quarantined']}   mails that matched nobody: {data['unmatched']}")


def _show_sequences(data: dict[str, Any]) -> None:
    """Who is in sequences, and what stands still."""
    if data["sequences"]:
        say("sequences: " + ", ".join(f"{count} in {name}" for name, count in data["sequences"].items()))
    if data["paused"]:
        say(f"paused: {', '.join(data['paused'])}; to let it go on: quietcrm resume")
    if data["breaker"]:
        say(f"the breaker holds everything: {data['breaker']}; see: quietcrm release")


def _show_sends(counts: dict[str, int]) -> None:
    """Mail that leaves by itself, with the list where a person should look."""
    if not any(counts.values()):
        return
    say("sends: " + ", ".join(f"{number} {what}" for what, number in counts.items() if number))
    look = [what for what in ("held", "uncertain", "refused") if counts[what]]
    if look:
        say(f"  see: quietcrm outbox list {' '.join(f'--state {what}' for what in look)}")
