"""Rule tests of an office: run by hand, by `check`, and before another configuration is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.errors import ConfigError, Problem
from config.load import read_settings
from connectors.model import Message
from connectors.parsing import ParserPool
from daemon.office import Office
from daemon.reading import one_mail
from rules.trial_mail import ReadMail
from rules.trials import Verdict, load_trials, problems_of, run_trials, trial_files


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
    if office is not None:
        verdicts = _run(office, problems)
        problems.extend(problems_of(verdicts))
        return len(verdicts)
    settings = read_settings(directory, [])
    if settings is None or not trial_files(directory):
        return 0
    with _mail_reader() as from_file:
        return len(load_trials(directory, settings, None, problems, from_file))


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
