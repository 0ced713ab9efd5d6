"""Where calendars are read and reminders are laid: one model per kind, told apart by `type`.

Apart from `accounts`: a calendar is no mailbox, and most offices have it with another provider, address or password.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from config.sign_in import SignIn, WebAddress
from config.values import Duration, Length, Location, Name, SecretSetting, Section, Words, fault

__all__ = [
    "MAILBOX_KINDS",
    "CaldavCalendar",
    "Calendar",
    "CalendarReading",
    "ExchangeCalendar",
    "FolderCalendar",
    "GraphCalendar",
    "IcsCalendar",
    "MailboxCalendar",
    "MemoryCalendar",
]

MAILBOX_KINDS = frozenset({"exchange", "graph"})
"""Types whose calendars come with a mailbox: an account of the same type opens them."""


class CalendarReading(Section):
    """What every kind has."""

    rep: Name | None = Field(
        None, description="whose calendars these are; by default the person with this name", examples=["ana"]
    )
    only: Words = Field((), description="read these calendars and no others", examples=["[Kunden, Team]"])
    not_: Words = Field((), alias="not", description="leave these calendars out", examples=["[Privat]"])
    reminders: str = Field(
        "",
        description="the calendar that reminders go to; by default the first one that takes events, of those read",
        examples=["Kunden"],
    )
    tasks: str = Field(
        "", description="the list that tasks go to; by default the first one that takes tasks", examples=["Aufgaben"]
    )
    every: Duration = Field(
        Length(5, "minute"), description="look for changes at least this often", examples=["5 minutes"]
    )


class MailboxCalendar(CalendarReading):
    """Calendars that come with a mailbox: who reads its mail reads them too, so no login is written twice."""

    account: Name | None = Field(
        None,
        description="the mailbox below `accounts` whose login opens these calendars; by default the one with this name",
        examples=["ana"],
    )


class CaldavCalendar(CalendarReading):
    """The calendars of one login at a CalDAV server: Nextcloud, iCloud, Google, Fastmail, Radicale, SOGo and others."""

    type: Literal["caldav"] = Field(description="calendars on a CalDAV server", examples=["caldav"])
    url: WebAddress = Field(
        description="address of the server, of the person's calendars, or of one calendar; the rest is looked up",
        examples=["https://cloud.vendas.example/"],
    )
    login: str = Field(description="user name at the server", examples=["ana@vendas.example"], min_length=1)
    password: SecretSetting | None = Field(
        None,
        description="where the password lies, as for accounts; many providers want an app password here",
        examples=["{env: ANA_CALENDAR_PASSWORD}"],
    )
    sign_in: SignIn | None = Field(
        None,
        description="sign in at a provider instead of by a password; Google takes nothing else",
        examples=["google"],
    )
    ca: Location | None = Field(
        None,
        description="certificate file (PEM) to trust instead of the system's, for a server with its own authority",
        examples=["ca.pem"],
    )

    @model_validator(mode="after")
    def _logs_in_one_way(self) -> CaldavCalendar:
        if self.password is None and self.sign_in is None:
            raise fault(
                "E304", "there is a login but neither password nor sign_in", "add: password: {env: CALENDAR_PASSWORD}"
            )
        if self.password is not None and self.sign_in is not None:
            raise fault("E305", "there are two ways to log in: password and sign_in", "keep one of them")
        return self


class ExchangeCalendar(MailboxCalendar):
    """The calendars and tasks of a mailbox on an Exchange Server (EWS)."""

    type: Literal["exchange"] = Field(
        description="calendars of a mailbox on an Exchange Server (EWS)", examples=["exchange"]
    )


class GraphCalendar(MailboxCalendar):
    """The calendars of a mailbox in Microsoft 365, and its lists of tasks in To Do."""

    type: Literal["graph"] = Field(description="calendars in Microsoft 365, by Microsoft Graph", examples=["graph"])


class FolderCalendar(CalendarReading):
    """Calendar files in a folder, as calendar programs and vdirsyncer keep them; each sub-folder is a calendar too."""

    type: Literal["folder"] = Field(
        description="a folder of calendar files (.ics), each sub-folder a calendar of its own", examples=["folder"]
    )
    path: Location = Field(description="where the folder lies", examples=["calendars/ana"])


class IcsCalendar(CalendarReading):
    """One exported calendar file. It is only read: reminders for its owner come as mail."""

    type: Literal["ics"] = Field(description="one exported calendar file (.ics), only read", examples=["ics"])
    path: Location = Field(description="where the file lies", examples=["calendars/ana.ics"])


class MemoryCalendar(CalendarReading):
    """Calendars that live in the process; for tests and the demo."""

    type: Literal["memory"] = Field(description="calendars that live in the process (tests)", examples=["memory"])


Calendar = Annotated[
    CaldavCalendar | ExchangeCalendar | FolderCalendar | GraphCalendar | IcsCalendar | MemoryCalendar,
    Field(discriminator="type"),
]
