"""demo: a sample office, read and explained. Needs no server, no account, no network."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.options import AsJson
from daemon.cli.screen import console, emit, harmless, progress, say

_STYLES = {
    "title": "bold",
    "heading": "bold cyan",
    "good": "green",
    "warn": "yellow",
    "dim": "dim",
    "letter": "italic",
    "command": "bold",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the sample office is written.")] = Path(
        "demo-out"
    ),
    as_json: AsJson = False,
) -> None:
    """Play a week of a sample office: what is seen, logged, prepared and taken back. Run it twice: 0 new."""
    from daemon.demo.play import play
    from daemon.demo.story import tell
    from daemon.logs import configure_logs

    configure_logs(level="error")
    with progress(quiet=as_json) as bars:
        bar = bars.add_task("playing a week", total=None)
        facts = play(out, lambda moment: bars.update(bar, description=moment, advance=1))
    emit(facts, as_json=as_json, human=lambda: _show(tell(facts, _program())))


def _program() -> str:
    """How the reader calls quietcrm here: by its name if that finds it, else by its path."""
    if shutil.which("quietcrm"):
        return "quietcrm"
    path = Path(sys.argv[0]).absolute()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _show(story: Iterable[tuple[str, str]]) -> None:
    if not sys.stdout.isatty():
        for _, text in story:
            say(text.rstrip())
        return
    from rich.text import Text

    screen = console()
    for style, text in story:
        lines = [text] if style == "command" else folded(text, screen.width)  # a command is copied as one line
        screen.print(Text(harmless("\n".join(lines)), style=_STYLES.get(style, "")))


def folded(text: str, width: int) -> list[str]:
    """A line broken between words, the rest indented a little further; a path keeps its line."""
    if len(text) <= width:
        return [text]
    margin = " " * (len(text) - len(text.lstrip()) + 4)
    return textwrap.wrap(text, width, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False)
