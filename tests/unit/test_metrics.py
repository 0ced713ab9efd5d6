"""Figures for Prometheus: right, on loopback only, off by default, and there without a database too."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from servers.process import free_port

from config.settings import Settings
from daemon.app import App, opened
from daemon.counts import Counts, Tally
from daemon.metrics import MetricsServer
from store import accounts, actions, outbox
from store.tables import OutboxMail

SETTINGS = """\
company: {name: Vendas, zone: America/Sao_Paulo, language: pt}
team: {ana: {mail: ana@vendas.example}}
accounts:
  ana: {type: maildir, rep: ana, path: ana}
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    (tmp_path / "quietcrm.yaml").write_text(SETTINGS)
    with opened(tmp_path) as app:
        yield app


@contextmanager
def serving(app: App, tally: Tally | None = None) -> Iterator[MetricsServer]:
    server = MetricsServer(free_port(), app, tally or Tally())
    try:
        yield server
    finally:
        server.close()


def read(server: MetricsServer) -> dict[tuple[str, frozenset[str]], float]:
    """(name, label values) -> value, by Prometheus' own reader."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(one.name, frozenset(one.labels.values())): one.value for family in families for one in family.samples}


def test_every_figure(app: App) -> None:
    tally = Tally()
    for _ in range(2):
        skipped = Counter({"internal": 1, "own": 1})
        counts = Counts(seen=9, logged=2, duplicate=1, unmatched=3, quarantined=1, skipped=skipped)
        assert counts.accounted == counts.seen
        tally.add("ana", counts)
    with app.store.writing() as session:
        now = app.clock.now()
        accounts.begin(session, "ana", now)
        accounts.change(session, "ana", backfill_done=7, backfill_total=20)
        accounts.failed(session, "ana", now, state="failing", reason="x", hint="", retry_at=None)
        actions.load_rules(session, [actions.LoadedRule("pedido")], now)
        actions.hit(session, ["pedido", "pedido"], now)
    with serving(app, tally) as server:
        told = read(server)

    def value(name: str, *labels: str) -> float:
        return told[name, frozenset(labels)]

    assert value("quietcrm_mails_seen_total", "ana") == 18
    outcomes = {"logged": 4, "duplicate": 2, "unmatched": 6, "quarantined": 2, "skipped": 4, "degraded": 0, "failed": 0}
    for outcome, count in outcomes.items():
        assert value("quietcrm_mails_total", "ana", outcome) == count
    assert sum(outcomes.values()) == 18, "the parts add up"
    assert value("quietcrm_account_state", "ana", "failing") == 1
    assert value("quietcrm_account_state", "ana", "ok") == 0
    assert value("quietcrm_account_failures", "ana") == 1
    assert value("quietcrm_backfill_done", "ana") == 7
    assert value("quietcrm_backfill_total", "ana") == 20
    assert value("quietcrm_rule_hits_total", "pedido") == 2
    assert value("quietcrm_store_up") == 1
    assert value("quietcrm_workers_hung") == 0
    assert value("quietcrm_config_refused") == 0
    assert 20_000_000 < value("process_resident_memory_bytes") < 2_000_000_000
    assert ("quietcrm_account_lag_seconds", frozenset({"ana"})) not in told, "it never worked"


def test_mail_to_customers_by_state_and_way(app: App) -> None:
    now = app.clock.now()
    with app.store.writing() as session:
        for number, (way, state) in enumerate([("send", "held"), ("send", "sent"), ("draft", "held")]):
            times = {"event_at": now, "due_at": now, "created_at": now}
            outbox.plan(session, OutboxMail(event=f"e{number}", rule="r", slot="draft", way=way, state=state, **times))
    with serving(app) as server:
        told = {key[1]: value for key, value in read(server).items() if key[0] == "quietcrm_outbox"}
    assert told == {
        frozenset({"held", "send"}): 1,
        frozenset({"sent", "send"}): 1,
        frozenset({"held", "draft"}): 1,
        frozenset({"planned", "send"}): 0,
        frozenset({"uncertain", "send"}): 0,
        frozenset({"refused", "send"}): 0,
    }


def test_a_worker_that_hangs_and_a_refused_configuration_show(app: App) -> None:
    app.config_trouble = "quietcrm.yaml:1: E101"
    app.watchdog.beat("ticks", -1)
    with serving(app) as server:
        told = read(server)
    assert told["quietcrm_workers_hung", frozenset()] == 1
    assert told["quietcrm_config_refused", frozenset()] == 1


def test_without_a_database_the_rest_is_still_told(app: App) -> None:
    database = app.office.state / "crm.db"
    sound = database.read_bytes()
    app.store.engine.dispose()
    database.write_bytes(b"this is no database " * 1000)
    with serving(app) as server:
        told = read(server)
    assert told["quietcrm_store_up", frozenset()] == 0
    assert ("process_resident_memory_bytes", frozenset()) in told
    app.store.engine.dispose()
    database.write_bytes(sound)


def test_only_this_machine_is_answered(app: App) -> None:
    with serving(app) as server:
        listening = [
            line.split()[1]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if line.split()[3] == "0A" and line.split()[1].endswith(f":{server.port:04X}")
        ]
        assert listening == [f"0100007F:{server.port:04X}"]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", server.port), timeout=5)


def test_a_taken_port_is_an_error_that_the_service_says(app: App) -> None:
    with serving(app) as server, pytest.raises(OSError, match="in use"):
        MetricsServer(server.port, app, Tally())


def test_off_by_default_and_then_not_even_imported() -> None:
    company = {"name": "Vendas", "zone": "Europe/Lisbon", "language": "en"}
    assert Settings.model_validate({"company": company, "team": {"ana": {"mail": "a@v.example"}}}).metrics.port == 0
    loaded = "import sys, daemon.service; print(any(name.startswith('prometheus') for name in sys.modules))"
    said = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
