"""Tells the demonstration as lines for a terminal. Pure: from the facts to (style, text) pairs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from shlex import quote
from typing import Any
from zoneinfo import ZoneInfo

Story = Iterator[tuple[str, str]]
Facts = Mapping[str, Any]

_ENDS = {
    "sent": "sent by the rep, found again in Sent",
    "placed": "waits in Drafts",
    "withdrawn": "taken out of Drafts again: {reason}",
    "cancelled": "never laid out: {reason}",
    "expired": "taken out of Drafts again: {reason}",
    "held": "held: {reason}",
    "declined": "{reason}",
    "kept": "edited by the rep, left alone",
}
_SENT_BY_ITSELF = {"sent": "left by itself, its copy lies in Sent"}
_REMINDER_ENDS = {
    "placed": "lies in the Inbox",
    "withdrawn": "left the Inbox again: {reason}",
    "done": "settled: {reason}",
}
_ITEM_ENDS = {
    "placed": "lies in the calendar",
    "withdrawn": "left the calendar again: {reason}",
    "done": "settled: {reason}",
}
_WHY = {
    "address": "the address is a contact's",
    "domain": "the domain is the customer's",
    "thread": "it belongs to a thread we know",
    "created": "a rule made the customer",
}
_OUTCOMES = {
    "internal": "internal, no trace kept",
    "unmatched": "of strangers, asked about in the notice, hashes kept",
    "never_log": "never to be logged, no trace kept",
}


def tell(facts: Facts, program: str = "quietcrm") -> Story:
    """The whole story. `program` = what the reader types to call quietcrm."""
    zone = ZoneInfo(facts["zone"])
    yield "title", "A sample office: Ana and Boris sell packaging in São Paulo, in Portuguese, Russian and English."
    yield "", f"{facts['mails']} mails lie in their two mailboxes. A held clock plays one week; the machinery is real."
    yield from _passes(facts)
    yield from _logged(facts, zone)
    yield from _left_out(facts)
    yield from _drafts(facts, zone)
    yield from _reminders(facts, zone)
    yield from _meetings(facts, zone)
    yield from _ends(facts, program)


def _heading(text: str) -> Story:
    yield "", ""
    yield "heading", text


def _passes(facts: Facts) -> Story:
    yield from _heading("What was seen")
    titles = {"past": "before Tuesday 10 Nov", "week": "the week after", "known": "this time"}
    for name, accounts in facts["passes"].items():
        for account, counts in accounts.items():
            yield "", f"  {titles[name]:<22}{account:<6}{counts['seen']:>3} seen = {_parts(counts)}"
    if facts["first"]:
        yield "", f"  all of it             ana    {len(facts['meetings']):>3} meetings in the calendar"
    yield "good", f"  {facts['new']} new" + ("" if facts["first"] else ": everything was known already")
    if facts["first"]:
        yield "dim", "  The past becomes history and fires no rule; no draft or reminder for any old mail."


def _parts(counts: Facts) -> str:
    own = counts["skipped"].get("own", 0)
    left_out = sum(counts["skipped"].values()) - own
    named = [
        (counts["logged"], "logged"),
        (counts["duplicate"], "known from the other mailbox"),
        (counts["unmatched"], "of strangers"),
        (left_out, "left out"),
        (own, "of ours to the reps"),
    ]
    return " + ".join(f"{count} {name}" for count, name in named if count) or "nothing"


def _logged(facts: Facts, zone: ZoneInfo) -> Story:
    yield from _heading("What was logged, for whom, and why")
    past: Counter[str] = Counter()
    for one in facts["logged"]:
        past.update(one["customers"] if one["past"] else ())
    yield "dim", "  past: " + ", ".join(f"{name} {count}" for name, count in past.most_common())
    for one in sorted((one for one in facts["logged"] if not one["past"]), key=lambda one: str(one["at"])):
        copies = f" ({len(one['sightings'])} mailboxes, one row)" if len(one["sightings"]) > 1 else ""
        why = f"rule {', '.join(one['rules'])}" if one["rules"] else _WHY.get(one["rungs"][0], one["rungs"][0])
        arrow = "from" if one["direction"] == "in" else "to"
        who = _clip(f"{arrow} {', '.join(one['customers'])}", 24)
        kind = "" if one["kind"] == "human" else f" [{one['kind'].replace('_', ' ')}]"
        what = _clip(one["subject"], 36)
        yield "", f"  {_when(one['at'], zone)}  {who:<24} {what:<36}  {why}{kind}{copies}"


def _left_out(facts: Facts) -> Story:
    yield from _heading("What was left out, and why")
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in facts["left_out"]:
        grouped[one["outcome"], one["reason"]].append(one["subject"])
    for (outcome, reason), subjects in grouped.items():
        titles = "; ".join(_clip(one, 26) for one in dict.fromkeys(subjects))
        why = f"by {reason}, no trace kept" if outcome == "ignored" else _OUTCOMES[outcome]
        yield "", f"  {len(subjects)} {why}: {titles}"


def _drafts(facts: Facts, zone: ZoneInfo) -> Story:
    yield from _heading("Drafts that were prepared, one mail that left by itself, and their end")
    for one in facts["drafts"]:
        ends = _ENDS | _SENT_BY_ITSELF if one["way"] == "send" else _ENDS
        yield _tone(one), f"  {one['id']:>2}  {_life(one, zone, ends)}"
    shown = facts["draft"]
    if shown is None:
        return
    yield from _heading(f"The draft that waits in {shown['rep'].capitalize()}'s Drafts folder")
    yield "dim", f"  {shown['path']}"
    yield "", f"  To: {shown['recipient']}"
    yield "", f"  Subject: {shown['subject']}"
    yield from _letter(shown["text"])


def _reminders(facts: Facts, zone: ZoneInfo) -> Story:
    yield from _heading("Reminders, and their end")
    for one in facts["reminders"]:
        if one["state"] != "cancelled":
            ends = _ITEM_ENDS if one["laid_as"] == "event" else _REMINDER_ENDS
            yield _tone(one), f"  {one['id']:>2}  {_life(one, zone, _ENDS | ends)}"
    early = [one["customer"] for one in facts["reminders"] if one["state"] == "cancelled"]
    if early:
        yield "", f"      {', '.join(early)}: answered before the reminder was due, so none came"
    shown = facts["reminder"]
    if shown is None:
        return
    yield from _heading(f"The reminder in {facts['admin'].capitalize()}'s Inbox")
    yield "dim", f"  {shown['path']}"
    yield "", f"  Subject: {shown['subject']}"
    yield from _letter(shown["text"], 9)


def _meetings(facts: Facts, zone: ZoneInfo) -> Story:
    yield from _heading("Meetings in Ana's calendar, and what became of them")
    laid = {(what, one["id"]): one for what in ("draft", "reminder") for one in facts[f"{what}s"]}
    for one in facts["meetings"]:
        came = [_came(what, laid[what, number]) for what in ("draft", "reminder") for number in one[what]]
        who, what = _clip(", ".join(one["customers"]), 20), _clip(one["title"], 30)
        line = f"  {_when(one['start'], zone)}  {who:<20} {what:<30} {'; '.join([one['became'], *came])}"
        yield "warn" if one["became"] == "missed" else "good", line
    shown = facts["brief"]
    if shown is None:
        return
    yield from _heading("The brief for the next one, a working day before, in Ana's Inbox")
    yield "dim", f"  {shown['path']}"
    yield "", f"  Subject: {shown['subject']}"
    yield from _letter(shown["text"], 14)


def _came(what: str, one: Facts) -> str:
    ends = (_ENDS | (_ITEM_ENDS if one["laid_as"] == "event" else _REMINDER_ENDS)) if what == "reminder" else _ENDS
    return f"{what} {one['id']} {ends.get(one['state'], one['state'])}".format(reason=one["reason"])


def _ends(facts: Facts, program: str) -> Story:
    yield from _heading("The daily notice of Wednesday, 08:00, as it lies in Ana's Inbox")
    yield "good", f"  {facts['notice']['html']}"
    yield "good", f"  {facts['notice']['text']}"
    yield from _heading("Go on from here")
    office = f"{program} --config {quote(str(facts['office']))}"
    complaint = next(one["id"] for one in facts["logged"] if "complaint" in one["rules"])
    yield "command", f"  {office} customer timeline 'Padaria Sol'"
    yield "command", f"  {office} rules explain {complaint}"
    yield "command", f"  {office} outbox list"
    yield "command", f"  {office} report meetings --month 2026-11"
    yield "command", f"  {program} demo --out {quote(str(facts['out']))}      # again: 0 new"


def _life(one: Facts, zone: ZoneInfo, ends: Mapping[str, str]) -> str:
    placed = f"laid {_when(one['placed_at'], zone)}" if one["placed_at"] else ""
    end = ends.get(one["state"], one["state"]).format(reason=one["reason"])
    at = f" {_when(one['settled_at'], zone)}" if one["settled_at"] else ""
    return f"{_clip(one['customer'], 18):<18} {one['rule']:<17} {placed:<19} {end}{at}"


def _tone(one: Facts) -> str:
    return {"placed": "good", "held": "warn"}.get(one["state"], "")


def _letter(text: str, most: int = 30) -> Story:
    rows = [row for row in text.strip().splitlines() if row.strip(" |=")]
    for row in rows[:most]:
        yield "letter", f"  | {row}"
    if len(rows) > most:
        yield "letter", "  | …"


def _when(at: datetime | str, zone: ZoneInfo) -> str:
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{moment.astimezone(zone):%a %d %H:%M}"


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
