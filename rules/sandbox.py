"""The Jinja environment of templates: a closed one. Data is never a template, and values never become markup.

Values are wrapped: a mapping becomes a `Record` without attributes of its own, and what is empty becomes `Blank`.
Each `{{ ... }}` writes a mark into the Markdown and keeps its value aside on the `Page` (see rules.markdown.fill).
This module loads Jinja (about 14 MB), so it is imported when the first template is checked or rendered.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from functools import lru_cache
from typing import Any, NoReturn

from jinja2 import Template, Undefined, pass_context
from jinja2.exceptions import UndefinedError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config.errors import QuietcrmError
from rules.formats import format_date, format_money, read_amount, read_date
from rules.markdown import mark, without_marks
from rules.names import first_name

LONGEST_OUTPUT = 1_000_000  # characters
LONGEST_RENDERING = 1.0  # seconds
LONGEST_LIST = 100
LOOP_FIELDS = ("first", "last", "index", "length")
_PAGE = "the page"  # no template can write a name with a space
_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("[ \t-\r\x1c-\x1f\x85\u2028\u2029]+")  # not the spaces that keep words together


class RenderRefused(QuietcrmError):
    """A template that would take too long or write too much."""


@dataclass(slots=True)
class Page:
    """One rendering: the values it wrote, the names that had none, and how long it is.

    `blank` is written for a name without a value; None = such a name is missing.
    """

    language: str
    zone: tzinfo
    blank: str | None = None
    values: list[str] = field(default_factory=list)
    missing: dict[str, None] = field(default_factory=dict)
    length: int = 0

    def write(self, value: str) -> str:
        """Keep a value aside and give the mark that stands for it."""
        clean = clean_value(value)
        self.grow(len(clean))
        self.values.append(clean)
        return mark(len(self.values) - 1)

    def grow(self, by: int) -> None:
        """Count characters; raises RenderRefused above the cap."""
        self.length += by
        if self.length > LONGEST_OUTPUT:
            raise RenderRefused("the text would be longer than a million characters", hint="shorten the template")


class Blank(Undefined):
    """A name without a value. In a condition it is false and equals nothing; written out, the mail is held.

    As strict as Jinja's StrictUndefined but for conditions, so a template can ask whether there is a value.
    """

    __slots__ = ()

    def __str__(self) -> NoReturn:
        self._fail_with_undefined_error()

    def __iter__(self) -> NoReturn:
        self._fail_with_undefined_error()

    def __len__(self) -> NoReturn:
        self._fail_with_undefined_error()

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    __hash__ = Undefined.__hash__

    @property
    def path(self) -> str:
        """The dotted name."""
        return str(self._undefined_name)


class Record:
    """A mapping as templates see it: its keys and nothing else."""

    __slots__ = ("_data", "_path")

    def __init__(self, data: Mapping[str, Any], path: str) -> None:
        self._data, self._path = data, path

    def look_up(self, key: str) -> Any:
        """The wrapped value under `key`."""
        return wrap(self._data.get(key), f"{self._path}.{key}")


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, without arithmetic, calls, and any attribute or item but the keys of records."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Record) and not attribute.startswith("_"):
            return obj.look_up(attribute)
        if isinstance(obj, LoopContext) and attribute in LOOP_FIELDS:
            return getattr(obj, attribute)
        return Blank(name=f"{obj.path}.{attribute}" if isinstance(obj, Blank) else attribute)

    def getitem(self, obj: Any, argument: Any) -> NoReturn:
        raise RenderRefused("a template may not use [ ]", hint="write customer.fields.name")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> NoReturn:
        raise RenderRefused("a template may not calculate", hint="compute the value elsewhere")

    def call(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise RenderRefused("a template may not call anything", hint="use a filter")


def wrap(value: Any, path: str) -> Any:
    """A value as templates may see it; nothing, or text of white space and invisible characters only, is Blank."""
    if value is None or (isinstance(value, str) and not clean_value(value)):
        return Blank(name=path)
    if isinstance(value, Mapping):
        return Record(value, path)
    if isinstance(value, list | tuple):
        return tuple(wrap(item, path) for item in value[:LONGEST_LIST])
    return value


def clean_value(value: str) -> str:
    """Text on one line, without control characters, direction overrides, invisible marks and lone surrogates."""
    return _BREAKS.sub(" ", without_marks(_CONTROLS.sub("", _BREAKS.sub(" ", value)))).strip()


def fill_source(source: str, values: Mapping[str, Any], page: Page) -> str:
    """The source with its conditions decided and a mark for each value. Names without a value land in `page.missing`.

    Raises RenderRefused beyond the caps.
    """
    context = {name: wrap(value, name) for name, value in values.items()}
    context[_PAGE] = page
    pieces: list[str] = []
    start = time.monotonic()
    try:
        for piece in _compiled(source).generate(context):
            page.grow(len(piece))
            pieces.append(piece)
            if time.monotonic() - start > LONGEST_RENDERING:
                raise RenderRefused("rendering took longer than a second", hint="take loops out of the template")
    except UndefinedError as error:
        page.missing[_named(str(error))] = None
    return "".join(pieces)


@lru_cache(maxsize=1)
def environment() -> ImmutableSandboxedEnvironment:
    """The one environment, for checking and rendering."""
    env = _Environment(undefined=Blank, finalize=_write, trim_blocks=True, lstrip_blocks=True, cache_size=0)
    env.globals.clear()
    env.tests.clear()
    env.filters = dict(FILTERS)
    return env


@lru_cache(maxsize=512)
def _compiled(source: str) -> Template:
    return environment().from_string(source)


@pass_context
def _write(context: Context, value: Any) -> str:
    page: Page = context[_PAGE]
    if isinstance(value, Blank) and page.blank is not None:
        return page.write(page.blank)
    if isinstance(value, Blank):
        page.missing[value.path] = None
        return ""
    if isinstance(value, date):
        return page.write(format_date(_aware(value, page.zone), page.language, page.zone))
    if isinstance(value, Record | tuple):
        raise RenderRefused("a group of values cannot be written", hint="name one of its fields")
    return page.write(str(value))


def _or(value: Any, otherwise: str) -> Any:
    return otherwise if isinstance(value, Blank) or not value else value


@pass_context
def _date(context: Context, value: Any, style: str = "short") -> Any:
    page: Page = context[_PAGE]
    found = None if isinstance(value, Blank) else read_date(value)
    return value if found is None else format_date(_aware(found, page.zone), page.language, page.zone, style)


@pass_context
def _money(context: Context, value: Any, currency: str = "") -> Any:
    amount = None if isinstance(value, Blank) else read_amount(value)
    page: Page = context[_PAGE]
    return value if amount is None else format_money(amount, page.language, currency)


def _first(value: Any) -> Any:
    if isinstance(value, Blank) or not isinstance(value, str):
        return value
    return first_name(value) or Blank(name="first name")


FILTERS: dict[str, Callable[..., Any]] = {"or": _or, "date": _date, "money": _money, "first": _first}


def _aware(value: date, zone: tzinfo) -> date:
    return value.replace(tzinfo=zone) if isinstance(value, datetime) and value.tzinfo is None else value


def _named(message: str) -> str:
    found = re.search(r"'([^']+)'", message)
    return found[1] if found else "a value"
