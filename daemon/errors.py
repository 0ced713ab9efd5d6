"""Errors of the daemon itself, below the root in config.errors."""

from __future__ import annotations

from config.errors import QuietcrmError


class Refused(QuietcrmError):
    """Not done because a confirmation is missing or a limit forbids it."""


class NotRunning(QuietcrmError):
    """The daemon does not answer."""
