"""What the CalDAV connector needs to know of an account."""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.protocols import Tokens

__all__ = ["CaldavSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaldavSettings:
    """One login at a CalDAV server.

    url         of the server, of the person's calendars, or of one calendar: what is missing is looked up
    tokens      instead of a password, where the account signs in
    only, skip  names of calendars that are read, or not
    reminders   name of the calendar that reminders go to, "" = the first that takes them; `tasks` likewise
    zone        the zone that floating times are read in
    """

    account: str
    url: str
    login: str
    password: str = field(default="", repr=False)
    tokens: Tokens | None = field(default=None, repr=False)
    ca: str = ""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    reminders: str = ""
    tasks: str = ""
    zone: str = "UTC"
