"""Turns what imapclient, imaplib, ssl and sockets raise into the errors of the connector boundary.

A broken or slow connection is never a bad password: only a tagged NO to the login itself is (see `connection.log_in`).
"""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.errors import ConnectorError, Misconfigured, ProtocolViolation, Throttled, Unavailable
from connectors.imap.wire import Garbled, Refused
from connectors.refusals import find_refusal, login_command

__all__ = ["BUSY_CODES", "FETCH_BUSY", "refused", "translated"]

BUSY_CODES = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "THROTTLED", "OVERQUOTA"})
"""Response codes (RFC 5530) that speak of the server's state and not of one mail or one password."""

FETCH_BUSY = BUSY_CODES - {"SERVERBUG", "OVERQUOTA"}
"""The same for FETCH, where a fault of the server may well lie in one mail."""

_LATER = "check host: and port:, the server and the network; the daemon tries again by itself"


@contextmanager
def translated(account: str, where: str) -> Iterator[None]:
    """Re-raise library and network errors as ConnectorError. `where` is "host:port"."""
    try:
        yield
    except ConnectorError:
        raise
    except Refused as error:
        raise refused(account, where, error) from error
    except Garbled as error:
        raise ProtocolViolation(
            account, f"{where} answered something that is not IMAP: {error}", hint=_LATER
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured(
            account,
            f"the certificate of {where} cannot be verified: {error.verify_message}",
            hint="set `ca:` to the file with the certificate authority, or use the name that is in the certificate",
        ) from error
    except ssl.SSLError as error:
        raise _no_tls(account, where, error) from error
    except TimeoutError as error:
        raise Unavailable(account, f"{where} did not answer in time", hint=_LATER) from error
    except OSError as error:
        raise Unavailable(account, f"the connection to {where} failed: {error}", hint=_LATER) from error
    except imaplib.IMAP4.abort as error:
        raise Unavailable(account, f"the connection to {where} broke: {_short(error)}", hint=_LATER) from error
    except imaplib.IMAP4.error as error:
        if "BYE" in str(error):  # the greeting of a server that is full or going down
            raise Unavailable(account, f"{where} turned us away: {_short(error)}", hint=_LATER) from error
        raise ProtocolViolation(account, f"{where} answered unexpectedly: {_short(error)}", hint=_LATER) from error


def refused(account: str, where: str, error: Refused) -> ConnectorError:
    """The boundary error for a NO or BAD to a command that ought to succeed."""
    if error.code == "THROTTLED":
        return Throttled(account, f"{where} asks for a pause: {error.text}", retry_after=60.0, hint=_LATER)
    if row := find_refusal(error.text):  # the login was good, and yet: Exchange tells with the next command
        hint = f"{row.cause}: {row.remedy}".replace("{login}", login_command(account))
        return Misconfigured(account, f"{where} does not open the mailbox: {error.text}", hint=hint)
    if error.status == "BAD":
        return ProtocolViolation(account, f"{where} did not understand a command: {error.text}", hint=_LATER)
    return Unavailable(account, f"{where} refused a command: {error.text}", hint=_LATER)


def _no_tls(account: str, where: str, error: ssl.SSLError) -> ConnectorError:
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"):
        return Misconfigured(
            account, f"{where} does not speak TLS from the first byte", hint="set `security: starttls`, or another port"
        )
    return Unavailable(account, f"the TLS connection to {where} failed: {error.reason or error}", hint=_LATER)


def _short(error: Exception) -> str:
    return str(error)[:200]
