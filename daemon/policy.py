"""What to do when an account fails: try again later, or park it until a person has mended it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from connectors.errors import (
    AuthRejected,
    ConnectorError,
    Misconfigured,
    OtherMailbox,
    QuietcrmError,
    SendRejected,
    Throttled,
)

FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=15)
PARKED_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`parked`: only a person can mend it, we look again once an hour. `pause`: until the next try."""

    parked: bool
    pause: timedelta
    reason: str
    hint: str


def judge(error: Exception, failures: int, jitter: random.Random) -> Verdict:
    """Decide on an error of one account after `failures` failures in a row (this one included).

    Doubling pauses with full jitter; a pause that the server named is obeyed to the second.
    """
    reason, hint = _words(error)
    if isinstance(error, AuthRejected | Misconfigured | OtherMailbox):
        return Verdict(parked=True, pause=PARKED_PAUSE, reason=reason, hint=hint)
    if isinstance(error, Throttled):
        return Verdict(parked=False, pause=timedelta(seconds=error.retry_after), reason=reason, hint=hint)
    if isinstance(error, SendRejected) and error.permanent:
        return Verdict(parked=True, pause=PARKED_PAUSE, reason=reason, hint=hint)
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10))
    return Verdict(parked=False, pause=longest * jitter.uniform(0.5, 1.0), reason=reason, hint=hint)


def _words(error: Exception) -> tuple[str, str]:
    if isinstance(error, QuietcrmError):
        return error.message, error.hint
    return f"unexpected {type(error).__name__}", "see the log for the traceback and report it"


def is_expected(error: Exception) -> bool:
    """Whether this kind of error belongs to daily life; everything else is a bug and logged with its traceback."""
    return isinstance(error, ConnectorError)
