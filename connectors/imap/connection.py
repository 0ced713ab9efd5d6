"""One logged-in IMAP connection: connect, log in, list, look, examine. Sources open folders read-only."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from imapclient import IMAPClient, SocketTimeout

from config.accounts import is_loopback
from connectors import sasl
from connectors.errors import AuthRejected, Misconfigured, Unavailable
from connectors.folders import Folder, decode_name, folder_of, give_purposes
from connectors.imap.settings import ImapSettings
from connectors.imap.trouble import BUSY_CODES, translated
from connectors.imap.wire import (
    Answer,
    Node,
    Refused,
    Wire,
    compact,
    expand,
    internal_date,
    parse_internal_date,
    quote,
    tokens,
)
from connectors.protocols import Expiring
from connectors.refusals import find_refusal, login_command

__all__ = ["Connection", "Standing", "connect", "mailbox_name"]

_CONDSTORE = frozenset({"CONDSTORE", "QRESYNC"})
_STATUS = "UIDNEXT UIDVALIDITY MESSAGES"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a folder stands. 0 means the server did not say. `identity` is a name of the mailbox itself, "" if none."""

    uidnext: int = 0
    uidvalidity: int = 0
    messages: int = 0
    modseq: int = 0
    identity: str = ""


def connect(settings: ImapSettings) -> Connection:
    """Open a connection and log in. Raises ConnectorError; AuthRejected only for a tagged NO to the login.

    A token that the server would not take is renewed, and tried once more on another connection.
    """
    if settings.tokens is None:
        return _connect(settings, "")
    token = settings.tokens.bearer()
    try:
        return _connect(settings, token)
    except AuthRejected:
        token = settings.tokens.bearer(refused=token)
    return _connect(settings, token)


def _connect(settings: ImapSettings, token: str) -> Connection:
    where = f"{settings.host}:{settings.port}"
    _refuse_open_password(settings)
    context = _tls_context(settings)
    with translated(settings.account, where):
        timeout = SocketTimeout(connect=settings.connect_timeout, read=settings.read_timeout)
        tls = settings.security == "tls"
        client = IMAPClient(settings.host, settings.port, ssl=tls, ssl_context=context, timeout=timeout)
        client.normalise_times = False
    try:
        with translated(settings.account, where):
            if settings.security == "starttls":
                _start_tls(client, settings, context)
            _keep_alive(client.socket(), settings)
            return Connection(client, settings, _log_in(client, settings, token), token)
    except BaseException:
        _drop(client)
        raise


def _refuse_open_password(settings: ImapSettings) -> None:
    if settings.security != "none" or is_loopback(settings.host):
        return
    raise Misconfigured(
        settings.account,
        f"the password would travel to {settings.host} unprotected",
        hint="set `security: tls` or `security: starttls`",
    )


def _tls_context(settings: ImapSettings) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    if settings.ca and not Path(settings.ca).is_file():
        raise Misconfigured(settings.account, f"there is no file {settings.ca}", hint="correct `ca:` in quietcrm.yaml")
    try:
        return ssl.create_default_context(cafile=settings.ca or None)
    except ssl.SSLError as error:
        raise Misconfigured(
            settings.account, f"{settings.ca} holds no usable certificate", hint="`ca:` needs a PEM file"
        ) from error


def _start_tls(client: IMAPClient, settings: ImapSettings, context: ssl.SSLContext | None) -> None:
    if not client.has_capability("STARTTLS"):
        raise Misconfigured(
            settings.account,
            f"{settings.host}:{settings.port} does not offer STARTTLS",
            hint="try `security: tls` with port 993, or ask the server's admin",
        )
    client.starttls(context)


def _keep_alive(link: socket.socket, settings: ImapSettings) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 120), ("TCP_KEEPINTVL", 30), ("TCP_USER_TIMEOUT", 120_000)):
        if option := getattr(socket, name, None):  # Linux only; polling covers the rest
            with contextlib.suppress(OSError):
                link.setsockopt(socket.IPPROTO_TCP, option, value)
    link.settimeout(settings.read_timeout)


def _drop(client: IMAPClient) -> None:
    with contextlib.suppress(Exception):
        client.shutdown()


def _log_in(client: IMAPClient, settings: ImapSettings, token: str) -> frozenset[str]:
    """Log in and return the capabilities that hold from now on."""
    wire, said = Wire(client), b""
    before = frozenset(bytes(name).decode("ascii", "replace").upper() for name in client.capabilities())
    if token:
        answer, said = _show_token(wire, before, settings, token)
    else:
        answer = wire.run(_login_command(before, settings))[0]
    if answer.status != "OK":
        raise _login_error(settings, answer, said.decode("utf-8", "replace"))
    if answer.code == "CAPABILITY":
        return _words(answer.argument)
    return _told(answer) or _told(wire.say(b"CAPABILITY")) or before


def _show_token(wire: Wire, offers: frozenset[str], settings: ImapSettings, token: str) -> tuple[Answer, bytes]:
    mechanism = sasl.choose([name.removeprefix("AUTH=") for name in offers if name.startswith("AUTH=")])
    if not mechanism:
        where = f"{settings.host}:{settings.port}"
        hint = "set `password:` instead of `sign_in:`, or ask the server's admin"
        raise Misconfigured(settings.account, f"{where} takes no sign-in by token (XOAUTH2)", hint=hint)
    said = sasl.initial(mechanism, settings.login, token, settings.host, settings.port)
    return wire.authenticate(mechanism, said, at_once="SASL-IR" in offers, giving_up=sasl.GIVING_UP[mechanism])


def _told(answer: Answer) -> frozenset[str]:
    """Capabilities from an untagged answer, as Dovecot gives them after AUTHENTICATE without being asked."""
    lines = (pieces[0] for pieces in answer.untagged)
    return next((_words(line[13:]) for line in lines if line[2:13].upper() == b"CAPABILITY "), frozenset())


def _words(text: bytes) -> frozenset[str]:
    return frozenset(text.decode("ascii", "replace").upper().split())


def _login_command(capabilities: frozenset[str], settings: ImapSettings) -> bytes:
    if {"SASL-IR", "AUTH=PLAIN"} <= capabilities:  # RFC 4616 in one round trip; any charset
        secret = base64.b64encode(f"\0{settings.login}\0{settings.password}".encode())
        return b"AUTHENTICATE PLAIN " + secret
    if "LOGINDISABLED" in capabilities:
        raise Misconfigured(
            settings.account,
            f"{settings.host}:{settings.port} takes no password on this connection",
            hint="set `security: starttls` or `security: tls`",
        )
    return b"LOGIN %s %s" % (quote(settings.login), quote(settings.password))


def _login_error(settings: ImapSettings, answer: Answer, said: str) -> Exception:
    """`said`: why a token was refused, as the server put it."""
    where = f"{settings.host}:{settings.port}"
    text = answer.text.lower()
    if answer.code in BUSY_CODES or "too many" in text or "temporar" in text or "try again" in text:
        return Unavailable(settings.account, f"{where} takes no login now: {answer.text}", hint="nothing to do")
    if answer.status == "BAD":
        return Refused(answer.status, answer.code, answer.text)
    if answer.code == "PRIVACYREQUIRED":
        return Misconfigured(settings.account, f"{where} wants an encrypted connection", hint="set `security: tls`")
    token = settings.tokens is not None
    row = find_refusal(f"{answer.text} {said}", code="" if token else "password", provider=settings.host)
    hint = "check `login:` and the password; many providers want an app password"
    if token:
        hint = f"look at the mailbox's rights: quietcrm doctor; or sign in again: {login_command(settings.account)}"
    if row:
        hint = f"{row.cause}: {row.remedy}".replace("{login}", login_command(settings.account))
    return AuthRejected(settings.account, f"{where} refused the login of {settings.login}: {answer.text}", hint=hint)


class Connection:
    """A logged-in connection and what it knows: capabilities and the open folder. Errors come untranslated."""

    def __init__(
        self, client: IMAPClient, settings: ImapSettings, capabilities: frozenset[str], token: str = ""
    ) -> None:
        self.client = client
        self.wire = Wire(client)
        self.capabilities = capabilities
        self.open_key = ""
        self.exists = 0
        self.permanent: frozenset[str] | None = None
        """PERMANENTFLAGS of the folder opened last, in lower case; None where the server did not say."""
        self._settings = settings
        self._token = token

    @property
    def is_stale(self) -> bool:
        """Whether the token of this login has been renewed or is about to end: then connect anew, before the server
        cuts the line in the middle of something."""
        tokens = self._settings.tokens
        return isinstance(tokens, Expiring) and not tokens.lasts(self._token)

    def close(self) -> None:
        """Say goodbye if the line is up; never raises."""
        with contextlib.suppress(Exception):
            self.client.socket().settimeout(2.0)
            self.wire.run(b"LOGOUT")
        _drop(self.client)

    def abandon(self) -> None:
        """Close without a word; never raises."""
        _drop(self.client)

    def list_folders(self) -> tuple[list[Folder], dict[str, Standing]]:
        """All folders with their purposes and, by LIST-STATUS (RFC 5819) or one STATUS each, where they stand."""
        together = "LIST-STATUS" in self.capabilities
        opening = self.standings([self.open_key]) if self.open_key else {}
        command = b'LIST "" "*"' + (b" RETURN (SPECIAL-USE STATUS (%s))" % self._status_items() if together else b"")
        try:
            lines = self.wire.say(command).untagged
        except Refused:
            together, lines = False, self.wire.say(b'LIST "" "*"').untagged
        folders, standings = [], {}
        for line in map(tokens, lines):
            if folder := _listed(line):
                folders.append(folder)
            elif found := _standing(line):
                standings[found[0]] = found[1]
        purposed = give_purposes(list({folder.key: folder for folder in folders}.values()))
        if not together:
            standings = self.standings([folder.key for folder in purposed if folder.selectable])
        return purposed, standings | opening

    def _status_items(self) -> bytes:
        # Believe CAPABILITY: some servers show HIGHESTMODSEQ in SELECT and know nothing of CONDSTORE.
        extra = " HIGHESTMODSEQ" if self.capabilities & _CONDSTORE else ""
        extra += " MAILBOXID" if "OBJECTID" in self.capabilities else ""
        return (_STATUS + extra).encode()

    def standings(self, keys: Sequence[str]) -> dict[str, Standing]:
        """Where these folders stand, in one round trip: STATUS of each, but EXAMINE of the open one, of which STATUS
        may be stale (RFC 3501 6.3.10). A folder that refuses is left out."""
        items = self._status_items()
        reopened = self.open_key if self.open_key in keys else ""
        others = [key for key in keys if key != reopened]
        commands = [b"EXAMINE " + mailbox_name(reopened)] if reopened else []
        commands += [b"STATUS %s (%s)" % (mailbox_name(key), items) for key in others]
        answers = self.wire.run(*commands) if commands else []
        found = {}
        if reopened:
            opening = answers.pop(0)
            if opening.status == "OK":
                found[reopened] = self._examined(opening)
            else:
                self.open_key = ""
        for key, answer in zip(others, answers, strict=True):
            # The answer may spell the name otherwise than the question (quoted, literal, INBOX in any case).
            stands = [stand for pieces in answer.untagged if (stand := _standing(tokens(pieces)))]
            if stands and answer.status == "OK":
                found[key] = stands[-1][1]
        return found

    def examine(self, key: str) -> Standing:
        """Open a folder read-only (EXAMINE). Raises Refused if it cannot be opened."""
        return self._opened(b"EXAMINE ", key)

    def select(self, key: str) -> Standing:
        """Open a folder for writing: only a desk does, only for a mail of ours. `leave` it at once."""
        return self._opened(b"SELECT ", key)

    def append(self, key: str, raw: bytes, flags: Sequence[str], at: datetime | None = None) -> None:
        """Lay a mail into a folder (RFC 3501 6.3.11), `at` as its INTERNALDATE, by default now. Raises Refused."""
        command = b"APPEND %s (%s)" % (mailbox_name(key), " ".join(flags).encode("ascii"))
        command += b' "%s"' % internal_date(at) if at else b""
        self.wire.upload(command, raw, at_once="LITERAL+" in self.capabilities)

    def leave(self) -> None:
        """Leave the open folder without CLOSE, which would expunge (RFC 3691)."""
        self.open_key = ""
        if "UNSELECT" in self.capabilities:
            self.wire.run(b"UNSELECT")
        else:  # opening anything else, read-only, leaves this one
            self.wire.run(b"EXAMINE INBOX")

    def _opened(self, verb: bytes, key: str) -> Standing:
        self.open_key = ""
        standing = self._examined(self.wire.say(verb + mailbox_name(key)))
        self.open_key = key
        return standing

    def _examined(self, answer: Answer) -> Standing:
        values = {b"EXISTS": 0}
        self.permanent = None
        for line in (tokens(pieces) for pieces in answer.untagged):
            if len(line) >= 2 and line[1] == b"EXISTS":
                values[b"EXISTS"] = int(line[0])
            elif len(line) >= 3 and line[0] == b"OK" and isinstance(line[1], bytes):
                values[line[1].strip(b"[]").upper()] = _number(line[2])
                if line[1].upper() == b"[PERMANENTFLAGS" and isinstance(line[2], list):
                    self.permanent = frozenset(flag.decode("latin-1").lower() for flag in line[2] if flag)
        self.exists = values[b"EXISTS"]
        modseq = values.get(b"HIGHESTMODSEQ", 0) if self.capabilities & _CONDSTORE else 0
        return Standing(values.get(b"UIDNEXT", 0), values.get(b"UIDVALIDITY", 0), self.exists, modseq)

    def noop(self) -> bool:
        """Ask for news of the open folder in one round trip. True if mails may have come or were marked."""
        grown = False
        for pieces in self.wire.say(b"NOOP").untagged:
            line = pieces[0].split()
            if line[-1:] == [b"EXISTS"] and line[1].isdigit():
                self.exists, grown = int(line[1]), True
            elif b"FETCH" in line[2:3]:  # somebody marked one
                grown = True
        return grown

    def uids(self, low: int, high: int = 0, criteria: bytes = b"") -> list[int]:
        """UIDs from `low` to `high` (0: the end) in the open folder, ascending. `n:*` always names the last mail, so
        what lies below `low` is dropped (RFC 3501 6.4.8)."""
        span = b"UID %d:%s" % (low, b"%d" % high if high else b"*")
        esearch = "ESEARCH" in self.capabilities
        command = b"UID SEARCH %s%s%s" % (b"RETURN (ALL) " if esearch else b"", span, criteria and b" " + criteria)
        found: set[int] = set()
        for pieces in self.wire.say(command).untagged:
            found.update(_search_result(tokens(pieces)))
        return sorted(uid for uid in found if uid >= low and (not high or uid <= high))

    def arrivals(self, key: str, uids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """(INTERNALDATE in seconds since 1970, RFC822.SIZE) of those of these UIDs that exist in a folder.
        Opens it if it is not open, in the same round trip. Raises Refused."""
        commands = [b"UID FETCH %s (UID INTERNALDATE RFC822.SIZE)" % compact(uids)] if uids else []
        if self.open_key != key:
            self.open_key = ""
            commands.insert(0, b"EXAMINE " + mailbox_name(key))
        answers = [answer.ok() for answer in self.wire.run(*commands)] if commands else []
        self.open_key = key
        if len(answers) == 2:
            self._examined(answers[0])
        found = {}
        for line in (tokens(pieces) for answer in answers[-1:] for pieces in answer.untagged):
            if len(line) > 2 and isinstance(line[2], list):
                pairs = dict(zip(line[2][::2], line[2][1::2], strict=False))
                at = int(parse_internal_date(pairs.get(b"INTERNALDATE")).timestamp())
                found[_number(pairs.get(b"UID"))] = (at, _number(pairs.get(b"RFC822.SIZE")))
        return found


def mailbox_name(key: str) -> bytes:
    """A folder's key as a quoted string."""
    return b'"%s"' % key.replace("\\", "\\\\").replace('"', '\\"').encode("latin-1")


def _number(token: Node) -> int:
    digits = token.rstrip(b"]") if isinstance(token, bytes) else b""
    return int(digits) if digits.isdigit() else 0


def _listed(line: list[Node]) -> Folder | None:
    if len(line) < 4 or line[0].upper() not in (b"LIST", b"LSUB") or not isinstance(line[1], list):
        return None
    key = bytes(line[3] if line[3] is not None else b"NIL").decode("latin-1")
    delimiter = line[2].decode("latin-1") if isinstance(line[2], bytes) else ""
    attributes = [bytes(flag).decode("latin-1") for flag in line[1] if isinstance(flag, bytes)]
    return folder_of(key, decode_name(key), delimiter, attributes)


def _standing(line: list[Node]) -> tuple[str, Standing] | None:
    if len(line) < 3 or not isinstance(line[0], bytes) or line[0].upper() != b"STATUS" or not isinstance(line[2], list):
        return None
    pairs = dict(zip((bytes(key or b"").upper() for key in line[2][::2]), line[2][1::2], strict=False))
    identity = pairs.get(b"MAILBOXID")
    return bytes(line[1] or b"NIL").decode("latin-1"), Standing(
        _number(pairs.get(b"UIDNEXT")),
        _number(pairs.get(b"UIDVALIDITY")),
        _number(pairs.get(b"MESSAGES")),
        _number(pairs.get(b"HIGHESTMODSEQ")),
        identity[0].decode("latin-1") if isinstance(identity, list) and identity else "",
    )


def _search_result(line: list[Node]) -> list[int]:
    if not line or not isinstance(line[0], bytes):
        return []
    if line[0].upper() == b"SEARCH":
        return [int(token) for token in line[1:] if isinstance(token, bytes) and token.isdigit()]
    if line[0].upper() == b"ESEARCH":
        upper = [token.upper() if isinstance(token, bytes) else token for token in line]
        return list(expand(line[upper.index(b"ALL") + 1])) if b"ALL" in upper[:-1] else []
    return []
