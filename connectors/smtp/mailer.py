"""Hands one mail to an SMTP server for one recipient (RFC 5321), over TLS, STARTTLS or, on loopback, in the clear."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.accounts import is_loopback
from connectors.errors import AuthRejected, ConnectorError, Misconfigured, SendRejected, Unavailable
from connectors.model import OutgoingMail
from connectors.outgoing import render

__all__ = ["SmtpMailer", "SmtpSettings", "translated"]

_LATER = "quietcrm tries again by itself; if it lasts, look at the mail server"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """One way out. `security` is none, starttls or tls. `timeout` for each answer, `final_timeout` for the one after
    the final dot (RFC 5321 4.5.3.2.6 asks for 600), in seconds."""

    account: str
    host: str
    port: int
    security: str = "tls"
    ca: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    timeout: float = 60.0
    final_timeout: float = 600.0


class SmtpMailer:
    """A `Mailer` over SMTP. Keeps its connection between mails; one thread at a time."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._smtp: smtplib.SMTP | None = None

    @property
    def account(self) -> str:
        """The sender's name in quietcrm.yaml."""
        return self._settings.account

    def check(self) -> tuple[str, ...]:
        """Connect and log in; says how the line is protected and how large a mail may be."""
        with translated(self.account, self._where):
            smtp = self._open()
            how = {"tls": "TLS", "starttls": "STARTTLS", "none": "no encryption"}[self._settings.security]
            limit = smtp.esmtp_features.get("size", "")
            return (f"{self._where} answers with {how}", *([f"takes mails up to {limit} bytes"] if limit else []))

    def send(self, mail: OutgoingMail, *, envelope_from: str, recipient: str) -> None:
        """One transaction. Raises SendRejected for 4xx and 5xx answers to this mail, Unavailable when the line broke,
        HeaderMismatch when the mail would not say what was planned."""
        raw = render(mail)
        with translated(self.account, self._where):
            try:
                self._transact(self._open(), raw, envelope_from, recipient)
            except (SendRejected, smtplib.SMTPResponseException):
                with contextlib.suppress(smtplib.SMTPException, OSError):
                    if self._smtp:
                        self._smtp.rset()
                raise
            except BaseException:
                self._drop()
                raise

    def close(self) -> None:
        """Say goodbye if the line is up; never raises."""
        smtp, self._smtp = self._smtp, None
        if smtp:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()
            smtp.close()

    @property
    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp:
            smtp.close()

    def _open(self) -> smtplib.SMTP:
        """The open connection if it still answers, else a new one."""
        if self._smtp is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                if self._smtp.noop()[0] == 250:
                    return self._smtp
            self._drop()
        self._smtp = _connect(self._settings)
        return self._smtp

    def _transact(self, smtp: smtplib.SMTP, raw: bytes, envelope_from: str, recipient: str) -> None:
        code, text = smtp.mail(envelope_from, [f"size={len(raw)}"] if smtp.has_extn("size") else [])
        self._require(code, text, {250}, "the sender")
        code, text = smtp.rcpt(recipient)
        self._require(code, text, {250, 251}, "the recipient")
        if smtp.sock:
            smtp.sock.settimeout(self._settings.final_timeout)
        code, text = smtp.data(raw)
        self._require(code, text, {250}, "the mail")
        if smtp.sock:
            smtp.sock.settimeout(self._settings.timeout)

    def _require(self, code: int, text: bytes, wanted: set[int], what: str) -> None:
        if code in wanted:
            return
        if code == 421:
            raise smtplib.SMTPServerDisconnected(text.decode("utf-8", "replace"))
        raise _rejected(self.account, self._where, code, text, what)


def _connect(settings: SmtpSettings) -> smtplib.SMTP:
    if settings.security == "none" and not is_loopback(settings.host):
        raise Misconfigured(
            settings.account,
            f"mail would travel to {settings.host} unprotected",
            hint="set `security: starttls` or `tls`",
        )
    context = _context(settings)
    if context and settings.security == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout, context=context)
    else:
        smtp = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout)
    try:
        smtp.ehlo_or_helo_if_needed()
        if context and settings.security == "starttls":
            smtp.starttls(context=context)
            smtp.ehlo()
        if settings.login:
            smtp.login(settings.login, settings.password)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _context(settings: SmtpSettings) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    if settings.ca and not Path(settings.ca).is_file():
        raise Misconfigured(settings.account, f"there is no file {settings.ca}", hint="correct `ca:` in quietcrm.yaml")
    return ssl.create_default_context(cafile=settings.ca or None)


def _rejected(account: str, where: str, code: int, text: bytes | str, what: str) -> SendRejected:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    permanent = 500 <= code < 600
    hint = "read the server's answer; the address or the content is refused" if permanent else _LATER
    return SendRejected(
        account, f"{where} refused {what}: {code} {said[:300]}", permanent=permanent, code=code, hint=hint
    )


@contextmanager
def translated(account: str, where: str) -> Iterator[None]:
    """Re-raise what smtplib, ssl and sockets raise as ConnectorError. Only a 535 to the login is a bad password."""
    try:
        yield
    except ConnectorError:
        raise
    except smtplib.SMTPAuthenticationError as error:
        raise _login_error(account, where, error) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Misconfigured(
            account,
            f"{where} does not offer what the settings ask for: {error}",
            hint="compare `security:` and `login:`",
        ) from error
    except (smtplib.SMTPConnectError, smtplib.SMTPHeloError, smtplib.SMTPServerDisconnected) as error:
        raise Unavailable(account, f"the connection to {where} failed: {error}", hint=_LATER) from error
    except smtplib.SMTPResponseException as error:
        raise _rejected(account, where, error.smtp_code, error.smtp_error, "the mail") from error
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured(
            account,
            f"the certificate of {where} cannot be verified: {error.verify_message}",
            hint="set `ca:` to the file with the certificate authority",
        ) from error
    except ssl.SSLError as error:
        if error.reason == "WRONG_VERSION_NUMBER":
            raise Misconfigured(
                account,
                f"{where} does not speak TLS from the first byte",
                hint="set `security: starttls`, or another port",
            ) from error
        raise Unavailable(
            account, f"the TLS connection to {where} failed: {error.reason or error}", hint=_LATER
        ) from error
    except TimeoutError as error:
        raise Unavailable(account, f"{where} did not answer in time", hint=_LATER) from error
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(account, f"the connection to {where} failed: {error}", hint=_LATER) from error


def _login_error(account: str, where: str, error: smtplib.SMTPAuthenticationError) -> ConnectorError:
    said = str(error.smtp_error)[:200]
    if error.smtp_code in (534, 535):
        return AuthRejected(account, f"{where} refused the login: {said}", hint="check `login:` and the password")
    if 500 <= error.smtp_code < 600:
        return Misconfigured(account, f"{where} takes no login: {error.smtp_code} {said}", hint="compare `security:`")
    return Unavailable(account, f"{where} takes no login now: {error.smtp_code} {said}", hint=_LATER)
