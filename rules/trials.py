"""Rule tests: what is expected of the rules, mail by mail and event by event, in tests/*.yaml. Loaded, run, judged.

In the code a rule test is a Trial, so that nobody takes it for a test of quietcrm itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from config.errors import Problem
from config.nodes import ListNode, MapNode, Node, Place, Scalar
from config.reading import read_yaml
from config.settings import Settings
from connectors.model import Message
from rules.condition import clip
from rules.decision import Check, Decision, Outcome, RuleTrace
from rules.engine import evaluate, evaluate_occasion
from rules.expectation import Came, Expectation
from rules.expectations import read_expect
from rules.facts import Directory, Moment
from rules.moments import parse_delay
from rules.occasion import Occasion
from rules.office import office_of
from rules.reader import Reader, entries
from rules.ruleset import Rule, RuleSet
from rules.sequences import sequence_names
from rules.trial_clock import EVER, parse_moment, parse_now
from rules.trial_event import happen, pass_time, read_event
from rules.trial_mail import ReadMail, read_mail
from rules.trial_world import World, read_given

FILE_KEYS = ("about", "now", "given", "tests")
TRIAL_KEYS = ("name", "about", "mail", "event", "at", "after", "expect")
_ABOUT_ALL = ("nothing", "not", "ignore", "log")
"""Lines of `expect` that each rule which fired has to do with."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trial:
    """One rule test, ready to be run. `place` is its name in its file.

    message       the mail that comes; `unsubscribed`: it asks for no more mail
    gesture       or a person does that to it in the mailbox ("mail tagged")
    occasion      or what else happens
    passes        or nothing but time, from one moment to another
    """

    name: str
    place: Place
    directory: Directory
    expectations: tuple[Expectation, ...]
    message: Message | None = None
    unsubscribed: bool = False
    gesture: str = ""
    occasion: Occasion | None = None
    passes: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One line of `expect` that did not come true."""

    expectation: Expectation
    came: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Verdict:
    """What came of one test. `traces`: of a failed one, the rules it is about."""

    trial: Trial
    decision: Decision
    failures: tuple[Failure, ...] = ()
    traces: tuple[RuleTrace, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether everything came as expected."""
        return not self.failures


# --- loading


def load_trials(
    directory: Path, settings: Settings, ruleset: RuleSet | None, problems: list[Problem], from_file: ReadMail
) -> tuple[Trial, ...]:
    """Read tests/*.yaml below `directory`. Never raises for what is in them; faults are appended to `problems`.

    With `ruleset` None names of rules are not checked. `from_file` reads the mails that tests name as .eml files.
    """
    templates = frozenset(path.stem for path in (directory / "templates").glob("*.md"))
    reader = _reader(settings, ruleset, problems, templates)
    reader.sequences |= sequence_names(directory)
    taken: dict[str, Scalar] = {}
    found: list[Trial] = []
    for path in trial_files(directory):
        root = read_yaml(path, None, problems)
        found.extend(_read_root(root, reader, ruleset, taken, from_file))
    return tuple(found)


def read_trials(
    path: Path, text: str, settings: Settings, ruleset: RuleSet, problems: list[Problem]
) -> tuple[Trial, ...]:
    """The tests in `text`, as if it were the file at `path`. As `load_trials` otherwise; without .eml files."""
    reader = _reader(settings, ruleset, problems, frozenset())
    root = read_yaml(path, text, problems)
    return tuple(_read_root(root, reader, ruleset, {}, lambda _: "it cannot be read here"))


def _reader(settings: Settings, ruleset: RuleSet | None, problems: list[Problem], templates: frozenset[str]) -> Reader:
    names = templates | (frozenset(ruleset.templates) if ruleset else frozenset())
    waited = frozenset(one.words for one in ruleset.triggers) if ruleset else None
    sequences = frozenset(ruleset.sequences) if ruleset else frozenset()
    return Reader(settings=settings, problems=problems, templates=names, sequences=sequences, waited=waited)


def _read_root(
    root: Node | None, reader: Reader, ruleset: RuleSet | None, taken: dict[str, Scalar], from_file: ReadMail
) -> Iterator[Trial]:
    known = tuple(rule.name for rule in ruleset.rules) if ruleset else None
    if isinstance(root, MapNode):
        yield from _read_file(root, reader, known, taken, from_file)
    elif root is not None:
        reader.report("E105", f"{root.place.path.name} holds no tests", root.place, "add the line: tests:")


def trial_files(directory: Path) -> list[Path]:
    """The files of rule tests, in name order."""
    found = sorted((directory / "tests").glob("*.yaml"))
    return [path for path in found if path.is_file() and not path.name.startswith(".")]


def _read_file(
    root: MapNode, reader: Reader, known: Sequence[str] | None, taken: dict[str, Scalar], from_file: ReadMail
) -> Iterator[Trial]:
    parts = {key.text: value for key, value in entries(root, reader, FILE_KEYS, "part of a file of tests")}
    now = _now(root, parts.get("now"), reader)
    if now is None:
        return
    world = read_given(parts.get("given"), now, reader)
    tests = parts.get("tests")
    if tests is None:
        reader.report("E102", "the file has no `tests`", root.place, "add the line: tests:")
    elif not isinstance(tests, ListNode):
        reader.report("E105", "`tests` needs a list", tests.place, 'write "- name: ..." for each test')
    else:
        for item in tests.items:
            mapping = reader.mapping(item, "a test", "name: a new order")
            trial = _read_trial(mapping, world, reader, known, taken, from_file) if mapping else None
            if trial:
                yield trial


def _now(root: MapNode, node: Node | None, reader: Reader) -> datetime | None:
    if node is None:
        help = "add: now: 2026-11-20 10:00"
        reader.report("E102", "the file does not say what time it is", root.place, help)
        return None
    scalar = reader.scalar(node, "`now`")
    zone = reader.settings.zone
    return reader.parsed(scalar, lambda text: parse_now(text, zone), "E203") if scalar else None


def _read_trial(
    node: MapNode,
    world: World,
    reader: Reader,
    known: Sequence[str] | None,
    taken: dict[str, Scalar],
    from_file: ReadMail,
) -> Trial | None:
    before = len(reader.problems)
    for key, _ in node.entries:
        if key.text not in TRIAL_KEYS:
            reader.unknown("part of a test", key, TRIAL_KEYS)
    name = _name(node, reader, taken)
    at = _at(node, world.now, reader)
    expect = node.get("expect")
    if len(reader.problems) == before:  # else the misspelt name may be the missing one
        _check_parts(node, reader)
    expectations = read_expect(expect, reader, known) if expect else ()
    scene = _scene(node, at or world.now, world, reader, name.text if name else "", from_file)
    if scene is None or name is None or len(reader.problems) > before:
        return None
    return replace(scene, name=name.text.strip(), place=name.place, expectations=expectations)


def _scene(node: MapNode, at: datetime, world: World, reader: Reader, name: str, from_file: ReadMail) -> Trial | None:
    """What happens in a test: a mail comes, something else happens, or time passes."""
    empty = Trial(name=name, place=node.place, directory=world.directory(), expectations=())
    mail, event = node.get("mail"), node.get("event")
    if mail is not None:
        tested = read_mail(mail, at, world, reader, name=name, from_file=from_file)
        if tested is None:
            return None
        scene = replace(empty, message=tested.message, directory=tested.directory)
        return replace(scene, unsubscribed=tested.unsubscribed, gesture=tested.gesture)
    if event is not None:
        occasion = read_event(event, at, world, reader)
        return replace(empty, occasion=occasion) if occasion else None
    return replace(empty, passes=(world.now, at)) if at > world.now else None


def _check_parts(node: MapNode, reader: Reader) -> None:
    if node.get("expect") is None:
        reader.report("E102", "the test has no `expect`", node.place, "add: expect: nothing")
    mail, event = node.key("mail"), node.key("event")
    if mail and event:
        reader.report("E413", "`event` beside `mail`", event.place, "keep one of the two")
    if not mail and not event and node.get("after") is None and node.get("at") is None:
        help = "add: mail: {from: maria@acme.example, subject: Order}, or event:, or after: 22 days"
        reader.report("E102", "the test has no `mail`, and nothing else happens in it", node.place, help)


def _name(node: MapNode, reader: Reader, taken: dict[str, Scalar]) -> Scalar | None:
    value = node.get("name")
    if value is None:
        reader.report("E102", "a test needs a name", node.place, "add: name: what it shows")
        return None
    scalar = reader.scalar(value, "`name`")
    if scalar is None:
        return None
    first = taken.setdefault(scalar.text.strip(), scalar)
    if first is scalar:
        return scalar
    where = f"{first.place.path.name}:{first.place.line}"
    help = f'rename to "{scalar.text.strip()} (2)"'
    reader.report("E422", f'a test "{scalar.text}" is in {where} already', scalar.place, help)
    return None


def _at(node: MapNode, now: datetime, reader: Reader) -> datetime | None:
    """When the mail of a test comes: `at` a moment, `after` a length of time, else at `now`."""
    hours = office_of(reader.settings).hours
    at, after = node.get("at"), node.get("after")
    if at is not None and after is not None:
        key = node.key("after")
        assert key is not None
        reader.report("E413", "`after` beside `at`", key.place, "keep one of the two")
        return None
    value = at or after
    if value is None:
        return now
    scalar = reader.scalar(value, "`at`" if at else "`after`")
    if scalar is None:
        return None
    if at:
        return reader.parsed(scalar, lambda text: parse_moment(text, now, hours), "E203")
    delay = reader.parsed(scalar, parse_delay, "E202")
    return delay.after(now, hours) if delay else None


# --- running


def switched_on(ruleset: RuleSet) -> RuleSet:
    """The rules as tests see them: one that only watches does what it will do once it is on."""
    rules = tuple(replace(rule, mode="on") if rule.mode == "watch" else rule for rule in ruleset.rules)
    return replace(ruleset, rules=rules)


def run_trials(trials: Sequence[Trial], ruleset: RuleSet, settings: Settings) -> list[Verdict]:
    """Judge every test. Pure."""
    rules = switched_on(ruleset)
    return [_run(trial, rules, settings) for trial in trials]


def decide(
    message: Message,
    directory: Directory,
    ruleset: RuleSet,
    settings: Settings,
    *,
    unsubscribed: bool = False,
    explain: bool = False,
) -> Decision:
    """What the rules make of a mail that comes now. With `explain` every rule leaves a trace."""
    moment = Moment(now=message.received_at, baseline=EVER, loaded={rule.name: EVER for rule in ruleset.rules})
    return evaluate(ruleset, message, directory, settings, moment, explain=explain, unsubscribed=unsubscribed)


def _run(trial: Trial, ruleset: RuleSet, settings: Settings) -> Verdict:
    came = _came(trial, ruleset, settings, explain=False)
    failures = tuple(
        Failure(expectation=one, came=clip(one.came(came), 400)) for one in trial.expectations if not one.met(came)
    )
    if not failures:
        return Verdict(trial=trial, decision=came.decision)
    told = _came(trial, ruleset, settings, explain=True).decision  # slower: every rule is asked
    return Verdict(trial=trial, decision=told, failures=failures, traces=_traces(failures, told, ruleset))


def _came(trial: Trial, ruleset: RuleSet, settings: Settings, *, explain: bool) -> Came:
    message, directory = trial.message, trial.directory
    if message is not None and trial.gesture:
        return came_of(_gestured(trial.gesture, message, directory, ruleset, settings), message, directory, settings)
    if message is not None:
        wish = trial.unsubscribed
        decision = decide(message, directory, ruleset, settings, unsubscribed=wish, explain=explain)
        return came_of(decision, message, directory, settings)
    if trial.occasion is not None:
        return _together(happen([trial.occasion], directory, ruleset, settings), directory, settings)
    assert trial.passes is not None
    return _together(pass_time(trial.passes, directory, ruleset, settings), directory, settings)


def _gestured(what: str, message: Message, directory: Directory, ruleset: RuleSet, settings: Settings) -> Decision:
    """What the rules make of a mail that a person marks in the mailbox."""
    occasion = Occasion(when=what, event=what, at=message.received_at, seen=message.folder)
    moment = Moment(now=message.received_at, baseline=EVER, loaded={rule.name: EVER for rule in ruleset.rules})
    return evaluate_occasion(ruleset, occasion, directory, settings, moment, message=message)


def came_of(decision: Decision, message: Message, directory: Directory, settings: Settings) -> Came:
    """What came of a mail, as expectations ask for it."""
    return Came(
        decision=decision,
        at=message.received_at,
        zone=settings.zone,
        hours=office_of(settings).hours,
        names={number: one.name for number, one in directory.customers.items()},
    )


def _together(several: Sequence[tuple[Occasion, Decision]], directory: Directory, settings: Settings) -> Came:
    """What came of occasions one after another, as one decision. Delays count from the occasion of each."""
    first = several[0][1] if several else Decision(outcome=Outcome.OCCASION)
    whole = replace(
        first,
        actions=tuple(action for _, decision in several for action in decision.actions),
        traces=tuple(trace for _, decision in several for trace in decision.traces),
    )
    return Came(
        decision=whole,
        at=several[0][0].at if several else EVER,
        zone=settings.zone,
        hours=office_of(settings).hours,
        names={number: one.name for number, one in directory.customers.items()},
        moments=tuple((action, one.at) for one, decision in several for action in decision.actions),
    )


def _traces(failures: Sequence[Failure], decision: Decision, ruleset: RuleSet) -> tuple[RuleTrace, ...]:
    """The rules that a failed test is about: named but silent, acting but not named, or able to do what is missing."""
    fired = {trace.rule for trace in decision.traces if trace.result == "fired"}
    named = next((one.expectation for one in failures if one.expectation.key == "rules"), None)
    if named:  # what is missing beside it is missing because of it
        about = fired.symmetric_difference(named.rules)
    else:
        verbs = {one.expectation.verb for one in failures} - {""}
        about = {rule.name for rule in ruleset.rules for verb in verbs if _can(rule, verb)}
        about |= fired if any(one.expectation.key in _ABOUT_ALL for one in failures) else set()
    return tuple(trace for trace in decision.traces if trace.rule in about)


def _can(rule: Rule, verb: str) -> bool:
    if verb in ("ignore", "extract"):
        return bool(rule.ignore if verb == "ignore" else rule.extract)
    return any(effect.verb == verb for effect in rule.effects)


# --- as problems of the configuration


def problems_of(verdicts: Sequence[Verdict]) -> list[Problem]:
    """A problem for each line of `expect` that did not come true."""
    return [_problem(verdict, failure) for verdict in verdicts for failure in verdict.failures]


def _problem(verdict: Verdict, failure: Failure) -> Problem:
    one, trial = failure.expectation, verdict.trial
    why = next((line for trace in verdict.traces if (line := _why(trace))), "")
    run = f'quietcrm rules test "{trial.name}"'
    return Problem(
        code="E420",
        message=f'the test "{trial.name}" fails: {one.key}: expected {one.wanted}, came {failure.came or "nothing"}',
        path=one.place.path,
        line=one.place.line,
        column=one.place.column,
        span=one.place.span,
        help=f"{why}see {run}; mend the rule or, if it is right, the test",
    )


def _why(trace: RuleTrace) -> str:
    failed: Check | None = next((check for check in trace.checks if not check.held), None)
    if trace.result != "failed" or failed is None:
        return ""
    return clip(f"{trace.rule} did not fire, {failed.condition}: {failed.wanted}, saw {failed.seen}", 160) + "; "
