"""init, check, doctor, version."""

from __future__ import annotations

import platform
import sqlite3
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from config.errors import Problem
from daemon.cli import fixing
from daemon.cli.options import AsJson, Invocation, invocation, whole
from daemon.cli.screen import Exit, emit, progress, remark, say


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(init)
    app.command()(check)
    app.command()(doctor)
    app.command()(version)


# --- init ----------------------------------------------------------------------------------------------------------


def init(
    context: typer.Context,
    origin: Annotated[
        str, typer.Option("--from", help="Where the mail is: imap, google, maildir, mbox or eml.")
    ] = "imap",
    mail: Annotated[str | None, typer.Option(help="Mail address of the first person.")] = None,
    company: Annotated[str | None, typer.Option(help="Name of the office.")] = None,
    zone: Annotated[str | None, typer.Option(help="Time zone, like America/Sao_Paulo.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of the office: pt, ru or en.")] = None,
    rep: Annotated[str | None, typer.Option(help="Short name of that person.")] = None,
    name: Annotated[str | None, typer.Option(help="Full name of that person: it signs the drafts.")] = None,
    host: Annotated[str | None, typer.Option(help="IMAP server.")] = None,
    port: Annotated[int, typer.Option(parser=whole(0, 65535), help="Its port; 0 = the usual one.")] = 0,
    security: Annotated[str | None, typer.Option(help="tls, starttls, or none (only on this machine).")] = None,
    login: Annotated[str | None, typer.Option(help="User name at the server.")] = None,
    password_env: Annotated[str, typer.Option(help="Environment variable that holds the password.")] = "",
    password_file: Annotated[str, typer.Option(help="File that holds the password.")] = "",
    path: Annotated[str | None, typer.Option(help="File or folder of mail, for maildir, mbox and eml.")] = None,
    smtp_host: Annotated[
        str, typer.Option(help="Server to send reminders by; without it they are laid into the Inbox.")
    ] = "",
    smtp_port: Annotated[int, typer.Option(parser=whole(0, 65535), help="Its port; 0 = the usual one.")] = 0,
    smtp_security: Annotated[str, typer.Option(help="tls, starttls, or none.")] = "tls",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take the proposed answers, write without asking.")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Ask nothing; what is missing is an error.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the first configuration: asks what it needs, sends nothing, never overwrites, can be repeated."""
    from config.starter import write_starter
    from daemon.cli.wizard import settle, starter_answers

    directory = invocation(context).directory
    ask = sys.stdin.isatty() and not no_input
    if (directory / "quietcrm.yaml").exists():
        remark(f"{directory / 'quietcrm.yaml'} is there: nothing is asked, and answers given here are not taken;")
        remark("only files that are missing are written. To change the settings, edit that file, then: quietcrm check")
        answers = _answers_of(directory)
    else:
        _refuse_origin(origin)
        given = {"from": origin, "mail": mail, "company": company, "zone": zone, "language": language, "rep": rep}
        given |= {"name": name, "host": host, "security": security, "login": login, "path": path}
        settled = settle(given, ask=ask, accept=yes)
        password = _password(password_env, password_file)
        answers = starter_answers(settled, password=password, port=port, smtp=(smtp_host, smtp_port, smtp_security))
        if origin == "google":
            remark("Google takes an app password here, not the usual one: https://myaccount.google.com/apppasswords")
        _consent(directory, answers.mail, asking=ask and not yes)
    written = write_starter(directory, answers)
    _finish(invocation(context), written, as_json=as_json)


def _refuse_origin(origin: str) -> None:
    from daemon.cli.wizard import ORIGINS

    if origin == "outlook":
        message = "this release reads Exchange only where it offers IMAP: use --from imap with its server"
        raise typer.BadParameter(message, param_hint="--from")
    if origin not in ORIGINS:
        raise typer.BadParameter(f'"{origin}" is none of {", ".join(ORIGINS)}', param_hint="--from")


def _password(env: str, file: str) -> str:
    if env and file:
        raise typer.BadParameter("give one of --password-env and --password-file")
    return f"{{env: {env}}}" if env else f'{{file: "{file}"}}' if file else ""


def _answers_of(directory: Path) -> Any:
    """For a repeated `init`: what is missing is written in the language of the settings that are there."""
    from config.load import read_settings
    from config.starter import StarterAnswers

    settings = read_settings(directory, [])
    language = settings.company.language if settings else "en"
    return StarterAnswers(company="", zone="UTC", language=language[:2], rep="", mail="")


def _consent(directory: Path, mail: str, *, asking: bool) -> None:
    if not asking:
        return
    typer.echo(f"\nquietcrm will read the mailbox of {mail} and keep the customer mail it finds there in", err=True)
    typer.echo(f"{directory / 'state'}. Nothing in the mailbox is changed, nothing is sent.", err=True)
    while True:
        said = typer.prompt(
            "Does the owner of the mailbox know and agree? [y/N]", default="n", show_default=False, err=True
        )
        word = str(said).strip().lower()
        if word in ("y", "yes", "s", "sim", "да", "д"):
            return
        if word in ("n", "no", "não", "nao", "нет", "н"):
            remark("Nothing was written. Ask them first, then: quietcrm init")
            raise typer.Exit(Exit.PROBLEMS)
        remark(f'  "{word}" is neither yes nor no; write: y or n')


def _finish(given: Invocation, written: list[Path], *, as_json: bool) -> None:
    from config.load import config_files
    from daemon.office import read_office
    from daemon.schemas import write_schemas

    problems: list[Problem] = []
    office = read_office(given.directory, problems)
    write_schemas(given.directory)
    before = [path for path in config_files(given.directory) if path not in written]
    data = {"directory": given.directory, "written": written, "existed": before, "next": _next(given, bool(problems))}
    emit(data, as_json=as_json, human=lambda: _show_init(data, office))
    if office is None:
        raise typer.Exit(Exit.PROBLEMS)


def _next(given: Invocation, faulty: bool) -> str:
    here = given.directory.resolve() == Path.cwd()
    named = "" if here else f" --config {given.directory}"
    return f"quietcrm{named} {'check' if faulty else 'doctor'}"


def _show_init(data: dict[str, Any], office: Any) -> None:
    directory = data["directory"]
    for word, paths in (("written", data["written"]), ("was there, left as it is", data["existed"])):
        for path in paths:
            say(f"{word}: {path.relative_to(directory)}")
    say(f"The settings lie in {directory}. Nothing was sent, no mailbox was touched.")
    for variable in _variables(office):
        say(f"Before the next command: export {variable}='the password'")
    say(f"next: {data['next']}")


def _variables(office: Any) -> list[str]:
    """Environment variables that the accounts take passwords from and that are not set."""
    import os

    if office is None:
        return []
    refs = (getattr(one, "password", None) for one in office.settings.accounts.values())
    return sorted({ref.name for ref in refs if ref is not None and ref.kind == "env" and ref.name not in os.environ})


# --- check ---------------------------------------------------------------------------------------------------------


def check(
    context: typer.Context,
    path: Annotated[Path | None, typer.Argument(help="A configuration folder, or one file of it.")] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Carry out the remedies that leave no choice; shows them first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --fix: write without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Name every fault of settings, rules, templates and lists, and every rule test that fails, with its remedy."""
    from config.show import in_order, problem_json, render_problems
    from daemon.office import read_office
    from daemon.schemas import write_schemas
    from daemon.trials import check_tests

    directory, file = _place(path or invocation(context).directory)
    if fix:
        fixing.mend(directory, file, yes=yes, as_json=as_json)
    problems: list[Problem] = []
    office = read_office(directory, problems)
    tests = check_tests(directory, office, problems)
    write_schemas(directory)
    shown = in_order(one for one in problems if file is None or one.path.resolve() == file.resolve())

    def show() -> None:
        if shown:
            say(render_problems(shown, base=directory) + "\n")
        say(_verdict(shown, office, tests))

    emit([problem_json(problem) for problem in shown], as_json=as_json, human=show)
    if any(not problem.warning for problem in shown):
        raise typer.Exit(Exit.PROBLEMS)


def _place(path: Path) -> tuple[Path, Path | None]:
    """The configuration folder of a path, and the file if it names one. Raises NotFound."""
    from store.errors import NotFound

    if path.is_dir():
        return path, None
    if not path.exists():
        raise NotFound(f"there is no {path}", hint="name the folder with quietcrm.yaml, or make one: quietcrm init")
    above = path.resolve().parents
    return next((folder for folder in above if (folder / "quietcrm.yaml").exists()), above[0]), path


def _verdict(shown: list[Problem], office: Any, tests: int) -> str:
    errors = sum(not problem.warning for problem in shown)
    warnings = len(shown) - errors
    told = ", ".join(_counted(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number)
    if office is None or errors:
        return told or "this file is fine; others are not: quietcrm check"
    settings, rules = office.settings, office.rules
    counts = (
        _counted(len(settings.accounts), "account"),
        _counted(len(rules.rules), "rule") + f" ({sum(rule.mode == 'watch' for rule in rules.rules)} only watching)",
        _counted(len(rules.templates), "template"),
        _counted(len(rules.lists), "list"),
        _counted(tests, "rule test"),
    )
    unread = "" if settings.accounts else "; but no mailbox is read: name one below `accounts:`"
    return f"fine: {', '.join(counts)}; configuration {office.hash}" + (f"; {told}" if told else "") + unread


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


# --- doctor --------------------------------------------------------------------------------------------------------


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Try everything: logins, folders, one newest mail read and explained, the store, ways to send. Sends nothing."""
    from daemon.cli.main import exit_code
    from daemon.clock import SystemClock
    from daemon.doctor import examine, things_to_look_at
    from daemon.findings import worst
    from daemon.office import load_office

    given = invocation(context)
    office = load_office(given.directory)
    with progress(quiet=given.quiet or as_json) as bars:
        bar = bars.add_task("looking", total=things_to_look_at(office))
        findings = examine(office, SystemClock(), lambda: bars.advance(bar))
    emit(
        [finding.as_dict() for finding in findings],
        as_json=as_json,
        human=lambda: _show_findings(findings, given.directory),
    )
    errors = worst(findings)
    if errors:
        raise typer.Exit(exit_code(errors[0]))


def _show_findings(findings: list[Any], directory: Path) -> None:
    for finding in findings:
        say(f"{finding.level.value:<5} {finding.about}: {finding.message}")
        for line in finding.lines:
            say(f"      | {line}".rstrip())
        if finding.remedy:
            say(f"        = help: {finding.remedy}")
    failed = sum(finding.level.value == "fail" for finding in findings)
    if failed:
        remark(f"{_counted(failed, 'problem')}; mend and try again: quietcrm doctor")
    else:
        say(f"all of it works; next: {_after_doctor(directory)}")


def _after_doctor(directory: Path) -> str:
    """The command that comes next: quietcrm has to know customers before it does anything."""
    from daemon.glance import glancing
    from store import customers

    with glancing(directory) as (_, session):
        known = session is not None and customers.listing(session, limit=1)
    return "quietcrm status" if known else "quietcrm customer propose > customers.csv"


# --- version -------------------------------------------------------------------------------------------------------


def version(as_json: AsJson = False) -> None:
    """Show the release, and what it runs on."""
    from importlib.metadata import version as installed

    data = {
        "quietcrm": installed("quietcrm"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "platform": platform.platform(),
    }
    emit(data, as_json=as_json, human=lambda: say("\n".join(f"{name} {value}" for name, value in data.items())))
