"""Rule tests of an office: run by hand, by `check`, and before another configuration is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

from config.errors import ConfigError, Problem
from config.load import read_settings
from connectors.model import Message
from connectors.parsing import ParserPool
from daemon.errors import Refused
from daemon.glance import knowledge
from daemon.office import Office
from daemon.reading import one_mail
from rules.decision import Direction
from rules.ladder import direction_of
from rules.office import office_of
from rules.recording import Recorded, record
from rules.trial_mail import ReadMail
from rules.trials import Verdict, load_trials, problems_of, run_trials, trial_files
from store.errors import NotFound


def run_tests(office: Office) -> list[Verdict]:
    """Run every rule test. Raises ConfigError that names every fault of the test files."""
    problems: list[Problem] = []
    verdicts = _run(office, problems)
    faults = [one for one in problems if not one.warning]
    if faults:
        raise ConfigError(faults)
    return verdicts


def prove(office: Office) -> None:
    """Do nothing if all rule tests pass. Raises ConfigError that names every fault and every test that fails."""
    problems = problems_of(run_tests(office))
    if problems:
        raise ConfigError(problems)


def check_tests(directory: Path, office: Office | None, problems: list[Problem]) -> int:
    """Add what is wrong with the rule tests to `problems`, tests that fail included; the number of tests.

    Without an office (the rules have faults) the files of tests are read, and not run.
    """
    if office is None:
        return read_tests(directory, None, problems)
    verdicts = _run(office, problems)
    problems.extend(problems_of(verdicts))
    return len(verdicts)


def read_tests(directory: Path, office: Office | None, problems: list[Problem]) -> int:
    """Add what is wrong with the files of tests below `directory` to `problems`; the number of tests. None is run."""
    settings = office.settings if office else read_settings(directory, [])
    if settings is None or not trial_files(directory):
        return 0
    with _mail_reader() as from_file:
        return len(load_trials(directory, settings, office.rules if office else None, problems, from_file))


def _run(office: Office, problems: list[Problem]) -> list[Verdict]:
    if not trial_files(office.directory):
        return []
    with _mail_reader() as from_file:
        trials = load_trials(office.directory, office.settings, office.rules, problems, from_file)
    return run_trials(trials, office.rules, office.settings)


@contextmanager
def _mail_reader() -> Iterator[ReadMail]:
    """Reads .eml files in children, as the daemon does; none is started where no test names a file."""
    parser = ParserPool()

    def read(path: Path) -> Message | str:
        item = one_mail(path, parser)
        return item if isinstance(item, Message) else item.reason

    try:
        yield read
    finally:
        parser.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A rule test written down, and what the one who asked for it should know. See rules.recording.Recorded."""

    path: Path
    name: str
    recorded: Recorded


def record_mail(office: Office, mail: Path, path: Path, name: str) -> Record:
    """Write a test of the mail in a file to `path`. Raises NotFound, Refused if the file exists, ConfigError."""
    if path.exists():
        raise Refused(f"{path} is there already", hint="name another file: quietcrm rules record FILE.eml --out NAME")
    taken = {one.trial.name for one in run_tests(office)}
    message = _arrived(_read(mail), office)
    with knowledge(office) as known:
        directory = known.directory([message])
    name = next(one for one in chain([name], (f"{name} ({n})" for n in count(2))) if one not in taken)
    recorded = record(message, directory, office.rules, office.settings, name=name, path=path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(recorded.text)
    return Record(path=path, name=name, recorded=recorded)


def _read(path: Path) -> Message:
    if not path.is_file():
        raise NotFound(f"there is no {path}", hint="name a mail saved as a file: quietcrm rules record FILE.eml")
    with _mail_reader() as from_file:
        found = from_file(path)
    if isinstance(found, str):
        raise NotFound(f"{path} cannot be read: {found}", hint=f"look at it: quietcrm read {path}")
    return found


def _arrived(message: Message, office: Office) -> Message:
    """The mail as if it lay where such mail lies: in the mailbox of whom of us it names, at the time it was sent."""
    people = {one.key for one in message.people()}
    settings = office.settings
    mine = [
        name for name, one in settings.accounts.items() if one.rep and settings.team[one.rep].mail.lower() in people
    ]
    account = (mine or [*settings.accounts, ""])[0]
    out = direction_of(message, office_of(settings)) is Direction.OUT
    folder = "Sent" if out else "INBOX"
    return replace(message, account=account, folder=folder, received_at=message.sent_at or message.received_at)
