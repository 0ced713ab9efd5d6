"""A plain page as text and as HTML from one source: what reminders and notices are made of.

Everything that comes from mail or records is escaped here; the page has no images, no scripts and no remote parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_STYLE = (
    "font-family:Segoe UI,Helvetica,Arial,sans-serif;font-size:14px;line-height:1.45;color:#1f2328;"
    "max-width:640px;margin:0;padding:4px 0"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One matter: what it is, why it is here, and what settles it (a command, shown in a typewriter face)."""

    text: str
    reason: str = ""
    command: str = ""
    quote: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A heading with its lines; `colour` marks its weight: calm, act or trouble."""

    title: str
    lines: Sequence[Line]
    tone: str = "calm"


_TONES = {"calm": "#57606a", "act": "#0b6bcb", "trouble": "#b3261e"}


def as_text(title: str, blocks: Sequence[Block], footer: str = "") -> str:
    """The page for mail clients without HTML."""
    parts = [title, "=" * min(len(title), 72), ""]
    number = 0
    for block in blocks:
        parts.append(block.title.upper() if block.title else "")
        for line in block.lines:
            number += 1
            parts.append(f" {number}  {line.text}" if block.title else line.text)
            parts += [f"    {extra}" for extra in (line.reason, line.command and f"> {line.command}") if extra]
            parts += [f"    | {row}" for row in line.quote.splitlines()]
        parts.append("")
    return "\n".join([*parts, footer]).strip() + "\n"


def as_html(title: str, blocks: Sequence[Block], footer: str = "") -> str:
    """The page for everybody else; inline styles only, since mail clients drop the rest."""
    body = "".join(_block(block) for block in blocks)
    foot = f'<p style="color:#8b949e;font-size:12px;margin:18px 0 0">{escape(footer)}</p>' if footer else ""
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f'<body style="{_STYLE}"><h1 style="font-size:18px;margin:0 0 10px">{escape(title)}</h1>{body}{foot}</body></html>'
    )


def _block(block: Block) -> str:
    colour = _TONES[block.tone]
    heading = (
        f'<h2 style="font-size:13px;text-transform:uppercase;letter-spacing:.04em;color:{colour};margin:16px 0 4px">'
        f"{escape(block.title)}</h2>"
        if block.title
        else ""
    )
    return heading + "".join(_line(line, colour) for line in block.lines)


def _line(line: Line, colour: str) -> str:
    parts = [
        f'<div style="border-left:3px solid {colour};padding:2px 0 2px 10px;margin:6px 0"><div>{escape(line.text)}</div>'
    ]
    if line.reason:
        parts.append(f'<div style="color:#57606a;font-size:13px">{escape(line.reason)}</div>')
    if line.command:
        parts.append(f'<code style="font-size:12px;background:#f3f4f6;padding:1px 5px">{escape(line.command)}</code>')
    if line.quote:
        quoted = "<br>".join(escape(row) for row in line.quote.splitlines())
        parts.append(f'<div style="color:#57606a;font-size:13px;margin:4px 0 0 6px">{quoted}</div>')
    return "".join(parts) + "</div>"
