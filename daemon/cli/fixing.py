"""check --fix: shows what the sure remedies change, and writes it if a person says so."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from daemon.cli.screen import harmless, remark
from daemon.errors import Refused


def mend(directory: Path, file: Path | None, *, yes: bool, as_json: bool) -> None:
    """Mend what is sure. The difference goes to stderr: the result of `check` is what is wrong afterwards.

    Raises Refused where nobody says yes, or can be asked.
    """
    from daemon.fixing import difference, plan_fixes, write_fixes

    changes = plan_fixes(directory, file)
    if not changes:
        remark("nothing to mend by itself")
        return
    for change in changes:
        remark(difference(change, directory))
    told = f"{_counted(sum(len(one.problems) for one in changes), 'fault')} in {_counted(len(changes), 'file')}"
    if not yes and not _agreed(f"Mend {told}?", may_ask=not as_json):
        raise Refused(f"{told} could be mended, nothing was written", hint="write it: quietcrm check --fix --yes")
    write_fixes(changes)
    remark(f"mended: {told}")


def _agreed(question: str, *, may_ask: bool) -> bool:
    if not may_ask or not sys.stdin.isatty():
        return False
    return bool(typer.confirm(harmless(question), default=False, err=True))


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
