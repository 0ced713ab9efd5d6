"""Subjects compared: without Re:, Fwd:, tags and tokens, case and accents folded."""

from __future__ import annotations

import re

from rules.text_match import fold_words

_PREFIX = re.compile(
    r"\s*(?:(?P<reply>re|res|resp|aw|antw|antwort|sv|vs|rif|r|odp|ответ|отв|на|回复|答复)"
    r"|(?P<forward>fwd|fw|fwrd|enc|encaminhado|encaminhada|enviado|rv|wg|tr|i|doorst|vl|vb|pd|пересл|перенаправлено|пер|转发))"
    r"(?:\s*[\[(]?\d{1,3}[\])]?)?\s*[:：]",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"\[CRM-[0-9A-Z]{2,32}\]", re.IGNORECASE | re.ASCII)
_TAG = re.compile(r"\s*\[[^\]]{1,60}\]")


def subject_key(subject: str) -> str:
    """The subject without reply and forward marks, [tags] before it and tokens of ours, folded to words.

    Applying it twice changes nothing.
    """
    # Keys made elsewhere may have lost the mark of й: here it counts for nothing.
    return fold_words(bare_subject(_TOKEN.sub(" ", subject))).replace("й", "и")


def bare_subject(subject: str) -> str:
    """The subject without reply and forward marks and [tags] before it."""
    rest = subject
    while True:
        found = _PREFIX.match(rest) or _TAG.match(rest)
        if not found or not rest[found.end() :].strip():
            return rest.strip()
        rest = rest[found.end() :]


def is_reply_subject(subject: str) -> bool:
    """Whether the first mark of a subject is one of a reply."""
    return _first_mark(subject) == "reply"


def is_forward_subject(subject: str) -> bool:
    """Whether the first mark of a subject is one of a forwarded mail."""
    return _first_mark(subject) == "forward"


def _first_mark(subject: str) -> str:
    rest = subject
    while found := _TAG.match(rest):
        rest = rest[found.end() :]
    mark = _PREFIX.match(rest)
    return (mark.lastgroup or "") if mark else ""
