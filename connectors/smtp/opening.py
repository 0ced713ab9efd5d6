"""Opens an SMTP connection (TLS, STARTTLS, or on loopback in the clear; login) and names what can go wrong on one."""

from __future__ import annotations

import base64
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.accounts import is_loopback
from connectors import sasl
from connectors.errors import (
    AuthRejected,
    ConnectorError,
    Misconfigured,
    ProtocolViolation,
    SendRejected,
    Unavailable,
)
from connectors.protocols import Tokens
from connectors.refusals import find_refusal, login_command
from connectors.smtp.line import Garbled, Line, Reply

__all__ = ["LATER", "SmtpSettings", "open_line", "rejected", "translated"]

LATER = "quietcrm tries again by itself; if it lasts, look at the mail server"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """One way out. `security` is none, starttls or tls. `timeout` for each answer, `final_timeout` for the one after
    the final dot (RFC 5321 4.5.3.2.6 asks for 600), in seconds. `tokens` logs in with an access token instead of the
    password."""

    account: str
    host: str
    port: int
    security: str = "tls"
    ca: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    tokens: Tokens | None = field(default=None, repr=False, hash=False)
    timeout: float = 60.0
    final_timeout: float = 600.0

    @property
    def where(self) -> str:
        """host:port, for messages."""
        return f"{self.host}:{self.port}"


def open_line(settings: SmtpSettings) -> Line:
    """Connect, protect, log in. A token that the server would not take is renewed, and tried once more on another
    connection. Raises what `translated` knows, and Misconfigured."""
    if settings.tokens is None:
        return _open_line(settings, "")
    token = settings.tokens.bearer()
    try:
        return _open_line(settings, token)
    except smtplib.SMTPAuthenticationError as error:
        if not 500 <= error.smtp_code < 600:
            raise
    return _open_line(settings, settings.tokens.bearer(refused=token))


def _open_line(settings: SmtpSettings, token: str) -> Line:
    if settings.security == "none" and not is_loopback(settings.host):
        raise Misconfigured(
            settings.account,
            f"mail would travel to {settings.host} unprotected",
            hint="set `security: starttls` or `tls`",
        )
    context = _context(settings)
    host, port, name, timeout = settings.host, settings.port, _own_name(), settings.timeout
    if context and settings.security == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(host, port, name, timeout=timeout, context=context)
    else:
        smtp = smtplib.SMTP(host, port, name, timeout=timeout)
    try:
        smtp.ehlo_or_helo_if_needed()
        if context and settings.security == "starttls":
            smtp.starttls(context=context)
            smtp.ehlo()
        if token:
            _show_token(smtp, settings, token)
        elif settings.login:
            _log_in(smtp, settings)
        return Line(smtp, settings.timeout, token=token)
    except BaseException:
        smtp.close()
        raise


def _log_in(smtp: smtplib.SMTP, settings: SmtpSettings) -> None:
    """smtplib knows ASCII alone; PLAIN takes every letter as UTF-8 (RFC 4616 2)."""
    if f"{settings.login}{settings.password}".isascii():
        smtp.login(settings.login, settings.password)
        return
    if "PLAIN" not in smtp.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError("AUTH PLAIN, for a password with other letters than English ones")
    said = base64.b64encode(f"\0{settings.login}\0{settings.password}".encode()).decode("ascii")
    code, text = smtp.docmd("AUTH", f"PLAIN {said}")
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, text)


def _show_token(smtp: smtplib.SMTP, settings: SmtpSettings, token: str) -> None:
    """A refused token gets a challenge (334) that says why, and must be answered before the 535."""
    mechanism = sasl.choose(smtp.esmtp_features.get("auth", "").split())
    if not mechanism:
        hint = "set `password:` instead of `sign_in:`, or ask the server's admin"
        raise Misconfigured(settings.account, f"{settings.where} takes no sign-in by token (XOAUTH2)", hint=hint)
    said = sasl.initial(mechanism, settings.login, token, settings.host, settings.port)
    code, text = smtp.docmd("AUTH", f"{mechanism} {base64.b64encode(said).decode('ascii')}")
    if code == 334:
        code, text = smtp.docmd(sasl.GIVING_UP[mechanism].decode("ascii"))
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, text)


def _own_name() -> str:
    """What we call ourselves in EHLO, without asking a name server: that may hang, and no timeout of ours ends it.
    An address literal where this machine has no full name (RFC 5321 4.1.4)."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _context(settings: SmtpSettings) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    if settings.ca and not Path(settings.ca).is_file():
        raise Misconfigured(settings.account, f"there is no file {settings.ca}", hint="correct `ca:` in quietcrm.yaml")
    return ssl.create_default_context(cafile=settings.ca or None)


def rejected(settings: SmtpSettings, stage: str, reply: Reply) -> SendRejected:
    """The boundary error for a 4xx or 5xx reply. `stage` is sender, recipient or mail."""
    permanent = reply.code >= 500
    hints = {
        "sender": "look at `login:` and the From address of this sender: the server does not let it send",
        "recipient": "correct the address, or ask the recipient; the server's answer says why",
        "mail": "read the server's answer: the content or the size is refused",
    }
    return SendRejected(
        settings.account,
        f"{settings.where} refused the {stage}: {str(reply)[:300]}",
        permanent=permanent,
        code=reply.code,
        status=reply.status,
        stage=stage,
        hint=hints[stage] if permanent else LATER,
    )


@contextmanager
def translated(settings: SmtpSettings) -> Iterator[None]:
    """Re-raise what smtplib, ssl, sockets and the line raise as ConnectorError. Only a 534 or 535 to the login is a bad
    password."""
    account, where = settings.account, settings.where
    try:
        yield
    except ConnectorError:
        raise
    except Garbled as error:
        raise ProtocolViolation(account, f"{where} answered what is not SMTP: {error}", hint=LATER) from error
    except smtplib.SMTPAuthenticationError as error:
        raise _login_error(settings, error) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Misconfigured(
            account,
            f"{where} does not offer what the settings ask for: {error}",
            hint="compare `security:` and `login:`",
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured(
            account,
            f"the certificate of {where} cannot be verified: {error.verify_message}",
            hint="set `ca:` to the file with the certificate authority",
        ) from error
    except UnicodeError as error:  # a host name that cannot be one
        raise Misconfigured(account, f"{where} cannot be asked: {error}", hint="correct `host:`") from error
    except ssl.SSLError as error:
        raise _no_tls(account, where, error) from error
    except TimeoutError as error:
        raise Unavailable(account, f"{where} did not answer in time", hint=LATER) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(account, f"the connection to {where} failed: {error}", hint=LATER) from error


def _no_tls(account: str, where: str, error: ssl.SSLError) -> ConnectorError:
    if error.reason == "WRONG_VERSION_NUMBER":
        return Misconfigured(
            account, f"{where} does not speak TLS from the first byte", hint="set `security: starttls`, or another port"
        )
    return Unavailable(account, f"the TLS connection to {where} failed: {error.reason or error}", hint=LATER)


def _login_error(settings: SmtpSettings, error: smtplib.SMTPAuthenticationError) -> ConnectorError:
    account, where = settings.account, settings.where
    said = error.smtp_error.decode("utf-8", "replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
    said = " ".join(said.split())[:200]
    token = settings.tokens is not None
    row = find_refusal(said, code="" if token else "password", provider=settings.host)
    if error.smtp_code in (534, 535):
        hint = f"sign in again: {login_command(account)}" if token else "check `login:` and the password"
        if row:
            hint = f"{row.cause}: {row.remedy}".replace("{login}", login_command(account))
        return AuthRejected(account, f"{where} refused the login: {said}", hint=hint)
    if 500 <= error.smtp_code < 600:
        return Misconfigured(account, f"{where} takes no login: {error.smtp_code} {said}", hint="compare `security:`")
    return Unavailable(account, f"{where} takes no login now: {error.smtp_code} {said}", hint=LATER)
