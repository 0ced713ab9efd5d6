"""Logging in with an access token: XOAUTH2 (https://developers.google.com/gmail/imap/xoauth2-protocol) and
OAUTHBEARER (RFC 7628), the same for IMAP and SMTP."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["GIVING_UP", "choose", "initial"]

GIVING_UP = {"XOAUTH2": b"", "OAUTHBEARER": b"AQ=="}
"""What answers the challenge in which a server says why it refuses a token, as it goes over the line."""


def choose(offers: Collection[str]) -> str:
    """The mechanism for a token: XOAUTH2, which the large providers know best; OAUTHBEARER where there is only that;
    "" where there is neither."""
    offered = {name.upper() for name in offers}
    return next((name for name in GIVING_UP if name in offered), "")


def initial(mechanism: str, login: str, token: str, host: str, port: int) -> bytes:
    """The one message of the client, not yet encoded."""
    if mechanism == "XOAUTH2":
        return f"user={login}\x01auth=Bearer {token}\x01\x01".encode()
    name = login.replace("=", "=3D").replace(",", "=2C")  # RFC 5801 4
    return f"n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01".encode()
