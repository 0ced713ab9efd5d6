"""The one working connection of an account: opened when needed, dropped when doubtful, counted."""

from __future__ import annotations

from collections.abc import Callable

from connectors.errors import Unavailable
from connectors.imap.connection import Connection, connect
from connectors.imap.settings import ImapSettings
from connectors.imap.trouble import translated

__all__ = ["Link"]


class Link:
    """At most one open connection; `opened` counts how many there have been, `heard` is called for each mail that
    comes."""

    def __init__(self, settings: ImapSettings, heard: Callable[[], None] = lambda: None) -> None:
        self.settings = settings
        self.heard = heard
        self.opened = 0
        self._connection: Connection | None = None

    @property
    def where(self) -> str:
        """host:port, for messages."""
        return f"{self.settings.host}:{self.settings.port}"

    @property
    def is_up(self) -> bool:
        """Whether a connection is open, as far as we know."""
        return self._connection is not None

    def connection(self) -> Connection:
        """The open connection, a new one if there is none. Raises ConnectorError."""
        if self._connection is None:
            self._connection = connect(self.settings)
            self.opened += 1
        return self._connection

    def renew(self) -> None:
        """Between two questions: let go of a connection whose login is about to end."""
        if self._connection is not None and self._connection.is_stale:
            self.drop()

    def drop(self) -> None:
        """Let go of the connection; never raises."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def abandon(self) -> None:
        """Close without a word: the line is dead or out of step."""
        connection, self._connection = self._connection, None
        if connection:
            connection.abandon()

    def reopen(self, key: str, uidvalidity: int) -> Connection:
        """A new connection with the same folder open. Raises Unavailable if the folder was renumbered meanwhile."""
        self.abandon()
        connection = self.connection()
        with translated(self.settings.account, self.where):
            standing = connection.examine(key)
        if standing.uidvalidity != uidvalidity:
            raise Unavailable(self.settings.account, "a folder was renumbered while it was read", hint="nothing to do")
        return connection
