"""Rules mark mail in the reps' mailboxes: on a real Dovecot, from the rule to the folder and back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from offices import TestOffice, import_customers, work
from servers.dovecot import DovecotServer
from sqlalchemy import func, select

from connectors.categories import categories_in
from daemon import mailbox_marks as marking
from daemon.app import App
from daemon.explaining import explain_logged
from daemon.requests import answer
from store import history, mailbox_marks
from store.statements import table
from store.tables import Interaction, MailboxMark, MarkState

RULES = """\
rules:
  - name: pedido
    when: mail arrives
    if: {known: yes, subject: pedido}
    then: {category: ["CRM: pedido", "CRM: {{ customer.name }}"], flag: 2 days, move: CRM/Pedidos}
  - name: tudo
    when: mail arrives
    then: {tag: "visto-{{ mail.subject }}"}
"""
SERVER_KEEPS_NO_DAY = "ana keeps no day with a flag"


@pytest.fixture
def office(dovecot: DovecotServer, tmp_path: Path) -> TestOffice:
    office = TestOffice(tmp_path / "office", dovecot, rules=RULES, reps=("ana",))
    office.write()
    return office


def seen(office: TestOffice, folder: str) -> list[tuple[str, set[str], bool, bool]]:
    """(subject, categories, flagged, seen) of a folder, as another client sees it."""
    with office.client("ana") as client:
        if not client.folder_exists(folder):
            return []
        client.select_folder(folder, readonly=True)
        uids = client.search("UNDELETED")
        found = client.fetch(uids, ["FLAGS", "ENVELOPE"]) if uids else {}
    rows = []
    for one in found.values():
        flags = [flag.decode() for flag in one[b"FLAGS"]]
        subject = one[b"ENVELOPE"].subject.decode()
        rows.append((subject, set(categories_in(flags)), "\\Flagged" in flags, "\\Seen" in flags))
    return rows


def order(office: TestOffice, subject: str = "pedido 1") -> str:
    mail = office.mail("Maria <maria@padariasol.example>", "ana@vendas.example", subject, "Bom dia")
    return office.deliver("ana", mail)


def marks(app: App) -> list[tuple[str, str]]:
    with app.store.session() as session:
        rows = session.execute(select(table(MailboxMark)).order_by(table(MailboxMark).c.id)).mappings()
        return [(row["slot"], row["state"]) for row in rows]


def count(app: App) -> int:
    with app.store.session() as session:
        return int(session.execute(select(func.count()).select_from(table(Interaction))).scalar_one())


def begin(app: App, office: TestOffice) -> None:
    import_customers(app, office.directory / "customers.csv")
    work(app)
    office.move_clock(timedelta(minutes=1))


def test_a_mail_is_marked_and_moved_and_stays_one_mail(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        order(office)
        work(app)
        assert seen(office, "INBOX") == []
        wanted = [("pedido 1", {"CRM: pedido", "CRM: Padaria Sol"}, True, False)]
        assert seen(office, "CRM/Pedidos") == wanted
        with app.store.session() as session:
            assert history.log(session)[0].sightings == [{"account": "ana", "folder": "CRM/Pedidos"}]
            hits = {row["name"]: row["hits"] for row in _hits(session)}
        for _ in range(3):
            office.move_clock(timedelta(minutes=5))
            counts = work(app)
            assert counts.logged == 0
        assert count(app) == 1
        assert seen(office, "CRM/Pedidos") == wanted
        with app.store.session() as session:
            assert {row["name"]: row["hits"] for row in _hits(session)} == hits == {"pedido": 1, "tudo": 1}
        assert {state for _, state in marks(app)} == {"done"}


def _hits(session: object) -> list[dict[str, object]]:
    from store.tables import RuleLoaded

    return [dict(row) for row in session.execute(select(table(RuleLoaded))).mappings()]  # type: ignore[attr-defined]


def test_explain_tells_what_was_done_and_what_the_server_cannot(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        order(office)
        work(app)
    lines = "\n".join(explain_logged(office.directory, "1", None).lines)
    assert "mailbox: category CRM: pedido in ana/" in lines
    assert f"mailbox: flag by 2026-11-18 in ana/INBOX: done ({SERVER_KEEPS_NO_DAY}), by rule pedido" in lines
    assert "mailbox: into CRM/Pedidos in ana/CRM/Pedidos: done, by rule pedido" in lines
    data = explain_logged(office.directory, "1", None).data
    assert [one["state"] for one in data["marks"]] == ["done"] * 4


def test_the_rule_is_taken_back(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        order(office)
        work(app)
        since = office.clock.now() - timedelta(days=1)
        told = answer(app, "rules.undo", {"rule": "pedido", "since": since.isoformat()})
        assert {one["did"] for one in told["undone"]} == {
            "marked it: category CRM: pedido", "marked it: category CRM: Padaria Sol",
            "marked it: flag by 2026-11-18", "marked it: into CRM/Pedidos",
        }  # fmt: skip
        assert {one["customer"] for one in told["undone"]} == {"Padaria Sol"}
        answer(app, "rules.undo", {"rule": "pedido", "since": since.isoformat(), "confirm": 4})
        work(app)
        assert seen(office, "CRM/Pedidos") == []
        assert seen(office, "INBOX") == [("pedido 1", set(), False, False)]
        office.move_clock(timedelta(minutes=5))
        work(app)
        assert count(app) == 1
        assert seen(office, "INBOX") == [("pedido 1", set(), False, False)]


def test_what_a_person_had_set_stays_when_the_rule_is_taken_back(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        mail = office.mail("maria@padariasol.example", "ana@vendas.example", "pedido 2", "Bom dia")
        with office.client("ana") as client:
            client.append("INBOX", mail.as_bytes(), ("\\Flagged", "CRM:_pedido", "\\Seen"), office.clock.now())
        work(app)
        since = (office.clock.now() - timedelta(days=1)).isoformat()
        answer(app, "rules.undo", {"rule": "pedido", "since": since, "confirm": 4})
        work(app)
        assert seen(office, "INBOX") == [("pedido 2", {"CRM: pedido"}, True, True)]


def test_a_mark_that_waits_is_cancelled_and_one_that_a_person_moved_on_stays(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        order(office)
        app.pollers["ana"].source.close()
        app.pollers["ana"].poll()
        answer(app, "log.undo", {"change": _change(app, "move")})
        app.mailbox_marks.tidy()
        assert [row[0] for row in seen(office, "INBOX")] == ["pedido 1"]
        assert dict(marks(app))["move"] == "cancelled"
        order(office, "pedido 3")
        work(app)
        with office.client("ana") as client:
            client.create_folder("Feito")
            client.select_folder("CRM/Pedidos")
            client.move(client.search("ALL"), "Feito")
        office.move_clock(timedelta(minutes=5))
        work(app)
        done = answer(app, "rules.undo", {"rule": "pedido", "since": "2026-01-01T00:00:00+00:00"})
        assert [(one["did"], one["why"]) for one in done["refused"]] == [
            ("marked it: into CRM/Pedidos", "somebody filed the mail since")
        ]


def _change(app: App, slot: str) -> int:
    from store import changes

    with app.store.session() as session:
        found = changes.recent(session, app.clock.now() - timedelta(days=1))
    return next(one.id for one in found if one.what == "marked" and one.after["slot"] == slot) or 0


def test_a_crash_behind_the_wire_changes_nothing(office: TestOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail is moved and the record is not: done again, it stays one mail in one folder."""

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with office.running() as app:
        begin(app, office)
        order(office)
        with monkeypatch.context() as patch:
            patch.setattr(marking.MailboxMarks, "_done", crash)
            for _ in range(4):
                with pytest.raises(KeyboardInterrupt):
                    work(app)
                office.move_clock(timedelta(minutes=1))
        assert {state for _, state in marks(app)} == {"planned"}
    office.move_clock(timedelta(hours=2))
    with office.running() as app:
        work(app)
        office.move_clock(timedelta(minutes=5))
        work(app)
        assert {state for _, state in marks(app)} == {"done"}
        assert seen(office, "INBOX") == []
        assert [row[0] for row in seen(office, "CRM/Pedidos")] == ["pedido 1"]
        assert count(app) == 1


def test_a_mail_that_is_gone_is_told(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        order(office)
        app.pollers["ana"].source.close()
        app.pollers["ana"].poll()
        with office.client("ana") as client:
            client.select_folder("INBOX")
            client.delete_messages(client.search("ALL"))
            client.expunge()
        app.mailbox_marks.tidy()
        assert {state for _, state in marks(app)} == {"impossible"}
        with app.store.session() as session:
            found = mailbox_marks.impossible_since(session, office.clock.now() - timedelta(days=1))
        assert found == [("ana", marking.GONE, 4)]


def test_a_server_that_is_away_is_waited_for(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        order(office)
        app.pollers["ana"].source.close()
        app.pollers["ana"].poll()
        office.server.set_password(office.login("ana"), "another")
        app.ways.close()  # type: ignore[union-attr]
        assert app.mailbox_marks.tidy() == 0
        assert {state for _, state in marks(app)} == {"planned"}
        office.server.set_password(office.login("ana"), "secret")
        office.move_clock(timedelta(hours=30))
        assert app.mailbox_marks.tidy() == 4
        assert [row[0] for row in seen(office, "CRM/Pedidos")] == ["pedido 1"]


def test_after_a_week_it_is_given_up(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        order(office)
        app.pollers["ana"].source.close()
        app.pollers["ana"].poll()
        office.server.set_password(office.login("ana"), "another")
        app.ways.close()  # type: ignore[union-attr]
        for _ in range(4):
            office.move_clock(timedelta(days=8))
            app.mailbox_marks.tidy()
        assert {state for _, state in marks(app)} == {str(MarkState.IMPOSSIBLE)}
        office.server.set_password(office.login("ana"), "secret")


def test_an_erased_customer_takes_the_marks_along(office: TestOffice) -> None:
    with office.running() as app:
        begin(app, office)
        order(office)
        work(app)
        answer(app, "customer.erase", {"customer": "Padaria Sol", "confirm": "Padaria Sol"})
        assert marks(app) == []
