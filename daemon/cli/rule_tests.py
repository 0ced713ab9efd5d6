"""rules test and record: what is expected of the rules, mail by mail."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.options import AsJson, invocation
from daemon.cli.screen import Exit, console, emit, harmless, remark, say

if TYPE_CHECKING:
    from rules.trials import Verdict


def register(group: typer.Typer) -> None:
    """Add the commands of this module to `rules`."""
    group.command("test")(run)
    group.command("record")(record)


def run(
    context: typer.Context,
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME|FILE|DIR", help="Tests with this in their name, one file of tests, or an office's folder."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the rule tests of tests/*.yaml: what was expected, what came, and the rules that a failure is about."""
    from daemon.office import load_office
    from daemon.trials import run_tests

    directory = invocation(context).directory
    if which is not None and (Path(which) / "quietcrm.yaml").is_file():
        directory, which = Path(which), None
    verdicts = _chosen(run_tests(load_office(directory)), which, directory)
    failed = sum(not verdict.passed for verdict in verdicts)
    data = {"tests": [_data(verdict) for verdict in verdicts], "failed": failed}
    emit(data, as_json=as_json, human=lambda: _show(verdicts, directory))
    if failed:
        raise typer.Exit(Exit.PROBLEMS)


def _chosen(verdicts: list[Verdict], which: str | None, directory: Path) -> list[Verdict]:
    """The tests of a file, the one of that name, or those with it in their name. Raises NotFound."""
    from config.values import did_you_mean
    from store.errors import NotFound

    if which is None:
        return verdicts
    files = {path.resolve() for path in (Path(which), directory / which, directory / "tests" / which)}
    found = (
        [one for one in verdicts if one.trial.place.path.resolve() in files]
        or [one for one in verdicts if one.trial.name == which]
        or [one for one in verdicts if which.casefold() in one.trial.name.casefold()]
    )
    if not found:
        names = [one.trial.name for one in verdicts]
        raise NotFound(f'no rule test "{which}"', hint=did_you_mean(which, names, "see all: quietcrm rules test"))
    return found


def _data(verdict: Verdict) -> dict[str, Any]:
    place = verdict.trial.place
    return {
        "name": verdict.trial.name,
        "file": place.path,
        "line": place.line,
        "passed": verdict.passed,
        "failures": [
            {
                "expected": {one.expectation.key: one.expectation.wanted},
                "came": one.came,
                "line": one.expectation.place.line,
                "column": one.expectation.place.column,
            }
            for one in verdict.failures
        ],
        "decision": verdict.decision.as_dict(),
    }


def _show(verdicts: Sequence[Verdict], directory: Path) -> None:
    if not verdicts:
        say("no rule tests yet; make one of a real mail: quietcrm rules record FILE.eml")
        return
    path: Path | None = None
    for verdict in verdicts:
        if verdict.trial.place.path != path:
            path = verdict.trial.place.path
            _print(_below(path, directory), "bold")
        _show_one(verdict, directory)
    failed = sum(not verdict.passed for verdict in verdicts)
    word = "test" if len(verdicts) == 1 else "tests"
    say(f"{len(verdicts)} {word}, {f'{failed} failed' if failed else 'all pass'}")
    if failed:
        remark("mend the rule or, if it is right, the test; then: quietcrm check")


def _show_one(verdict: Verdict, directory: Path) -> None:
    from rules.explain import rule_lines

    _print(f"  {'✓' if verdict.passed else '✗'} {verdict.trial.name}", "green" if verdict.passed else "bold red")
    for failure in verdict.failures:
        one = failure.expectation
        _print(f"      {_below(one.place.path, directory)}:{one.place.line}:{one.place.column}", "dim")
        _print(f"      expected  {one.key}: {one.wanted}", "")
        _print(f"      came      {failure.came or 'nothing'}", "red")
    _print_all((f"    {line}" for trace in verdict.traces for line in rule_lines(trace)), "dim")


def _below(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)


def _print_all(lines: Iterable[str], style: str) -> None:
    for line in lines:
        _print(line, style)


def _print(line: str, style: str) -> None:
    """A line in colour on a terminal. Its text is never markup."""
    from rich.text import Text

    console().print(Text(harmless(line), style=style))


# --- record


def record(
    context: typer.Context,
    mail: Annotated[Path, typer.Argument(metavar="FILE.eml", help="A mail saved as a file.")],
    name: Annotated[str, typer.Option(help="Name of the test; without it the name of the file.")] = "",
    out: Annotated[
        str, typer.Option(metavar="NAME", help="File below tests/ to write; without it named as the mail.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write a rule test of a real mail, with the addresses and names of outsiders replaced. It passes as it is."""
    from daemon.office import load_office
    from daemon.trials import record_mail

    directory = invocation(context).directory
    office = load_office(directory)
    target = directory / "tests" / f"{_file_name(out or mail.stem)}.yaml"
    made = record_mail(office, mail, target, " ".join((name or mail.stem).split()) or "a mail")
    found = made.recorded
    data = {"file": made.path, "name": made.name, "rules": found.rules, "kept": found.kept, "meant": found.meant}
    emit(data, as_json=as_json, human=lambda: _show_record(data, found.text, directory))
    if found.rules != found.meant:
        remark(f"the mail itself meets other rules: {', '.join(found.meant) or 'none'}; mend the test by hand")


def _file_name(text: str) -> str:
    """A name for a file of tests: letters, digits and dashes."""
    import re

    return "-".join(re.findall(r"[^\W_]+", text.removesuffix(".yaml")))[:60] or "mail"


def _show_record(data: dict[str, Any], text: str, directory: Path) -> None:
    say(text)
    say(
        f"written: {_below(data['file'], directory)}; it passes as it is. Keep what matters in `expect`, drop the rest."
    )
    if data["kept"]:
        say(f"A rule asks for {' and '.join(data['kept'])}, so these were not replaced.")
    say("Read it through before you show it to others: names in the text that no header names are still there.")
    say(f'next: quietcrm rules test "{data["name"]}"')
