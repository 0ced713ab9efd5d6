"""Commands and replies on an open SMTP connection (RFC 5321 4.2), each reply within a time of its own.

smtplib connects, speaks TLS and logs in; from there on the conversation goes through here. Its `data()` sends the
mail and its end in one go and takes half a reply for a whole one, and with either nobody could tell afterwards
whether a mail may have left.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass

__all__ = ["Closing", "Cut", "Garbled", "Line", "Reply"]

_REPLY = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?\Z", re.DOTALL)
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?!\S)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LONGEST = 64 << 10
_CLIP = 500


class Cut(OSError):
    """The server closed the connection."""


class Closing(Cut):
    """The server said 421: it closes the connection."""


class Garbled(ValueError):
    """What came is no reply, or not one to what was said."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply, its lines joined by a space; at most 500 characters, none of them a control character."""

    code: int
    text: str = ""

    @property
    def status(self) -> str:
        """The enhanced status code (RFC 3463, RFC 2034), e.g. "5.1.1"; "" if there is none."""
        match = _STATUS.match(self.text)
        return match[0] if match else ""

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()


class Line:
    """An open connection past its greeting and login. `timeout` in seconds, for each reply; `token` is what the login
    was done with, "" for a password. One thread at a time."""

    def __init__(self, smtp: smtplib.SMTP, timeout: float, *, token: str = "") -> None:
        if smtp.sock is None:
            raise Cut("the connection is closed")
        smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._smtp = smtp
        self._socket = smtp.sock
        self._timeout = timeout
        self._heard = b""
        self.token = token
        self.offers = dict(smtp.esmtp_features)

    def ask(self, *commands: str) -> list[Reply]:
        """Say commands and wait for their replies: together where the server offers PIPELINING (RFC 2920), else one by
        one. Ends with the first refusal if the rest of the replies do not come, or if the rest was not said.

        Raises Cut, Closing (421), Garbled, OSError.
        """
        replies: list[Reply] = []
        together = "pipelining" in self.offers
        if together:
            self.send("".join(f"{command}\r\n" for command in commands).encode())
        for command in commands:
            try:
                if not together:
                    self.send(f"{command}\r\n".encode())
                replies.append(self.reply())
            except OSError:
                if not (replies and _refused(replies[-1])):
                    raise
                return replies
            if replies[-1].code == 421:
                raise Closing(str(replies[-1]))
            if _refused(replies[-1]) and not together:
                break
        return replies

    def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        self._socket.settimeout(self._timeout)
        self._socket.sendall(data)

    def reply(self, seconds: float | None = None) -> Reply:
        """The next whole reply, within `seconds`. Raises Cut, Garbled, TimeoutError, OSError."""
        deadline = time.monotonic() + (self._timeout if seconds is None else seconds)
        code, texts, size = 0, [], 0
        while True:
            line = self._next_line(deadline)
            size += len(line)
            match = _REPLY.match(line.rstrip(b"\r\n"))
            if match is None or (code and int(match[1]) != code) or size > _LONGEST:
                raise Garbled(f"not a reply: {line[:60]!r}")
            code = int(match[1])
            texts.append((match[3] or b"").decode("utf-8", "replace"))
            if match[2] != b"-":
                return Reply(code, " ".join(_CONTROL.sub(" ", " ".join(texts)).split())[:_CLIP])

    def overheard(self) -> bool:
        """Whether the server has said something, or has closed the line, without being asked. Does not wait."""
        if not self._heard:
            self._socket.settimeout(0.0)
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
                self._heard = self._receive()
        return bool(self._heard)

    def quit(self) -> None:
        """Say goodbye, wait two seconds at most, close. Never raises."""
        with contextlib.suppress(OSError, Garbled):
            self.send(b"QUIT\r\n")
            self.reply(2.0)
        self.close()

    def close(self) -> None:
        """Close without a word. Never raises."""
        with contextlib.suppress(OSError):
            self._smtp.close()

    def _next_line(self, deadline: float) -> bytes:
        while b"\n" not in self._heard:
            if len(self._heard) > _LONGEST:
                raise Garbled("a line without end")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
            self._heard += self._receive()
        line, end, self._heard = self._heard.partition(b"\n")
        return line + end

    def _receive(self) -> bytes:
        data = self._socket.recv(4096)
        if not data:
            raise Cut("the server closed the connection")
        return data


def _refused(reply: Reply) -> bool:
    return reply.code >= 400
