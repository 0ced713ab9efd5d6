"""What must happen once: outgoing mail, reminders, effects; and what is remembered only as hashes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Text, cast, select
from store_samples import ADMIN, NOW

from connectors.model import Cursor, Progress, Unreadable
from store import accounts, actions, customers, outbox, quarantine, reminders, sending, suppressions, unmatched
from store.actions import LoadedRule
from store.engine import Store
from store.errors import NotFound, StoreDamaged, StoreUnavailable
from store.hashing import HashKey
from store.statements import table
from store.tables import OutboxMail, OutboxState, Reminder, ReminderState, Unmatched, UnmatchedKey


def draft(slot: str = "draft", **stated: object) -> OutboxMail:
    fields = {"event": "e", "event_at": NOW, "rule": "r", "slot": slot, "due_at": NOW, "created_at": NOW}
    return OutboxMail(**fields | stated)


def together(count: int, work: Callable[[int], object]) -> list[object]:
    """Run `work` in many threads that start at the same moment; what each returned."""
    gate, results = threading.Barrier(count), [object()] * count

    def run(number: int) -> None:
        gate.wait()
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_fifty_planners_make_one_row(store: Store) -> None:
    def plan(number: int) -> int | None:
        with store.writing() as session:
            return outbox.plan(session, draft(recipient=f"planner {number}"))

    results = together(20 if store.dialect == "postgresql" else 50, plan)
    assert sorted(results, key=str) == [1, *[None] * (len(results) - 1)]
    with store.session() as session:
        assert outbox.counts(session) == {"planned": 1}


def test_what_people_should_hear_of_and_the_counts_by_way(store: Store) -> None:
    old, new = NOW - timedelta(days=3), NOW - timedelta(hours=1)
    states = {
        "held long ago": ("send", "held", None),
        "uncertain long ago": ("send", "uncertain", old),
        "sent long ago": ("send", "sent", old),
        "sent": ("send", "sent", new),
        "bounced": ("send", "bounced", new),
        "waits": ("send", "planned", None),
        "held draft": ("draft", "held", None),
        "expired draft": ("draft", "expired", new),
    }
    with store.writing() as session:
        for name, (way, state, at) in states.items():
            outbox.plan(session, draft(name, rule=name, way=way, state=state, settled_at=at, obstacle="cap"))
        told = [row.rule for row in outbox.for_people(session, NOW - timedelta(days=1))]
        assert told == ["held long ago", "uncertain long ago", "sent", "bounced"]
        counts = outbox.counts_by_way(session)
        assert (counts["sent", "send"], counts["held", "send"], counts["held", "draft"]) == (2, 1, 1)
        assert sum(counts.values()) == len(states)
        held = outbox.listing(session, states=[OutboxState.HELD], obstacle="cap", rule="held long ago")
        assert [row["rule"] for row in held] == ["held long ago"]
        assert len(outbox.listing(session, states=[OutboxState.HELD], obstacle="cap")) == 2
        assert outbox.listing(session, obstacle="breaker") == []


def test_drafts_of_sends_that_were_given_up_are_looked_for_once(store: Store) -> None:
    claimed, over, looked = NOW - timedelta(hours=3), NOW - timedelta(hours=2), NOW - timedelta(hours=1)
    rows: dict[str, dict[str, object]] = {
        "cancelled": {"state": "cancelled", "settled_at": over},
        "held": {"state": "held"},
        "refused": {"state": "refused", "settled_at": over},
        "looked for before it was cancelled": {"state": "cancelled", "settled_at": NOW, "gone_at": looked},
        "looked for": {"state": "cancelled", "settled_at": over, "gone_at": looked},
        "never claimed": {"state": "cancelled", "settled_at": over, "claimed_at": None},
        "uncertain": {"state": "uncertain", "settled_at": over},
        "sent": {"state": "sent", "settled_at": over},
        "a draft by now": {"state": "cancelled", "settled_at": over, "way": "draft"},
        "somebody else's": {"state": "cancelled", "settled_at": over, "rep": "ben"},
    }
    with store.writing() as session:
        for name, stated in rows.items():
            fields = {"way": "send", "rep": "ana", "claimed_at": claimed, "message_id": name, **stated}
            outbox.plan(session, draft(name, **fields))
        found = [message_id for _, message_id in sending.left_in_drafts(session, ["ana"], 20)]
        assert found == list(rows)[:4]
        assert len(sending.left_in_drafts(session, ["ana"], 2)) == 2


def test_what_became_of_the_mails_of_each_rule(store: Store) -> None:
    ends = [("a", "sent"), ("a", "sent"), ("a", "declined"), ("b", "expired"), ("b", "placed")]
    with store.writing() as session:
        for number, (rule, state) in enumerate(ends):
            outbox.plan(session, draft(f"draft:{number}", rule=rule, state=state))
        assert outbox.outcomes(session) == {"a": {"sent": 2, "declined": 1}, "b": {"expired": 1, "placed": 1}}


def test_the_last_notice_that_went_out_is_not_the_last_that_was_made(store: Store) -> None:
    with store.writing() as session:
        reminders.claim_notice(session, "ana", (NOW - timedelta(days=1)).date(), "m@x", NOW - timedelta(days=1))
        reminders.claim_notice(session, "ana", NOW.date(), "", NOW)
        assert reminders.last_notice(session, "ana") == NOW
        assert reminders.last_notice(session, "ana", mailed=True) == NOW - timedelta(days=1)
        assert reminders.last_notice(session, "bruno", mailed=True) is None


def test_only_one_of_many_moves_a_row_on(store: Store) -> None:
    with store.writing() as session:
        number = outbox.plan(session, draft())
    assert number is not None

    def move(_: int) -> bool:
        with store.writing() as session:
            return outbox.move(session, number, [OutboxState.PLANNED], OutboxState.PLACING, attempts=1)

    assert sorted(map(str, together(10, move))) == ["False"] * 9 + ["True"]


def test_effects_are_claimed_once(store: Store) -> None:
    claims = [("event", "rule", "tag:vip"), ("event", "rule", "draft")]

    def claim(_: int) -> int:
        with store.writing() as session:
            return len(actions.claim(session, claims, NOW))

    assert sum(int(str(one)) for one in together(10, claim)) == 2
    with store.writing() as session:
        fresh = actions.claim(session, [*claims, ("event", "other", "draft"), ("event", "other", "draft")], NOW)
        assert fresh == {("event", "other", "draft")}
        actions.describe(session, ("event", "other", "draft"), "draft 17")
        assert ("other", "draft", "draft 17") in actions.done_for(session, "event")
        actions.release(session, fresh)
        assert actions.claim(session, list(fresh), NOW) == fresh


def test_promises_come_due_and_are_found(store: Store) -> None:
    with store.writing() as session:
        late = outbox.plan(
            session, draft("a", due_at=NOW - timedelta(days=1), message_id="one@x.example", account="rep1")
        )
        outbox.plan(session, draft("b", due_at=NOW + timedelta(days=1), values={"x": [1]}, references=["a@b"]))
        assert late is not None
        assert [row.id for row in outbox.due(session, NOW)] == [late]
        assert outbox.next_due(session) == NOW - timedelta(days=1)
        assert outbox.move(session, late, ["planned", "held"], OutboxState.HELD, reason="no Drafts folder")
        assert outbox.due(session, NOW) == []
        assert [row.reason for row in outbox.settled_since(session, NOW)] == ["no Drafts folder"]
        assert outbox.by_message_ids(session, ["one@x.example", ""])["one@x.example"].id == late
        assert [row.id for row in outbox.in_states(session, [OutboxState.HELD], account="rep1")] == [late]
        shown = outbox.listing(session)
        assert [(one["id"], one["state"], one["to"]) for one in shown] == [(2, "planned", ""), (1, "held", "")]
        other = outbox.get(session, 2)
        assert (other.values, other.references) == ({"x": [1]}, ["a@b"])
        with pytest.raises(NotFound):
            outbox.get(session, 99)


def test_tokens_lead_to_customers(store: Store) -> None:
    with store.writing() as session:
        acme = customers.add(session, "Acme", ADMIN)
        row = Reminder(
            event="e", event_at=NOW, rule="r", slot="s", token="4F2K", customer_id=acme, due_at=NOW, created_at=NOW
        )
        number = reminders.plan(session, row)
        assert reminders.plan(session, row) is None
        assert number is not None
        assert reminders.customers_by_token(session, ["4F2K", "XXXX"]) == {"4F2K": (acme,)}
        assert reminders.token_taken(session, "4F2K")
        states = (ReminderState.PLANNED,)
        assert [one.id for one in reminders.of_customers(session, [acme], states=states)] == [number]
        assert reminders.claim_notice(session, "rep1", NOW.date(), "m@x", NOW)
        assert not reminders.claim_notice(session, "rep1", NOW.date(), "m2@x", NOW)
        assert reminders.last_notice(session, "rep1") == NOW


def test_rules_remember_when_they_came_and_how_often_they_hit(store: Store) -> None:
    with store.writing() as session:
        first, later = LoadedRule("a", "1"), NOW + timedelta(days=1)
        actions.load_rules(session, [first], NOW)
        loaded = actions.load_rules(session, [first, LoadedRule("b", "1")], later)
        actions.hit(session, ["a", "a"], NOW)
        assert loaded == {"a": NOW, "b": later}
        assert {name: row.hits for name, row in actions.hits(session).items()} == {"a": 2, "b": 0}


def test_a_changed_rule_is_new_and_a_renamed_one_is_not(store: Store) -> None:
    later = NOW + timedelta(days=1)
    with store.writing() as session:
        actions.load_rules(session, [LoadedRule("a", "1"), LoadedRule("old", "1")], NOW)
        changed = [LoadedRule("a", "2"), LoadedRule("new", "1", was="old")]
        loaded = actions.load_rules(session, changed, later)
    assert loaded["a"] == later
    assert loaded["new"] == NOW


def test_unmatched_mail_is_found_by_hash_and_holds_no_text(store: Store, key: HashKey) -> None:
    def row(number: int, address: str, **stated: str) -> unmatched.NewUnmatched:
        place = {
            "account": "rep1",
            "folder": "INBOX",
            "ref": f"1:{number}",
            "kind": "human",
            "direction": "in",
        } | stated
        return unmatched.NewUnmatched(
            identity=key.identity(f"secret-id-{number}@stranger.example"),
            at=NOW + timedelta(minutes=number),
            hashes=[key.address(address), key.domain("stranger.example"), key.message("root@stranger.example")],
            **place,
        )

    with store.writing() as session:
        first = [
            row(1, "Eva@stranger.example"),
            row(2, "Ian@stranger.example"),
            row(2, "Ian@stranger.example", account="rep2"),
        ]
        assert unmatched.remember(session, first) == 3
        assert unmatched.remember(session, [row(1, "Eva@stranger.example", ref="2:1")]) == 0
        assert unmatched.count(session) == 2
        (eva,) = unmatched.find_for(session, [key.address("EVA@stranger.example")])
        assert (eva.ref, eva.account) == ("2:1", "rep1")
        assert len(unmatched.find_for(session, [key.domain("Stranger.Example"), key.address("x@y")])) == 3
        assert unmatched.known(session, [first[0].identity, "i:none"]) == {first[0].identity}
        assert unmatched.make_due(session, [key.message("root@stranger.example")]) == 3
        assert [one.account for one in unmatched.due(session, "rep2")] == ["rep2"]
        copies = unmatched.copies_of(session, [first[1].identity])
        assert [one.account for one in copies] == ["rep1", "rep2"]
        assert unmatched.forget(session, [one.id for one in copies]) == 2
        assert unmatched.forget(session, [eva.id]) == 1
        assert unmatched.count(session) == 0
        unmatched.remember(session, first)
    with store.session() as session:
        columns = [column for model in (Unmatched, UnmatchedKey) for column in table(model).c]
        written = "\n".join(
            str(value) for column in columns for value in session.execute(select(cast(column, Text))).scalars()
        )
    assert "stranger" not in written
    assert "secret" not in written


def test_hashes_need_the_key(tmp_path: Path, key: HashKey) -> None:
    path = tmp_path / "state" / "hash.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert (
        HashKey.load(path).address("A@b.example")
        == HashKey.create(path).address(" a@B.example ")
        == key.address("a@b.example")
    )
    other = HashKey.create(tmp_path / "other.key")
    assert other.address("a@b.example") != key.address("a@b.example")
    assert (
        len({key.address("x.example"), key.domain("x.example"), key.identity("x.example"), key.message("x.example")})
        == 4
    )
    path.write_text("nonsense")
    with pytest.raises(StoreDamaged):
        HashKey.load(path)
    with pytest.raises(StoreUnavailable):
        HashKey.load(tmp_path / "nothing.key")


def test_accounts_keep_position_state_and_baselines(store: Store) -> None:
    later = NOW + timedelta(days=3)
    with store.writing() as session:
        assert accounts.load(session, "rep1") is None
        assert accounts.begin(session, "rep1", NOW).baseline_at == NOW
        assert accounts.begin(session, "rep1", later).baseline_at == NOW
        accounts.save_cursor(session, "rep1", Cursor("opaque"))
        accounts.save_progress(session, "rep1", Progress(done=3, total=10))
        accounts.failed(session, "rep1", NOW, state="failing", reason="no", hint="wait", retry_at=later)
        accounts.failed(session, "rep1", NOW, state="parked", reason="password", hint="mend", retry_at=None)
        row = accounts.load(session, "rep1")
        assert row is not None
        assert (row.state, row.failures, row.retry_at, row.cursor) == ("parked", 2, None, "opaque")
        accounts.succeeded(session, "rep1", later)
        accounts.save_progress(session, "rep1", Progress(done=10, total=10))
        row = accounts.load(session, "rep1")
        assert row is not None
        assert (row.state, row.failures, row.reason, row.last_success_at) == ("behind", 0, "", later)
        accounts.succeeded(session, "rep1", later)
        assert [one.state for one in accounts.everything(session)] == ["ok"]
        assert accounts.folder_baselines(session, "rep1", ["INBOX"], NOW) == {"INBOX": NOW}
        assert accounts.folder_baselines(session, "rep1", ["INBOX", "New"], later) == {"INBOX": NOW, "New": later}
        accounts.saw_mail(session, "rep1", later)
        accounts.saw_mail(session, "rep1", NOW)
        row = accounts.load(session, "rep1")
        assert row is not None
        assert row.last_mail_at == later


def test_quarantine_counts_attempts_keeps_a_megabyte_and_thirty_days(store: Store) -> None:
    def lost(raw: bytes = b"") -> Unreadable:
        return Unreadable(
            account="rep1", folder="INBOX", ref="1:1", stage="fetch", reason="cut", raw=raw, size=3_000_000_000
        )

    with store.writing() as session:
        assert quarantine.put(session, lost(b"x" * 2_000_000), NOW) == 1
        assert quarantine.put(session, lost(), NOW) == 2
        assert quarantine.attempts(session, "rep1", "INBOX", "1:1") == 2
        (row,) = quarantine.pending(session)
        assert (row.size, len(quarantine.raw(session, row.id or 0) or b"")) == (3_000_000_000, 1_000_000)
        quarantine.settle(session, "rep1", "INBOX", ["1:1"], NOW)
        assert (quarantine.count(session), quarantine.pending(session)) == (0, [])
        assert quarantine.put(session, lost(), NOW) == 3
        assert quarantine.count(session) == 1
        assert quarantine.purge(session, NOW + timedelta(days=30)) == 1


def test_suppressions_are_per_purpose_and_lifted(store: Store) -> None:
    with store.writing() as session:
        assert suppressions.add(session, ["a:1", "a:1", "a:2"], "mail", "unsubscribed", NOW) == 2
        assert suppressions.add(session, ["a:1"], "mail", "bounced", NOW) == 0
        assert suppressions.which(session, ["a:1", "a:9"], "mail") == {"a:1": "unsubscribed"}
        assert suppressions.which(session, ["a:1"], "log") == {}
        assert suppressions.lift(session, ["a:1"], "mail") == suppressions.count(session, "mail") == 1
