"""What a rule asks for that is not at hand when it runs: a mail, a meeting, a change, a customer. Found at load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from config.nodes import Place, Scalar
from rules.reader import Reader
from rules.triggers import CHANGED, CLOCK, Trigger

MAIL_ACTIONS = frozenset(("log", "ignore", "file_under", "category", "uncategory", "move", "flag"))
CUSTOMER_ACTIONS = frozenset(("tag", "untag", "segment", "stage", "owner", "set", "draft", "send", "start", "stop"))
_REMEDY = {
    "mail": "add `mail arrives` to `when`",
    "meeting": "add for example `meeting missed` to `when`",
    "changed": "add for example `{record changed: stage}` to `when`",
    "customer": "say for which customers, for example if: {stage: lead} (for all of them, if: {known: yes})",
}
_LACKING = {
    "mail": "a mail, and no `when` of this rule has one",
    "meeting": "a meeting, and no `when` of this rule has one",
    "changed": "a change, and no `when` of this rule has one",
    "customer": "a customer, and the clock has none",
}


def missing(triggers: Sequence[Trigger]) -> frozenset[str]:
    """Of "mail", "meeting", "changed": what none of the triggers brings along. Nothing where `when` has a fault."""
    if not triggers:
        return frozenset()
    brought = {
        "mail": any(one.of_a_mail for one in triggers),
        "meeting": any(one.of_a_meeting for one in triggers),
        "changed": any(one.word == CHANGED for one in triggers),
    }
    return frozenset(what for what, there in brought.items() if not there)


def strikes_for_nobody(triggers: Sequence[Trigger], *, chooses: bool) -> bool:
    """Whether the clock makes a rule run once for the office: no condition chooses customers."""
    return not chooses and any(one.word == CLOCK for one in triggers)


def check_action(key: Scalar, reader: Reader) -> None:
    """Report an action without what it acts on."""
    for what, several in (("mail", MAIL_ACTIONS), ("customer", CUSTOMER_ACTIONS)):
        if key.text in several:
            refuse(what, f"`{key.text}`", key.place, reader)


def check_names(names: Iterable[str], place: Place, reader: Reader) -> None:
    """Report names of a text ("mail.subject") whose group has no value when the rule runs."""
    for what in sorted({name.partition(".")[0] for name in names} & reader.missing):
        refuse(what, f"{{{{ {what}. ... }}}}", place, reader)


def refuse(what: str, shown: str, place: Place, reader: Reader, near: str = "") -> None:
    """Report that `shown` needs what is missing, nothing if it is there. `near` begins the remedy."""
    if what in reader.missing:
        reader.report("E425", f"{shown} needs {_LACKING[what]}", place, f"{near}{_REMEDY[what]}, or take it away")
