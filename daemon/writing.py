"""rules new: a rule to begin with, in the office's language. Never overwrites anything."""

from __future__ import annotations

import unicodedata
from importlib.resources import files
from pathlib import Path

from config.values import NAME
from daemon.errors import Refused
from daemon.office import Office

LANGUAGES = ("en", "pt", "ru")
BEHIND = "90"
"""Files run in the order of their names: a new rule comes behind the others, and shadows none of them."""


def new_rule(name: str, language: str, stage: str) -> str:
    """The text of a file with one rule that watches. `stage` is one of the office's, for what sleeps in it."""
    word = language[:2].lower() if language[:2].lower() in LANGUAGES else LANGUAGES[0]
    text = (files("config") / "new" / f"{word}.yaml").read_text(encoding="utf-8")
    return text.replace("NAME", name).replace("STAGE", stage)


def why_no_name(name: str) -> str:
    """Why this cannot be the name of a rule, "" if it can. Letters of two alphabets look alike, and whoever types the
    name later would not find it."""
    if not NAME.fullmatch(name):
        return f'"{name}" cannot be the name of a rule: use letters, digits and - without spaces'
    alphabets = sorted({unicodedata.name(sign, "other").split()[0].title() for sign in name if sign.isalpha()})
    if len(alphabets) > 1:
        return f'"{name}" has letters of {" and ".join(alphabets)}: use one alphabet'
    return ""


def write_rule(office: Office, name: str) -> Path:
    """Write a new rule into a file of its own; the file. Raises Refused, OSError."""
    if why := why_no_name(name):
        raise Refused(why, hint="choose another name")
    taken = next((rule for rule in office.rules.rules if name in rule.names), None)
    if taken is not None:
        raise Refused(f'a rule "{name}" is in {taken.place} already', hint="choose another name, or change that one")
    path = office.directory / "rules" / f"{BEHIND}-{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = office.settings
    text = new_rule(name, settings.company.language, settings.stages.order[0])
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(f"{path} is there already", hint="choose another name") from None
    return path
