"""auth login, auth status, auth logout: signing in at Microsoft, Google and others instead of by password."""

from __future__ import annotations

import os
import sys
import webbrowser
from datetime import UTC
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.options import AsJson, invocation, whole
from daemon.cli.screen import Exit, emit, remark, say, table

if TYPE_CHECKING:
    from connectors.oauth.login import TypedCode
    from daemon.signing import Signing

auth = typer.Typer(no_args_is_help=True, help="Sign in at a provider instead of by password.")
Name = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Name of an account or sender in quietcrm.yaml.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    auth.command()(login)
    auth.command()(status)
    auth.command()(logout)
    app.add_typer(auth, name="auth")


def login(
    context: typer.Context,
    account: Name,
    device: Annotated[
        bool, typer.Option("--device", help="Show a code to type in on another machine. Some offices forbid this.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only show the address; open it yourself, on any machine.")
    ] = False,
    port: Annotated[
        int,
        typer.Option("--port", parser=whole(0, 65535), help="Port of this machine that the answer comes to. 0: any."),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Sign in for an account, and for all that share its login. The running daemon takes it up by itself."""
    from daemon.signing import Asking, strangers

    signing = _signing(context)
    household = signing.household(account)
    if not household.first.sign_in.by_itself:
        remark(f"for: {', '.join(household.names)}   person: {household.first.user}")
        remark(f"asks for: {' '.join(household.scopes)}")
        if page := signing.consent_page(household):
            remark(f"if an administrator has to allow it first, that is done at:\n  {page}")
    typed = sys.stdin if sys.stdin.isatty() else None

    def show_page(url: str, redirect: str) -> None:
        if not no_browser and _has_screen() and webbrowser.open(url):
            remark(f"a browser opens. If it does not, open:\n  {url}")
            return
        remark(f"open this address in a browser and sign in:\n  {url}")
        if typed:
            remark(
                f"if the browser is on another machine, it will end at {redirect}/?... and show an error: copy that "
                "whole address, paste it here and press Enter"
            )

    def show_code(code: TypedCode) -> None:
        remark(f"open {code.page} in a browser on any machine and type in the code  {code.user_code}")

    asking = Asking(show_page=show_page, show_code=show_code, typed=typed, device=device, port=port)
    standing = signing.sign_in(household, asking)
    for text in strangers(standing):
        remark(f"note: {text}")
    emit(standing, as_json=as_json, human=lambda: _show_signed_in(standing))
    if standing["state"] == "refused":
        raise typer.Exit(Exit.LOGIN)


def _has_screen() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _show_signed_in(standing: dict[str, Any]) -> None:
    who = standing["who"] or standing["user"] or "quietcrm itself"
    say(f"signed in at {standing['provider']} as {who}, for {', '.join(standing['names'])}")
    if standing["reason"]:
        say(f"but {standing['reason']}\n  = help: {standing['hint']}")
    say("see: quietcrm doctor")


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Who has signed in where, since when, and what is wrong with it. Asks nobody."""
    standings = _signing(context).standings()
    emit(standings, as_json=as_json, human=lambda: _show_standings(standings))
    if any(one["state"] in ("refused", "not signed in") for one in standings):
        raise typer.Exit(Exit.LOGIN)


def _show_standings(standings: list[dict[str, Any]]) -> None:
    if not standings:
        say("no account signs in at a provider; all log in by password")
        return
    rows = []
    for one in standings:
        since = one["signed_in_at"].astimezone(UTC).strftime("%Y-%m-%d %H:%M") if one["signed_in_at"] else "-"
        rows.append([", ".join(one["names"]), one["provider"], one["who"] or one["user"] or "-", one["state"], since])
    table(["for", "provider", "person", "state", "since (UTC)"], rows)
    for one in standings:
        if one["reason"]:
            remark(f"{', '.join(one['names'])}: {one['reason']}\n  = help: {one['hint']}")


def logout(context: typer.Context, account: Name, as_json: AsJson = False) -> None:
    """Forget a sign-in, for all that share it, and end it at the provider where that can be told."""
    signing = _signing(context)
    done = signing.end(signing.household(account))
    emit(done, as_json=as_json, human=lambda: _show_end(done))


def _show_end(done: dict[str, Any]) -> None:
    say(f"signed out: {', '.join(done['names'])}")
    if not done["told_provider"]:
        why = f" ({done['trouble']})" if done["trouble"] else ""
        say(f"the provider was not told{why}: {done['user']} can take the permission back there")


def _signing(context: typer.Context) -> Signing:
    from config.load import load_settings
    from daemon.signing import Signing

    directory = invocation(context).directory
    return Signing(load_settings(directory), directory)
