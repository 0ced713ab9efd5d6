"""What a person can do with mail to customers: see its story, release, cancel, settle; with a daemon and without."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from outbox_offices import NOW, Office

from daemon.cli.main import main
from daemon.control import ControlServer
from daemon.health import status, status_line
from daemon.requests import answer
from store import outbox, sending

WIRE = ("claimed", "sending")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Call:
    """Runs `quietcrm outbox ...`."""

    run: Callable[..., Answer]

    def __call__(self, *words: object) -> Answer:
        return self.run("outbox", *words)

    def status(self) -> Answer:
        """`quietcrm status`."""
        return self.run("status")


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = Office(tmp_path / "office")
    made.write()
    return made


@pytest.fixture
def call(office: Office, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run the program in this process, no stream a terminal."""

    def run(*words: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["quietcrm", "--config", str(office.directory), *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capfd.readouterr()
        return Answer(code, said.out, said.err)

    return Call(run)


@pytest.fixture(params=["alone", "beside a daemon"])
def changing(request: pytest.FixtureRequest, office: Office, call: Call) -> Call:
    """As `call`; the change is made by the command itself, or by a daemon that listens on its socket."""
    if request.param == "alone":
        return call

    def run(*words: object) -> Answer:
        with office.app() as app:
            server = ControlServer(app.office.state, lambda command, args: answer(app, command, args))
            server.start()
            try:
                return call.run(*words)
            finally:
                server.stop()

    return Call(run)


# --- seeing --------------------------------------------------------------------------------------------------------


def test_the_list_says_which_way_and_what_stands_in_the_way(office: Office, call: Call) -> None:
    held = office.mail("held", obstacle="unreachable", retry_at=NOW + timedelta(minutes=1), reason="why")
    (shown,) = json.loads(call("list", "--json").out)["items"]
    assert list(shown)[:6] == ["id", "state", "to", "template", "due_at", "message_id"]
    assert (shown["id"], shown["state"], shown["to"]) == (held, "held", "maria@padariasol.example")
    assert (shown["way"], shown["obstacle"], shown["retry_at"]) == ("send", "unreachable", "2026-11-18T12:01:00+00:00")
    assert call("list").out.split("\t")[-1] == "send\n"


def test_a_story_before_anything_was_sent_shows_the_text_of_today(office: Office, call: Call) -> None:
    number = office.mail("held", obstacle="colleague", reason="bruno wrote to the customer on 2026-11-17")
    told = json.loads(call("show", number, "--json").out)
    assert told["attempts"] == []
    assert told["customer"] == "Padaria Sol"
    assert told["words"]["final"] is False
    assert told["words"]["subject"] == "Thank you, Padaria Sol"
    assert "<strong>tomorrow</strong>" in told["words"]["html"]
    said = call("show", number).out
    for part in ("leaves by itself", "as it would be now:", "| Dear Maria, we answer", "bruno wrote", "09:00"):
        assert part in said
    assert office.row(number).text == "", "looking changes nothing"


def test_a_story_tells_each_attempt_in_the_servers_words(office: Office, call: Call) -> None:
    number = office.mail()
    with office.app() as app, app.store.writing() as session:
        fence = sending.raise_fence(session)
        for code, said, outcome in ((451, "4.7.1 later", "later"), (0, "the line broke", "unknown")):
            assert sending.claim(session, number, fence, subject="Frozen", text="As it went.", claimed_at=NOW)
            attempt = sending.begin_attempt(session, number, fence, "ana", NOW)
            assert attempt is not None
            sending.end_attempt(session, attempt, outcome, code, said, NOW)
            outbox.move(session, number, ["sending"], "planned" if outcome == "later" else "uncertain")
    told = json.loads(call("show", number, "--json").out)
    assert [(one["outcome"], one["code"], one["sender"]) for one in told["attempts"]] == [
        ("later", 451, "ana"),
        ("unknown", 0, "ana"),
    ]
    assert told["words"] == {"final": True, "subject": "Frozen", "text": "As it went.", "html": "", "trouble": ""}
    said = call("show", number).out
    assert "by ana, refused for now: 4.7.1 later" in said
    assert "by ana, the line broke after the end of the mail" in said
    assert "as it would be now" not in said


def test_a_text_that_cannot_be_made_says_why(office: Office, call: Call) -> None:
    number = office.mail(template="gone")
    assert 'the template "gone" is gone' in call("show", number).out


def test_no_such_number(call: Call) -> None:
    assert call("show", 77).code == 4
    assert call("release", 77).code == 4


# --- one mail ------------------------------------------------------------------------------------------------------


def test_release_lifts_the_one_obstacle(office: Office, changing: Call) -> None:
    number = office.mail("held", obstacle="colleague", released="peer", retry_at=NOW, reason="bruno wrote")
    done = changing("release", number)
    assert done.code == 0
    assert done.out == f"{number} is looked at again at the next pass, and goes if nothing else stands in its way\n"
    row = office.row(number)
    assert (row.state, row.released, row.obstacle, row.retry_at) == ("planned", "colleague,peer", "", None)


def test_a_held_draft_is_laid_out_again(office: Office, changing: Call) -> None:
    number = office.mail("held", way="draft", reason="no value for customer.fields.contract")
    assert "laid into Drafts" in changing("release", number).out
    row = office.row(number)
    assert (row.state, row.released) == ("planned", "")


def test_an_uncertain_mail_goes_again_only_when_asked_twice(office: Office, changing: Call) -> None:
    number = office.mail("uncertain", settled_at=NOW, text="As it went.", message_id="one@vendas.example")
    refused = changing("release", number)
    assert refused.code == 7
    assert "may get it twice" in refused.err
    assert f"quietcrm outbox sent {number}" in refused.err
    assert "--again" in refused.err
    assert office.row(number).state == "uncertain"
    assert changing("release", number, "--again").code == 0
    row = office.row(number)
    assert (row.state, row.settled_at, row.message_id) == ("planned", None, "one@vendas.example")


@pytest.mark.parametrize(
    ("state", "code"),
    [("planned", 7), ("sent", 7), ("refused", 7), ("cancelled", 7), ("bounced", 7), ("placed", 7), ("held", 0)],
)
def test_only_what_is_held_can_be_released(office: Office, call: Call, state: str, code: int) -> None:
    number = office.mail(state)
    done = call("release", number)
    assert done.code == code
    if code:
        assert f"{number} is {state}, not held" in done.err
        assert office.row(number).state == state


@pytest.mark.parametrize("state", WIRE)
@pytest.mark.parametrize("command", [("release",), ("release", "--again"), ("cancel",), ("sent",)], ids=" ".join)
def test_nothing_is_changed_while_a_mail_is_on_its_way(
    office: Office, changing: Call, state: str, command: tuple[str, ...]
) -> None:
    number = office.mail(state)
    done = changing(*command, number)
    assert done.code == 7
    assert f"{number} is being sent this moment" in done.err
    assert f"quietcrm outbox show {number}" in done.err
    assert office.row(number).state == state


@pytest.mark.parametrize("state", ["planned", "held", "uncertain"])
def test_cancel_ends_what_has_not_left(office: Office, changing: Call, state: str) -> None:
    number = office.mail(state)
    assert changing("cancel", number).out == f"{number} is cancelled\n"
    row = office.row(number)
    assert (row.state, row.reason) == ("cancelled", "cancelled by the admin")
    assert row.settled_at is not None


@pytest.mark.parametrize("state", ["sent", "bounced", "refused", "cancelled"])
def test_what_is_over_cannot_be_cancelled(office: Office, call: Call, state: str) -> None:
    number = office.mail(state)
    done = call("cancel", number)
    assert (done.code, office.row(number).state) == (7, state)
    assert f"{number} is {state} already" in done.err


def test_a_person_who_knows_settles_an_uncertain_mail(office: Office, changing: Call) -> None:
    number = office.mail("uncertain", message_id="one@vendas.example")
    assert changing("sent", number).out == f"{number} counts as sent\n"
    row = office.row(number)
    assert (row.state, row.copy_state, row.sent_message_id) == ("sent", "wanted", "one@vendas.example")
    assert row.settled_at is not None


def test_a_copy_that_lies_in_sent_is_not_wanted_again(office: Office, call: Call) -> None:
    number = office.mail("uncertain", copy_state="lies")
    assert call("sent", number).code == 0
    assert office.row(number).copy_state == "lies"


def test_a_held_mail_that_was_sent_by_hand_gets_no_copy(office: Office, call: Call) -> None:
    number = office.mail("held")
    assert call("sent", number).code == 0
    assert (office.row(number).state, office.row(number).copy_state) == ("sent", "")


@pytest.mark.parametrize("state", ["planned", "refused", "cancelled"])
def test_nothing_else_can_be_called_sent(office: Office, call: Call, state: str) -> None:
    number = office.mail(state)
    assert (call("sent", number).code, office.row(number).state) == (7, state)


# --- a burst -------------------------------------------------------------------------------------------------------


def burst(office: Office) -> tuple[list[int], list[int], int]:
    """Two rules held by the breaker, and one mail held for another reason."""
    one = [office.mail("held", obstacle="breaker") for _ in range(3)]
    other = [office.mail("held", obstacle="breaker", rule="other") for _ in range(2)]
    return one, other, office.mail("held", obstacle="colleague")


@pytest.mark.parametrize(("act", "state"), [("release", "planned"), ("cancel", "cancelled")])
def test_a_burst_is_shown_first_and_needs_its_number(office: Office, changing: Call, act: str, state: str) -> None:
    one, other, colleague = burst(office)
    shown = changing(act, "--rule", "thanks-rule")
    assert shown.code == 7
    assert len(shown.out.splitlines()) == 3
    assert f"to {act} these 3, add: --confirm 3" in shown.err
    wrong = changing(act, "--rule", "thanks-rule", "--confirm", 5)
    assert wrong.code == 7
    assert "3 mails are held by the breaker, not 5; nothing was done" in wrong.err
    assert {office.row(number).state for number in one} == {"held"}
    assert changing(act, "--rule", "thanks-rule", "--confirm", 3).code == 0
    assert {office.row(number).state for number in one} == {state}
    assert {office.row(number).state for number in (*other, colleague)} == {"held"}


def test_every_burst_at_once(office: Office, changing: Call) -> None:
    one, other, colleague = burst(office)
    done = json.loads(changing("release", "--all", "--confirm", 5, "--json").out)
    assert sorted(done["ids"]) == sorted([*one, *other])
    assert {office.row(number).released for number in (*one, *other)} == {"breaker"}
    assert office.row(colleague).state == "held"


def test_a_number_or_a_rule_or_all_has_to_be_named(call: Call) -> None:
    assert call("release").code == 2
    assert call("cancel", "--rule", "r", "--all").code == 2
    assert call("release", "--all").err == "none found\n"
    assert call("release", "--all", "--confirm", 0).code == 7


# --- status --------------------------------------------------------------------------------------------------------


def test_status_counts_what_leaves_by_itself(office: Office, call: Call) -> None:
    for state in ("planned", "sending", "held", "held", "uncertain", "sent"):
        office.mail(state)
    office.mail("held", way="draft")
    with office.app() as app:
        assert status_line(app).endswith("; mails: 1 uncertain, 2 held")
        counts = status(app.office, app.store, NOW)
    assert counts["sends"] == {"waiting": 2, "held": 2, "uncertain": 1, "refused": 0}
    assert counts["outbox"]["held"] == 3
    said = call.status().out
    assert "sends: 2 waiting, 2 held, 1 uncertain\n" in said
    assert "  see: quietcrm outbox list --state held --state uncertain\n" in said


def test_status_is_silent_where_nothing_leaves_by_itself(office: Office, call: Call) -> None:
    office.mail("placed", way="draft")
    with office.app() as app:
        assert "mails" not in status_line(app)
    assert "sends:" not in call.status().out
