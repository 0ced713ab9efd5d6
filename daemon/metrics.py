"""Figures for a monitoring program: Prometheus text on loopback, made when somebody asks. Imported only when wanted.

Labels are names of accounts and rules; never an address, a subject or a customer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.counts import Tally
from daemon.health import status
from store import actions, outbox
from store.errors import StoreError

if TYPE_CHECKING:
    from daemon.app import App

LOOPBACK = "127.0.0.1"
STATES = ("new", "ok", "behind", "paused", "failing", "parked")
WATCHED = (("planned", "send"), ("held", "send"), ("uncertain", "send"), ("refused", "send"))
OUTCOMES = ("logged", "duplicate", "unmatched", "degraded", "quarantined", "failed")


class MetricsServer:
    """Serves /metrics on 127.0.0.1 until it is closed. Raises OSError where the port is taken."""

    def __init__(self, port: int, app: App, tally: Tally) -> None:
        self.port = port
        registry = CollectorRegistry()
        registry.register(Figures(app, tally))
        self._server, self._thread = start_http_server(port, addr=LOOPBACK, registry=registry)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Figures(Collector):
    """Everything we count, read from the store at the moment of asking."""

    def __init__(self, app: App, tally: Tally) -> None:
        self._app = app
        self._tally = tally

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read the store."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now. Without a store, those that need none and `quietcrm_store_up 0`."""
        app = self._app
        yield from mails_seen(self._tally.now())
        yield GaugeMetricFamily("quietcrm_workers_hung", "Workers past their own deadline.", len(app.watchdog.hung()))
        yield GaugeMetricFamily(
            "quietcrm_config_refused", "1 while an older configuration runs.", bool(app.config_trouble)
        )
        yield GaugeMetricFamily(
            "quietcrm_disk_low", "1 while there is no room for more mail.", bool(app.disk.trouble())
        )
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of the daemon itself.", resident_bytes())
        try:
            known = status(app.office, app.store, app.clock.now())
            with app.store.session() as session:
                hits = {name: row.hits for name, row in actions.hits(session).items()}
                mails = outbox.counts_by_way(session)
        except StoreError:
            yield GaugeMetricFamily("quietcrm_store_up", "1 while the database answers.", 0)
            return
        yield GaugeMetricFamily("quietcrm_store_up", "1 while the database answers.", 1)
        yield from accounts_now(known["accounts"])
        yield from promises_now(known)
        yield mails_now(mails)
        yield labelled(CounterMetricFamily, "quietcrm_rule_hits", "Times a rule acted.", "rule", hits)


def mails_seen(tally: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """Mails since the start by account, and by what became of them."""
    seen = {account: counts["seen"] for account, counts in tally.items()}
    yield labelled(CounterMetricFamily, "quietcrm_mails_seen", "Mails read since the start.", "account", seen)
    mails = CounterMetricFamily("quietcrm_mails", "Mails by what became of them.", labels=["account", "outcome"])
    for account, counts in tally.items():
        for outcome in OUTCOMES:
            mails.add_metric([account, outcome], counts[outcome])
        mails.add_metric([account, "skipped"], sum(counts["skipped"].values()))
    yield mails


def accounts_now(accounts: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """State, lag, failures and back-fill of every account."""
    states = GaugeMetricFamily("quietcrm_account_state", "1 for the state it is in.", labels=["account", "state"])
    for account, one in accounts.items():
        for state in STATES:
            states.add_metric([account, state], one["state"] == state)
    yield states
    lags = {name: one["lag_seconds"] for name, one in accounts.items() if one["lag_seconds"] is not None}
    yield labelled(GaugeMetricFamily, "quietcrm_account_lag_seconds", "Since the last good look.", "account", lags)
    failures = {name: one.get("failures", 0) for name, one in accounts.items()}
    yield labelled(GaugeMetricFamily, "quietcrm_account_failures", "Failures in a row.", "account", failures)
    for part, about in (("done", "Old mails read."), ("total", "Old mails there are.")):
        fill = {name: one["backfill"][part] for name, one in accounts.items() if one["backfill"]}
        yield labelled(GaugeMetricFamily, f"quietcrm_backfill_{part}", about, "account", fill)


def promises_now(known: Mapping[str, Any]) -> Iterator[Metric]:
    """Reminders by state, and what could not be read."""
    reminders = known["reminders"]
    yield labelled(GaugeMetricFamily, "quietcrm_reminders", "Reminders to reps by state.", "state", reminders)
    yield GaugeMetricFamily("quietcrm_quarantined", "Mails that could not be read.", known["quarantined"])
    yield GaugeMetricFamily("quietcrm_unmatched", "Mails that matched nobody.", known["unmatched"])


def mails_now(counts: Mapping[tuple[str, str], int]) -> Metric:
    """Mail to customers by state and by way (draft, send). What a person watches is there at 0 too."""
    mails = GaugeMetricFamily("quietcrm_outbox", "Mail to customers by state and way.", labels=["state", "way"])
    for key in sorted({*counts, *WATCHED}):
        mails.add_metric(key, counts.get(key, 0))
    return mails


def labelled(
    family: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    about: str,
    label: str,
    values: Mapping[str, float],
) -> Metric:
    """One figure for each value of one label."""
    made = family(name, about, labels=[label])
    for key, value in values.items():
        made.add_metric([key], value)
    return made


def resident_bytes() -> int:
    """Memory this process holds now (proc(5), VmRSS); 0 where /proc says nothing."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
