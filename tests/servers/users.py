"""A mailbox on a running server, as tests use it."""

from __future__ import annotations

from dataclasses import dataclass

from servers.dovecot import DovecotServer


@dataclass(frozen=True, slots=True)
class ImapUser:
    """A fresh mailbox on a running server: `server.deliver(name, raw)` fills it."""

    server: DovecotServer
    name: str
    password: str

    @property
    def address(self) -> str:
        """The mail address that this mailbox stands for."""
        return f"{self.name}@vendas.example"
