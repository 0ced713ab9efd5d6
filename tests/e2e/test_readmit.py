"""Whoever was erased stays out, whatever the mailbox holds, until the admin readmits them."""

from __future__ import annotations

from pathlib import Path

import pytest
from offices import TestOffice, import_customers, work
from servers.dovecot import DovecotServer

from daemon.errors import Refused
from daemon.requests import answer
from store import customers, history


def test_an_erased_person_comes_back_only_when_readmitted(tmp_path: Path, dovecot: DovecotServer) -> None:
    office = TestOffice(tmp_path / "office", dovecot)
    office.directory.mkdir()
    office.write()
    office.deliver("ana", office.mail("maria@padariasol.example", "ana@vendas.example", "Pão", "Bom dia."))
    with office.running() as app:
        import_customers(app, office.directory / "customers.csv")
        assert work(app).logged == 1
        answer(app, "customer.erase", {"customer": "Padaria Sol", "confirm": "Padaria Sol"})
        office.deliver("ana", office.mail("maria@padariasol.example", "ana@vendas.example", "De novo", "Olá."))
        assert work(app).skipped["never_log"] == 1
        again = {"name": "Padaria Sol", "emails": ["maria@padariasol.example"]}
        with pytest.raises(Refused):
            answer(app, "customer.add", again)
        with app.store.session() as session:
            assert customers.by_name(session, "Padaria Sol") == []
        answer(app, "customer.add", {**again, "readmit": True})
        office.deliver("ana", office.mail("maria@padariasol.example", "ana@vendas.example", "Voltei", "Olá."))
        assert work(app).logged == 1
        with app.store.session() as session:
            assert [entry.subject for entry in history.log(session)] == ["Voltei"]
