"""pause, resume, release: let rules and sequences stand still, go on, and free what the breaker holds."""

from __future__ import annotations

from typing import Annotated

import typer

from daemon.cli.options import Apply, AsJson, invocation
from daemon.cli.screen import Exit, emit, remark, say

Name = Annotated[str | None, typer.Argument(metavar="[RULE|SEQUENCE]", help="Its name.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(pause)
    app.command()(resume)
    app.command()(release)


def pause(
    context: typer.Context,
    name: Name = None,
    every: Annotated[bool, typer.Option("--all", help="Every rule and every sequence.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a rule or a sequence stand still: it does nothing new, and what it has prepared waits. Mail is read and
    logged all the same, and rules that keep mail out go on."""
    from daemon.requests import perform

    data = perform(invocation(context).directory, "pause", {"name": _one(name, every), "all": every})

    def human() -> None:
        for one in data["paused"]:
            say(f"{_words(one)} {'stands' if one in data['new'] else 'stood already and stands'} still")
        remark(f"to let it go on: quietcrm resume {'--all' if every else name}")

    emit(data, as_json=as_json, human=human)


def resume(
    context: typer.Context,
    name: Name = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that was paused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let it go on. What came meanwhile is not made up for: quietcrm rules replay shows it."""
    from daemon.requests import perform

    data = perform(invocation(context).directory, "resume", {"name": _one(name, every), "all": every})

    def human() -> None:
        for one in data["resumed"]:
            say(f"{_words(one)} goes on")
        if not data["resumed"]:
            say("nothing stood still" if every else f"{name} did not stand still")
        if data["left"]:
            remark(f"still standing: {', '.join(_words(one) for one in data['left'])}")

    emit(data, as_json=as_json, human=human)


def release(context: typer.Context, apply: Apply = False, as_json: AsJson = False) -> None:
    """Free what the breaker holds after a burst: shows what it is; --apply lets it go."""
    from daemon.requests import perform

    data = perform(invocation(context).directory, "release", {"apply": apply})
    holds = bool(data["since"] or data["mails"])

    def human() -> None:
        if not holds:
            say("the breaker holds nothing")
            return
        if data["reason"]:
            say(f"{data['reason']}; since then everything waits")
        say(f"mails held: {len(data['mails'])}, drafts waiting: {data['drafts']}")
        for one in data["mails"][:20]:
            say(f"  {one['id']}  {one['to']}  {one['template']}  (rule {one['rule']})")
        if apply:
            say("all of it goes on at the next pass, as far as nothing else stands in its way")

    emit(data, as_json=as_json, human=human)
    if holds and not apply:
        remark("nothing was done; to let it go, add: --apply. To drop mails of one rule first: quietcrm outbox cancel")
        raise typer.Exit(Exit.REFUSED)


def _one(name: str | None, every: bool) -> str:
    if bool(name) == every:
        raise typer.BadParameter("name a rule or a sequence, or --all")
    return name or ""


def _words(what: str) -> str:
    return {"all": "everything", "breaker": "the breaker"}.get(what, what)
