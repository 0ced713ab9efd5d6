"""Reply templates, templates/*.md: front matter, then one Markdown body per language.

```
---
name: quote
subject: {en: "Your quote", pt: "Seu orçamento"}
needs: [owner.name]
---
--- en ---
{{ greeting }} {{ contact.first_name | or("there") }}, ...
--- pt ---
...
```
Everything wrong is found at load, without rendering, and named with its line and column. Rendering is in
rules.rendering, which is loaded at the first use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from config.errors import Problem
from config.nodes import Place, Scalar
from config.text import read_text, strange_characters
from config.values import did_you_mean
from rules.enclosures import check_enclosures
from rules.front_matter import FrontMatter, problem_at, read_front_matter

if TYPE_CHECKING:
    from rules.expressions import Findings
    from rules.rendering import Rendered

STANDARD_NAMES = frozenset(
    [
        *(f"mail.{name}" for name in ("subject", "date", "from", "text")),
        *(f"contact.{name}" for name in ("name", "first_name", "email", "phone", "title", "language", "fields.*")),
        *(f"customer.{name}" for name in ("name", "stage", "segment", "owner", "last_contact", "fields.*")),
        *(f"{who}.{name}" for who in ("owner", "rep") for name in ("name", "first_name", "mail")),
        *(f"meeting.{name}" for name in ("title", "start", "end", "place")),
        *(f"changed.{name}" for name in ("field", "before", "after")),
        *("company.name", "company.address", "greeting", "lang", "today"),
    ]
)
_SEPARATOR = re.compile(r"-{2,}[ \t]*([A-Za-z]{2,3}(?:[-_][A-Za-z]{2,4})?)[ \t]*-{2,}[ \t]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateNames:
    """What a template may use beside STANDARD_NAMES.

    extracted   names that rules extract from mail ("pedido"), and any other further dotted names
    language    the company's default language: every template has it
    written     further languages that every template must be written in, unless it says `fallback: yes`
    """

    language: str
    written: tuple[str, ...] = ()
    extracted: frozenset[str] = frozenset()

    def all(self) -> frozenset[str]:
        """Every name there is."""
        return STANDARD_NAMES | self.extracted


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One checked template.

    subjects, bodies    by language; each language of `bodies` has a subject
    needs               dotted names that must have a value; a name with an `or` in the text needs none
    attach              names of files that go with it, see rules.enclosures
    fallback            a language without a body is answered in the default language on purpose
    used                language -> dotted names that subject and body write or ask for
    optional            language -> those of them that have an `or`
    """

    name: str
    path: Path
    subjects: Mapping[str, str]
    bodies: Mapping[str, str]
    default_language: str
    needs: tuple[str, ...] = ()
    attach: tuple[str, ...] = ()
    fallback: bool = False
    used: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    optional: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages it is written in."""
        return tuple(self.bodies)

    def render(
        self, values: Mapping[str, Any], language: str, *, now: datetime | None = None, zone: tzinfo = UTC
    ) -> Rendered:
        """The mail in one of `languages` (see choose_language), dates and greeting by the clock of `zone`.

        Raises rules.rendering.MissingValue with every name that has no value: hold the mail and tell the rep.
        Raises rules.sandbox.RenderRefused if it would be too long. `now` gives `greeting` and `today`.
        """
        from rules.rendering import render_mail

        return render_mail(
            self.subjects[language],
            self.bodies[language],
            values,
            language=language,
            needs=[name for name in self.needs if name not in self.optional.get(language, ())],
            now=now,
            zone=zone,
        )


def choose_language(template: Template, *candidates: str) -> str:
    """The first candidate (contact, mail, customer) the template is written in, else its default.

    "pt-BR" takes "pt" where there is no such variant, and the other way round.
    """
    bases = {language.partition("-")[0]: language for language in reversed(template.languages)}
    for candidate in candidates:
        wanted = candidate.strip().lower().replace("_", "-")
        exact = next((language for language in template.languages if language.lower() == wanted), "")
        found = exact or bases.get(wanted.partition("-")[0], "")
        if found:
            return found
    return template.default_language


def load_templates(
    directory: Path, problems: list[Problem], *, names: TemplateNames, base: Path | None = None
) -> dict[str, Template]:
    """Read templates/*.md in file order. Faults are appended to `problems`; only sound templates are in the answer.

    base   the office's own folder, where files to attach lie, if `directory` is in an older copy of it
    """
    loaded: dict[str, Template] = {}
    for path in sorted(directory.glob("*.md")):
        found: list[Problem] = []
        template = _Reading(path, names, found, base or directory.parent, older=base is not None).template()
        if template and template.name in loaded:
            other = loaded[template.name].path.name
            message = f'the template "{template.name}" is in {other} already'
            found.append(
                Problem(code="E502", message=message, path=path, line=1, column=1, help="give it another name")
            )
        problems += found
        if template and all(problem.warning for problem in found):
            loaded[template.name] = template
    return loaded


def check_line(text: Scalar, names: frozenset[str]) -> tuple[list[Problem], frozenset[str]]:
    """Check the {{ ... }} of a text in a YAML file: its problems, and the dotted names it uses."""
    if "{" not in text.text and "}" not in text.text:
        return [], frozenset()
    from rules.expressions import read_expressions

    found = read_expressions(text.text, names)
    return list(_placed(found, text)), frozenset(found.used)


def _placed(found: Findings, text: Scalar) -> Iterator[Problem]:
    """Faults inside a YAML value, at their own column if the value stands on one line as written, else at its start."""
    place = text.place
    quotes = place.span - len(text.text)
    exact = "\n" not in text.text and quotes in (0, 2)
    for fault in found.faults:
        column = place.column + fault.column - 1 + quotes // 2
        spot = replace(place, column=column, span=fault.span) if exact else place
        yield problem_at(spot, fault.code, fault.message, fault.help)


class _Reading:
    """Reads one file; every method appends what is wrong to `problems`."""

    def __init__(self, path: Path, names: TemplateNames, problems: list[Problem], base: Path, *, older: bool) -> None:
        self._path, self._names, self._problems = path, names, problems
        self._base, self._older = base, older
        self._used: dict[str, set[str]] = {}
        self._optional: dict[str, set[str]] = {}

    def template(self) -> Template | None:
        """The template, None if its front matter cannot be read. Use it only if no error was appended."""
        text = read_text(self._path, self._problems)
        if text is None:
            return None
        self._problems += strange_characters(self._path, text)
        lines = text.split("\n")
        opened = lines[0].rstrip() == "---"
        end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), 0)
        if not opened or not end:
            help = "close it with a line ---" if opened else "begin the file with a line ---"
            self._add("E501", "the part between two lines --- at the top is missing", 1, help=help)
            return None
        front = read_front_matter(self._path, "\n".join(["", *lines[1:end]]) + "\n", self._problems)
        bodies = self._bodies(lines, end + 1)
        for language, (line, body) in bodies.items():
            self._check_body(language, line, body)
        return self._built(front, bodies) if front else None

    def _built(self, front: FrontMatter, bodies: dict[str, tuple[int, str]]) -> Template:
        subjects = self._subjects(front, tuple(bodies))
        self._check_needs(front)
        self._problems += check_enclosures(front.attach, bodies, self._base, gone=self._older)
        if not front.fallback:
            self._check_written(bodies)
        return Template(
            name=front.name,
            path=self._path,
            subjects=MappingProxyType(subjects),
            bodies=MappingProxyType({language: body.strip("\n") + "\n" for language, (_, body) in bodies.items()}),
            default_language=self._default(bodies),
            needs=tuple(item.text for item in front.needs),
            attach=tuple(item.text for item in front.attach),
            fallback=front.fallback,
            used=MappingProxyType({language: frozenset(names) for language, names in self._used.items()}),
            optional=MappingProxyType({language: frozenset(names) for language, names in self._optional.items()}),
        )

    def _default(self, bodies: dict[str, tuple[int, str]]) -> str:
        """The company's language, also as "pt" for "pt-BR"; it must be there."""
        wanted = self._names.language.lower()
        for language in bodies:
            if language == wanted or language.partition("-")[0] == wanted.partition("-")[0]:
                return language
        if bodies:
            message = f'there is no text in "{wanted}", the language of the company'
            self._add("E505", message, next(iter(bodies.values()))[0], help=f"add the line: --- {wanted} ---")
        return wanted

    def _check_written(self, bodies: dict[str, tuple[int, str]]) -> None:
        bases = {language.partition("-")[0] for language in bodies}
        for wanted in self._names.written if bodies else ():
            if wanted.lower().partition("-")[0] not in bases:
                help = f"add the line: --- {wanted} ---, or to the head: fallback: yes"
                self._add("E505", f'there is no text in "{wanted}"', next(iter(bodies.values()))[0], help=help)

    def _bodies(self, lines: list[str], start: int) -> dict[str, tuple[int, str]]:
        """language -> (line number of its first line, text). Without any language line: the company's language."""
        places = [(number, match) for number in range(start, len(lines)) if (match := self._separator(lines, number))]
        if not places:
            return self._whole_body(lines, start)
        if any(line.strip() for line in lines[start : places[0][0]]):
            first = next(number for number in range(start, places[0][0]) if lines[number].strip())
            help = f"add the line: --- {self._names.language} ---"
            self._add("E507", "text before the first language line", first + 1, len(lines[first]), help)
        bodies: dict[str, tuple[int, str]] = {}
        for (number, match), (end, _) in zip(places, [*places[1:], (len(lines), None)], strict=True):
            language = match[1].lower().replace("_", "-")
            text = "\n".join(lines[number + 1 : end])
            if language in bodies:
                self._add("E504", f'"{language}" is there twice', number + 1, len(lines[number]), "keep one of them")
            elif not text.strip():
                self._add("E506", f'the text in "{language}" is empty', number + 1, len(lines[number]), "write it")
            bodies.setdefault(language, (number + 2, text))
        return bodies

    def _whole_body(self, lines: list[str], start: int) -> dict[str, tuple[int, str]]:
        text = "\n".join(lines[start:])
        if not text.strip():
            self._add("E506", "the template has no text", len(lines), help="write it below the second line ---")
            return {}
        return {self._names.language.lower(): (start + 1, text)}

    def _separator(self, lines: list[str], number: int) -> re.Match[str] | None:
        line = lines[number]
        match = _SEPARATOR.fullmatch(line)
        if not match and re.fullmatch(r"-{2,}[ \t]*[\w, -]*\w[ \t]*-{2,}[ \t]*", line):
            help = "write a language code between the dashes, for example --- pt ---"
            self._add("E504", "the language line is not understood", number + 1, len(line), help)
        return match

    def _check_body(self, language: str, line: int, body: str) -> None:
        from rules.expressions import read_expressions

        found = read_expressions(body, self._names.all())
        self._remember(language, found)
        for fault in found.faults:
            place = Place(self._path, line + fault.line - 1, fault.column, fault.span)
            self._problems.append(problem_at(place, fault.code, fault.message, fault.help))

    def _remember(self, language: str, found: Findings) -> None:
        self._used.setdefault(language, set()).update(found.used)
        self._optional.setdefault(language, set()).update(found.optional)

    def _subjects(self, front: FrontMatter, languages: tuple[str, ...]) -> dict[str, str]:
        """language -> subject, for each language that has a text."""
        for language, subject in front.subjects.items():
            self._check_subject(subject, [language] if language else languages)
        if "" in front.subjects:
            return dict.fromkeys(languages, front.subjects[""].text)
        place = front.subject_place
        for language in languages:
            if place and front.subjects and language not in front.subjects:
                message = f'there is no subject in "{language}"'
                self._problems.append(problem_at(place, "E503", message, f'add {language}: "..." to it'))
        for language, subject in front.subjects.items():
            if languages and language not in languages:
                message = f'there is a subject but no text in "{language}"'
                self._problems.append(problem_at(subject.place, "E505", message, f"add the line: --- {language} ---"))
        return {language: subject.text for language, subject in front.subjects.items()}

    def _check_subject(self, subject: Scalar, languages: Iterable[str]) -> None:
        from rules.expressions import read_expressions

        found = read_expressions(subject.text, self._names.all())
        for language in languages:
            self._remember(language, found)
        self._problems += _placed(found, subject)

    def _check_needs(self, front: FrontMatter) -> None:
        known = self._names.all()
        for item in front.needs:
            if item.text not in known and f"{item.text.rpartition('.')[0]}.*" not in known:
                help = did_you_mean(item.text, (name for name in known if not name.endswith("*")), "remove it")
                self._problems.append(problem_at(item.place, "E509", f'unknown name "{item.text}"', help))

    def _add(self, code: str, message: str, line: int, span: int = 1, help: str = "") -> None:
        self._problems.append(problem_at(Place(self._path, line, 1, max(span, 1)), code, message, help))
