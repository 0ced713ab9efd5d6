"""Makes docs/reference/commands.md from the commands themselves.

Run `python -m daemon.cli.reference docs/reference` after a change of a command; a test fails while the page is stale.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperArgument, TyperOption

from daemon.cli.main import app
from daemon.cli.screen import Exit

PAGE = "commands.md"
MADE_FROM = "<!-- Made by `python -m daemon.cli.reference docs/reference`. Change the command's help instead. -->"
HIDDEN = ("help", "install_completion", "show_completion")
EXIT_CODES = {
    Exit.FINE: "fine",
    Exit.PROBLEMS: "found problems (`check`, `doctor`, `rules test`, `rules lint`, `db check`), "
    "or failed for another reason",
    Exit.USAGE: "wrong usage",
    Exit.CONFIG: "the configuration is invalid, nothing was run",
    Exit.NOT_FOUND: "not found",
    Exit.LOGIN: "login refused, or no permission",
    Exit.NETWORK: "the network, a server or the database does not answer: try again",
    Exit.REFUSED: "refused: a confirmation is missing, or a limit forbids it",
    Exit.RUNNING: "another quietcrm runs on this store, or none does where one is needed",
    Exit.INTERRUPTED: "interrupted",
}
INTRODUCTION = (
    "Results go to stdout, remarks and progress to stderr. Tables are boxed on a terminal and tab-separated in a pipe.",
    "Colour only on a terminal, and never with `NO_COLOR`. `--json` gives one JSON object on stdout: `schema` is the",
    "number of its shape, and what is a list stands under `items`. Whatever cannot be",
    "taken back shows its plan first and wants `--apply` or the typed name.",
)


def commands_page() -> str:
    """The Markdown page of every command: usage, meaning, arguments and options."""
    root = typer.main.get_command(app)
    parts = ["# Commands", "", MADE_FROM, "", *INTRODUCTION, "", "## quietcrm", "", *_parameters(root)]
    for path, command in commands(root, ("quietcrm",)):
        parts += ["", f"## {' '.join(path)}", "", *_command(path, command)]
    parts += ["", "## Exit codes", "", "| code | meaning |", "|---|---|"]
    parts += [f"| {code.value} | {text} |" for code, text in EXIT_CODES.items()]
    return "\n".join(parts) + "\n"


def commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it, in the order of `--help`."""
    for name, command in getattr(group, "commands", {}).items():
        inner = getattr(command, "commands", None)
        if inner is None or getattr(command, "invoke_without_command", False):
            yield (*path, name), command
        if inner is not None:
            yield from commands(command, (*path, name))


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    words = [_argument(one) for one in command.params if isinstance(one, TyperArgument)]
    options = ["[OPTIONS]"] if any(_is_shown(one) for one in command.params if isinstance(one, TyperOption)) else []
    yield f"`{' '.join((*path, *words, *options))}`"
    yield ""
    yield " ".join(inspect.cleandoc(command.help or "").split())
    listed = list(_parameters(command))
    if listed:
        yield from ("", *listed)


def _parameters(command: Any) -> Iterator[str]:
    rows = [row for one in command.params if _is_shown(one) and (row := _row(one))]
    if rows:
        yield from ("| | |", "|---|---|", *rows)


def _is_shown(parameter: Any) -> bool:
    return parameter.name not in HIDDEN and not getattr(parameter, "hidden", False)


def _row(parameter: Any) -> str:
    text = str(getattr(parameter, "help", None) or "")
    if isinstance(parameter, TyperArgument):
        return f"| `{_cell(_argument(parameter))}` | {_cell(text)} |" if text else ""
    assert isinstance(parameter, TyperOption)
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    value = "" if parameter.is_flag else f" `{_cell(_kind(parameter))}`"
    default = parameter.default
    stated = (
        f" Default: `{default}`." if isinstance(default, str | int) and not parameter.is_flag and default != "" else ""
    )
    return f"| {names}{value} | {_cell(text)}{stated} |"


def _kind(parameter: TyperOption) -> str:
    return parameter.metavar or (parameter.name or "").upper()


def _argument(parameter: TyperArgument) -> str:
    name = parameter.metavar or (parameter.name or "").upper()
    return name if parameter.required else f"[{name}]"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def write_page(folder: Path) -> bool:
    """Write the page into `folder`; whether it changed."""
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / PAGE, commands_page()
    if path.exists() and path.read_text("utf-8") == text:
        return False
    path.write_text(text, "utf-8")
    return True


if __name__ == "__main__":
    write_page(Path(sys.argv[1]))
