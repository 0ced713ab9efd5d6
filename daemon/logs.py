"""Logging: structlog to stderr, JSON for machines or one coloured line for people.

Events are `noun.verb` with keys like account, ref, rule. Never a subject, body, address or secret above debug;
`_mask_addresses` is the net below that rule, since errors of servers like to quote what they were sent.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_ADDRESS = re.compile(r"[^\s<>\"'(),;:]+@[^\s<>\"'(),;:]+")


def configure_logs(*, form: str = "console", level: str = "info") -> None:
    """Set up structlog once. `form`: console or json. `level`: debug, info, warning, error."""
    number = getattr(logging, level.upper())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if number > logging.DEBUG:
        processors.append(_mask_addresses)
    if form == "json":
        processors.append(structlog.processors.JSONRenderer(ensure_ascii=False))
    else:
        # The default formatter would print local variables too: mails and passwords.
        plain = structlog.dev.plain_traceback
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


def _mask_addresses(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str) and "@" in value:
            event[key] = _ADDRESS.sub("<address>", value)
    return event
