"""What the Graph connector needs to know of an account."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from connectors.protocols import Tokens

__all__ = ["SERVICE", "GraphCalendarSettings", "GraphSettings", "Pace"]

SERVICE = "https://graph.microsoft.com/v1.0"


@dataclass(frozen=True, slots=True)
class Pace:
    """How time passes while we wait for the service: a clock in seconds, a pause, and the share of a pause (0 to 1)
    that chance adds to it."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.SystemRandom().random


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSettings:
    """One account. `since` is the first day read (UTC), None for everything.

    login           the address of the mailbox
    by_address      the mailbox is asked for by its address: it is not that of the person who signed in
    service         the address of the service with its version
    only, skip      folders by display name, see `connectors.folders.choose_folders`
    markup          whether HTML comes as it was sent, for rules that ask for its data
    timeout         seconds to wait for any answer, final_timeout for the one to "send"
    folders_every   seconds between two looks at the list of folders and at those beside Inbox and Sent
    """

    account: str
    login: str
    tokens: Tokens = field(repr=False)
    by_address: bool = False
    service: str = SERVICE
    since: date | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    markup: bool = False
    timeout: float = 60.0
    final_timeout: float = 120.0
    folders_every: float = 300.0
    pace: Pace = Pace()

    @property
    def root(self) -> str:
        """The path of the mailbox below the service."""
        return f"/users/{self.login}" if self.by_address else "/me"


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCalendarSettings(GraphSettings):
    """The calendars of one mailbox; `only` and `skip` name calendars, `account` is the entry of `calendars:`.

    reminders   name of the calendar that reminders go to, "" = the first that takes them; `tasks` likewise for lists
    zone        IANA name of the zone of their owner
    """

    reminders: str = ""
    tasks: str = ""
    zone: str = "UTC"
