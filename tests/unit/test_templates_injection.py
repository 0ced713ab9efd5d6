"""Values of every evil kind in every place of a template: the HTML keeps its shape, the text shows them as they are."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import Problem
from rules.rendering import MissingValue, Rendered
from rules.sandbox import clean_value
from rules.templates import Template, TemplateNames, load_templates

BODY = """---
name: places
subject: "Re: {{ contact.name }}"
---
# Dear {{ contact.name }}

{{ contact.name }} begins, **{{ contact.name }}** is bold, *{{ contact.name }}*, `{{ contact.name }}`, ends
{{ contact.name }}

- {{ contact.name }}
- item {{ contact.name }}

> {{ contact.name }} said

[about {{ contact.name }}](https://shop.example/p/{{ contact.name }}?q={{ contact.name }} "{{ contact.name }}")
[mail](mailto:{{ contact.name }}) <https://safe.example/>
{% if contact.name == "x" %}never{% endif %}

```
{{ contact.name }}
```

1. {{ contact.name }}{{ contact.name }}
"""
EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    "</p></body></html><h1>owned",
    "<!-- comment",
    "--><script>",
    "<![CDATA[x]]>",
    "<?php echo 1 ?>",
    "<style>body{display:none}</style>",
    '<iframe src="https://evil.example"></iframe>',
    "<svg/onload=alert(1)>",
    "<b>bold</b>",
    "&lt;script&gt;",
    "&#60;script&#62;",
    "&amp;amp;",
    "&nbsp;",
    '" onmouseover="alert(1)',
    "' onmouseover='alert(1)",
    '"><script>alert(1)</script>',
    "'-->\"><",
    "[a](http://evil.example)",
    "[a](javascript:alert(1))",
    "![a](http://evil.example/x.png)",
    "[a]: http://evil.example",
    "[a][b]",
    "](http://evil.example)",
    "](http://evil.example) [x",
    ") [x](http://evil.example",
    "<http://evil.example>",
    "<evil@evil.example>",
    "http://evil.example",
    "https://evil.example/?a=b&c=d",
    "www.evil.example",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "//evil.example/x",
    "@evil.example",
    ".evil.example",
    "?subject=x&bcc=evil@evil.example",
    "%0d%0aBcc:evil@evil.example",
    "%3Cscript%3E",
    "../../etc/passwd",
    "#fragment",
    "*x*",
    "**x**",
    "***",
    "* x",
    "_x_",
    "__x__",
    "~~x~~",
    "`x`",
    "``x``",
    "```",
    "~~~",
    "# heading",
    "## x",
    "> quote",
    "- item",
    "+ item",
    "1. item",
    "1) item",
    "---",
    "===",
    "***bold*",
    "    code",
    "\\\\",
    "\\*x\\*",
    "\\",
    "|a|b|",
    "|---|",
    ":smile:",
    "$x$",
    "{{ 7*7 }}",
    "{{ contact.email }}",
    "{{ contact.__class__.__mro__ }}",
    "{% for i in range(9) %}x{% endfor %}",
    "{% raw %}",
    "{# comment #}",
    "{{",
    "}}",
    "${7*7}",
    "<%= 7*7 %>",
    "#{7*7}",
    "%s %d %n",
    "{0.__class__}",
    "'; DROP TABLE contact; --",
    "=cmd|' /C calc'!A0",
    "$(reboot)",
    ";reboot",
    "None",
    "undefined",
    "null",
    "=?utf-8?q?x?=",
    "=?utf-8?b?PHNjcmlwdD4=?=",
    "O'Brien",
    "Zoë & Müller <zoe@example.com>",
    "R$ 5,00 * 3 = _15_",
    "王伟",
    "مرحبا",
    "😀👨\u200d👩\u200d👧",
    "ﬁ Å Å",
]
CONTROLS = [
    "a\r\nBcc: evil@evil.example",
    "a\nb",
    "a\n\nb",
    "a\n\n# b",
    "a\n> b",
    "a\n- b",
    "a\n    b",
    "a\rb",
    "a\x00b",
    "a\x08b",
    "a\x1bb[31m",
    "a\x0bb\x0cc",
    "a\x85b",
    "a\u2028b\u2029c",
    "a\u202eevil\u202c",
    "a\u2066b\u2069",
    "a\u200bb\ufeffc",
    "a\u00adb",
    "a\tb",
    "a\x7fb",
    "a\ud800b",
    "a\U000e0041b",
    "a\ue0000\ue001b",
    "a\ue0009999999\ue001b",
    "a%EE%80%800%EE%80%81b",
    "  padded  ",
    "x" * 5_000,
    "[" * 3_000,
    "*" * 3_000,
    "`" * 3_000,
    "<" * 3_000,
]


class Shape(HTMLParser):
    """The tags and attributes of a document, and its text."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", ()))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", (data,)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@lru_cache(maxsize=1)
def _template(directory: Path) -> Template:
    (directory / "places.md").write_text(BODY, encoding="utf-8")
    problems: list[Problem] = []
    found = load_templates(directory, problems, names=TemplateNames(language="pt"))
    assert problems == []
    return found["places"]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return _template(tmp_path_factory.mktemp("templates"))


def _render(template: Template, value: str) -> Rendered:
    return template.render({"contact": {"name": value, "email": "SECRET"}}, "pt")


def check_inert(template: Template, value: str) -> None:
    """The mail with this value has the shape of the one with "Maria", and shows the value."""
    plain, evil = _render(template, "Maria"), _render(template, value)
    shown = clean_value(value)
    harmless, shape = Shape(plain.html), Shape(evil.html)
    assert shape.tags == harmless.tags
    assert [link[:24] for link in shape.links if not link.startswith("mailto:")] == [
        "https://shop.example/p/" + shape.links[0][23:24],
        "https://safe.example/",
    ]
    assert len(shape.links) == len(harmless.links)
    assert re.fullmatch(r"https://shop\.example/p/[\w%.~-]*\?q=[\w%.~-]*", shape.links[0], re.ASCII)
    assert re.fullmatch(r"mailto:[\w%.~@-]*", shape.links[1], re.ASCII)
    assert "".join(shape.words) == "".join(harmless.words).replace("Maria", shown)
    text = re.sub(r"<(https://shop|mailto).*?>", "", plain.text)
    assert evil.text.count(shown) >= text.count("Maria")
    assert evil.text.split("\n")[0] == f"Dear {shown}"
    assert "SECRET" not in evil.html + evil.text + evil.subject
    assert not {unicodedata.category(sign) for sign in evil.subject} & {"Cc", "Zl", "Zp", "Cs"}
    assert evil.text.count("\n") == plain.text.count("\n")


def test_there_are_more_than_a_hundred_values() -> None:
    assert len(set(EVIL + CONTROLS)) > 125


@pytest.mark.parametrize("value", EVIL + CONTROLS)
def test_evil_values_are_inert(template: Template, value: str) -> None:
    check_inert(template, value)


@pytest.mark.parametrize("value", EVIL)
def test_subject_shows_the_value(template: Template, value: str) -> None:
    assert _render(template, value).subject == f"Re: {' '.join(value.split())}"


def test_a_control_character_never_reaches_the_subject(template: Template) -> None:
    assert _render(template, "a\r\nBcc: evil@evil.example\x00").subject == "Re: a Bcc: evil@evil.example"


@settings(max_examples=150, deadline=None)
@given(value=st.text(st.characters(codec=None), min_size=1, max_size=60))
def test_any_text_is_inert(template: Template, value: str) -> None:
    if not clean_value(value):
        with pytest.raises(MissingValue):
            _render(template, value)
        return
    check_inert(template, value)


@settings(max_examples=150, deadline=None)
@given(value=st.text(st.sampled_from("<>&\"'[]()!*_`~#-+=|\\{}%:/.@ a1\n\ue000\ue001"), min_size=1, max_size=40))
def test_any_run_of_signs_is_inert(template: Template, value: str) -> None:
    if clean_value(value):
        check_inert(template, value)
