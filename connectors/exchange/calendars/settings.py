"""What the connector of Exchange's calendars needs to know. Free of exchangelib, so that asking costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.exchange.settings import ExchangeSettings

__all__ = ["ExchangeCalendarSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeCalendarSettings:
    """The calendars of one mailbox.

    login       how the mailbox is opened; its `account` is the name of the calendars, its `only` and `skip` name
                calendars
    reminders   name of the calendar that reminders go to, "" = the mailbox's own; `tasks` likewise
    zone        IANA name of its owner's zone: for days, and for times whose zone nobody knows
    """

    login: ExchangeSettings
    reminders: str = ""
    tasks: str = ""
    zone: str = "UTC"

    @property
    def account(self) -> str:
        """The name below `calendars:`."""
        return self.login.account
