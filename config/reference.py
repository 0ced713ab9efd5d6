"""Makes docs/reference/settings.md and docs/reference/problems.md from the settings and codes themselves.

Run `python -m config.reference DOCS_DIRECTORY` after a change of a field; a test fails while the pages are stale.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.codes import ABOUT, CODES
from config.schema import annotation_at, members, model_at, settings_of, tag_of
from config.secrets import SecretRef
from config.settings import Settings

MADE_FROM = "<!-- Made by `python -m config.reference docs/reference`. Change the field's description instead. -->"
HIDDEN_KINDS = ("memory",)
# Shown as written under `hours:` itself, see Hours.
INLINE = ("days",)


def settings_page() -> str:
    """The Markdown page of every setting: name, default, meaning, example."""
    parts = ["# Settings: quietcrm.yaml", "", MADE_FROM, "", *INTRODUCTION, *_table(Settings)]
    for name in settings_of(Settings):
        parts.extend(_section(name))
    return "\n".join(parts) + "\n"


def problems_page() -> str:
    """The Markdown page of every problem code."""
    parts = ["# Problem codes", "", MADE_FROM, "", "`quietcrm check` names each fault with one of these codes, its", ""]
    parts[-2] += " place and a remedy. W codes are warnings: shown, but nothing is refused."
    rows = [f"| {code} | {_cell(title)} | {_cell(ABOUT.get(code, ''))} |" for code, title in sorted(CODES.items())]
    return "\n".join([*parts, "| code | what is wrong | why it matters |", "|---|---|---|", *rows]) + "\n"


INTRODUCTION = (
    "Every value is text until its setting gives it a type: `no`, `0351` and `12:30` are what they look like.",
    "Unknown names and names that stand there twice are errors. Relative paths start at the folder of this file.",
    "Settings without a default are required.",
    "",
)


def _section(name: str) -> Iterator[str]:
    kinds = members(annotation_at([name, "NAME"]))
    if kinds:
        yield from _kinds(name, kinds)
        return
    model = model_at([name]) or model_at([name, "NAME"])
    if model is not None:
        path = name if model_at([name]) else f"{name}.NAME"
        yield from ["", f"## {path}", "", _summary(model), "", *_table(model)]


def _kinds(name: str, kinds: tuple[type[BaseModel], ...]) -> Iterator[str]:
    for model in kinds:
        if tag_of(model) not in HIDDEN_KINDS:
            yield from ["", f"## {name}.NAME, type: {tag_of(model)}", "", _summary(model), "", *_table(model)]
    for part in settings_of(kinds[0]):
        model_below = model_at([name, "NAME", tag_of(kinds[0]), part])
        if model_below is not None:
            yield from ["", f"## {name}.NAME.{part}", "", _summary(model_below), "", *_table(model_below)]


def _table(model: type[BaseModel]) -> Iterator[str]:
    yield "| setting | default | what it is | example |"
    yield "|---|---|---|---|"
    for name, field in sorted(settings_of(model).items(), key=lambda one: one[0] != "type"):
        example = str(field.examples[0]) if field.examples else ""
        if name in INLINE:
            name, example = example.partition(":")[0], example.partition(": ")[2]
        about = _cell(field.description or "") + _limits(field)
        yield f"| `{name}` | {_default(field)} | {about} | {_code(example)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    return _code(written(field.default)) if field.default is not None else ""


def written(value: Any) -> str:
    """A default as people would write it; "" for an empty one and for a group of settings with its own table."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, time):
        return value.strftime("%H:%M")
    if isinstance(value, tuple):
        return f"[{', '.join(written(one) for one in value)}]" if value else ""
    if isinstance(value, dict):
        return "09:00-18:00" if value else ""
    if isinstance(value, BaseModel | SecretRef):
        return ""
    return str(value)


def _limits(field: FieldInfo) -> str:
    words = {"ge": "at least", "le": "at most"}
    found = [
        f"{text} {getattr(one, key)}" for one in field.metadata for key, text in words.items() if hasattr(one, key)
    ]
    return f" ({', '.join(found)})" if found else ""


def _summary(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"settings.md": settings_page, "problems.md": problems_page}


def write_pages(folder: Path) -> list[Path]:
    """Write the pages into `folder`; returns those that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, make in PAGES.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != make():
            path.write_text(make(), "utf-8")
            changed.append(path)
    return changed


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
