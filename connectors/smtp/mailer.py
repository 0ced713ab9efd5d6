"""Hands one mail to an SMTP server for one recipient (RFC 5321) and knows at each moment whether it may have left.

MAIL, RCPT            nothing can arrive yet: a broken line is tried once more on a new one
committing()          the caller writes down that from here on the mail may leave
DATA, the mail        without its final dot a server must not deliver it (RFC 5321 4.1.1.4): still not sent
the final dot         from its first byte until the whole last answer has come, nobody knows: OutcomeUnknown
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.errors import OutcomeUnknown, SendRejected
from connectors.model import OutgoingMail
from connectors.outgoing import render, wire_address
from connectors.protocols import Expiring
from connectors.smtp.line import Closing, Garbled, Line, Reply
from connectors.smtp.opening import SmtpSettings, open_line, rejected, translated

__all__ = ["SmtpMailer", "SmtpSettings"]

_RESTED = 5.0
"""Seconds without a mail after which the line is tried before it is used: that costs a turn."""
_LINE_START_DOT = re.compile(rb"(?m)^\.")
_PATH = re.compile(r"[^\s<>\x00-\x20\x7f-\x9f\ud800-\udfff]+@[\x21-\x3b\x3d\x3f\x41-\x7e]+\Z")
_LONGEST_ENVELOPE_ID = 100
_LONGEST_PATH = 254
_ABOUT_THE_MAIL = ("5.3.4", "4.3.4", "5.2.3", "4.2.3")
"""Enhanced codes that say "too big", whichever command they answer (RFC 3463 3.3, 3.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """What goes over the line: envelope and finished mail."""

    sender: str
    recipient: str
    message_id: str
    raw: bytes

    @property
    def needs_utf8(self) -> bool:
        """Whether only a server with SMTPUTF8 (RFC 6531) can take it."""
        return not (self.raw.isascii() and self.sender.isascii() and self.recipient.isascii())

    def commands(self, offers: Mapping[str, str]) -> tuple[str, str]:
        """MAIL and RCPT. Where the server knows DSN (RFC 3461) it is asked to tell of failure and delay, with an
        ENVID by which the report can be joined to the mail; for the null sender nobody could be told."""
        mail, rcpt = [f"MAIL FROM:<{self.sender}>"], [f"RCPT TO:<{self.recipient}>"]
        if "size" in offers:
            mail.append(f"SIZE={len(self.raw)}")
        if self.needs_utf8:
            mail.append("BODY=8BITMIME SMTPUTF8")
        if "dsn" in offers and self.sender:
            mail.append("RET=HDRS")
            if len(envelope_id := _xtext(self.message_id)) <= _LONGEST_ENVELOPE_ID and self.message_id.isascii():
                mail.append(f"ENVID={envelope_id}")
            rcpt.append("NOTIFY=FAILURE,DELAY")
            if self.recipient.isascii():
                rcpt.append(f"ORCPT=rfc822;{_xtext(self.recipient)}")
        return " ".join(mail), " ".join(rcpt)


class SmtpMailer:
    """A `Mailer` over SMTP. Keeps its connection between mails; one thread at a time."""

    def __init__(self, settings: SmtpSettings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._line: Line | None = None
        self._used_at = 0.0

    @property
    def account(self) -> str:
        """The sender's name in quietcrm.yaml."""
        return self._settings.account

    def check(self) -> tuple[str, ...]:
        """Connect and log in; says how the line is protected and how large a mail may be."""
        with translated(self._settings):
            offers = self._open().offers
        how = {"tls": "TLS", "starttls": "STARTTLS", "none": "no encryption"}[self._settings.security]
        size = offers.get("size", "")
        return (f"{self._settings.where} answers with {how}", *([f"takes mails up to {size} bytes"] if size else []))

    def send(
        self,
        mail: OutgoingMail,
        *,
        envelope_from: str,
        recipient: str,
        committing: Callable[[], None] = lambda: None,
    ) -> str:
        """One transaction; the server's last answer. Raises SendRejected for 4xx and 5xx answers, Unavailable and
        ProtocolViolation when the line broke before the end of the mail, OutcomeUnknown after it, HeaderMismatch when
        the mail would not say what was planned, and whatever `committing` raises."""
        parcel = _Parcel(
            sender=self._path(envelope_from, "sender") if envelope_from else "",
            recipient=self._path(recipient, "recipient"),
            message_id=mail.message_id,
            raw=render(mail, utf8=True),
        )
        line = self._introduce(parcel)
        try:
            committing()
        except BaseException:
            self._reset()
            raise
        self._hand_over(line, parcel.raw)
        return self._finish(line)

    def close(self) -> None:
        """Say goodbye if the line is up; never raises."""
        line, self._line = self._line, None
        if line:
            line.quit()

    # -- the line

    def _open(self) -> Line:
        """The open line, tried first if it has rested; else, and where its login is about to end, a new one."""
        tokens = self._settings.tokens
        if self._line and isinstance(tokens, Expiring) and not tokens.lasts(self._line.token):
            self.close()
        if self._line and self._monotonic() - self._used_at > _RESTED:
            with contextlib.suppress(OSError, Garbled):
                if self._line.ask("NOOP")[0].code == 250:
                    return self._line
            self._drop()
        if self._line is None:
            self._line = open_line(self._settings)
        self._used_at = self._monotonic()
        return self._line

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line:
            line.close()

    def _reset(self) -> None:
        """End the transaction, so that the next mail starts clean; if that fails the line is dropped."""
        try:
            if self._line and self._line.ask("RSET")[0].code != 250:
                self._drop()
        except (OSError, Garbled):
            self._drop()

    # -- one transaction

    def _introduce(self, parcel: _Parcel) -> Line:
        """A line on which the server has accepted sender and recipient. Servers end a line after so many mails or so
        many seconds: one that was used before is replaced once."""
        before = self._line
        with translated(self._settings):
            try:
                return self._ask_leave(parcel)
            except (OSError, Garbled):
                again = before is not None and self._line is before  # a new one that failed is not tried twice
                self._drop()
                if not again:
                    raise
            try:
                return self._ask_leave(parcel)
            except (OSError, Garbled):
                self._drop()
                raise

    def _ask_leave(self, parcel: _Parcel) -> Line:
        line = self._open()
        if parcel.needs_utf8 and not {"smtputf8", "8bitmime"} <= line.offers.keys():
            raise self._no_utf8(parcel)
        try:
            for stage, reply in zip(("sender", "recipient"), line.ask(*parcel.commands(line.offers)), strict=False):
                self._judge(stage, reply)
        except SendRejected:
            self._reset()
            raise
        return line

    def _hand_over(self, line: Line, raw: bytes) -> None:
        """DATA and the mail without its end. Whatever goes wrong here, the mail was not sent."""
        try:
            with translated(self._settings):
                (reply,) = line.ask("DATA")
                self._judge("mail", reply)
                if reply.code != 354:
                    raise Garbled(f"DATA was answered with {reply}")
        except SendRejected:
            self._reset()
            raise
        except BaseException:
            self._drop()
            raise
        try:
            with translated(self._settings):
                line.send(_LINE_START_DOT.sub(b"..", raw))
                if line.overheard():  # it has given up on this mail: too big, closing
                    reply = line.reply()
                    self._judge("mail", reply)
                    raise Garbled(f"an answer before the end of the mail: {reply}")
        except BaseException:
            self._drop()
            raise

    def _finish(self, line: Line) -> str:
        """The final dot and the answer to it. Only a whole, well-formed answer says what happened."""
        try:
            line.send(b".\r\n")
            reply = line.reply(self._settings.final_timeout)
            if reply.code // 100 == 3:
                raise Garbled(f"the mail was answered with {reply}")
        except BaseException as error:
            self._drop()
            if not isinstance(error, Exception):
                raise
            raise OutcomeUnknown(
                self.account,
                f"{self._settings.where} was given the whole mail and its answer did not come: {error}",
                hint="look for the mail in Sent, or ask the recipient; it is not sent again by itself",
            ) from error
        if reply.code == 421:
            self._drop()
        if reply.code >= 400:
            raise rejected(self._settings, "mail", reply)
        self._used_at = self._monotonic()
        return str(reply)

    def _judge(self, stage: str, reply: Reply) -> None:
        """Raises SendRejected for 4xx and 5xx, Closing for 421."""
        if reply.code == 421:
            raise Closing(str(reply))
        if reply.code >= 400:
            too_big = reply.code == 552 or reply.status in _ABOUT_THE_MAIL
            raise rejected(self._settings, "mail" if too_big and stage == "sender" else stage, reply)

    def _path(self, address: str, stage: str) -> str:
        """An address as it stands in MAIL and RCPT. Raises SendRejected if it cannot."""
        path = wire_address(address)
        if len(path.encode("utf-8", "replace")) <= _LONGEST_PATH and _PATH.match(path):
            return path
        raise SendRejected(
            self.account,
            f"{address[:80]!r} cannot stand in an envelope",
            permanent=True,
            stage=stage,
            hint="correct the address",
        )

    def _no_utf8(self, parcel: _Parcel) -> SendRejected:
        ours = parcel.recipient.isascii() and not parcel.sender.isascii()
        address = parcel.sender if ours else parcel.recipient
        return SendRejected(
            self.account,
            f"{self._settings.where} takes no address with other letters than English ones before the @ (no SMTPUTF8):"
            f" {address}",
            permanent=True,
            stage="sender" if ours else "recipient",
            hint="use another address of this person, or send by a server that offers SMTPUTF8 (RFC 6531)",
        )


def _xtext(text: str) -> str:
    """RFC 3461 4: printable ASCII without + and =, everything else as +XX."""
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in text)
