"""A plain page as text and as HTML from one source: what reminders and notices are made of.

Everything that comes from mail or records is escaped here; the page has no images, no scripts and no remote parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_FONT = "font-family:'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:15px;line-height:1.5;color:#1f2328"
_CODE = (
    "display:inline-block;font-family:Consolas,Menlo,monospace;font-size:12px;line-height:1.4;color:#3d444d;"
    "background:#f3f4f6;border-radius:4px;padding:2px 7px;margin:4px 0 0"
)
_LISTING = (
    "font-family:Consolas,Menlo,monospace;font-size:12px;line-height:1.4;color:#3d444d;background:#f3f4f6;"
    "border-radius:4px;padding:6px 8px;margin:6px 0;overflow-x:auto"
)
_GREY = "color:#59636e;font-size:13px"
_TONES = {"calm": "#6e7781", "ready": "#1a7f4b", "act": "#0b6bcb", "trouble": "#b3261e"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One matter: what it is, why it is here, and what settles it.

    lead      a name at the beginning, shown bold
    command   one command a line, shown in a typewriter face
    quote     words of somebody else, shown set off
    listing   lines whose columns matter, shown as they are in a typewriter face
    """

    text: str
    lead: str = ""
    reason: str = ""
    command: str = ""
    quote: str = ""
    listing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A heading with its lines and a closing remark; `tone` marks its weight: calm, ready, act or trouble.

    count   how many matters it stands for, where the lines do not show all; 0 = as many as there are lines
    """

    title: str
    lines: Sequence[Line]
    name: str = ""
    tone: str = "calm"
    note: str = ""
    count: int = 0


def as_text(title: str, blocks: Sequence[Block], footer: str = "") -> str:
    """The page for mail clients without HTML."""
    parts = [title, "=" * min(len(title), 72), ""]
    for block in blocks:
        parts += [block.title.upper()] if block.title else []
        for line in block.lines:
            parts += _text_line(line, "- " if block.title else "")
        parts += [f"  {block.note}"] if block.note else []
        parts.append("")
    return "\n".join([*parts, footer]).strip() + "\n"


def _text_line(line: Line, bullet: str) -> list[str]:
    rows = [f"{bullet}{': '.join(part for part in (line.lead, line.text) if part)}"]
    rows += [f"  {line.reason}"] if line.reason else []
    rows += [f"    {row}".rstrip() for row in line.listing.splitlines()]
    rows += [f"  > {command}" for command in line.command.splitlines()]
    return rows + [f"  | {row}" for row in line.quote.splitlines()]


def as_html(title: str, blocks: Sequence[Block], footer: str = "") -> str:
    """The page for everybody else; inline styles only, since mail clients drop the rest."""
    body = "".join(_block(block) for block in blocks)
    foot = f'<p style="{_GREY};font-size:12px;margin:26px 0 0">{escape(footer)}</p>' if footer else ""
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
        f'<body style="{_FONT};margin:0;padding:18px 22px;background:#ffffff"><div style="max-width:640px">'
        f'<h1 style="font-size:20px;line-height:1.3;font-weight:600;margin:0">{escape(title)}</h1>{body}{foot}'
        "</div></body></html>"
    )


def _block(block: Block) -> str:
    colour = _TONES[block.tone]
    heading = (
        f'<h2 style="font-size:14px;font-weight:600;color:{colour};border-bottom:1px solid #d9dee3;'
        f'margin:24px 0 10px;padding:0 0 4px">{escape(block.title)}</h2>'
        if block.title
        else '<div style="height:10px"></div>'
    )
    note = f'<p style="{_GREY};margin:10px 0 0">{escape(block.note)}</p>' if block.note else ""
    return heading + "".join(_line(line, colour) for line in block.lines) + note


def _line(line: Line, colour: str) -> str:
    lead = f'<b style="font-weight:600">{escape(line.lead)}</b>' + ("&ensp;" if line.text else "") if line.lead else ""
    parts = [f'<div style="border-left:3px solid {colour};padding:1px 0 2px 12px;margin:0 0 12px">']
    parts.append(f"<div>{lead}{escape(line.text)}</div>")
    if line.reason:
        parts.append(f'<div style="{_GREY}">{escape(line.reason)}</div>')
    if line.listing:
        parts.append(f'<pre style="{_LISTING}">{escape(line.listing)}</pre>')
    parts += [f'<div><code style="{_CODE}">{escape(command)}</code></div>' for command in line.command.splitlines()]
    if line.quote:
        quoted = "<br>".join(escape(row) for row in line.quote.splitlines())
        parts.append(f'<div style="{_GREY};margin:6px 0 0">{quoted}</div>')
    return "".join(parts) + "</div>"
