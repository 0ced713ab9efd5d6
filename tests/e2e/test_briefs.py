"""A mail on the morning before each meeting with a customer: once, to whoever goes there, with what is open."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from calendar_offices import ANA, BRUNO, DAY, HOUR, JOAO, MARIA, MINUTE, CalendarOffice, at, make_office

from daemon.app import App
from daemon.explaining import explain_logged
from daemon.ways import Ways
from store import customers, history, records
from store.customers import Actor
from store.tables import Case, Order, Task


@pytest.fixture
def office(tmp_path: Path) -> CalendarOffice:
    made = make_office(tmp_path)
    path = made.directory / "quietcrm.yaml"
    path.write_text(
        path.read_text().replace("bruno@vendas.example, language: pt", "bruno@vendas.example, language: ru")
    )
    (made.directory / "rules" / "10.yaml").write_text("rules: []\n")
    (made.directory / "sequences" / "remarcar.yaml").unlink()
    return made


@pytest.fixture
def app(office: CalendarOffice) -> Iterator[App]:
    """Monday, 09:01 in São Paulo; nothing is booked."""
    with office.running() as app:
        app.briefs.deliver_due()
        yield app


def briefs(office: CalendarOffice, rep: str = "ana") -> list[EmailMessage]:
    found = [message_from_bytes(raw, policy=policy.default) for raw in office.files(rep, "")]
    return [one for one in found if isinstance(one, EmailMessage) and one["X-Quietcrm"] == "brief"]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def read(app: App) -> None:
    for poller in app.calendars.values():
        poller.poll()


def live(office: CalendarOffice, app: App, *moments: tuple[int, int]) -> None:
    """Stand at some hours (day, hour UTC) of November, and see whether it is time for a brief."""
    for day, hour in moments:
        office.clock.move(at(day, hour) - office.clock.now())
        read(app)
        app.briefs.deliver_due()


def test_who_where_and_what_is_open(office: CalendarOffice, app: App) -> None:
    office.deliver(office.letter(Subject="Forno novo"))
    app.pollers["ana"].source.close()
    app.pollers["ana"].poll()
    with app.store.writing() as session:
        (number,) = customers.by_name(session, "Padaria Sol")
        now, by = office.clock.now(), Actor(name="admin", now=office.clock.now())
        for row in (
            Case(title="Forno com defeito", customer_id=number, created_at=now),
            Order(number="88123", amount=125000, currency="BRL", customer_id=number, created_at=now),
            Task(title="Enviar catálogo", customer_id=number, created_at=now),
        ):
            records.create(session, row, by)
    office.ana.put("old.ics", office.event("m0", at(10, 13), title="Primeira visita"))
    office.ana.put("a.ics", office.event("m1", at(19, 13), "LOCATION:Rua das Flores 10"))
    live(office, app, (17, 13), (18, 10))
    assert briefs(office) == []
    live(office, app, (18, 12), (18, 13), (19, 12), (19, 14))
    (mail,) = briefs(office)
    assert mail["Subject"] == "Reunião: quinta, 19/11 10:00–11:00 · Padaria Sol: Demonstração"
    assert (mail["To"], mail["Auto-Submitted"]) == ("Ana <ana@vendas.example>", "auto-generated")
    said = text_of(mail)
    for words in ("Rua das Flores 10", MARIA, "Forno com defeito", "88123 · 1250.00 BRL", "Enviar catálogo",
                  "← Forno novo", "Reunião anterior: Primeira visita"):  # fmt: skip
        assert words in said
    with app.store.session() as session:
        (meeting,) = [one for one in history.log(session) if one.subject == "Demonstração"]
    told = explain_logged(office.directory, str(meeting.id), None).lines
    assert "brief: 2026-11-18 09:00 to ana" in told
    rich = mail.get_body(("html",))
    assert rich is not None
    assert "Forno com defeito" in rich.get_content()


def test_one_mail_a_morning_and_each_person_has_their_own(office: CalendarOffice, app: App) -> None:
    office.ana.put("a.ics", office.event("m1", at(18, 13), people=(ANA, BRUNO, MARIA)))
    office.bruno.put("a.ics", office.event("m1", at(18, 13), people=(ANA, BRUNO, MARIA)))
    office.ana.put("b.ics", office.event("m2", at(18, 17), people=(ANA, JOAO), title="Visita"))
    live(office, app, (17, 12), (17, 15), (18, 12))
    (mail,) = briefs(office)
    assert mail["Subject"] == "Reuniões (2): Padaria Sol, Oficina Rio"
    (other,) = briefs(office, "bruno")
    assert other["Subject"].startswith("Встреча: среда, 18.11 10:00–11:00 · Padaria Sol")


def test_nothing_of_what_is_off_or_nobodys_business(office: CalendarOffice, app: App) -> None:
    office.ana.put("a.ics", office.event("m1", at(18, 13), "STATUS:CANCELLED"))
    office.ana.put("b.ics", office.event("m2", at(18, 14), "CLASS:PRIVATE"))
    office.ana.put("c.ics", office.event("m3", at(18, 15), people=(ANA, BRUNO)))
    office.ana.put("d.ics", office.event("m4", at(18, 16), answers={MARIA: "DECLINED"}))
    office.ana.put("e.ics", office.event("m5", at(18, 17), organizer=MARIA, answers={ANA: "DECLINED"}))
    office.ana.put("f.ics", office.event("m6", at(18, 18)))
    read(app)
    office.clock.move(at(17, 12) - office.clock.now())
    office.ana.remove("f.ics")  # nobody has read the calendar since
    app.briefs.deliver_due()
    live(office, app, (17, 16))
    assert briefs(office) == []


def test_moved_is_told_again_and_what_is_booked_late_within_the_hours(office: CalendarOffice, app: App) -> None:
    office.ana.put("a.ics", office.event("m1", at(17, 20)))
    read(app)
    app.briefs.deliver_due()
    assert briefs(office) == []  # just booked
    office.clock.move(15 * MINUTE)
    app.briefs.deliver_due()
    assert len(briefs(office)) == 1
    office.ana.put("a.ics", office.event("m1", at(17, 21), sequence=1))
    office.ana.put("b.ics", office.event("m2", at(16, 13), title="Já"))
    read(app)
    app.briefs.deliver_due()
    assert len(briefs(office)) == 2  # begins within the hour
    office.clock.move(at(16, 23) - office.clock.now())  # 20:00 there
    app.briefs.deliver_due()
    assert len(briefs(office)) == 2
    live(office, app, (17, 12))
    assert len(briefs(office)) == 3
    assert "18:00–19:00" in briefs(office)[-1]["Subject"] or "18:00–19:00" in text_of(briefs(office)[-1])


def test_a_weekend_lies_between(office: CalendarOffice, app: App) -> None:
    office.ana.put("a.ics", office.event("m1", at(23, 13)))
    live(office, app, (19, 12))
    assert briefs(office) == []
    live(office, app, (20, 12), (21, 12), (22, 12), (23, 12))
    assert len(briefs(office)) == 1


def test_a_daemon_killed_in_between_lays_no_second_one(
    office: CalendarOffice, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay = Ways.lay

    def torn(self: Ways, rep: str, mail: object) -> None:
        lay(self, rep, mail)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    office.ana.put("a.ics", office.event("m1", at(18, 13)))
    read(app)
    office.clock.move(DAY + HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(Ways, "lay", torn)
        with pytest.raises(KeyboardInterrupt):
            app.briefs.deliver_due()
    for _ in range(2):
        app.briefs.deliver_due()
    assert len(briefs(office)) == 1


@pytest.mark.parametrize("where", ["office", "person"])
def test_it_can_be_turned_off(office: CalendarOffice, where: str) -> None:
    path = office.directory / "quietcrm.yaml"
    text = path.read_text()
    text = text + "briefs: no\n" if where == "office" else text.replace("name: Ana}", "name: Ana, briefs: no}")
    path.write_text(text)
    with office.running() as app:
        office.ana.put("a.ics", office.event("m1", at(18, 13)))
        live(office, app, (17, 12), (18, 12))
        assert briefs(office) == []
