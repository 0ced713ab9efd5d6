"""Makes docs/reference/rules.md: every part of a rule and of a sequence, every `when`, condition and action, with an
example.

Run `python -m rules.reference docs/reference` after a change; a test fails while the page is stale or lacks a name.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

PAGE = "rules.md"
MADE_FROM = "<!-- Made by `python -m rules.reference docs/reference`. Change rules/reference.py instead. -->"

PARTS: dict[str, tuple[str, str]] = {
    "name": ("needed, unique; letters, digits and -", "name: price-request"),
    "about": ("what it is for; shown in lists and traces", "about: A customer asks for a price."),
    "mode": ("`on`, `watch` (only notes what it would do), `off`", "mode: watch"),
    "when": ("when it is asked; a list means any of them", "when: [mail arrives, mail sent]"),
    "if": ("what must hold; without it, always", "if: {known: yes}"),
    "extract": ("values taken out of the mail, see below", r"extract: {number: {regex: 'order (\d+)'}}"),
    "then": ("what it does", "then: {tag: asked-for-price}"),
    "once": (
        "`per mail` (so it is without it), `thread`, `contact`, `customer` or `deal`, and `every` so much time",
        "once: per customer every 30 days",
    ),
    "stop": ("`yes`: no rule behind it is asked for this mail", "stop: yes"),
    "use": ("a blueprint of blueprints/ that the rule fills in, see below", "use: answer-in-time"),
    "with": ("the inputs of that blueprint", "with: {segment: gold}"),
    "was": ("the name it had before; what it did then is not done again", "was: old-name"),
}
WHENS: dict[str, tuple[str, str]] = {
    "mail arrives": ("a mail from outside came", "when: mail arrives"),
    "mail sent": ("one of us wrote to somebody outside", "when: mail sent"),
    "mail filed": ("a person put a logged mail into another folder; `folder` is that folder", "when: mail filed"),
    "mail tagged": ("a person put a category on a logged mail; `category` is that category", "when: mail tagged"),
    "mail flagged": ("a person flagged a logged mail", "when: mail flagged"),
    "mail unflagged": ("a person took the flag off a logged mail", "when: mail unflagged"),
    "delivery failed": (
        "a report came that an address failed for good; seen whatever `is` says",
        "when: delivery failed",
    ),
    "contact unsubscribed": ("a contact asked for no more mail", "when: contact unsubscribed"),
    "customer silent": (
        "the last mail of either side is so long ago; once for each silence",
        "when: {customer silent: 21 days}",
    ),
    "date comes": (
        "so long before or after a date in a field of the customer, or `contact.FIELD` of a contact, when the office "
        "opens that day by their clock. A date without a year and fields called birthday, aniversario, день рождения "
        "and the like come every year; others once, unless `every year` stands behind",
        "when: {date comes: 30 days before renewal_date}",
    ),
    "clock": (
        "at that time by the office's clock: once for each customer that `if` chooses, else once for the office",
        "when: {clock: mon-fri 08:00}",
    ),
    "record changed": (
        "somebody or another rule changed stage, segment, owner, a tag or a field; never an import",
        "when: {record changed: stage}",
    ),
    "meeting booked": ("a meeting with a customer was made", "when: meeting booked"),
    "meeting moved": ("its time changed", "when: meeting moved"),
    "meeting cancelled": ("it was called off", "when: meeting cancelled"),
    "meeting answered": ("somebody invited answered", "when: meeting answered"),
    "meeting missed": ("the rep says so, or everybody of the customer declined", "when: meeting missed"),
    "meeting soon": ("so long before it begins", "when: {meeting soon: 1 business day before}"),
    "meeting held": ("so long after its end", "when: {meeting held: 1 hour after}"),
}
CONDITIONS: dict[str, tuple[str, str]] = {
    "from": ("the sender: address, `*glob@x`, `@domain`, `@*.domain`, `$list`", 'from: "@acme.example"'),
    "to": ("one of the recipients", "to: sales@vendas.example"),
    "cc": ("one of those who got a copy", "cc: ana@vendas.example"),
    "anyone": ("From, Sender, Reply-To, To, Cc or Bcc", "anyone: $never_log"),
    "subject": ("words; or `{has, has_all, is, starts, ends, regex, not}`", "subject: {starts: [New order]}"),
    "body": ("the newly written text, without quotes and signature", "body: [price*, quotation]"),
    "text": ("subject or body", "text: {has: $complaint}"),
    "header": ("a header line: words, tests as for `subject`, or yes and no", "header: {X-Shop: acme}"),
    "language": ("the language of the mail, else of the contact or customer", "language: pt"),
    "jsonld": ("schema.org data in the HTML: a type, a value that is there, or yes and no", "jsonld: Order"),
    "auth": (
        "`pass` or `fail` by DMARC, as the server named by `authserv` of the account says; not its silence",
        "auth: pass",
    ),
    "attachment": ("globs over names; `{name, type, larger, smaller}`; yes and no", 'attachment: "*.pdf"'),
    "direction": ("`in` or `out`", "direction: in"),
    "is": (
        "reply, forward, automated, newsletter, bounce, out_of_office, first_contact, internal, invite, from_rep, "
        "to_many",
        "is: [first_contact, not reply]",
    ),
    "token": ("the sign of a reminder in the subject, `[CRM-4F2K]`", "token: yes"),
    "plus": ("the tag of crm+tag@ in one of our addresses", "plus: 4f2k"),
    "folder": ("the folder the mail lies in: its whole name, or the last part", "folder: Private"),
    "category": (
        "categories that the mailbox shows on it (IMAP: keywords); * and ? may be used; yes and no",
        'category: "CRM: private"',
    ),
    "mailbox": ("the account of quietcrm.yaml", "mailbox: ana"),
    "size": ("`larger` and `smaller`", "size: {larger: 5 MB}"),
    "known": ("the mail is about exactly one customer", "known: yes"),
    "customer": ("the name; * and ? may be used, as in all below", 'customer: "Padaria*"'),
    "stage": ("the customer's stage", "stage: [lead, proposal]"),
    "segment": ("the customer's segment", "segment: gold"),
    "tag": ("one of the customer's tags", "tag: vip"),
    "owner": ("the customer's owner", "owner: ana"),
    "country": ("the country of the contact, else of the customer", "country: BR"),
    "field": ("fields of the customer, or `contact.name` of the contact", "field: {contract: gold}"),
    "last_in": ("how long ago they last wrote", "last_in: {older: 30 days}"),
    "last_out": ("how long ago we last wrote", "last_out: {newer: 7 days}"),
    "last_contact": ("the later of the two", "last_contact: {older: 3 months}"),
    "open": ("`lead`, `case` or `order` is open", "open: case"),
    "in_sequence": ("somebody there is in this sequence, or in `any`", "in_sequence: not any"),
    "time": ("`business_hours`, `outside_hours` or a range, by the office's clock", "time: 18:00-23:00"),
    "day": ("the weekday of the arrival", "day: [sat, sun]"),
    "date": ("the day of the arrival", "date: 2026-12-20..2027-01-06"),
    "holiday": ("the day is a holiday of `hours`", "holiday: yes"),
    "title": ("the title of the meeting, tests as for `subject`", "title: [demo, price*]"),
    "attendee": ("who takes part, written as in `from`", 'attendee: "@acme.example"'),
    "answered": ("what somebody invited answered: accepted, declined, tentative, nothing", "answered: declined"),
    "length": ("how long the meeting takes: `min`, `max`", "length: {min: 15 minutes}"),
    "place": ("where it is, tests as for `subject`", "place: Teams"),
    "all": ("every one of these holds", "all: [{known: yes}, {tag: vip}]"),
    "any": ("at least one holds", "any: [{tag: vip}, {segment: gold}]"),
    "none": ("none of these holds", "none: [{open: case}]"),
}
VALUES: dict[str, tuple[str, str]] = {
    "jsonld": ("tried first: type and name of schema.org data in the HTML", "jsonld: Order.orderNumber"),
    "regex": ("tried second: the first group, in subject and new text", r"regex: 'order #?(\d+)'"),
    "attachment_name": (
        "tried last: a glob gives the name, `{regex: ...}` its first group",
        'attachment_name: "*.pdf"',
    ),
    "as": (
        "`money` (as written), `date` (2026-12-24), `number` (1250.5), `address`; what is none goes on to the next way",
        "as: money",
    ),
    "required": ("`yes`: without it the rule does not match", "required: yes"),
}
INPUTS: dict[str, tuple[str, str]] = {
    "as": (
        "`text`, `words` (one or several), `number`, `yes_no`, `length`, `date`, `address`, `stage`, `person`, "
        "`template`; without it, whatever the default is",
        "as: length",
    ),
    "default": ("what a rule has that does not say it", "default: 21"),
    "required": ("`yes`: every rule says it; so it is without a default", "required: yes"),
    "about": ("what it is for", "about: days without a word"),
}
ACTIONS: dict[str, tuple[str, str]] = {
    "log": ("`yes`, `headers` (no text) or `no`", "log: headers"),
    "ignore": ("keep nothing, for this reason; asked before all other rules", "ignore: private"),
    "file_under": ("a customer by name or address", 'file_under: "{{ buyer }}"'),
    "create": (
        "customer, contact, lead, case, order, task or note. The total of an order is read as money",
        'create: {order: {number: "{{ number }}", total: "{{ total }}"}}',
    ),
    "set": ("fields of the customer, or `contact.name` of the contact", "set: {contract: gold}"),
    "tag": ("add tags", "tag: complaint"),
    "untag": ("take tags away", "untag: complaint"),
    "segment": ("the customer's segment", "segment: gold"),
    "stage": ("the customer's stage, forward only unless `back: yes`", "stage: {to: lead, back: yes}"),
    "owner": ("a person, or one of several in turn", "owner: {round_robin: [ana, bruno]}"),
    "remind": (
        "a mail to a person: `who`, `in` or `at`, `unless`, `text`, `late_after`",
        'remind: {who: owner, in: 2 business days, unless: replied, text: "Call {{ customer.name }}"}',
    ),
    "draft": (
        "a mail in Drafts: `template`, `reply`, `to`, `in` or `at`, `unless`, `late_after`",
        "draft: {template: quote, reply: yes}",
    ),
    "category": ("put categories on the mail in the mailbox it was read in", 'category: "CRM: lead"'),
    "uncategory": ("take categories off it", 'uncategory: "CRM: lead"'),
    "flag": ("flag it for follow-up by a day: `today`, `3 days`, `friday`, a date", "flag: 2 business days"),
    "move": ("move it into a folder, made if need be", "move: CRM/Orders"),
    "notify": (
        "one line to a channel of `channels:`: `channel`, `text`",
        'notify: {channel: oncall, text: "{{ mail.subject }}"}',
    ),
    "send": ("the same, leaving by itself; the template must be in `send: auto_templates`", "send: received"),
    "start": ("enter a sequence of sequences/, see below", "start: after-quote"),
    "stop": ("end a sequence, or `all` the customer is in", "stop: all"),
}
SEQUENCE: dict[str, tuple[str, str]] = {
    "name": ("needed, unique; letters, digits and -", "name: after-quote"),
    "about": ("what it is for; shown in lists", "about: Asks once, then reminds us."),
    "basis": (
        "why we may write to them: `customer`, `consent`, `contract` or `request`; shown, not checked",
        "basis: request",
    ),
    "mode": (
        "`draft` (the rep sends), `ask` (a person lets each mail go), `auto` (leaves after `send: hold`)",
        "mode: ask",
    ),
    "enter": (
        "`once_per`: deal, contact or customer, with `every 90 days` if again later; `exclusive`: in no other one "
        "meanwhile",
        "enter: {once_per: deal, exclusive: yes}",
    ),
    "steps": ("what happens, one after the other", "steps: [{wait: 3 business days, template: thanks, reply: yes}]"),
    "stop_when": (
        "what ends it; also `{tag: x}` and `{stage: x}`. Without it all but `team wrote`",
        "stop_when: [replied, meeting booked, bounced, unsubscribed, stage changed, colleague replied]",
    ),
    "out_of_office": (
        "an absence pauses it until the day they are back, or so long after a note without a date",
        "out_of_office: {pause_until: their_return, else: 5 business days}",
    ),
    "send": ("when its steps may come, and how densely its mails leave", "send: {hours: customer, gap: 2-6 minutes}"),
    "drafts": (
        "`declined`: the rep deleted a draft; `expired`: nobody touched it. `stop` or go on with the `next` step",
        "drafts: {declined: stop, expired: next}",
    ),
    "done": (
        "actions when nobody answered `after` the last step; without it 5 business days",
        "done: {after: 10 days, stage: lost}",
    ),
}
STEP: dict[str, tuple[str, str]] = {
    "wait": ("since the step before really happened; the first may do without", "wait: 3 business days"),
    "name": ("keeps it the same step when others are put before it", "name: first-question"),
    "template": ("the mail of the step", "template: thanks"),
    "reply": ("`yes`: in the thread of the mail that started the sequence", "reply: yes"),
    "attach": ("names of files, as in a rule", "attach: price-list.pdf"),
    "late_after": ("found later than this its mail becomes a draft; 1 business day", "late_after: 2 days"),
}
PACE: dict[str, tuple[str, str]] = {
    "hours": ("the office's hours by the clock of the `customer`, or by that of the `office`", "hours: customer"),
    "days": ("weekdays; without it those on which the office works", "days: mon-fri"),
    "holidays": ("calendars that are kept, or `none`; without it the office's", "holidays: none"),
    "per_day": ("mails of this sequence in a day", "per_day: 40"),
    "gap": ("how far apart its mails leave by themselves, drawn anew for each", "gap: 2-6 minutes"),
}
SECTIONS = (
    ("Parts of a rule", PARTS),
    ("when", WHENS),
    ("if", CONDITIONS),
    ("extract", VALUES),
    ("then", ACTIONS),
    ("inputs of a blueprint: blueprints/NAME.yaml", INPUTS),
    ("Parts of a sequence: sequences/*.yaml", SEQUENCE),
    ("Parts of a step, beside actions of rules", STEP),
    ("send of a sequence", PACE),
)


def rules_page() -> str:
    """The Markdown page."""
    parts = ["# Rules: rules/*.yaml", "", MADE_FROM, ""]
    parts += [
        "[Write a rule](../how-to/write-a-rule.md) explains them. `quietcrm rules explain` shows, for one mail, what"
    ]
    parts += ["each condition and each value saw."]
    for title, table in SECTIONS:
        parts += ["", f"## {title}", "", *_table(table)]
    return "\n".join(parts) + "\n"


def _table(table: Mapping[str, tuple[str, str]]) -> list[str]:
    rows = [f"| `{name}` | {_cell(about)} | `{_cell(example)}` |" for name, (about, example) in table.items()]
    return ["| name | what it is | example |", "|---|---|---|", *rows]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1], PAGE).write_text(rules_page(), "utf-8")
