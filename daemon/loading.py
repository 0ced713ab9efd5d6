"""Loading the files of an office as they stand, or the last good set when they cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import structlog

from config import good
from config.errors import ConfigError, QuietcrmError
from config.load import config_hash
from config.show import render_problems
from config.state import state_directory
from daemon.office import Office, load_office
from daemon.trials import prove

log = structlog.get_logger()

TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What a start has to go on: an office, and what is wrong with the files if it is not theirs ("" = nothing)."""

    office: Office
    trouble: str = ""


def boot(directory: Path) -> Boot:
    """The office to start with: the files, else the last good set. Raises ConfigError where neither can be used."""
    try:
        return Boot(office=load_settled(directory))
    except Exception as refused:  # a fault of ours in reading them must not keep the service down either
        office = _last_good(directory)
        if office is None:
            raise
        return Boot(office=office, trouble=refusal(refused, directory))


def _last_good(directory: Path) -> Office | None:
    try:
        files = good.find(state_directory(directory))
        return load_office(directory, files) if files else None
    except (QuietcrmError, OSError) as error:  # another release may read it in another way
        log.error("config.last_good_unusable", reason=str(error))
        return None


def load_settled(directory: Path) -> Office:
    """The office as its files stand; read again where they changed meanwhile, so that no mixture is ever taken.

    Raises ConfigError, also for a rule test that fails; QuietcrmError if they do not come to rest.
    """
    for _ in range(TRIES):
        before = config_hash(directory)
        try:
            office = load_office(directory)
            prove(office)
        except ConfigError:
            if config_hash(directory) == before:
                raise
            continue
        if before == office.hash == config_hash(directory):
            return office
    raise QuietcrmError("the files changed while they were read", hint="save them, then: quietcrm reload")


def refusal(error: Exception, directory: Path) -> str:
    """Why the files are refused, for people: every fault with its place, its line and a remedy."""
    if isinstance(error, ConfigError):
        return render_problems(error.problems, base=directory)
    if isinstance(error, QuietcrmError):
        return f"error: {error.message}\n  = help: {error.hint}"
    if isinstance(error, OSError):
        return (
            f"error: {error.filename or 'a file'}: {error.strerror or error}\n  = help: mend it, then: quietcrm reload"
        )
    log.error("config.not_understood", exc_info=error)
    return f"error: quietcrm fails over these files ({type(error).__name__})\n  = help: take back the last change"
