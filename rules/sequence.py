"""A sequence: what happens with a customer step by step until they answer. Read by rules.sequences. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rules.effect import MAIL_LATE, Effect
from rules.moments import Delay
from rules.once import Once
from rules.pacing import Pace

MODES = ("draft", "ask", "auto")
"""The strictest first: the rep sends; a person lets each mail go; it leaves by itself after `send: hold`."""
REPLIED, MEETING, BOUNCED, UNSUBSCRIBED = "replied", "meeting booked", "bounced", "unsubscribed"
STAGE, COLLEAGUE, TEAM = "stage changed", "colleague replied", "team wrote"
SIGNS = (REPLIED, MEETING, BOUNCED, UNSUBSCRIBED, STAGE, COLLEAGUE, TEAM)
ALWAYS = (BOUNCED, UNSUBSCRIBED)
"""End every sequence, whether it says so or not."""
USUAL = frozenset((REPLIED, MEETING, BOUNCED, UNSUBSCRIBED, STAGE, COLLEAGUE))
"""What ends a sequence that does not say."""
STOP, NEXT = "stop", "next"
UNSTATED_AWAY = Delay(5, "day", business=True)
LAST_WORD = Delay(5, "day", business=True)
"""How long an answer is waited for behind the last step, before `done` takes place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMail:
    """The mail of a step. `reply`: in the thread of the mail that started the sequence; `attach`: names of files."""

    template: str
    reply: bool = False
    attach: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Step:
    """One step. `wait` counts from when the one before it really happened; None, for the first alone, = at once.

    late_after   found so much later than it was due (we were off), its mail becomes a draft
    """

    number: int
    name: str = ""
    wait: Delay | None = None
    mail: StepMail | None = None
    effects: tuple[Effect, ...] = ()
    late_after: Delay = MAIL_LATE

    @property
    def slot(self) -> str:
        """What keys it: a step is never done twice for the same enrolment."""
        return self.name or f"step {self.number}"

    @property
    def shown(self) -> str:
        """What it does, in words."""
        mail = [f"mail {self.mail.template}"] if self.mail else []
        return ", ".join([*mail, *(effect.shown for effect in self.effects)])


@dataclass(frozen=True, slots=True, kw_only=True)
class StopWhen:
    """What ends it. `tags`, `stages`: the customer has one of them (by a change of whoever)."""

    signs: frozenset[str] = USUAL
    tags: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sequence:
    """One file of sequences/.

    place         "sequences/after-quote.yaml:1"
    version       twelve hex digits that change when what it does changes; whoever is in it stays on theirs
    content       the file as plain data: what the store keeps of a version
    once          how often somebody may enter
    exclusive     nobody is in it who is in another one, and nobody in it enters another
    away          how long a person counts as away who does not say until when
    declined      what comes of a draft that the rep deleted; `expired`: of one that nobody touched
    done_after    how long an answer to the last step is waited for; then `done` takes place
    """

    name: str
    about: str = ""
    basis: str = ""
    mode: str = "draft"
    place: str = ""
    version: str = ""
    content: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    once: Once = field(default_factory=lambda: Once("deal"))
    exclusive: bool = True
    steps: tuple[Step, ...] = ()
    stop_when: StopWhen = field(default_factory=StopWhen)
    away: Delay = UNSTATED_AWAY
    pace: Pace = field(default_factory=Pace)
    declined: str = STOP
    expired: str = NEXT
    done_after: Delay = LAST_WORD
    done: tuple[Effect, ...] = ()

    def step(self, number: int) -> Step | None:
        """The step of this number, None behind the last."""
        return self.steps[number - 1] if 1 <= number <= len(self.steps) else None


def stricter(one: str, other: str) -> str:
    """Of two modes the one that lets less leave by itself."""
    return min(one, other, key=MODES.index)
