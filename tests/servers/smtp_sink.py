"""A small real SMTP server on loopback (RFC 5321) that keeps what it is given and answers by script.

Offers SIZE, 8BITMIME, SMTPUTF8, DSN and PIPELINING (or what `offers` says); STARTTLS when it has certificates, AUTH
PLAIN when it has users, XOAUTH2 or OAUTHBEARER when it has `tokens`.
"""

from __future__ import annotations

import base64
import binascii
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from servers import spy
from servers.certificates import Certificates
from servers.listener import Listener

Stage = Literal["connect", "auth", "mail", "rcpt", "data", "body", "dot", "rset"]
OFFERS = ("8BITMIME", "SMTPUTF8", "DSN", "PIPELINING")


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One mail that was accepted."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    """With CRLF line ends, dots unstuffed, without the final dot."""
    login: str = ""
    tls: bool = False
    parameters: tuple[str, ...] = ()
    """What followed the addresses in MAIL and RCPT: `SIZE=9`, `NOTIFY=FAILURE,DELAY`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to say at a stage instead of the usual. `cut` closes the connection without a word.

    At the stage `dot` a code of 2xx, or `cut` with `keep`, means that the mail was accepted and is kept.

    raw         sent as it stands instead of code and text
    cut_after   closes the connection after so many bytes: of this answer, at the stage `body` of the mail itself
    wait        the answer is held back until this event is set, or the client goes, or the sink stops
    reset       a connection that is closed here ends with RST instead of FIN
    """

    code: int = 250
    text: str = "by script"
    cut: bool = False
    keep: bool = False
    raw: bytes = b""
    cut_after: int = -1
    wait: threading.Event | None = None
    reset: bool = False


class SmtpSink:
    """`with SmtpSink() as sink:` then `sink.port`, `sink.mails`, `sink.await_mails(n)`.

    `answers` maps (stage, address) to an Answer, or to a list of them, one for each time it is asked for (then the
    usual again); the address is a recipient for `rcpt`, `data`, `body` and `dot`, the envelope sender for `mail`, and
    "" stands for anybody. It may be changed while the server runs. `commands` are the verbs heard, in order. `narrow`
    keeps the buffers of the connections small, so that a client cannot have sent 200 KB before they are read. `tokens`
    gives the login that an access token belongs to ("" for none), `mechanism` is the one by which they are taken.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        users: dict[str, str] | None = None,
        certificates: Certificates | None = None,
        size: int = 20_000_000,
        offers: Sequence[str] = OFFERS,
        narrow: bool = False,
        tokens: Callable[[str], str] | None = None,
        mechanism: str = "XOAUTH2",
    ) -> None:
        self.users = users or {}
        self.tokens = tokens
        self.mechanism = mechanism
        self.size = size
        self.offers = tuple(offers)
        self.answers: dict[tuple[Stage, str], Answer | list[Answer]] = {}
        self.mails: list[Envelope] = []
        self.commands: list[str] = []
        self.stopping = threading.Event()
        self.tls = None if certificates is None else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self.tls is not None and certificates is not None:
            self.tls.load_cert_chain(certificates.certificate, certificates.key)
        self._arrived = threading.Condition()
        self._listener = Listener("smtp-sink", lambda connection: _Conversation(self, connection).run(), narrow=narrow)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and end every connection; what was kept stays readable."""
        self.stopping.set()
        self._listener.stop()

    def await_mails(self, count: int, *, seconds: float = 20.0) -> list[Envelope]:
        """All mails so far once there are at least `count`; raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.mails) >= count, timeout=seconds):
                raise TimeoutError(f"{len(self.mails)} of {count} mails after {seconds:.0f} s")
            return list(self.mails)

    def keep(self, envelope: Envelope) -> None:
        """Record one accepted mail and wake who waits for it."""
        spy.look_at_mail(envelope.data, "SMTP sink")
        with self._arrived:
            self.mails.append(envelope)
            self._arrived.notify_all()

    def said(self, command: str, answer: Answer) -> None:
        """An answer was sent, the one after the final dot as that to DATA. For those who watch; `answer` comes before
        it."""

    def cutting(self, answer: Answer) -> None:
        """The bytes of an answer up to its `cut_after` were sent, the connection is closed when this returns."""

    def answer(self, stage: Stage, addresses: list[str], usual: Answer) -> Answer:
        """The scripted answer for the first address that has one, else the one for anybody, else the usual."""
        with self._arrived:
            for address in (*addresses, ""):
                scripted = self.answers.get((stage, address.lower()))
                if isinstance(scripted, Answer):
                    return scripted
                if scripted:
                    return scripted.pop(0)
        return usual


class _Over(Exception):
    """The conversation ends here."""


@dataclass(slots=True)
class _Transaction:
    sender: str = ""
    recipients: list[str] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)


class _Conversation:
    """One connection: reads a command, answers it, until QUIT, a cut or the client's end."""

    def __init__(self, sink: SmtpSink, connection: socket.socket) -> None:
        self._sink = sink
        # Two replies in a row would else wait for each other's acknowledgement, 40 ms each time.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._input = connection.makefile("rb")
        self._mail: _Transaction | None = None
        self._login = ""
        self._tls = False
        self._commands: dict[str, Callable[[str], Answer | None]] = {
            "EHLO": self._greet, "HELO": self._greet, "STARTTLS": self._start_tls, "AUTH": self._authenticate,
            "MAIL": self._begin, "RCPT": self._recipient, "DATA": self._data, "RSET": self._reset,
            "NOOP": lambda _: Answer(text="OK"), "QUIT": self._quit,
        }  # fmt: skip

    def run(self) -> None:
        try:
            self._say(self._sink.answer("connect", [], Answer(code=220, text="sink.example ESMTP")))
            while line := self._input.readline(4096):
                word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
                self._sink.commands.append(word.upper())
                command = self._commands.get(word.upper())
                answer = command(rest) if command else Answer(code=500, text="no such command")
                if answer is not None:
                    self._say(answer)
                    self._sink.said(word.upper(), answer)
        except _Over:
            return
        finally:
            self._input.close()
            self._socket.close()

    def _say(self, answer: Answer) -> None:
        if answer.wait:
            while not answer.wait.wait(0.05) and not self._sink.stopping.is_set():
                continue
        if answer.reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if answer.cut:
            raise _Over
        lines = answer.text.split("\n")
        words = [f"{answer.code}-{line}" for line in lines[:-1]] + [f"{answer.code} {lines[-1]}"]
        data = answer.raw or "".join(f"{line}\r\n" for line in words).encode()
        if answer.cut_after >= 0:
            self._socket.sendall(data[: answer.cut_after])
            self._sink.cutting(answer)
            raise _Over
        self._socket.sendall(data)

    def _greet(self, _: str) -> Answer:
        self._mail = None
        offers = ["sink.example", f"SIZE {self._sink.size}", *self._sink.offers]
        if self._sink.tls is not None and not self._tls:
            offers.append("STARTTLS")
        ways = ["PLAIN"] * bool(self._sink.users) + [self._sink.mechanism] * bool(self._sink.tokens)
        if ways:
            offers.append(f"AUTH {' '.join(ways)}")
        return Answer(text="\n".join(offers))

    def _start_tls(self, _: str) -> None:
        if self._sink.tls is None or self._tls:
            self._say(Answer(code=502, text="no TLS here"))
            return
        self._say(Answer(code=220, text="go ahead"))
        self._input.close()
        self._socket = self._sink.tls.wrap_socket(self._socket, server_side=True)
        self._input = self._socket.makefile("rb")
        self._mail, self._login, self._tls = None, "", True

    def _authenticate(self, rest: str) -> Answer:
        mechanism, _, initial = rest.partition(" ")
        scripted = self._sink.answer("auth", [], Answer())
        if scripted.code >= 400:
            return scripted
        if self._sink.tokens is not None and mechanism.upper() == self._sink.mechanism:
            return self._take_token(base64.b64decode(initial).decode(), self._sink.tokens)
        if mechanism.upper() != "PLAIN":
            return Answer(code=504, text="only PLAIN")
        if not initial:
            self._say(Answer(code=334, text=""))
            initial = self._input.readline(4096).decode("ascii", "replace").strip()
        try:
            _, login, password = base64.b64decode(initial, validate=True).decode().split("\0")
        except (binascii.Error, ValueError):
            return Answer(code=501, text="not understood")
        if self._sink.users.get(login) != password:
            return Answer(code=535, text="5.7.8 wrong login or password")
        self._login = login
        return Answer(code=235, text="2.7.0 welcome")

    def _take_token(self, said: str, owner: Callable[[str], str]) -> Answer:
        """XOAUTH2, or OAUTHBEARER (RFC 7628): a refused token gets a challenge first, which wants an answer."""
        parts = said.split("\x01")
        login = parts[0].removeprefix("user=").removeprefix("n,a=").removesuffix(",")
        token = next((part.removeprefix("auth=Bearer ") for part in parts if part.startswith("auth=Bearer ")), "")
        if login and owner(token) == login:
            self._login = login
            return Answer(code=235, text="2.7.0 welcome")
        self._say(Answer(code=334, text=base64.b64encode(b'{"status":"401","schemes":"bearer"}').decode()))
        self._input.readline(4096)
        return Answer(code=535, text="5.7.8 token not accepted")

    def _begin(self, rest: str) -> Answer:
        if (self._sink.users or self._sink.tokens) and not self._login:
            return Answer(code=530, text="5.7.0 log in first")
        sender, parameters = _path(rest)
        sizes = [word[5:] for word in parameters.upper().split() if word.startswith("SIZE=")]
        if sizes and int(sizes[0]) > self._sink.size:
            return Answer(code=552, text="5.3.4 too big")
        answer = self._sink.answer("mail", [sender], Answer(text="2.1.0 OK"))
        if answer.code < 300:
            self._mail = _Transaction(sender=sender, parameters=parameters.split())
        return answer

    def _recipient(self, rest: str) -> Answer:
        if self._mail is None:
            return Answer(code=503, text="MAIL first")
        address, parameters = _path(rest)
        answer = self._sink.answer("rcpt", [address], Answer(text="2.1.5 OK"))
        if answer.code < 300:
            self._mail.recipients.append(address)
            self._mail.parameters += parameters.split()
        return answer

    def _data(self, _: str) -> Answer:
        if self._mail is None or not self._mail.recipients:
            return Answer(code=503, text="RCPT first")
        mail, self._mail = self._mail, None
        answer = self._sink.answer("data", mail.recipients, Answer(code=354, text="end with a dot"))
        if answer.cut or answer.code != 354:
            return answer
        self._say(answer)
        data = self._read_mail(self._sink.answer("body", mail.recipients, Answer()))
        answer = self._sink.answer("dot", mail.recipients, Answer(text="2.0.0 kept"))
        if answer.keep or (answer.code < 300 and not answer.cut):
            self._sink.keep(Envelope(
                sender=mail.sender, recipients=tuple(mail.recipients), data=data, login=self._login, tls=self._tls,
                parameters=tuple(mail.parameters),
            ))  # fmt: skip
        return answer

    def _read_mail(self, script: Answer) -> bytes:
        """The mail up to its final dot. By script the line is cut within it, or it is answered before its end."""
        lines: list[bytes] = []
        if script.cut_after >= 0:
            self._input.read(script.cut_after)
            raise _Over
        if script.code != 250:
            self._say(script)
            raise _Over
        while (line := self._input.readline()) != b".\r\n":
            if not line:
                raise _Over  # the client went away before the final dot: nothing was accepted
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _reset(self, _: str) -> Answer:
        self._mail = None
        return self._sink.answer("rset", [], Answer(text="2.0.0 OK"))

    def _quit(self, _: str) -> None:
        self._say(Answer(code=221, text="2.0.0 bye"))
        raise _Over


def _path(argument: str) -> tuple[str, str]:
    """`FROM:<a@b> SIZE=9` as (`a@b`, `SIZE=9`)."""
    inside, _, parameters = argument.partition("<")[2].partition(">")
    return inside, parameters
