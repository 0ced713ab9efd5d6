"""Sends a line to a channel (Teams, Slack, ntfy, SMS gateways ...) by apprise, which knows their addresses.

The address of a channel is a secret: whoever knows it can write there. It never stands in an error.
"""

from __future__ import annotations

import logging
import re
import warnings
from functools import cache
from typing import Any

from connectors.errors import Misconfigured, Unavailable

__all__ = ["check_channel", "notify"]

_STAMP = re.compile(r"^[\d-]+ [\d:,]+ - \w+ - ", re.MULTILINE)
_KINDS = "https://appriseit.com/services/ lists how each address is written"


def check_channel(name: str, url: str) -> str:
    """What sort of channel it is ("ntfy"). Sends nothing. Raises Misconfigured for an address nobody understands."""
    apprise = _library()
    channel = apprise.Apprise.instantiate(url.strip(), suppress_exceptions=True)
    if channel is None:
        raise Misconfigured(name, "the address of the channel is not understood", hint=_KINDS)
    return str(channel.service_name)


def notify(name: str, url: str, text: str) -> None:
    """Send one line of plain text. Raises Misconfigured, or Unavailable if the service did not take it; then it may
    have come all the same, where only the answer was lost."""
    apprise = _library()
    line = apprise.Apprise(asset=apprise.AppriseAsset(app_id="quietcrm", app_desc="quietcrm", app_url=""))
    if not line.add(url.strip()):
        raise Misconfigured(name, "the address of the channel is not understood", hint=_KINDS)
    with apprise.LogCapture(level=logging.WARNING) as said:
        done = line.notify(body=text, title="", body_format=apprise.NotifyFormat.TEXT)
        reason = _without(said.getvalue(), url)
    if not done:
        raise Unavailable(name, reason or "the service did not take it", hint="it is tried again by itself")


@cache
def _library() -> Any:
    """apprise with all its kinds of channels: a second and 30 MB, so only where somebody is notified."""
    with warnings.catch_warnings():  # some of its modules use what Python 3.13 drops
        warnings.simplefilter("ignore", DeprecationWarning)
        import apprise

        apprise.Apprise.instantiate("json://localhost")
    return apprise


def _without(said: str, url: str) -> str:
    """What apprise logged, in one line, without any part of the address that could be a secret."""
    words = " ".join(_STAMP.sub("", said).split())
    for part in sorted(set(re.findall(r"[^\s:/?&=@]{6,}", url)), key=len, reverse=True):
        words = words.replace(part, "***")
    return words[:300]
