"""Decides what happens with one mail or occasion. Pure: the same values give the same decision, any time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from config.settings import Settings
from connectors.model import Kind, Message
from rules.decision import Action, Check, Decision, Direction, Extracted, Match, Outcome, RuleTrace
from rules.effect import Effect, Plan
from rules.events import events_of
from rules.facts import Directory, Moment
from rules.ladder import direction_of, match, primary
from rules.occasion import LONGEST_CHAIN, Occasion, blank_mail, whose
from rules.office import Office, office_of
from rules.once import Once
from rules.ruleset import Rule, RuleSet
from rules.triggers import CLOCK
from rules.view import View

UNSEEN_KINDS = frozenset((Kind.AUTO_REPLY, Kind.OUT_OF_OFFICE, Kind.BOUNCE, Kind.BULK))
"""Kinds seen only by `ignore` rules and by rules that name them with `is`."""
DATE_TOLERANCE = timedelta(days=2)
UNKNOWN_LEAD = "unknown: lead"
"""Stands for the rule where the setting `unknown: lead` made the lead."""
SEVERAL = "several customers share the address"
"""Stands in a trace for the rule that shadowed a change, where it is not clear whose record it would change."""
TOO_LATE = "the day of the greeting is over"
"""Stands in a trace for the rule that shadowed a mail to the customer, where it would come a day late."""
_CHANGING = frozenset(("set", "tag", "untag", "segment", "stage", "owner"))
_GREETING = frozenset(("draft", "send"))
_MAKING = ("file_under", "create:customer", "create:lead")


def evaluate(
    ruleset: RuleSet,
    message: Message,
    directory: Directory,
    settings: Settings,
    moment: Moment,
    *,
    explain: bool = False,
    about: Match | None = None,
    unsubscribed: bool = False,
) -> Decision:
    """Decide about one mail. With `explain` every rule leaves a trace, else only those whose conditions held.

    `about` says whose mail it is where that is settled already (a mail of the history); else the ladder is asked.
    `unsubscribed`: the mail says that its writer wants no more mail, for rules with `when: contact unsubscribed`.
    """
    office = office_of(settings)
    found = about or match(message, directory, settings)
    direction = direction_of(message, office)
    if not found.outside:
        return Decision(outcome=Outcome.INTERNAL, reason="only our own people", direction=direction, match=found)
    why = forbidden(message, found, directory, office)
    if why:
        return Decision(outcome=Outcome.NEVER_LOG, reason=why, direction=direction, match=found)
    view = View(message, found, direction, directory, office)
    run = _Run(ruleset, view, moment, explain, events_of(view, unsubscribed=unsubscribed))
    return run.decide()


def evaluate_occasion(
    ruleset: RuleSet,
    occasion: Occasion,
    directory: Directory,
    settings: Settings,
    moment: Moment,
    *,
    message: Message | None = None,
) -> Decision:
    """Decide about an occasion; every rule that waits for such a one leaves a trace.

    `directory` has its customer with the contacts. `message`: the mail that a person marked, where it is about one.
    `moment.baseline` is not asked: whoever finds occasions says from when on.
    """
    office = office_of(settings)
    mail = message or blank_mail(occasion.at)
    found = match(message, directory, settings) if message else whose(occasion, directory)
    direction = direction_of(message, office) if message else Direction.IN
    view = View(mail, found, direction, directory, office, occasion)
    return _Run(ruleset, view, moment, True, {}).decide()


def is_history(message: Message, moment: Moment) -> bool:
    """Mail from before the baseline, by arrival or, more than two days, by its own Date: logged, never acted upon."""
    if moment.baseline is None or message.received_at < moment.baseline:
        return True
    return message.sent_at is not None and message.sent_at < moment.baseline - DATE_TOLERANCE


def forbidden(message: Message, found: Match, directory: Directory, office: Office) -> str:
    """Why nothing of the mail may be kept, "" if it may."""
    if not office.never_log and not directory.never_log:
        return ""
    people = {person.email.lower() for person in (*message.people(), *found.outside)}
    if any(office.never_log.covers(key) for key in people):
        return "never_log in the settings"
    if directory.never_log and any(
        key in directory.never_log or key.rpartition("@")[2] in directory.never_log for key in people
    ):
        return "never to be logged"
    return ""


@dataclass(slots=True, eq=False)
class _Claim:
    """A slot, and the rule that has it."""

    rule: Rule
    effect: Effect


@dataclass(slots=True)
class _Run:
    """One evaluation: collects claims and traces."""

    ruleset: RuleSet
    view: View
    moment: Moment
    explain: bool
    events: dict[str, str]
    history: bool = False
    claims: dict[str, _Claim] = field(default_factory=dict)
    traces: list[RuleTrace] = field(default_factory=list)
    values: dict[str, tuple[Extracted, ...]] = field(default_factory=dict)
    turns: dict[str, Check] = field(default_factory=dict)

    def decide(self) -> Decision:
        self.history = self.view.occasion is None and is_history(self.view.message, self.moment)
        rules = self._candidates()
        for rule in rules:
            if rule.ignore and self._ignores(rule):
                return self._decision(Outcome.IGNORED, rule.ignore, logged_by=rule.name)
        stopped = False
        for rule in rules:
            if not rule.ignore:
                stopped = self._consider(rule, stopped) or stopped
        return self._conclude()

    def _candidates(self) -> Iterable[Rule]:
        rules, occasion = self.ruleset.rules, self.view.occasion
        if occasion is not None:
            return self.ruleset.waiting(occasion.when)
        return rules if self.explain else [rules[number] for number in self.ruleset.index.candidates(self.view)]

    # --- one rule

    def _ignores(self, rule: Rule) -> bool:
        result = self._unasked(rule)
        if result:
            self._note(rule, result)
            return False
        if not self._holds(rule):
            return False
        self._note(rule, "fired" if rule.mode == "on" else "watched", done=(f"ignore: {rule.ignore}",))
        return rule.mode == "on"

    def _consider(self, rule: Rule, stopped: bool) -> bool:
        """Ask a rule and take its claims; True if it ends the run."""
        result = "stopped" if stopped else self._unasked(rule)
        if result:
            self._note(rule, result)
            return False
        if not self._holds(rule):
            return False
        old = self._is_old(rule)
        effects = [effect for effect in rule.effects if effect.history or not old]
        if rule.mode == "watch" or rule.name in self.moment.paused:
            result = "too_old" if old else "watched" if rule.mode == "watch" else "paused"
            self._note(rule, result, done=tuple(effect.shown for effect in effects))
            return False
        self._claim(rule, effects, "too_old" if old else "fired")
        return rule.stop and (bool(effects) or not old)

    def _unasked(self, rule: Rule) -> str:
        """Why a rule is not asked at all, "" if it is."""
        if rule.mode == "off":
            return "off"
        occasion = self.view.occasion
        if occasion is not None:
            if occasion.word == CLOCK and rule.office_wide is not (occasion.customer_id is None):
                return "not_for"
            return "looping" if occasion.by in rule.names or occasion.chain > LONGEST_CHAIN else ""
        if rule.events and not rule.events.isdisjoint(self.events):
            return ""
        if self.view.direction not in rule.directions:
            return "not_for"
        kind = self.view.message.kind
        return "not_seen" if kind in UNSEEN_KINDS and kind not in rule.kinds and not rule.ignore else ""

    def _is_old(self, rule: Rule) -> bool:
        return self.history or self.view.at < self.moment.loaded.get(rule.name, self.moment.now)

    def _holds(self, rule: Rule) -> bool:
        view = self.view
        for holds in rule.asks:
            if not holds(view):
                if self.explain:
                    self._note(rule, "failed")
                return False
        return (not rule.extract or self._extracts(rule)) and (rule.once is None or self._has_turn(rule, rule.once))

    def _has_turn(self, rule: Rule, once: Once) -> bool:
        """Whether the rule may act again for what the mail belongs to."""
        check = self.turns[rule.name] = once.check(self.view, rule.names)
        if not check.held and self.explain:
            self._note(rule, "failed")
        return check.held

    def _extracts(self, rule: Rule) -> bool:
        """Take the rule's values out of the mail; False if one is missing that must be there."""
        found = self.values[rule.name] = tuple(one.find(self.view) for one in rule.extract)
        if all(one.value or not one.required for one in found):
            return True
        if self.explain:
            self._note(rule, "failed")
        return False

    def _claim(self, rule: Rule, effects: list[Effect], result: str) -> None:
        done: list[str] = []
        shadowed: dict[str, str] = {}
        unclear = self.view.match.ambiguous and primary(self.view.match) is None
        for effect in effects:
            if unclear and effect.verb in _CHANGING:
                shadowed[effect.slot] = SEVERAL
                continue
            if self._is_over() and effect.verb in _GREETING:
                shadowed[effect.slot] = TOO_LATE
                continue
            slot = f"{effect.slot}\0{rule.name}" if effect.apart else effect.slot
            before = self.claims.setdefault(slot, _Claim(rule, effect))
            if before.effect is effect:
                done.append(effect.shown)
            elif not (effect.additive and before.effect.verb == effect.verb):
                shadowed[effect.slot] = before.rule.name
        self._note(rule, result, done=tuple(done), shadowed=shadowed)

    def _is_over(self) -> bool:
        """Whether a greeting would come after its day."""
        occasion = self.view.occasion
        return occasion is not None and occasion.expires is not None and self.moment.now >= occasion.expires

    def _note(
        self, rule: Rule, result: str, *, done: tuple[str, ...] = (), shadowed: dict[str, str] | None = None
    ) -> None:
        unasked = result in ("off", "not_for", "not_seen", "stopped", "looping")
        if unasked and not self.explain:
            return
        found = self.values.get(rule.name, ())
        checks = self._chain(rule) if result == "looping" else () if unasked else self._answers(rule)
        self.traces.append(
            RuleTrace(
                rule=rule.name,
                place=rule.origin,
                result=result,
                checks=checks,
                done=done,
                shadowed=shadowed or {},
                extracted=found,
            )
        )

    def _answers(self, rule: Rule) -> tuple[Check, ...]:
        """Everything that was asked of the rule."""
        found = self.values.get(rule.name, ())
        return (*self._why(rule), *_checks(rule, self.view), *_missing(found), *self._turn(rule))

    def _why(self, rule: Rule) -> Iterator[Check]:
        """Why the rule is asked, where it is not for the mail's mere coming."""
        occasion = self.view.occasion
        if occasion is not None:
            yield Check(condition="when", held=True, wanted=occasion.when, seen=occasion.seen or occasion.when)
        for event, seen in self.events.items():
            if event in rule.events:
                yield Check(condition="when", held=True, wanted=event, seen=seen)

    def _chain(self, rule: Rule) -> tuple[Check, ...]:
        """Why a change sets nothing off any more."""
        occasion = self.view.occasion
        assert occasion is not None
        own = occasion.by in rule.names
        seen = "the rule's own change" if own else f"{occasion.chain} rules set each other off"
        wanted = f"{occasion.when}, by somebody else"
        return (Check(condition="when", held=False, wanted=wanted, seen=seen),)

    def _turn(self, rule: Rule) -> tuple[Check, ...]:
        return (self.turns[rule.name],) if rule.name in self.turns else ()

    # --- all together

    def _conclude(self) -> Decision:
        plan = Plan(self.view, self.moment)
        owner = self.claims.get("owner")
        made = (owner.effect.build(plan) if owner else None) or {}
        plan.new_owner = str(made.get("rep", ""))
        actions = list(self._actions(plan))
        if self.view.occasion is not None:
            return self._decision(Outcome.OCCASION, self.view.occasion.when, actions=actions)
        log = self.claims.get("log")
        how = (log.effect.build(plan) or {}).get("how") if log else None
        if log and how == "no":
            return self._decision(Outcome.IGNORED, "log: no", logged_by=log.rule.name)
        if log:
            outcome = Outcome.HEADERS if how == "headers" else Outcome.LOG
            return self._decision(outcome, f"log: {how}", logged_by=log.rule.name, actions=actions)
        maker = next((action for action in actions if action.slot in _MAKING), None)
        if self.view.match.customers:
            return self._decision(Outcome.LOG, "its customer is known", actions=actions)
        if maker:
            return self._decision(Outcome.LOG, maker.slot, logged_by=maker.rule, actions=actions)
        return self._unmatched()

    def _actions(self, plan: Plan) -> Iterator[Action]:
        seen: set[tuple[object, ...]] = set()
        for claim in self.claims.values():
            effect = claim.effect
            if effect.verb == "log":
                continue
            plan.given = {one.name: one.value for one in self.values.get(claim.rule.name, ())}
            args = effect.build(plan)
            if args is None:
                continue
            if effect.verb == "remind":
                same = (args["rep"], args["due_at"], args["text"])
                if same in seen:
                    continue
                seen.add(same)
            yield Action(rule=claim.rule.name, slot=effect.slot, verb=effect.verb, args=args)

    def _unmatched(self) -> Decision:
        """Nobody known and nobody made: nothing can be done for it, and the rules that wanted to are told so."""
        message = self.view.message
        lead = self.view.office.settings.unknown == "lead" and message.kind is Kind.HUMAN and not self.history
        if lead and self.view.direction is Direction.IN:
            fields = {"title": message.subject, "source": "email"}
            action = Action(
                rule=UNKNOWN_LEAD, slot="create:lead", verb="create", args={"what": "lead", "fields": fields}
            )
            return self._decision(Outcome.LOG, UNKNOWN_LEAD, logged_by=UNKNOWN_LEAD, actions=[action])
        self.traces = [_without_customer(trace) for trace in self.traces]
        return self._decision(Outcome.UNMATCHED, "no customer")

    def _decision(
        self, outcome: Outcome, reason: str, *, logged_by: str = "", actions: list[Action] | None = None
    ) -> Decision:
        return Decision(
            outcome=outcome,
            reason=reason,
            direction=self.view.direction,
            match=self.view.match,
            logged_by=logged_by,
            actions=tuple(actions or ()),
            traces=tuple(self.traces),
        )


def _checks(rule: Rule, view: View) -> Iterator[Check]:
    """The conditions in the order written, up to the first that failed."""
    for condition in rule.conditions:
        check = condition.check(view)
        yield check
        if not check.held:
            return


def _missing(found: Iterable[Extracted]) -> Iterator[Check]:
    """The first value that is missing and must not be."""
    for one in found:
        if one.required and not one.value:
            yield Check(condition=f"extract {one.name}", held=False, wanted=one.wanted, seen=one.missed)
            return


def _without_customer(trace: RuleTrace) -> RuleTrace:
    if not trace.done or trace.result not in ("fired", "too_old"):
        return trace
    check = Check(condition="customer", held=False, wanted="one, or create: lead, or log: yes", seen="nobody known")
    return replace(trace, result="failed", checks=(*trace.checks, check), done=())
