"""Renders a checked template for one person: subject, plain text and HTML from the same source. Pure but for Jinja's
and the Markdown reader's caches. Loads Jinja, markdown-it, nh3 and css-inline at the first call.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from config.errors import QuietcrmError
from rules.markdown import fill, to_html, to_text, without_marks
from rules.names import greeting
from rules.sandbox import Blank, Page, Record, clean_value, fill_source, wrap

LONGEST_SUBJECT = 250  # characters
_ANSWERS = re.compile(r"^(re):\s*(?:(?:re|res|sv|aw|rv|отв|ответ)\s*(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)


class MissingValue(QuietcrmError):
    """Values that the text needs and nobody gave: the mail is held and the rep told. `names` are dotted names."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        hint = 'fill them in at the customer or contact, or give the template a fallback: {{ name | or("...") }}'
        super().__init__(f"no value for {', '.join(self.names)}", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A mail's content. `content_hash` (SHA-256, hex) changes with subject, text or HTML."""

    subject: str
    text: str
    html: str
    language: str
    content_hash: str


def render_mail(
    subject: str,
    body: str,
    values: Mapping[str, Any],
    *,
    language: str,
    needs: Iterable[str] = (),
    now: datetime | None = None,
    zone: tzinfo = UTC,
) -> Rendered:
    """Render both parts. Raises MissingValue with every name that has no value, RenderRefused beyond the caps.

    needs    dotted names that must have a value although the text may not write them
    now      adds `greeting` and `today` by the clock of `zone`, unless `values` has them
    """
    given = with_standard_values(values, language, now, zone)
    title, page = Page(language, zone), Page(language, zone)
    heading = fill_source(without_marks(subject), given, title)
    source = fill_source(without_marks(body), given, page)
    missing = {**title.missing, **page.missing, **dict.fromkeys(absent(given, needs))}
    if missing:
        raise MissingValue(missing)
    line, text = subject_line(fill(heading, title.values)), to_text(source, page.values)
    html = to_html(source, page.values, language)
    digest = hashlib.sha256("\0".join((line, text, html)).encode()).hexdigest()
    return Rendered(subject=line, text=text, html=html, language=language, content_hash=digest)


def render_line(
    source: str,
    values: Mapping[str, Any],
    *,
    language: str,
    now: datetime | None = None,
    zone: tzinfo = UTC,
    blank: str | None = None,
) -> str:
    """One line of plain text from a rule ("Call {{ customer.name }}"): no Markdown, no line breaks.

    Names without a value become `blank`, or raise MissingValue if that is None.
    """
    page = Page(language, zone, blank=blank)
    line = fill_source(without_marks(source), with_standard_values(values, language, now, zone), page)
    if page.missing:
        raise MissingValue(page.missing)
    return clean_value(fill(line, page.values))


def with_standard_values(
    values: Mapping[str, Any], language: str, now: datetime | None, zone: tzinfo
) -> dict[str, Any]:
    """The values with `lang`, and with `greeting` and `today` if the time is known."""
    given = dict(values)
    given.setdefault("lang", language)
    if now is not None:
        local = now.astimezone(zone)
        given.setdefault("greeting", greeting(language, local.hour))
        given.setdefault("today", local.date())
    return given


def absent(values: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Which of the dotted names have no value, or an empty one."""
    found = []
    for name in names:
        value: Any = Record(values, "")
        for part in name.split("."):
            value = value.look_up(part) if isinstance(value, Record) else wrap(None, name)
        if isinstance(value, Blank):
            found.append(name)
    return found


def subject_line(text: str) -> str:
    """One line, no control characters, "Re: Re: x" as "Re: x", cut at 250 characters."""
    line = _ANSWERS.sub(r"\1: ", clean_value(text))
    return line if len(line) <= LONGEST_SUBJECT else f"{line[: LONGEST_SUBJECT - 1].rstrip()}…"
